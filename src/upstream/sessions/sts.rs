//! `AssumeRole`: how STS is asked, and what its answer says.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde::Deserialize;

use super::role::SessionRequest;
use crate::sigv4::{AwsCredentials, Signer, encoded};
use crate::types::{Clock, Region, Secret, Segments};
use crate::upstream::credentials::{Credentials, Loaded};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::plain::Plain;
use crate::upstream::pool::Pool;

/// Credentials of a session, later.
pub type Assumed<'a> = Pin<Box<dyn Future<Output = Result<Loaded, AssumeError>> + Send + 'a>>;

/// Whoever gives sessions.
pub trait AssumeRole: Send + Sync + fmt::Debug {
    /// Asks once.
    fn assume<'a>(&'a self, request: &'a SessionRequest) -> Assumed<'a>;
}

/// Why there is no session. The texts are AWS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssumeError {
    /// A policy is in the way: the gateway's own, or the role's trust policy.
    #[error("STS denies it: {0}")]
    Denied(String),
    /// The request is wrong: tags that are too large, a time that the role does not allow.
    #[error("STS refuses it: {0}")]
    Refused(String),
    /// Too many ask.
    #[error("STS says that it is asked too often: {0}")]
    Throttled(String),
    /// No answer, or one of a server that could not.
    #[error("STS cannot be asked: {0}")]
    Unavailable(String),
}

impl AssumeError {
    /// Whether asking again may help by itself.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Throttled(_) | Self::Unavailable(_) => true,
            Self::Denied(_) | Self::Refused(_) => false,
        }
    }
}

/// STS, asked with the gateway's own credentials.
#[derive(Debug)]
pub struct Sts {
    credentials: Arc<Credentials>,
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    region: Region,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

impl Sts {
    /// Asks at `endpoint`, which is the Region's own or stands in its place.
    pub fn new(
        credentials: Arc<Credentials>,
        pool: Arc<Pool>,
        endpoint: Endpoint,
        region: Region,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let signer = Signer::for_service("sts");
        Self { credentials, pool, endpoint: Arc::new(endpoint), region, signer, clock }
    }

    async fn ask(&self, asked: &SessionRequest) -> Result<Loaded, AssumeError> {
        let unavailable = AssumeError::Unavailable;
        let own = self.credentials.current().map_err(|error| unavailable(error.to_string()))?;
        let plain = Plain {
            method: Method::POST,
            path: "/",
            query: "",
            headers: &[(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")],
            body: form(asked).into(),
        };
        let request = plain
            .signed(&self.endpoint, &self.signer, &own.credentials, &self.region, self.clock.now())
            .map_err(unavailable)?;
        let response = self
            .pool
            .send(&self.endpoint, request.map(Segments::from))
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| unavailable(error.to_string()))?.to_bytes();
        if status == 200 {
            return session(&body).map_err(unavailable);
        }
        let (error, of_own) = refused(status, &body);
        if of_own {
            self.credentials.renew();
        }
        Err(error)
    }
}

impl AssumeRole for Sts {
    fn assume<'a>(&'a self, request: &'a SessionRequest) -> Assumed<'a> {
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, self.ask(request)).await {
                Ok(answered) => answered,
                Err(_) => Err(AssumeError::Unavailable("no answer in time".to_owned())),
            }
        })
    }
}

/// The form that the query protocol sends.
fn form(asked: &SessionRequest) -> String {
    let mut pairs: Vec<(String, &str)> = Vec::new();
    let seconds = asked.duration.as_secs().to_string();
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", &asked.role_arn),
        ("RoleSessionName", &asked.name),
        ("DurationSeconds", &seconds),
    ] {
        pairs.push((name.to_owned(), value));
    }
    if let Some(id) = &asked.external_id {
        pairs.push(("ExternalId".to_owned(), id));
    }
    for (at, (key, value)) in asked.tags.iter().enumerate() {
        pairs.push((format!("Tags.member.{}.Key", at + 1), key));
        pairs.push((format!("Tags.member.{}.Value", at + 1), value));
    }
    for (at, key) in asked.transitive.iter().enumerate() {
        pairs.push((format!("TransitiveTagKeys.member.{}", at + 1), key));
    }
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "AssumeRoleResponse")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleResult")]
    result: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "Credentials")]
    credentials: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Expiration,
}

/// Seconds since 1970 where STS answers in JSON; a date in other forms of its answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expiration {
    Seconds(f64),
    Date(Timestamp),
}

fn session(body: &[u8]) -> Result<Loaded, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("its answer makes no sense: {}", fault(&error)))?;
    let given = answer.response.result.credentials;
    let expires = match given.expiration {
        Expiration::Seconds(seconds) => Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
            .ok_or_else(|| "its answer has no expiry".to_owned())?,
        Expiration::Date(at) => at.into(),
    };
    Ok(Loaded {
        credentials: AwsCredentials {
            access_key_id: given.access_key_id,
            secret_access_key: Secret::new(given.secret_access_key),
            session_token: Some(Secret::new(given.session_token)),
        },
        expires: Some(expires),
    })
}

