//! The token's form: `tollgate-aws-v1.` and a presigned URL in base64 (URL-safe, without padding).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::error::LoginFault;
use super::region::host_of;
use crate::identity::sigv4::{Query, parse_amz_date};

/// How every such token begins.
pub const PREFIX: &str = "tollgate-aws-v1.";

/// The header by which a token is bound to one gateway; it is signed.
pub const AUDIENCE_HEADER: &str = "x-tollgate-audience";

/// What is presigned.
pub(super) const ACTION: &str = "GetCallerIdentity";

/// The version of STS's API.
pub(super) const VERSION: &str = "2011-06-15";

/// A token, read and not believed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginToken {
    pub(super) region: String,
    /// The parameters, as they were signed.
    pub(super) query: String,
    at: i64,
    expires_s: i64,
}

/// A presigned URL as a token.
pub(super) fn encode(url: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
}

impl LoginToken {
    pub(super) fn read(text: &str) -> Result<Self, LoginFault> {
        let malformed = LoginFault::Malformed;
        let encoded = text.strip_prefix(PREFIX).ok_or_else(|| malformed("it is no token of an AWS login"))?;
        let url = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|url| String::from_utf8(url).ok());
        let url = url.ok_or_else(|| malformed("what stands behind its prefix is no URL in base64"))?;
        let rest = url.strip_prefix("https://").ok_or_else(|| malformed("it holds no https URL"))?;
        let (host, query) = rest.split_once("/?").ok_or_else(|| malformed("it holds no presigned URL"))?;
        let query = Query::read(query);
        if !query.has_only(&PARAMETERS) || !query.is_plain() {
            return Err(malformed("it holds other parameters than those of a presigned GetCallerIdentity"));
        }
        let only = |name| query.only(name).map_err(|_| malformed("a parameter of it is missing, or there twice"));
        if only("Action")? != ACTION || only("Version")? != VERSION {
            return Err(malformed("it is presigned for something else than GetCallerIdentity"));
        }
        if only("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(malformed("it is signed by another algorithm than AWS4-HMAC-SHA256"));
        }
        let signed = only("X-Amz-SignedHeaders")?;
        if signed != "host%3Bx-tollgate-audience" && signed != "host;x-tollgate-audience" {
            return Err(malformed(
                "it is not bound to a gateway: host and x-tollgate-audience have to be signed, and nothing else",
            ));
        }
        let credential = only("X-Amz-Credential")?.replace("%2F", "/");
        let parts: Vec<&str> = credential.split('/').collect();
        let [_, _, region, "sts", "aws4_request"] = *parts.as_slice() else {
            return Err(malformed("it is not signed for STS"));
        };
        if host_of(region).as_deref() != Some(host) {
            return Err(malformed("it is not for the regional endpoint of STS that it is signed for"));
        }
        only("X-Amz-Signature")?;
        let date = only("X-Amz-Date")?;
        let at = parse_amz_date(date).ok_or_else(|| malformed("its date is none"))?.as_second();
        let expires_s = only("X-Amz-Expires")?.parse::<u32>().map_err(|_| malformed("its time is none"))?.into();
        Ok(Self { region: region.to_owned(), query: query.text(), at, expires_s })
    }

    /// Until which second what STS says of it counts, if STS can be asked now.
    ///
    /// STS takes a presigned request for a quarter of an hour, whatever `X-Amz-Expires` says
    /// (<https://github.com/kubernetes-sigs/aws-iam-authenticator/pull/160>). A token for longer is good for longer only where it
    /// was asked about in time: the answer is remembered.
    pub(super) fn check_times(&self, longest: Duration, now: i64) -> Result<i64, LoginFault> {
        let longest = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        let until = self.at.saturating_add(self.expires_s.min(longest));
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        if self.at > now.saturating_add(SKEW_S) {
            return Err(LoginFault::NotYet { at: time(self.at) });
        }
        let ends = until.min(self.at.saturating_add(STS_TAKES_S));
        if now >= ends { Err(LoginFault::Expired { at: time(ends) }) } else { Ok(until) }
    }
}

/// The query is the proof: it is not written anywhere.
impl std::fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { region, query: _, at, expires_s } = self;
        let mut written = f.debug_struct("LoginToken");
        written.field("region", region).field("at", at).field("expires_s", expires_s).finish_non_exhaustive()
    }
}

const PARAMETERS: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];
const SKEW_S: i64 = 300;
const STS_TAKES_S: i64 = 15 * 60;
