//! Floor 1: AWS Signature Version 4, for `bedrock` and for the control plane around it.
//!
//! One canonical request serves signing what goes out and verifying what comes in. Deriving the signing key and
//! computing the signature are the `aws-sigv4` crate's; its `sign()` is the oracle in the tests.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
mod payload;
mod signer;

pub use canonical::{CanonicalRequest, encoded, push_encoded_path};
pub use payload::Payload;
pub use signer::{AwsCredentials, Signature, Signer};
