//! What is asked of STS, and what its answer says.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use serde::Deserialize;

use super::error::{LoginFault, Outage};
use super::region::host_of;
use super::token::{AUDIENCE_HEADER, LoginToken};
use super::{AwsLoginSettings, Role, excerpt};
use crate::identity::Principal;
use crate::identity::fetch::SharedFetch;
use crate::identity::pattern::is_name;

/// Where STS is, and how it is asked.
#[derive(Debug)]
pub(super) struct Sts {
    fetch: SharedFetch,
    audience: String,
    endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "GetCallerIdentityResponse")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "GetCallerIdentityResult")]
    result: Identity,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "Arn")]
    arn: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Error")]
    error: Coded,
}

#[derive(Deserialize)]
struct Coded {
    #[serde(rename = "Code")]
    code: String,
}

/// How AWS's query APIs call it that they are asked too often.
const THROTTLED: [&str; 3] = ["Throttling", "ThrottlingException", "RequestLimitExceeded"];

impl Sts {
    pub(super) fn new(settings: &AwsLoginSettings, fetch: SharedFetch) -> Self {
        Self { fetch, audience: settings.audience.clone(), endpoint: settings.endpoint.clone() }
    }

    /// Asks whose a token is. The error is that there was no answer.
    pub(super) async fn ask(&self, token: &LoginToken) -> Result<(u16, Bytes), String> {
        let host = host_of(&token.region).ok_or_else(|| "there is no such Region".to_owned())?;
        let base = self.endpoint.clone().unwrap_or_else(|| format!("https://{host}"));
        let audience = HeaderValue::from_str(&self.audience)
            .map_err(|_| "the audience of the configuration is no header value".to_owned())?;
        let request = Request::get(format!("{}/?{}", base.trim_end_matches('/'), token.query))
            .header(header::HOST, &host)
            .header(header::ACCEPT, "application/json")
            .header(HeaderName::from_static(AUDIENCE_HEADER), audience)
            .body(())
            .map_err(|error| error.to_string())?;
        self.fetch.fetch(request).await
    }
}

/// The ARN that an answer names.
pub(super) fn arn(status: u16, body: &[u8]) -> Result<String, LoginFault> {
    let unavailable = |why| LoginFault::Unavailable(Outage::Sts(why));
    match status {
        200 => {}
        // The query protocol says with 400 that too many ask.
        400 if is_throttled(body) => return Err(unavailable("it is asked too often".to_owned())),
        400..=499 if status != 429 => return Err(LoginFault::Refused(excerpt(&String::from_utf8_lossy(body)))),
        _ => return Err(unavailable(format!("it answered with {status}"))),
    }
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| unavailable(format!("its answer makes no sense: {error}")))?;
    Ok(answer.response.result.arn)
}

fn is_throttled(body: &[u8]) -> bool {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    refusal.is_some_and(|refusal| THROTTLED.contains(&refusal.error.code.as_str()))
}

/// Who the caller of an ARN is.
pub(super) fn principal(roles: &[Role], arn: &str) -> Result<Principal, LoginFault> {
    let nobody = || LoginFault::Nobody(excerpt(arn));
    let fitting = roles.iter().find_map(|role| Some((role, role.arn.parts(arn)?)));
    let (role, parts) = fitting.ok_or_else(nobody)?;
    let value = |name: &str| parts.get(name).map(|part| std::borrow::Cow::Borrowed(*part));
    let principal = role.person.principal(value).map_err(|_| nobody())?;
    if is_name(principal.name()) { Ok(principal) } else { Err(nobody()) }
}
