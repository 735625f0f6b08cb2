//! The control-plane reads that clients send to the Runtime's base URL, answered from the caller's own profiles.
//!
//! Claude Code asks for the system-defined profiles when it starts, and LangChain for the profile it was given, whose
//! `models[].modelArn` must name a real foundation model or it stops streaming. Nothing here is proxied, and nothing is
//! said of a profile that is not the caller's. Every name in an answer leads to a profile when it is asked for: as
//! system-defined profiles a caller sees those that their own were made from.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetInferenceProfile.html>

mod foundation;
mod known;

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::resolve::clip;
use super::{Directory, Profile, ResolveError};
use crate::identity::Principal;
use crate::types::ModelName;

pub use foundation::{describe_model, list_models};

/// Answers `GET /inference-profiles`. `query` is the raw query string, empty where there was none; parameters that AWS does
/// not know are ignored, as AWS does.
pub fn list(directory: &Directory, principal: &Principal, query: &str) -> Result<Bytes, QueryError> {
    let query = Query::parse(query)?;
    let mut all = match query.kind {
        Some(Kind::Application) => applications(directory, principal),
        Some(Kind::SystemDefined) => system_defined(directory, principal),
        None => [applications(directory, principal), system_defined(directory, principal)].concat(),
    };
    if let Some(after) = &query.after {
        let last = all.iter().position(|summary| summary.arn == *after).ok_or(QueryError::NextToken)?;
        all.drain(..=last);
    }
    let next =
        (all.len() > query.at_most).then(|| query.at_most.checked_sub(1).and_then(|last| all.get(last))).flatten();
    let next_token = next.map(|last| URL_SAFE_NO_PAD.encode(&last.arn));
    all.truncate(query.at_most);
    Ok(json(&Page { inference_profile_summaries: &all, next_token }))
}

/// Answers `GET /inference-profiles/{inferenceProfileIdentifier}`: the caller's own profile by ARN, id, name or alias, or a
/// system-defined profile that one of theirs was made from. Another's profile is as absent as one that does not exist.
pub fn describe(
    directory: &Directory,
    principal: &Principal,
    name: &ModelName,
    text: &str,
) -> Result<Bytes, ResolveError> {
    let read_at = directory.read_at();
    let own = |word: &str| directory.exact(principal, word).map(|profile| Summary::application(profile, read_at));
    let found = match name {
        ModelName::ApplicationProfile(arn) => own(arn.as_str()),
        ModelName::Word(word) => own(word),
        ModelName::Model(id) => system_defined(directory, principal)
            .into_iter()
            .find(|summary| summary.id == id.as_str())
            .or_else(|| own(id.as_str())),
        ModelName::Refused(_) => None,
    };
    found
        .map(|summary| json(&summary))
        .ok_or_else(|| ResolveError::NoSuchName { name: clip(text), yours: directory.offer(principal) })
}

fn applications(directory: &Directory, principal: &Principal) -> Vec<Summary> {
    let read_at = directory.read_at();
    directory.profiles_of(principal).map(|profile| Summary::application(profile, read_at)).collect()
}

/// The system-defined profiles behind a principal's own, each once. A profile of a single Region has none behind it.
fn system_defined(directory: &Directory, principal: &Principal) -> Vec<Summary> {
    let mut seen = HashSet::new();
    let spread = directory.profiles_of(principal).filter(|profile| profile.source().prefix().is_some());
    let once = spread.filter(|profile| seen.insert(profile.source()));
    once.map(|profile| Summary::system_defined(profile, directory.read_at())).collect()
}

/// What the query of a list asks for.
#[derive(Debug)]
struct Query {
    kind: Option<Kind>,
    at_most: usize,
    /// The ARN of the last profile of the page before.
    after: Option<String>,
}

