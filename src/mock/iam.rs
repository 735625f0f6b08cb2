//! What IAM would say: which names a caller may use, and whether the guardrail that a policy demands is on the call.
//!
//! The account is played as one whose policy allows the configured application inference profiles and denies, explicitly,
//! every model call without the configured guardrail. Texts are IAM's own.

use super::account::GuardrailSeen;
use super::config::{FoundationModels, MockConfig, MockGuardrail, MockProfile};
use super::refusal::Refusal;
use crate::bedrock::Operation;
use crate::types::{Arn, ModelId, ModelName};

/// The account's policy.
#[derive(Debug)]
pub(super) struct Iam {
    region: String,
    account: String,
    partition: &'static str,
    profiles: Vec<MockProfile>,
    guardrail: Option<MockGuardrail>,
    foundation_models: FoundationModels,
}

/// A name that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// Under what name the call is billed: the profile's ARN, or the id that was named.
    pub(super) billed_to: String,
    /// The ARN that IAM names in its texts.
    pub(super) resource: String,
    /// The foundation model that answers.
    pub(super) model: ModelId,
}

impl Iam {
    pub(super) fn new(config: &MockConfig) -> Self {
        let region = config.region.as_str();
        let partition = match region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("eusc") => "aws-eusc",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Self {
            region: region.to_owned(),
            account: config.account.as_str().to_owned(),
            partition,
            profiles: config.profiles.clone(),
            guardrail: config.guardrail.clone(),
            foundation_models: config.foundation_models,
        }
    }

    /// Whether a caller may use a name for an operation.
    pub(super) fn permit(&self, operation: Operation, name: &str, caller: &str) -> Result<Permit, Refusal> {
        if operation == Operation::CountTokens {
            return self.permit_counting(name, caller);
        }
        match ModelName::classify(name) {
            ModelName::ApplicationProfile(arn) => {
                let profile = self.profiles.iter().find(|profile| profile.arn == arn);
                let profile = profile.ok_or_else(|| self.not_allowed(operation, name, caller))?;
                Ok(Permit { billed_to: name.to_owned(), resource: name.to_owned(), model: profile.source.base() })
            }
            ModelName::Model(id) if is_known(&id) => match self.foundation_models {
                FoundationModels::Refuse => Err(self.not_allowed(operation, &self.resource(&id), caller)),
                FoundationModels::Allow => {
                    Ok(Permit { billed_to: name.to_owned(), resource: self.resource(&id), model: id.base() })
                }
            },
            ModelName::Refused(_) if Arn::parse(name).is_some() => Err(self.not_allowed(operation, name, caller)),
            ModelName::Model(_) | ModelName::Word(_) | ModelName::Refused(_) => Err(Refusal::invalid_model()),
        }
    }

    /// CountTokens takes a foundation model's own id or ARN and nothing else; here, that of a configured profile.
    fn permit_counting(&self, name: &str, caller: &str) -> Result<Permit, Refusal> {
        let ModelName::Model(id) = ModelName::classify(name) else { return Err(Refusal::invalid_model()) };
        if id.geography().is_some() || !is_known(&id) {
            return Err(Refusal::invalid_model());
        }
        let resource = self.resource(&id);
        let of_a_profile = self.profiles.iter().any(|profile| profile.source.base() == id);
        if !of_a_profile && self.foundation_models == FoundationModels::Refuse {
            return Err(self.not_allowed(Operation::CountTokens, &resource, caller));
        }
        if id.provider() != "anthropic" {
            return Err(Refusal::validation("The provided model doesn't support counting tokens."));
        }
        Ok(Permit { billed_to: id.as_str().to_owned(), resource, model: id })
    }

    /// Whether a model call carries the guardrail that the policy demands.
    pub(super) fn demand_guardrail(
        &self,
        operation: Operation,
        permit: &Permit,
        seen: Option<&GuardrailSeen>,
        caller: &str,
    ) -> Result<(), Refusal> {
        let Some(demanded) = &self.guardrail else { return Ok(()) };
        if seen.is_some_and(|seen| self.is(demanded, &seen.identifier, &seen.version)) {
            return Ok(());
        }
        Err(Refusal::access_denied(&format!(
            "{} with an explicit deny in an identity-based policy",
            self.refused(operation, &permit.resource, caller)
        )))
    }

    /// Whether a caller may apply a guardrail by itself.
    pub(super) fn permit_guardrail(&self, identifier: &str, version: &str, caller: &str) -> Result<(), Refusal> {
        let Some(demanded) = &self.guardrail else { return Ok(()) };
        if self.is(demanded, identifier, version) {
            return Ok(());
        }
        let id = identifier.rsplit('/').next().unwrap_or(identifier);
        Err(self.not_allowed(Operation::ApplyGuardrail, &self.guardrail_arn(id), caller))
    }

    fn is(&self, demanded: &MockGuardrail, identifier: &str, version: &str) -> bool {
        let same = identifier == demanded.identifier || identifier == self.guardrail_arn(&demanded.identifier);
        same && version == demanded.version
    }

    /// A guardrail's ARN in the played account.
    pub(super) fn guardrail_arn(&self, identifier: &str) -> String {
        format!("arn:{}:bedrock:{}:{}:guardrail/{identifier}", self.partition, self.region, self.account)
    }

    fn resource(&self, id: &ModelId) -> String {
        let Self { partition, region, account, .. } = self;
        match id.geography() {
            Some(_) => format!("arn:{partition}:bedrock:{region}:{account}:inference-profile/{id}"),
            None => format!("arn:{partition}:bedrock:{region}::foundation-model/{id}"),
        }
    }

    fn refused(&self, operation: Operation, resource: &str, caller: &str) -> String {
        format!(
            "User: arn:{}:sts::{}:assumed-role/bedrock-caller/{caller} is not authorized to perform: {} on resource: \
             {resource}",
            self.partition,
            self.account,
            operation.iam_action()
        )
    }

    fn not_allowed(&self, operation: Operation, resource: &str, caller: &str) -> Refusal {
        Refusal::access_denied(&format!(
            "{} because no identity-based policy allows the {} action",
            self.refused(operation, resource, caller),
            operation.iam_action()
        ))
    }
}

/// Whether Bedrock would know the model: here, whether its provider has a family that is imitated.
fn is_known(id: &ModelId) -> bool {
    super::answer::Family::of(id).is_some()
}
