//! What is asked of AWS's control plane, and what its answers say. Whoever assembles the gateway brings the means to sign and to
//! send; nothing here is on a call's way but the making of a profile that is missing,
//! and the source of one that is listed without it.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock.html>,
//! <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html>,
//! <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html>

pub mod bedrock;
pub mod quotas;
pub(super) mod tagging;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::types::{AccountId, ProfileArn, Region};

pub use bedrock::{Creation, Listed};

/// An account and a Region of it, where profiles are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Whose profiles.
    pub account: AccountId,
    /// Where.
    pub region: Region,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.account, self.region)
    }
}

impl Place {
    /// Whether a profile is there.
    pub fn holds(&self, arn: &ProfileArn) -> bool {
        *arn.account() == self.account && *arn.region() == self.region
    }
}

/// A service of AWS's by the name that signatures have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Bedrock's control plane.
    Bedrock,
    /// The Resource Groups Tagging API.
    Tagging,
    /// Service Quotas.
    Quotas,
}

impl Service {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Tagging => "tagging",
            Self::Quotas => "servicequotas",
        }
    }
}

/// One request, without host and signature.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of whom.
    pub service: Service,
    /// In which account and Region.
    pub place: Place,
    /// How.
    pub method: Method,
    /// The path as it goes on the wire.
    pub path: String,
    /// The query, sorted and encoded; empty where there is none.
    pub query: String,
    /// `X-Amz-Target` of the services that have one path for all.
    pub target: Option<&'static str>,
    /// What is sent along; empty where nothing is.
    pub body: Bytes,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `x-amzn-errortype`.
    pub error: Option<String>,
    /// All of the body.
    pub body: Bytes,
}

impl Reply {
    /// Whether AWS does not take the credentials that the question was signed with: whoever signs renews them, and asks again.
    pub fn is_of_credentials(&self) -> bool {
        let (kind, _) = self.told();
        self.status >= 400 && ["ExpiredToken", "UnrecognizedClient"].iter().any(|refusal| kind.starts_with(refusal))
    }

    /// The name of the error and what AWS says to it.
    fn told(&self) -> (String, String) {
        let Refusal { kind, message } = serde_json::from_slice(&self.body).unwrap_or_default();
        // `AccessDeniedException:http://internal…/` in the header, `com.amazonaws…#AccessDeniedException` in the body.
        let kind = self.error.as_deref().unwrap_or(&kind);
        let kind = kind.split(':').next().unwrap_or_default();
        (kind.rsplit('#').next().unwrap_or_default().to_owned(), message)
    }
}

/// An answer, later. The error is that there was none.
pub type Asked = Pin<Box<dyn Future<Output = Result<Reply, String>> + Send>>;

/// Signs a question with the credentials for its account, and sends it. It waits for half a minute at most.
pub trait ControlPlane: Send + Sync + fmt::Debug {
    /// Asks once.
    fn ask(&self, question: Question) -> Asked;

    /// Whether there may be no such service where it would be asked, so that its silence tells nothing.
    fn may_lack(&self, _service: Service) -> bool {
        false
    }
}

/// A way to ask that many hold.
pub type SharedControlPlane = Arc<dyn ControlPlane>;

/// Why the control plane did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There was no answer, or one of a server that could not, or the credentials were not good at that moment.
    #[error("{0}")]
    Unavailable(String),
    /// It is asked too often, and was asked again already.
    #[error("AWS says that it is asked too often: {0}")]
    Throttled(String),
    /// IAM does not allow it.
    #[error("IAM does not allow it: {0}")]
    Denied(String),
    /// There is no such thing, or it is not known there yet.
    #[error("AWS knows no such resource: {0}")]
    NotFound(String),
    /// Something of that name is there already, or is being changed.
    #[error("AWS has it already, or is changing it: {0}")]
    Conflict(String),
    /// A quota is used up.
    #[error("a quota of the account is used up: {0}")]
    Quota(String),
    /// The request was wrong.
    #[error("AWS refused it: {0}")]
    Invalid(String),
}

