//! Foundation models: list and get.

use serde_json::{Value, json};

use super::Answer;
use super::form::Form;
use crate::mock::callers::Caller;
use crate::mock::calls::Calls;
use crate::mock::catalog::{Model, modalities};
use crate::mock::place::Place;
use crate::mock::refusal::Refusal;
use crate::types::{Arn, ModelId};

impl Calls {
    pub(super) fn list_foundation_models(&self, caller: &Caller, query: &str) -> Result<Answer, Refusal> {
        self.iam.demand(caller, "bedrock:ListFoundationModels", None)?;
        let query = Form::parse(query.as_bytes());
        one_of(&query, "byOutputModality", &["TEXT", "IMAGE", "EMBEDDING"])?;
        one_of(&query, "byInferenceType", &["ON_DEMAND", "PROVISIONED"])?;
        one_of(&query, "byCustomizationType", &["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"])?;
        let wanted = |id: &ModelId, model: &Model| {
            let provider = query.value("byProvider").is_none_or(|name| name.eq_ignore_ascii_case(&model.provider));
            let output = query.value("byOutputModality").is_none_or(|modality| modalities(id).1.contains(&modality));
            let inference = query.value("byInferenceType").is_none_or(|kind| kind == "ON_DEMAND" && model.on_demand);
            provider && output && inference && query.value("byCustomizationType").is_none()
        };
        let all = self.control.catalog.models().filter(|(id, model)| wanted(id, model));
        let summaries: Vec<Value> = all.map(|(id, model)| details(id, model, &caller.place)).collect();
        Ok(Answer::ok(json!({ "modelSummaries": summaries })))
    }

    pub(super) fn get_foundation_model(&self, caller: &Caller, name: &str) -> Result<Answer, Refusal> {
        let place = &caller.place;
        let id = match Arn::parse(name) {
            None => Some(name),
            Some(arn) => {
                let of_here = arn.region == place.region.as_str() && arn.account.is_empty();
                arn.kind_and_id().filter(|(kind, _)| of_here && *kind == "foundation-model").map(|(_, id)| id)
            }
        };
        let id = id.and_then(|id| id.parse::<ModelId>().ok()).filter(|id| id.geography().is_none());
        let id = id.ok_or_else(Refusal::invalid_model)?;
        self.iam.demand(caller, "bedrock:GetFoundationModel", Some(&place.model_arn(&id)))?;
        let model = self.control.catalog.model(&id);
        let model = model.ok_or_else(|| Refusal::not_found(&format!("Could not find the foundation model {id}.")))?;
        Ok(Answer::ok(json!({ "modelDetails": details(&id, model, place) })))
    }
}

fn one_of(query: &Form, name: &str, values: &[&str]) -> Result<(), Refusal> {
    match query.value(name) {
        Some(value) if !values.contains(&value) => {
            let rule = format!("satisfy enum value set: [{}]", values.join(", "));
            Err(Refusal::constraint(Some(value), name, &rule))
        }
        _ => Ok(()),
    }
}

fn details(id: &ModelId, model: &Model, place: &Place) -> Value {
    let (input, output, streams) = modalities(id);
    let inference: &[&str] = if model.on_demand { &["ON_DEMAND"] } else { &["INFERENCE_PROFILE"] };
    json!({
        "modelArn": place.model_arn(id),
        "modelId": id.as_str(),
        "modelName": model.name,
        "providerName": model.provider,
        "inputModalities": input,
        "outputModalities": output,
        "responseStreamingSupported": streams,
        "customizationsSupported": [],
        "inferenceTypesSupported": inference,
        "modelLifecycle": { "status": "ACTIVE" },
    })
}
