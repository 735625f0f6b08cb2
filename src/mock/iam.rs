//! What IAM would say: which actions and names a caller may use, and whether the guardrail that a policy demands is on the
//! call.
//!
//! The account is played as one whose policy allows the application inference profiles that there are and denies,
//! explicitly, every model call without the configured guardrail. Texts are IAM's own. Of a profile that is on its way to
//! where models are called IAM knows nothing; there it is Bedrock that does not know the name.

use std::sync::{Arc, Mutex, PoisonError};

use super::account::GuardrailSeen;
use super::actions::MockActions;
use super::callers::Caller;
use super::config::{FoundationModels, MockConfig, MockGuardrail};
use super::estate::{Estate, Shown, place_of};
use super::lag::View;
use super::managed::MockPrompt;
use super::place::Place;
use super::refusal::Refusal;
use crate::bedrock::Operation;
use crate::types::{Arn, ModelId, ModelName, ProfileArn};

/// The policies.
#[derive(Debug)]
pub(super) struct Iam {
    estate: Arc<Estate>,
    pub(super) prompts: Vec<MockPrompt>,
    guardrail: Option<MockGuardrail>,
    foundation_models: FoundationModels,
    /// What the configured credentials may do; a session may do what its role may.
    actions: Mutex<MockActions>,
}

/// A name that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// Under what name the call is billed: the profile's ARN, or what was named.
    pub(super) billed_to: String,
    /// The ARN that IAM names in its texts.
    pub(super) resource: String,
    /// The foundation model that answers.
    pub(super) model: ModelId,
    /// For whom it answers, and where.
    pub(super) place: Place,
    /// The prompt that was named, if one was.
    pub(super) prompt: Option<MockPrompt>,
}

impl Iam {
    pub(super) fn new(config: &MockConfig, estate: &Arc<Estate>) -> Self {
        Self {
            estate: Arc::clone(estate),
            prompts: config.prompts.clone(),
            guardrail: config.guardrail.clone(),
            foundation_models: config.foundation_models,
            actions: Mutex::new(config.actions.clone()),
        }
    }

    /// Changes what the configured credentials may do.
    pub(super) fn set_actions(&self, actions: MockActions) {
        *self.actions.lock().unwrap_or_else(PoisonError::into_inner) = actions;
    }

    /// Whether the caller's own policy allows an action.
    pub(super) fn demand(&self, caller: &Caller, action: &str, resource: Option<&str>) -> Result<(), Refusal> {
        if self.allows(caller, action) { Ok(()) } else { Err(caller.not_allowed(action, resource)) }
    }

    pub(super) fn allows(&self, caller: &Caller, action: &str) -> bool {
        match &caller.session {
            Some(session) => session.role.actions.allow(action),
            None => self.actions.lock().unwrap_or_else(PoisonError::into_inner).allow(action),
        }
    }

    /// Whether a caller may use a name for an operation.
    pub(super) fn permit(&self, operation: Operation, name: &str, caller: &Caller) -> Result<Permit, Refusal> {
        if operation == Operation::CountTokens {
            return self.permit_counting(name, caller);
        }
        let denied = |resource: &str| caller.not_allowed(operation.iam_action(), Some(resource));
        match ModelName::classify(name) {
            ModelName::ApplicationProfile(arn) => {
                self.demand(caller, operation.iam_action(), Some(name))?;
                let profile = self.profile(&arn, caller)?.ok_or_else(|| denied(name))?;
                if !agrees(&profile, caller) {
                    return Err(denied(name));
                }
                let (billed_to, resource) = (name.to_owned(), name.to_owned());
                Ok(Permit {
                    billed_to,
                    resource,
                    model: profile.source.base(),
                    place: caller.place.clone(),
                    prompt: None,
                })
            }
            ModelName::Model(id) if is_known(&id) => {
                let resource = caller.place.model_arn(&id);
                self.demand(caller, operation.iam_action(), Some(&resource))?;
                match self.foundation_models {
                    FoundationModels::Refuse => Err(denied(&resource)),
                    FoundationModels::Allow => {
                        let billed_to = name.to_owned();
                        Ok(Permit { billed_to, resource, model: id.base(), place: caller.place.clone(), prompt: None })
                    }
                }
            }
            ModelName::Refused(_) if is_prompt(name) => self.permit_prompt(operation, name, caller),
            ModelName::Refused(_) if Arn::parse(name).is_some() => Err(denied(name)),
            ModelName::Model(_) | ModelName::Word(_) | ModelName::Refused(_) => Err(Refusal::invalid_model()),
        }
    }

