//! Floor 1: AWS Signature Version 4, for `bedrock` and for the control plane around it.
//!
//! One canonical request serves signing what goes out and verifying what comes in. Deriving the signing key is the `aws-sigv4` crate's;
//! its `sign()` is the oracle in the tests.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
mod payload;
mod signer;

pub use canonical::{CanonicalRequest, encoded, push_encoded_path};
pub use payload::Payload;
pub use signer::{AwsCredentials, Signature, Signer};

use sha2::{Digest, Sha256};

/// The SHA-256 of bytes in hexadecimal.
fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(&Sha256::digest(bytes).into())
}

fn hexadecimal(hash: &[u8; HASH_DIGITS / 2]) -> String {
    let mut text = String::with_capacity(HASH_DIGITS);
    push_hex(&mut text, hash);
    text
}

/// Appends a hash in hexadecimal.
fn push_hex(text: &mut String, hash: &[u8; HASH_DIGITS / 2]) {
    let mut digits = [0; HASH_DIGITS];
    if hex::encode_to_slice(hash, &mut digits).is_ok() {
        text.push_str(str::from_utf8(&digits).unwrap_or_default());
    }
}

/// The hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;
