//! Short-term Bedrock API keys that were made of an access key of this gateway: `bedrock-api-key-` and a presigned URL in base64.
//!
//! AWS's token generators make them offline, so they can be verified offline: the URL is `CallWithBearerToken`, presigned for
//! `POST bedrock.amazonaws.com/` and at most twelve hours, with `Version=1` added after it was signed.
//!
//! <https://github.com/aws/aws-bedrock-token-generator-python>

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::SignatureFault;
use super::presented::{Form, Presented, Query};
use super::{Signed, Verifier};
use crate::identity::keys::{HeldKey, KeyRing};

/// How every such key begins.
pub(in crate::identity) const PREFIX: &str = "bedrock-api-key-";

/// The query of a presigned URL that a short-term key holds.
#[derive(Clone)]
pub(in crate::identity) struct ShortTermKey(String);

impl ShortTermKey {
    /// Reads a key, whose text is not longer than a header may be.
    pub(in crate::identity) fn read(token: &str) -> Result<Self, SignatureFault> {
        let malformed = || SignatureFault::ShortTerm("it is no short-term Bedrock API key");
        let encoded = token.strip_prefix(PREFIX).ok_or_else(malformed)?;
        let url = STANDARD.decode(encoded).ok().and_then(|url| String::from_utf8(url).ok()).ok_or_else(malformed)?;
        // Some generators leave the scheme in.
        let url = url.strip_prefix("https://").unwrap_or(&url);
        let (place, query) = url.split_once('?').ok_or_else(malformed)?;
        if place.trim_end_matches('/') != HOST {
            return Err(malformed());
        }
        Ok(Self(query.to_owned()))
    }

    /// Whose it is, if it holds.
    pub(in crate::identity) fn verify(
        &self,
        verifier: &Verifier,
        keys: &KeyRing,
        now: SystemTime,
    ) -> Result<Arc<HeldKey>, SignatureFault> {
        let query = Query::read(&self.0);
        if query.has("X-Amz-Security-Token") {
            return Err(SignatureFault::ShortTerm(
                "it was made with temporary credentials; make it with the access key that you were given for this gateway",
            ));
        }
        if query.only("Action")? != "CallWithBearerToken" {
            return Err(SignatureFault::ShortTerm("it is presigned for something else"));
        }
        let presented = Presented::in_query(&query)?;
        if presented.signed_headers != ["host"] {
            return Err(SignatureFault::Malformed("X-Amz-SignedHeaders"));
        }
        if matches!(presented.form, Form::Query { expires_s } if expires_s > LONGEST_S) {
            return Err(SignatureFault::ShortTerm("it is good for more than twelve hours"));
        }
        let canonical = query.without(&["X-Amz-Signature", "Version"]).canonical();
        let claim = verifier.known(presented, canonical, keys, now)?;
        let signed = Signed { method: "POST", path: "/", payload_sha256: SHA256_OF_NOTHING };
        verifier.compare(&claim, &signed, &[("host", HOST.to_owned())])
    }
}

const HOST: &str = "bedrock.amazonaws.com";
const LONGEST_S: u64 = 43_200;
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
