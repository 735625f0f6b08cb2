//! What `AssumeRole` is asked for, read strictly: AWS's limits and the texts in which STS tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::StatusCode;

use super::form::Form;
use crate::mock::callers::{MockRole, Session};
use crate::mock::refusal::Refusal;

/// A request to assume a role.
#[derive(Clone, Debug)]
pub(super) struct Assumption {
    pub(super) role_arn: String,
    pub(super) session_name: String,
    pub(super) external_id: Option<String>,
    pub(super) source_identity: Option<String>,
    /// Seconds.
    duration: u64,
    /// In the order in which they were passed.
    pub(super) tags: Passed,
    pub(super) transitive: BTreeSet<String>,
}

/// Tags as they were passed.
type Passed = Vec<(String, String)>;

/// Bytes of session tags that fit into a session token here. AWS packs them in a way of its own and does not say how.
const PACKED_BYTES: usize = 4_096;

impl Assumption {
    pub(super) fn read(form: &Form) -> Result<Self, Refusal> {
        let role_arn = text(form, "RoleArn", "roleArn", 20, 2_048)?;
        let session_name = text(form, "RoleSessionName", "roleSessionName", 2, 64)?;
        spelled(session_name, "roleSessionName", "+=,.@-", r"[\w+=,.@-]*")?;
        let external_id = form.value("ExternalId");
        if external_id.is_some() {
            let id = text(form, "ExternalId", "externalId", 2, 1_224)?;
            spelled(id, "externalId", "+=,.@:/-", r"[\w+=,.@:\/-]*")?;
        }
        let source_identity = form.value("SourceIdentity");
        if source_identity.is_some() {
            let name = text(form, "SourceIdentity", "sourceIdentity", 2, 256)?;
            spelled(name, "sourceIdentity", "+=,.@-", r"[\w+=,.@-]*")?;
        }
        if form.value("Policy").is_some() || !form.members("PolicyArns").is_empty() {
            return Err(Refusal::validation("Session policies are not played here."));
        }
        let (tags, transitive) = tags(form)?;
        Ok(Self {
            role_arn: role_arn.to_owned(),
            session_name: session_name.to_owned(),
            external_id: external_id.map(str::to_owned),
            source_identity: source_identity.map(str::to_owned),
            duration: duration(form.value("DurationSeconds"))?,
            tags,
            transitive,
        })
    }

    /// How long the session lasts, within what the role allows and what chaining does.
    pub(super) fn lasts(&self, role: &MockRole, chained: bool) -> Result<Duration, Refusal> {
        if chained && self.duration > 3_600 {
            return Err(Refusal::validation(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            ));
        }
        if self.duration > role.max_session.as_secs() {
            return Err(Refusal::validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        Ok(Duration::from_secs(self.duration))
    }

    /// The tags of the session to be, and which of them go on when its credentials assume a further role.
    pub(super) fn session_tags(
        &self,
        from: Option<&Session>,
    ) -> Result<(BTreeMap<String, String>, BTreeSet<String>), Refusal> {
        let mut tags: BTreeMap<String, String> = self.tags.iter().cloned().collect();
        let mut transitive = self.transitive.clone();
        for (key, value) in from.iter().flat_map(|session| session.tags.iter()) {
            if !from.is_some_and(|session| session.transitive.contains(&key.to_lowercase())) {
                continue;
            }
            if self.tags.iter().any(|(other, _)| other.to_lowercase() == key.to_lowercase()) {
                return Err(parameter(
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key \
                     from the calling session.",
                ));
            }
            tags.insert(key.clone(), value.clone());
            transitive.insert(key.to_lowercase());
        }
        Ok((tags, transitive))
    }
}

/// How much of a session token the tags take, in per cent.
pub(super) fn packed(tags: &BTreeMap<String, String>) -> Result<usize, Refusal> {
    let bytes: usize = tags.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let percent = (bytes * 100).div_ceil(PACKED_BYTES);
    if percent <= 100 {
        return Ok(percent);
    }
    let message = format!("Packed size of session tags consumes {percent}% of allotted space.");
    Err(Refusal::fault(StatusCode::BAD_REQUEST, "PackedPolicyTooLarge", &message))
}

fn duration(text: Option<&str>) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(3_600) };
    let malformed = || Refusal::fault(StatusCode::BAD_REQUEST, "MalformedInput", "DurationSeconds is no number");
    let seconds: i64 = text.parse().map_err(|_| malformed())?;
    let wrong = |rule| Err(Refusal::constraint(Some(text), "durationSeconds", rule));
    match u64::try_from(seconds) {
        Ok(seconds @ 900..=43_200) => Ok(seconds),
        _ if seconds < 900 => wrong("have value greater than or equal to 900"),
        _ => wrong("have value less than or equal to 43200"),
    }
}

/// The tags, and the keys that are transitive in small letters: keys that differ in capitals alone are one key.
fn tags(form: &Form) -> Result<(Passed, BTreeSet<String>), Refusal> {
    let members = form.members("Tags");
    if members.len() > 50 {
        return Err(Refusal::constraint(Some("[...]"), "tags", "have length less than or equal to 50"));
    }
    let mut tags: Passed = Vec::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        let at = format!("tags.{}.member", at + 1);
        let key = text(member, "Key", &format!("{at}.key"), 1, 128)?;
        let value = text(member, "Value", &format!("{at}.value"), 0, 256)?;
        tag_text(key, &format!("{at}.key"), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+")?;
        tag_text(value, &format!("{at}.value"), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")?;
        if key.to_lowercase().starts_with("aws:") {
            return Err(parameter("Tag keys that begin with aws: are reserved for use by AWS"));
        }
        if tags.iter().any(|(other, _)| other.to_lowercase() == key.to_lowercase()) {
            return Err(parameter("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    let mut transitive = BTreeSet::new();
    for member in form.members("TransitiveTagKeys") {
        let key = member.value("").unwrap_or_default().to_lowercase();
        if !tags.iter().any(|(other, _)| other.to_lowercase() == key) {
            return Err(parameter("The specified transitive tag key must be included in the requested tags."));
        }
        transitive.insert(key);
    }
    Ok((tags, transitive))
}

fn text<'a>(form: &'a Form, name: &str, at: &str, least: usize, most: usize) -> Result<&'a str, Refusal> {
    super::grammar::bounded(at, form.value(name), least, most)
}

fn spelled(text: &str, at: &str, marks: &str, rule: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || marks.contains(c);
    if text.chars().all(plain) { Ok(()) } else { Err(super::grammar::pattern(text, at, rule)) }
}

fn tag_text(text: &str, at: &str, rule: &str) -> Result<(), Refusal> {
    let separates = |c: char| c.is_whitespace() && !c.is_control();
    let plain = |c: char| c.is_alphabetic() || c.is_numeric() || separates(c) || "_.:/=+-@".contains(c);
    if text.chars().all(plain) { Ok(()) } else { Err(super::grammar::pattern(text, at, rule)) }
}

fn parameter(message: &str) -> Refusal {
    Refusal::fault(StatusCode::BAD_REQUEST, "InvalidParameterValue", message)
}