impl Query {
    /// Reads the raw query. Nothing is percent-decoded: no value that is valid here has a character that needs it.
    fn parse(query: &str) -> Result<Self, QueryError> {
        let mut parsed = Self { kind: None, at_most: MAX_RESULTS, after: None };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "type" => {
                    let kind = [Kind::SystemDefined, Kind::Application].into_iter().find(|kind| kind.name() == value);
                    parsed.kind = Some(kind.ok_or_else(|| QueryError::Type { value: clip(value) })?);
                }
                "maxResults" => {
                    let number = value.parse().ok().filter(|number| (1..=MAX_RESULTS).contains(number));
                    parsed.at_most = number.ok_or_else(|| QueryError::MaxResults { value: clip(value) })?;
                }
                "nextToken" => {
                    let arn = URL_SAFE_NO_PAD.decode(value).ok().and_then(|arn| String::from_utf8(arn).ok());
                    parsed.after = Some(arn.ok_or(QueryError::NextToken)?);
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// Why a list cannot be given, in AWS's words; each is a 400 `ValidationException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No such type of profile.
    #[error(
        "1 validation error detected: Value '{value}' at 'typeEquals' failed to satisfy constraint: Member must satisfy enum \
         value set: [SYSTEM_DEFINED, APPLICATION]"
    )]
    Type {
        /// What was asked for.
        value: String,
    },
    /// No number that a page can have.
    #[error(
        "1 validation error detected: Value '{value}' at 'maxResults' failed to satisfy constraint: Member must be a number \
         between 1 and 1000"
    )]
    MaxResults {
        /// What was asked for.
        value: String,
    },
    /// Not a member of an enum.
    #[error(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must satisfy enum value \
         set: [{all}]"
    )]
    Member {
        /// The parameter.
        name: String,
        /// What was asked for.
        value: String,
        /// What there is.
        all: String,
    },
    /// No provider's name.
    #[error(
        "1 validation error detected: Value '{value}' at 'byProvider' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [A-Za-z0-9- ]{{1,63}}"
    )]
    Provider {
        /// What was asked for.
        value: String,
    },
    /// Not a token that an earlier page gave, or one whose profile is gone.
    #[error("The nextToken is not valid or no longer valid: list again from the start, without it")]
    NextToken,
}

/// The type of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Kind {
    #[serde(rename = "APPLICATION")]
    Application,
    #[serde(rename = "SYSTEM_DEFINED")]
    SystemDefined,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Application => "APPLICATION",
            Self::SystemDefined => "SYSTEM_DEFINED",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    inference_profile_summaries: &'a [Summary],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// A profile as both answers give it. AWS's times are optional members and are left out where they are not known.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    #[serde(rename = "inferenceProfileName")]
    name: String,
    description: String,
    #[serde(rename = "inferenceProfileArn")]
    arn: String,
    #[serde(rename = "inferenceProfileId")]
    id: String,
    models: [Model; 1],
    status: &'static str,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(rename = "createdAt", skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    #[serde(rename = "updatedAt", skip_serializing_if = "Option::is_none")]
    updated: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
struct Model {
    #[serde(rename = "modelArn")]
    arn: String,
}

impl Summary {
    fn application(profile: &Profile, read_at: Option<Timestamp>) -> Self {
        Self {
            name: profile.name().to_owned(),
            description: format!("Your own profile of {}", profile.source()),
            arn: profile.arn().to_string(),
            id: profile.arn().id().to_owned(),
            models: [Model::behind(profile)],
            status: "ACTIVE",
            kind: Kind::Application,
            created: read_at,
            updated: read_at,
        }
    }

    fn system_defined(profile: &Profile, read_at: Option<Timestamp>) -> Self {
        let (arn, source) = (profile.arn(), profile.source());
        Self {
            name: source.to_string(),
            description: format!("Calls go through your own profile {}", profile.name()),
            arn: format!(
                "arn:{}:bedrock:{}:{}:inference-profile/{source}",
                arn.partition(),
                arn.region(),
                arn.account()
            ),
            id: source.to_string(),
            kind: Kind::SystemDefined,
            ..Self::application(profile, read_at)
        }
    }
}

impl Model {
    /// The foundation model in the profile's own Region. AWS lists the other Regions of a geography too; which they are is
    /// not known here, and clients read only what stands after the last `/`.
    fn behind(profile: &Profile) -> Self {
        let arn = profile.arn();
        let arn =
            format!("arn:{}:bedrock:{}::foundation-model/{}", arn.partition(), arn.region(), profile.base_model());
        Self { arn }
    }
}

/// Writes an answer. Texts alone cannot fail to be written; were it otherwise, the body would be empty and no client take it.
fn json(answer: &impl Serialize) -> Bytes {
    serde_json::to_vec(answer).map(Bytes::from).unwrap_or_default()
}

/// AWS's own limit, and what a list without one gets.
const MAX_RESULTS: usize = 1_000;

#[cfg(test)]
mod tests;
