//! Floor 5: may this principal use this operation on this target.
//!
//! The first kind of policy is an allow-list of operations, for everyone or for some. As in IAM, what several rules allow
//! adds up, and what no rule allows is denied. The stage is the only maker of [`Permitted`], which the next stage demands.
//! Whatever the rules say, an operation that is not forwarded is denied, and so is one on a target of the wrong kind: a
//! model is called through a profile or not at all, and a prompt of Prompt management by Converse or ConverseStream. So is, last, a call that could be served outside of the allowed Regions
//! (`residency`), which no rule can make up for.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod residency;

use std::fmt;
use std::sync::Arc;

use crate::bedrock::{Forwarded, Operation};
use crate::identity::Principal;
use crate::profiles::Target;
use crate::types::Owners;

pub use residency::{GlobalProfiles, Outside, Residency};

/// Operations that some principals may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Who.
    pub owners: Owners,
    /// What.
    pub operations: Vec<Operation>,
}

/// The rules there are.
#[derive(Clone, Debug)]
pub struct Policies {
    rules: Vec<PolicyRule>,
    residency: Residency,
}

impl Policies {
    /// Policies of these rules. Without any rule at all every forwarded operation is allowed to everyone: profiles,
    /// guardrails and budgets then say what can be done. With rules, only what they allow is allowed.
    pub fn new(rules: Vec<PolicyRule>) -> Result<Self, PolicyError> {
        let named = rules.iter().flat_map(|rule| &rule.operations);
        match named.copied().find(|operation| operation.forwarded().is_none()) {
            Some(operation) => Err(PolicyError { operation }),
            None if rules.is_empty() => Ok(Self::default()),
            None => Ok(Self { rules, residency: Residency::default() }),
        }
    }

    /// The same policies, for calls that may be served in some Regions only.
    #[must_use]
    pub fn within(self, residency: Residency) -> Self {
        Self { residency, ..self }
    }

    /// Decides whether a call may go on.
    pub fn authorize(
        &self,
        principal: Arc<Principal>,
        target: Target,
        operation: Operation,
    ) -> Result<Permitted, Denied> {
        let cause = if target.profile().is_some_and(|profile| profile.prompt().is_some()) && !operation.is_converse() {
            Some(Cause::Prompt)
        } else if !fits(operation, &target) {
            Some(Cause::Mismatch)
        } else if self.allow(&principal, operation) {
            self.residency.check(&target).err().map(Cause::Outside)
        } else {
            Some(Cause::NoRule)
        };
        match cause {
            None => Ok(Permitted { principal, target, operation }),
            Some(cause) => {
                let resource = match &target {
                    Target::Guardrail { identifier, .. } => identifier.chars().take(200).collect(),
                    Target::Profile(profile) | Target::BaseModel(profile) => profile.arn().to_string(),
                };
                Err(Denied { principal: principal.name().to_owned(), operation, resource, cause })
            }
        }
    }

    fn allow(&self, principal: &Principal, operation: Operation) -> bool {
        self.rules.iter().any(|rule| {
            rule.operations.contains(&operation) && rule.owners.rank(principal.name(), principal.groups()).is_some()
        })
    }
}

impl Default for Policies {
    /// Every forwarded operation, for everyone.
    fn default() -> Self {
        Self { rules: vec![PolicyRule::all_forwarded()], residency: Residency::default() }
    }
}

impl PolicyRule {
    /// Every forwarded operation, for everyone.
    fn all_forwarded() -> Self {
        let forwarded = Operation::ALL.into_iter().filter(|operation| operation.forwarded().is_some());
        Self { owners: Owners::Everyone, operations: forwarded.collect() }
    }
}

/// Whether an operation can be done on such a target at all, and is forwarded at all.
const fn fits(operation: Operation, target: &Target) -> bool {
    match operation.forwarded() {
        Some(Forwarded::Invoke | Forwarded::InvokeStream | Forwarded::Converse | Forwarded::ConverseStream) => {
            matches!(target, Target::Profile(_))
        }
        Some(Forwarded::CountTokens) => matches!(target, Target::BaseModel(_)),
        Some(Forwarded::ApplyGuardrail) => matches!(target, Target::Guardrail { .. }),
        None => false,
    }
}

/// Proof that a principal may use an operation on a target. Only [`Policies::authorize`] makes one.
#[derive(Clone, Debug)]
pub struct Permitted {
    principal: Arc<Principal>,
    target: Target,
    operation: Operation,
}

impl Permitted {
    /// Who is asking.
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Where the call goes.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What is asked.
    pub const fn operation(&self) -> Operation {
        self.operation
    }
}

/// The call may not go on: a 403 `AccessDeniedException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    principal: String,
    operation: Operation,
    resource: String,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// No rule allows it.
    NoRule,
    /// The operation is not forwarded, or not on such a target. The stages before this one do not let it come so far.
    Mismatch,
    /// The target is a prompt of Prompt management, whose guardrail only Converse bodies are known to carry.
    Prompt,
    /// It could be served where it must not.
    Outside(Outside),
}

impl Denied {
    /// Whether the Region is what is in the way.
    pub const fn is_of_region(&self) -> bool {
        matches!(self.cause, Cause::Outside(_))
    }

    /// Whether it is that a prompt of Prompt management is not called so.
    pub const fn is_of_prompt(&self) -> bool {
        matches!(self.cause, Cause::Prompt)
    }

    /// What the person at the keyboard reads: IAM's own sentence, which people and tools know, and what to do about it.
    pub fn caller_text(&self) -> String {
        let Self { principal, operation, resource, cause } = self;
        let action = operation.iam_action();
        let why = match cause {
            Cause::NoRule => format!(
                "because no identity-based policy allows the {action} action. Ask the operator of this gateway to allow you \
                 the operation {operation}."
            ),
            Cause::Mismatch => {
                format!("because this gateway does not forward the operation {operation} on such a resource.")
            }
            Cause::Prompt => {
                "because prompts of Prompt management are called with Converse or ConverseStream through this gateway."
                    .to_owned()
            }
            Cause::Outside(outside) => format!(
                "with an explicit deny in a policy of this gateway: {outside}. Ask its operator for one elsewhere."
            ),
        };
        format!("User: {principal} is not authorized to perform: {action} on resource: {resource} {why}")
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        let Self { principal, operation, resource, cause } = self;
        match cause {
            Cause::NoRule => format!("no policy allows {principal} the operation {operation} on {resource}"),
            Cause::Mismatch => format!("the operation {operation} is not forwarded on such a target as {resource}"),
            Cause::Prompt => {
                format!("{operation} is not forwarded on the prompt {resource}: Converse and ConverseStream are")
            }
            Cause::Outside(outside) => {
                format!("{operation} on {resource} could be served outside of the allowed Regions: {outside}")
            }
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.log_text())
    }
}

impl std::error::Error for Denied {}

/// A rule names an operation that is never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operation {operation} cannot be allowed, as it is not forwarded to Bedrock; those that are: InvokeModel, \
     InvokeModelWithResponseStream, Converse, ConverseStream, CountTokens and ApplyGuardrail"
)]
pub struct PolicyError {
    operation: Operation,
}

#[cfg(test)]
mod tests;