/// What is wrong with an answer, without a word of it: it holds secrets.
fn fault(error: &serde_json::Error) -> &'static str {
    if error.is_data() { "a part is missing" } else { "it is no JSON" }
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(rename = "Error")]
    error: Coded,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Coded {
    code: String,
    message: String,
}

/// Why STS refuses, and whether it is the gateway's own credentials that it does not take.
fn refused(status: u16, body: &Bytes) -> (AssumeError, bool) {
    let Coded { code, message } = serde_json::from_slice::<Refusal>(body).unwrap_or_default().error;
    let said: String = message.chars().filter(|character| !character.is_control()).take(LONGEST_MESSAGE).collect();
    let said = if said.is_empty() { format!("{status} {code}") } else { format!("{code}: {said}") };
    let error = match (status, code.as_str()) {
        (_, "ExpiredToken" | "InvalidClientTokenId" | "UnrecognizedClientException") => {
            return (AssumeError::Unavailable(format!("the gateway's own credentials are not taken: {said}")), true);
        }
        // The query protocol says with 400 that too many ask.
        (_, "Throttling" | "ThrottlingException" | "RequestLimitExceeded") | (429, _) => AssumeError::Throttled(said),
        (500.., _) => AssumeError::Unavailable(said),
        // `AccessDenied`, `RegionDisabledException`.
        (403, _) => AssumeError::Denied(said),
        _ => AssumeError::Refused(said),
    };
    (error, false)
}

const LONGEST_MESSAGE: usize = 500;
/// How long STS may take. It answers within a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer has a few kilobytes.
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::sessions::role::tests::{principal, role};

    #[test]
    fn a_form_has_everything_encoded() {
        let mut role = role("{principal}", &[("UserEmail", "{mail}"), ("Z", "é b/c=d+e")]);
        (role.external_id, role.transitive_tags) = (Some("a:b".to_owned()), vec!["UserEmail".to_owned()]);
        let asked = role.request(&principal("alice", &[("mail", "a+b@example.com")])).unwrap();
        assert_eq!(
            form(&asked),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Ftollgate\
             &RoleSessionName=alice&DurationSeconds=3600&ExternalId=a%3Ab&Tags.member.1.Key=UserEmail\
             &Tags.member.1.Value=a%2Bb%40example.com&Tags.member.2.Key=Z&Tags.member.2.Value=%C3%A9%20b%2Fc%3Dd%2Be\
             &TransitiveTagKeys.member.1=UserEmail"
        );
    }

    #[test]
    fn an_answer_gives_a_session_and_no_fault_tells_of_it() {
        let answer = |expiration: &str| {
            format!(
                r#"{{"AssumeRoleResponse":{{"AssumeRoleResult":{{"Credentials":{{"AccessKeyId":"ASIA1","SecretAccessKey":"s3cr3t",
                "SessionToken":"t","Expiration":{expiration}}}}}}}}}"#
            )
        };
        for expiration in ["1.6E9", "1600000000", "\"2020-09-13T12:26:40Z\""] {
            let loaded = session(answer(expiration).as_bytes()).unwrap();
            assert_eq!(loaded.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)));
            assert_eq!(loaded.credentials.session_token.unwrap().expose(), "t");
        }
        for body in
            [answer("-1"), answer("1e300"), answer("null"), answer("0").replace("AccessKeyId", "x"), "<xml/>".into()]
        {
            let error = session(body.as_bytes()).unwrap_err();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_refusal_says_whose_it_is() {
        let body =
            |code: &str| Bytes::from(format!(r#"{{"Error":{{"Code":"{code}","Message":"m","Type":"Sender"}}}}"#));
        let said = |code: &str| format!("{code}: m");
        for (status, code, error, of_own) in [
            (403, "AccessDenied", AssumeError::Denied(said("AccessDenied")), false),
            (400, "Throttling", AssumeError::Throttled(said("Throttling")), false),
            (400, "PackedPolicyTooLarge", AssumeError::Refused(said("PackedPolicyTooLarge")), false),
            (400, "ValidationError", AssumeError::Refused(said("ValidationError")), false),
            (500, "InternalFailure", AssumeError::Unavailable(said("InternalFailure")), false),
            (
                403,
                "ExpiredToken",
                AssumeError::Unavailable("the gateway's own credentials are not taken: ExpiredToken: m".to_owned()),
                true,
            ),
        ] {
            assert_eq!(refused(status, &body(code)), (error, of_own), "{code}");
        }
        assert_eq!(refused(503, &Bytes::from("<html>")).0, AssumeError::Unavailable("503 ".to_owned()));
    }
}
