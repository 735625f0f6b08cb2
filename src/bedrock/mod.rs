//! Floor 2: the Bedrock Runtime API as it is on the wire. No policy here.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>

pub mod json;
mod operation;
pub mod request;

pub use operation::{Operation, Treatment};
pub use request::RequestFacts;
