//! Floor 6: the guardrail owed is in the request, or there is no call.
//!
//! Invariant: what leaves this stage names exactly the guardrail and version that are owed (in the header form for
//! InvokeModel*, spliced into the body for Converse*), lets it evaluate before the answer is streamed, and selects no part
//! of the prompt for it to look at, unless the rule allows that. Whatever cannot be understood where a guardrail is owed
//! is refused; where none is owed, the body is not touched and what the client asks of guardrails is passed on.
//!
//! - A client may name the guardrail that is owed, by id or by ARN; what goes upstream is the rule's own spelling. Another
//!   guardrail or version is refused, never replaced. One whose identifier is empty or null says nothing and counts as
//!   absent.
//! - `CountTokens` carries no guardrail and generates nothing: it is let through. `ApplyGuardrail` may apply the guardrail
//!   that is owed and no other (`Guardrails::may_apply`).
//! - A trace (`X-Amzn-Bedrock-Trace`, `trace`) is the client's choice: what it reveals is the client's own text.
//!
//! It does not tag text for the prompt-attack filter, which looks at tagged text only in InvokeModel calls, and it cannot
//! make a guardrail look at tool results, tool definitions or generated tool input, which Bedrock never evaluates.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use.html>

mod body_form;
mod error;
mod header_form;
mod rule;

pub use error::{GuardrailError, Means};
pub use rule::{Asynchronous, GuardrailRule, Mode, OwedGuardrail, RuleError, Selective};

use crate::bedrock::{Forwarded, Operation, RequestFacts};
use crate::identity::Principal;
use crate::policy::Permitted;
use crate::profiles::Target;
use crate::types::{Owners, Segments};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, header};
use std::collections::HashSet;

/// The guardrails of this installation, and whose each is.
#[derive(Debug, Default)]
pub struct Guardrails {
    rules: Vec<OwedGuardrail>,
}

impl Guardrails {
    /// Checks and takes the rules. Two rules that name the same principal, the same group or everyone are an error: no
    /// request could carry both.
    pub fn new(rules: Vec<GuardrailRule>) -> Result<Self, RuleError> {
        let mut named = HashSet::new();
        for rule in &rules {
            let mut owners = Vec::new();
            match &rule.owners {
                Owners::Everyone => owners.push("everyone".to_owned()),
                Owners::Only { principals, groups } => {
                    owners.extend(principals.iter().map(|name| format!("principal {name:?}")));
                    owners.extend(groups.iter().map(|name| format!("group {name:?}")));
                }
            }
            if let Some(twice) = owners.into_iter().find(|owner| !named.insert(owner.clone())) {
                return Err(RuleError::OwnedTwice(twice));
            }
        }
        Ok(Self { rules: rules.into_iter().map(OwedGuardrail::new).collect::<Result<_, _>>()? })
    }

    /// The guardrail that a principal owes: the rule that names them, else the one for a group of theirs, else the one for
    /// everyone; `None` where no rule is for them. Between equals the first in the file decides.
    pub fn rule_for(&self, principal: &Principal) -> Option<&OwedGuardrail> {
        let ranked = self
            .rules
            .iter()
            .filter_map(|owed| owed.rule().owners.rank(principal.name(), principal.groups()).map(|rank| (rank, owed)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, owed)| owed)
    }

    /// Puts the guardrail that the caller owes into the request, or says why it cannot.
    pub fn enforce(&self, permitted: Permitted, sent: &HeaderMap, body: &Bytes) -> Result<Guarded, GuardrailError> {
        if let Target::Guardrail { identifier, version } = permitted.target() {
            self.may_apply(permitted.principal(), identifier, version)?;
        }
        let owed = self.rule_for(permitted.principal());
        let edits = guard(permitted.operation(), owed, sent, body)?;
        let guarding = if owed.is_some() { Guarding::Owed } else { Guarding::NotOwed };
        Ok(Guarded { permitted, edits, guarding })
    }

    /// Whether a principal may call `ApplyGuardrail` with this guardrail: only with the one that they owe. Who owes none
    /// may apply none, because each application is paid for and shows what the guardrail lets pass.
    fn may_apply(&self, principal: &Principal, identifier: &str, version: &str) -> Result<(), GuardrailError> {
        match self.rule_for(principal) {
            Some(owed) if owed.is_called(identifier) && owed.rule().version == version => Ok(()),
            Some(owed) => Err(GuardrailError::NotTheirs { required: Some(owed.to_string()) }),
            None => Err(GuardrailError::NotTheirs { required: None }),
        }
    }
}

/// What the guardrail makes of a request.
#[derive(Debug)]
struct Edits {
    /// The body to send: the client's own bytes, apart from what was spliced in.
    body: Segments,
    /// Headers to set; each replaces every value of its name. No other guardrail header may go upstream.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What was read of the client's body on the way.
    facts: RequestFacts,
}

/// Proof that the guardrail owed is in a request. Only [`Guardrails::enforce`] makes one.
#[derive(Debug)]
pub struct Guarded {
    permitted: Permitted,
    edits: Edits,
    guarding: Guarding,
}

/// Whether a guardrail of the rules looks at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guarding {
    Owed,
    NotOwed,
}

impl Guarded {
    /// The call it is.
    pub const fn permitted(&self) -> &Permitted {
        &self.permitted
    }

    /// The body to send: the client's own bytes, apart from what was spliced in.
    pub const fn body(&self) -> &Segments {
        &self.edits.body
    }

    /// Headers to set; each replaces every value of its name. No other guardrail header goes upstream.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.edits.headers
    }

    /// What was read of the client's body on the way.
    pub const fn facts(&self) -> &RequestFacts {
        &self.edits.facts
    }

    /// Whether a guardrail of the rules looks at the call, and is paid for.
    pub fn is_guarded(&self) -> bool {
        self.guarding == Guarding::Owed
    }
}

/// Puts the guardrail that is owed into a request, or says why it cannot.
fn guard(
    operation: Operation,
    owed: Option<&OwedGuardrail>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Edits, GuardrailError> {
    let facts = RequestFacts::read(operation, body);
    // What is not forwarded never comes this far.
    let forwarded = operation.forwarded().ok_or(GuardrailError::CannotCarry(operation))?;
    let (body, headers) = match (forwarded, owed) {
        (Forwarded::Invoke | Forwarded::InvokeStream, Some(owed)) => {
            header_form::guard(owed, headers, body, facts.guard_fields()?)?
        }
        (Forwarded::Invoke | Forwarded::InvokeStream, None) => (body.clone().into(), header_form::pass_on(headers)?),
        (Forwarded::Converse | Forwarded::ConverseStream, Some(owed)) => {
            (body_form::guard(owed, body, facts.guard_fields()?)?, Vec::new())
        }
        // The last two generate nothing; ApplyGuardrail names its guardrail in the path (`may_apply`).
        (Forwarded::Converse | Forwarded::ConverseStream, None)
        | (Forwarded::CountTokens | Forwarded::ApplyGuardrail, _) => (body.clone().into(), Vec::new()),
    };
    Ok(Edits { body, headers, facts })
}

/// What the header form sets beside the guardrail itself: Bedrock refuses a guardrail on a body of any other type, and some
/// clients send none or `application/octet-stream`.
const JSON: (HeaderName, HeaderValue) = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

#[cfg(test)]
mod tests;
