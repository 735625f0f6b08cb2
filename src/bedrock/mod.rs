//! Floor 2: the Bedrock Runtime API as it is on the wire. No policy here.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>

mod call;
pub mod headers;
mod operation;
mod path;
pub mod usage;
pub mod json;
pub mod request;

pub use call::{Call, Subject};
pub use operation::{Operation, Treatment};
pub use path::{PathError, guardrail_path, model_path};
pub use request::RequestFacts;
