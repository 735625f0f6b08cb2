//! Floor 2: the Bedrock Runtime API as it is on the wire. No policy here.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>

mod operation;
pub mod usage;

pub use operation::{Operation, Treatment};
