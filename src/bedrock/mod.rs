//! Floor 2: the Bedrock Runtime API as it is on the wire. No policy here.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>

mod call;
pub mod headers;
pub mod json;
mod operation;
mod path;
pub mod request;
pub mod usage;

pub use call::{Call, Subject};
pub use operation::{Forwarded, Operation, Treatment};
pub use path::{PathError, guardrail_path, model_path};
pub use request::{CacheWrites, Latency, RequestFacts};