    /// A profile as model calls see it: only those of the caller's own account, in the Region that was called.
    fn profile(&self, arn: &ProfileArn, caller: &Caller) -> Result<Option<Shown>, Refusal> {
        if arn.account() != &caller.place.account {
            return Ok(None);
        }
        if arn.region() != &caller.place.region {
            return Err(Refusal::invalid_model());
        }
        let found = self.estate.find(View::Runtime, &place_of(arn), arn.as_str());
        if found.is_none() && self.estate.any(|profile| profile.arn == *arn) {
            return Err(Refusal::invalid_model());
        }
        Ok(found)
    }

    /// CountTokens takes a foundation model's own id or ARN and nothing else; here, that of a profile in the same place.
    fn permit_counting(&self, name: &str, caller: &Caller) -> Result<Permit, Refusal> {
        let ModelName::Model(id) = ModelName::classify(name) else { return Err(Refusal::invalid_model()) };
        if id.geography().is_some() || !is_known(&id) {
            return Err(Refusal::invalid_model());
        }
        let place = &caller.place;
        let (resource, action) = (place.model_arn(&id), Operation::CountTokens.iam_action());
        self.demand(caller, action, Some(&resource))?;
        let here = |profile: &Shown| profile.arn.account() == &place.account && profile.arn.region() == &place.region;
        let of_a_profile = self.estate.any(|profile| here(profile) && profile.source.base() == id);
        if !of_a_profile && self.foundation_models == FoundationModels::Refuse {
            return Err(caller.not_allowed(action, Some(&resource)));
        }
        if id.provider() != "anthropic" {
            return Err(Refusal::validation("The provided model doesn't support counting tokens."));
        }
        Ok(Permit { billed_to: id.as_str().to_owned(), resource, model: id, place: place.clone(), prompt: None })
    }

    /// Whether a model call carries the guardrail that the policy demands.
    pub(super) fn demand_guardrail(
        &self,
        operation: Operation,
        permit: &Permit,
        seen: Option<&GuardrailSeen>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let Some(demanded) = &self.guardrail else { return Ok(()) };
        if seen.is_some_and(|seen| is(demanded, &seen.identifier, &seen.version, &caller.place)) {
            return Ok(());
        }
        Err(Refusal::access_denied(&format!(
            "{} with an explicit deny in an identity-based policy",
            caller.refused(operation.iam_action(), Some(&permit.resource))
        )))
    }

    /// Whether a caller may apply a guardrail by itself.
    pub(super) fn permit_guardrail(&self, identifier: &str, version: &str, caller: &Caller) -> Result<(), Refusal> {
        let action = Operation::ApplyGuardrail.iam_action();
        let resource = caller.place.guardrail_arn(identifier.rsplit('/').next().unwrap_or(identifier));
        self.demand(caller, action, Some(&resource))?;
        let Some(demanded) = &self.guardrail else { return Ok(()) };
        if is(demanded, identifier, version, &caller.place) {
            return Ok(());
        }
        Err(caller.not_allowed(action, Some(&resource)))
    }
}

fn is_prompt(name: &str) -> bool {
    Arn::parse(name).is_some_and(|arn| arn.service == "bedrock" && arn.resource.starts_with("prompt/"))
}

fn is(demanded: &MockGuardrail, identifier: &str, version: &str, place: &Place) -> bool {
    let same = identifier == demanded.identifier || identifier == place.guardrail_arn(&demanded.identifier);
    same && version == demanded.version
}

/// Whether the caller's session has the tag that its role demands of profiles, and the profile the same.
fn agrees(profile: &Shown, caller: &Caller) -> bool {
    let Some(session) = &caller.session else { return true };
    let Some(key) = &session.role.matching_tag else { return true };
    let of_profile =
        profile.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str());
    of_profile.is_some() && of_profile == session.principal_tag(key)
}

/// Whether Bedrock would know the model: here, whether its provider has a family that is imitated.
fn is_known(id: &ModelId) -> bool {
    super::answer::Family::of(id).is_some()
}
