//! What a look-alike is told at its start: whom it knows, what they may call, how fast it answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::actions::MockActions;
use super::callers::MockRole;
use super::managed::MockPrompt;
use crate::types::{AccountId, ArnError, Clock, ModelId, ProfileArn, Region, Secret, SystemClock, Tags};

/// The whole configuration. [`MockConfig::local`] gives one to change.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The Region it plays; credential scopes must name it.
    pub region: Region,
    /// Further Regions that credential scopes may name.
    pub other_regions: Vec<Region>,
    /// The account it plays: the one that `credentials` belong to. Roles and profiles may be in others too.
    pub account: AccountId,
    /// The credentials it accepts, besides those that `AssumeRole` gives.
    pub credentials: Vec<MockCredential>,
    /// What the credentials may do. Sessions may do what their role may.
    pub actions: MockActions,
    /// The roles that can be assumed.
    pub roles: Vec<MockRole>,
    /// The application inference profiles there are at the start; model calls may name only such, and of those only what is
    /// in the caller's own account and the Region called. Their names are their ids. `Running` adds some with other names.
    pub profiles: Vec<MockProfile>,
    /// The prompts of Prompt management there are.
    pub prompts: Vec<MockPrompt>,
    /// How many application inference profiles an account may have in a Region.
    pub profile_quota: usize,
    /// How many entries a page of a list has at most, whatever a caller asks for.
    pub page_size: usize,
    /// The guardrail that every model call must carry, as an IAM policy with `bedrock:GuardrailIdentifier` would demand.
    /// `None` lets any guardrail through, and none.
    pub guardrail: Option<MockGuardrail>,
    /// Whether model calls may name foundation models and system-defined profiles too.
    pub foundation_models: FoundationModels,
    /// How fast it answers.
    pub pacing: Pacing,
    /// How many tokens an answer has where neither the prompt's directive nor the maximum says otherwise.
    pub reply_tokens: u32,
    /// How far a request's date may be from the clock, either way. AWS allows Bedrock five minutes.
    pub skew: Duration,
    /// How many received requests are remembered; the oldest are forgotten. The account is exact all the same.
    pub kept_requests: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Serves TLS with this configuration. Its ALPN list is used as it is.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Credentials that are accepted.
#[derive(Clone, Debug)]
pub struct MockCredential {
    /// Such as `AKIAIOSFODNN7EXAMPLE`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// Where given, requests must carry exactly this token; where not, they must carry none.
    pub session_token: Option<Secret>,
}

/// An application inference profile.
#[derive(Clone, Debug)]
pub struct MockProfile {
    /// Its ARN.
    pub arn: ProfileArn,
    /// What it was made from: a foundation model's id or a system-defined profile's.
    pub source: ModelId,
    /// Its tags: for who lists the profiles, and for roles whose sessions must have the same.
    pub tags: Tags,
}

/// A guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockGuardrail {
    /// The id, without its ARN.
    pub identifier: String,
    /// `DRAFT` or a number.
    pub version: String,
}

/// What happens to model calls that name no application inference profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FoundationModels {
    /// IAM refuses them: the account is set up for application inference profiles only.
    #[default]
    Refuse,
    /// They are answered and billed under the id that was named.
    Allow,
}

/// How fast answers come. All zero means as fast as they can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two messages of a stream.
    pub chunk_interval: Duration,
    /// How many tokens a message of a stream carries.
    pub tokens_per_chunk: NonZeroU32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { first_byte: Duration::ZERO, chunk_interval: Duration::ZERO, tokens_per_chunk: NonZeroU32::MIN }
    }
}

impl MockConfig {
    /// The pair of AWS's own documentation, which every secret scanner knows to be nobody's.
    pub const ACCESS_KEY_ID: &'static str = "AKIAIOSFODNN7EXAMPLE";
    /// See [`MockConfig::ACCESS_KEY_ID`].
    pub const SECRET_ACCESS_KEY: &'static str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    /// A look-alike of `us-east-1` in account 123456789012 on any free port of loopback, without pacing, that accepts the
    /// documented test pair and refuses every model call until profiles are added.
    pub fn local() -> Result<Self, ArnError> {
        Ok(Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            region: "us-east-1".parse()?,
            other_regions: Vec::new(),
            account: "123456789012".parse()?,
            credentials: vec![MockCredential {
                access_key_id: Self::ACCESS_KEY_ID.to_owned(),
                secret_access_key: Secret::new(Self::SECRET_ACCESS_KEY),
                session_token: None,
            }],
            actions: MockActions::All,
            roles: Vec::new(),
            profiles: Vec::new(),
            prompts: Vec::new(),
            profile_quota: 1_000,
            page_size: 1_000,
            guardrail: None,
            foundation_models: FoundationModels::Refuse,
            pacing: Pacing::default(),
            reply_tokens: 32,
            skew: Duration::from_mins(5),
            kept_requests: 1_000,
            clock: Arc::new(SystemClock),
            tls: None,
        })
    }
}
