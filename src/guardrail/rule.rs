//! A guardrail as configuration describes it, and when a client means the same one.

use super::error::GuardrailError;
use crate::types::{AccountId, Arn, Owners, Region};
use http::HeaderValue;
use std::fmt;

/// Which guardrail whose calls must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardrailRule {
    /// Whose calls.
    pub owners: Owners,
    /// The guardrail's id or its ARN; sent as written here.
    pub identifier: String,
    /// `DRAFT` or a number.
    pub version: String,
    /// What is done where the client does not name it.
    pub mode: Mode,
    /// What is done where the client asks to stream before evaluating.
    pub asynchronous: Asynchronous,
    /// What is done where the client selects parts of the prompt.
    pub selective: Selective,
}

/// What is done where the client does not name the guardrail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is put there.
    #[default]
    Inject,
    /// The call is refused.
    Require,
}

/// What is done where the client asks for asynchronous evaluation: the answer is then streamed unmasked before the
/// guardrail has looked at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asynchronous {
    /// The call is refused.
    #[default]
    Refuse,
    /// The request is made synchronous.
    ForceSync,
}

/// What is done where the client selects the parts of the prompt that are evaluated (`guardContent`, `tagSuffix`): the rest
/// then slips past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selective {
    /// The call is refused.
    #[default]
    Refuse,
    /// It is passed on.
    Allow,
}

/// A rule that was checked, ready to be put into requests.
#[derive(Clone, Debug)]
pub struct OwedGuardrail {
    rule: GuardrailRule,
    header_values: [HeaderValue; 2],
}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The identifier is outside its grammar.
    #[error(
        "not a guardrail's identifier: {0:?} (an id of small letters and digits, or \
         arn:aws:bedrock:<region>:<account>:guardrail/<id>)"
    )]
    Identifier(String),
    /// The version is outside its grammar.
    #[error("not a guardrail's version: {0:?} (a number from 1, or DRAFT)")]
    Version(String),
    /// Two rules are for the same owner.
    #[error("two guardrails are for {0}; a request can carry only one")]
    OwnedTwice(String),
}

impl OwedGuardrail {
    /// Checks a rule. Identifier and version are held to AWS's own grammar, which also keeps them safe to write into a
    /// header and between JSON's quotes.
    pub fn new(rule: GuardrailRule) -> Result<Self, RuleError> {
        let identifier = HeaderValue::from_str(&rule.identifier)
            .ok()
            .filter(|_| guardrail_id(&rule.identifier).is_some())
            .ok_or_else(|| RuleError::Identifier(rule.identifier.clone()))?;
        let version = HeaderValue::from_str(&rule.version)
            .ok()
            .filter(|_| is_version(&rule.version))
            .ok_or_else(|| RuleError::Version(rule.version.clone()))?;
        Ok(Self { rule, header_values: [identifier, version] })
    }

    /// The rule.
    pub const fn rule(&self) -> &GuardrailRule {
        &self.rule
    }

    /// Whether a client means this guardrail by an identifier: the same text, or an id on one side and an ARN that ends in
    /// it on the other. Two ARNs that differ are two guardrails.
    pub fn is_called(&self, identifier: &str) -> bool {
        let own = self.rule.identifier.as_str();
        own == identifier
            || (own.contains(':') != identifier.contains(':')
                && guardrail_id(identifier).is_some_and(|id| guardrail_id(own) == Some(id)))
    }

    /// Identifier and version as header values.
    pub(super) const fn header_values(&self) -> &[HeaderValue; 2] {
        &self.header_values
    }

    /// Judges what a client says in one place, `None` where nothing is said there.
    pub(super) fn judge(&self, part: Part, said: Option<&str>) -> Result<Said, GuardrailError> {
        let owed = self.text(part);
        match (said, part) {
            (None, _) if self.rule.mode == Mode::Require => Err(GuardrailError::Missing { required: self.to_string() }),
            (None, _) => Ok(Said::Nothing),
            (Some(said), _) if said == owed => Ok(Said::AsOwed),
            (Some(said), Part::Identifier) if self.is_called(said) => Ok(Said::Otherwise),
            (Some(_), _) => Err(GuardrailError::Different { required: self.to_string() }),
        }
    }

    /// The text owed in one place.
    pub(super) fn text(&self, part: Part) -> &str {
        match part {
            Part::Identifier => &self.rule.identifier,
            Part::Version => &self.rule.version,
        }
    }
}

impl fmt::Display for OwedGuardrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.rule.identifier, self.rule.version)
    }
}

/// The two parts of a guardrail's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Identifier,
    Version,
}

/// What a client says in a place where the guardrail is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: what is owed has to be written there.
    Nothing,
    /// Exactly what is owed.
    AsOwed,
    /// The guardrail that is owed, in another spelling.
    Otherwise,
}

/// The id in an identifier, or `None` where it is no identifier.
fn guardrail_id(identifier: &str) -> Option<&str> {
    let id = match Arn::parse(identifier) {
        None => identifier,
        Some(arn) => {
            let (kind, id) = arn.kind_and_id()?;
            let sound = arn.service == "bedrock"
                && kind == "guardrail"
                && arn.partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                && arn.region.parse::<Region>().is_ok()
                && arn.account.parse::<AccountId>().is_ok();
            sound.then_some(id)?
        }
    };
    let plain = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (plain && !id.is_empty() && id.len() <= 64).then_some(id)
}

fn is_version(text: &str) -> bool {
    let number = text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text == "DRAFT" || (number && !text.is_empty())
}
