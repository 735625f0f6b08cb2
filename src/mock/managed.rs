//! Prompts of Prompt management: what is called by the ARN of one, and what its template becomes.
//!
//! Converse and ConverseStream take them as their documentation says: the variables are filled in, `messages` come after the
//! prompt's own text, and what only the prompt may say is refused in the request. What AWS answers then was never recorded: the
//! texts of these refusals are made up, but for the one of who may not render the prompt.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use serde_json::{Value, json};

use super::callers::Caller;
use super::iam::{Iam, Permit};
use super::refusal::Refusal;
use crate::bedrock::Operation;
use crate::types::ModelId;

/// A prompt of Prompt management, as one version of it or as its draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockPrompt {
    /// Its ARN, with the version where it is not the draft. Of the caller's own account and Region, or unknown.
    pub arn: String,
    /// The model that it was made for: a foundation model's id or a system-defined profile's.
    pub model: ModelId,
    /// Its text, with variables such as `{{genre}}`.
    pub text: String,
    /// The output limit of its inference configuration.
    pub max_tokens: Option<u64>,
}

impl Iam {
    /// Whether a caller may call a prompt: they render it, and call the model behind it.
    pub(super) fn permit_prompt(&self, operation: Operation, name: &str, caller: &Caller) -> Result<Permit, Refusal> {
        if !self.allows(caller, "bedrock:RenderPrompt") {
            return Err(Refusal::access_denied(
                "Your account is not authorized to invoke this API operation with a prompt resource.",
            ));
        }
        let here = name.starts_with(&caller.place.arn("prompt/"));
        let found = self.prompts.iter().find(|prompt| here && prompt.arn == name);
        let prompt = found.ok_or_else(|| Refusal::not_found("The provided prompt resource was not found."))?;
        let resource = caller.place.model_arn(&prompt.model);
        self.demand(caller, operation.iam_action(), Some(&resource))?;
        if !operation.is_converse() {
            return Err(Refusal::validation("Prompt resources are played by Converse and ConverseStream alone."));
        }
        Ok(Permit {
            billed_to: name.to_owned(),
            resource,
            model: prompt.model.base(),
            place: caller.place.clone(),
            prompt: Some(prompt.clone()),
        })
    }
}

impl MockPrompt {
    /// The request that the model sees.
    pub(super) fn render(&self, request: &Value) -> Result<Value, Refusal> {
        let mut request = request.as_object().cloned().unwrap_or_default();
        if let Some(forbidden) = FORBIDDEN.iter().find(|member| request.contains_key(**member)) {
            return Err(Refusal::validation(&format!(
                "The {forbidden} field is not supported with a prompt resource."
            )));
        }
        let variables = request.remove("promptVariables").unwrap_or_default();
        let mut text = self.text.clone();
        for (name, value) in variables.as_object().into_iter().flatten() {
            let value = value.get("text").and_then(Value::as_str).ok_or_else(Refusal::serialization)?;
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        let own = json!({ "role": "user", "content": [{ "text": text }] });
        let further = request.remove("messages").unwrap_or_default();
        let messages = std::iter::once(own).chain(further.as_array().into_iter().flatten().cloned());
        request.insert("messages".to_owned(), messages.collect());
        if let Some(most) = self.max_tokens {
            request.insert("inferenceConfig".to_owned(), json!({ "maxTokens": most }));
        }
        Ok(Value::Object(request))
    }
}

/// What only the prompt may say.
const FORBIDDEN: [&str; 4] = ["additionalModelRequestFields", "inferenceConfig", "system", "toolConfig"];
