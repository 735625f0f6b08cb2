//! A body with its hash. Two signatures are over the body of a caller who signs, theirs and the one for Bedrock; it is hashed once.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::types::Segments;

/// A body and its SHA-256.
#[derive(Clone, Debug)]
pub struct Payload {
    body: Bytes,
    sha256: String,
}

impl Payload {
    /// Hashes a body.
    pub fn of(body: Bytes) -> Self {
        let sha256 = super::sha256_hex(&body);
        Self { body, sha256 }
    }

    /// The SHA-256 of a body in segments, in hexadecimal.
    pub fn sha256_of(body: &Segments) -> String {
        let mut hash = Sha256::new();
        body.iter().for_each(|segment| hash.update(segment));
        super::hexadecimal(&hash.finalize().into())
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its SHA-256, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether `body` is this one: the same bytes at the same place, not merely equal ones. It is kept here, so nothing else can be there.
    pub fn is(&self, body: &Bytes) -> bool {
        self.body.len() == body.len() && self.body.as_ptr() == body.as_ptr()
    }
}

#[cfg(test)]
mod tests {
    //! What counts as the same body.

    use super::*;

    #[test]
    fn it_is_the_body_that_was_hashed_and_no_other() {
        let body = Bytes::from_static(b"abcabc");
        let payload = Payload::of(body.clone());
        assert_eq!(payload.sha256(), hex::encode(Sha256::digest(b"abcabc")));
        assert!(payload.is(&body) && payload.is(payload.body()) && payload.is(&body.slice(..)));
        assert!(!payload.is(&Bytes::copy_from_slice(&body)), "a copy may have been edited");
        assert!(!payload.is(&body.slice(..3)) && !payload.is(&body.slice(1..)) && !payload.is(&body.slice(3..)));
    }
}