impl ControlError {
    /// Whether asking again later may help by itself.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Throttled(_) => true,
            Self::Denied(_) | Self::NotFound(_) | Self::Conflict(_) | Self::Quota(_) | Self::Invalid(_) => false,
        }
    }
}

/// Asks until there is an answer that is none of passing trouble, a few times at most.
async fn ask<T: DeserializeOwned>(control: &SharedControlPlane, question: Question) -> Result<T, ControlError> {
    let body = ask_for_bytes(control, question).await?;
    serde_json::from_slice(&body)
        .map_err(|error| ControlError::Unavailable(format!("AWS's answer makes no sense: {error}")))
}

async fn ask_for_bytes(control: &SharedControlPlane, question: Question) -> Result<Bytes, ControlError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match once(control, question.clone()).await {
            Err(error) if error.is_passing() => {
                // Several gateways that were refused at once must not come back at once.
                tokio::time::sleep(jittered(pause)).await;
                pause *= 2;
            }
            answered => return answered,
        }
    }
    once(control, question).await
}

async fn once(control: &SharedControlPlane, question: Question) -> Result<Bytes, ControlError> {
    let reply = control.ask(question).await.map_err(ControlError::Unavailable)?;
    if (200..300).contains(&reply.status) {
        return Ok(reply.body);
    }
    Err(refused(&reply))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

fn refused(reply: &Reply) -> ControlError {
    let (kind, message) = reply.told();
    let said: String = message.chars().filter(|character| !character.is_control()).take(LONGEST_MESSAGE).collect();
    let said = if said.is_empty() { format!("{} {kind}", reply.status) } else { said };
    if reply.is_of_credentials() {
        return ControlError::Unavailable(format!("AWS does not take the credentials, others are fetched: {said}"));
    }
    match (reply.status, kind.as_str()) {
        (_, "ThrottlingException" | "TooManyRequestsException" | "Throttling" | "ThrottledException") | (429, _) => {
            ControlError::Throttled(said)
        }
        (_, "ServiceQuotaExceededException") => ControlError::Quota(said),
        (_, "ConflictException") | (409, _) => ControlError::Conflict(said),
        (_, "ResourceNotFoundException" | "NoSuchResourceException") | (404, _) => ControlError::NotFound(said),
        (_, "AccessDeniedException") | (401 | 403, _) => ControlError::Denied(said),
        (500.., _) => ControlError::Unavailable(said),
        _ => ControlError::Invalid(said),
    }
}

/// Between half of a pause and all of it.
pub fn jittered(pause: Duration) -> Duration {
    let mut drawn = [0; 2];
    // Without randomness of the system's the pause is whole.
    let share = getrandom::fill(&mut drawn).map_or(u32::from(u16::MAX), |()| u32::from(u16::from_ne_bytes(drawn)));
    pause / 2 + pause.mul_f64(f64::from(share) / f64::from(u16::MAX) / 2.0)
}

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_MESSAGE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, header: Option<&str>, kind: &str) -> ControlError {
        let body = format!("{{\"__type\":\"{kind}\",\"message\":\"m\"}}");
        refused(&Reply { status, error: header.map(str::to_owned), body: Bytes::from(body) })
    }

    #[test]
    fn credentials_that_are_not_taken_are_no_word_of_iams() {
        for (status, header, kind) in [
            (403, Some("ExpiredTokenException:http://internal.amazon.com/"), ""),
            (403, Some("UnrecognizedClientException"), ""),
            (400, None, "com.amazon.coral.service#ExpiredTokenException"),
            (400, None, "UnrecognizedClientException"),
            (403, Some("ExpiredToken"), ""),
        ] {
            let error = said(status, header, kind);
            assert!(matches!(&error, ControlError::Unavailable(why) if why.ends_with(": m")), "{kind}: {error:?}");
        }
        for (status, header) in
            [(403, Some("AccessDeniedException")), (400, Some("AccessDeniedException")), (401, None)]
        {
            assert_eq!(said(status, header, ""), ControlError::Denied("m".to_owned()));
        }
    }
}
