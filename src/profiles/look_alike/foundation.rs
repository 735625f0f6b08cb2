//! The foundation models behind a caller's own profiles, as the control plane tells of them.
//!
//! Clients fill their lists of models from these two reads. What is told is what holds here: a model can be called on demand, because
//! its id leads to the caller's profile, and it cannot be customised or provisioned. Members that AWS alone knows are left
//! out, as they are optional; so a filter finds only models of which it is known that they fit.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModel.html>

use std::collections::HashSet;

use bytes::Bytes;
use serde::Serialize;

use super::known::{self, Modalities};
use super::{Model, QueryError, clip, json};
use crate::identity::Principal;
use crate::profiles::{Directory, Profile, ResolveError};
use crate::types::ModelName;

/// Answers `GET /foundation-models`: each model once, in the order of the caller's profiles. As with profiles, parameters that AWS
/// does not know are ignored.
pub fn list_models(directory: &Directory, principal: &Principal, query: &str) -> Result<Bytes, QueryError> {
    let filter = Filter::parse(query)?;
    let model_summaries = summaries(directory, principal).filter(|summary| filter.lets_through(summary)).collect();
    Ok(json(&Page { model_summaries }))
}

/// Answers `GET /foundation-models/{modelIdentifier}`: a model that [`list_models`] lists, by id or ARN.
pub fn describe_model(
    directory: &Directory,
    principal: &Principal,
    name: &ModelName,
    text: &str,
) -> Result<Bytes, ResolveError> {
    let found = match name {
        ModelName::Model(id) => summaries(directory, principal).find(|summary| summary.id == id.as_str()),
        ModelName::ApplicationProfile(_) | ModelName::Word(_) | ModelName::Refused(_) => None,
    };
    found
        .map(|model_details| json(&Details { model_details }))
        .ok_or_else(|| ResolveError::NoSuchName { name: clip(text), yours: directory.offer(principal) })
}

fn summaries<'d>(directory: &'d Directory, principal: &'d Principal) -> impl Iterator<Item = Summary> {
    let mut seen = HashSet::new();
    let once = directory.profiles_of(principal).filter(move |profile| seen.insert(profile.base_model().clone()));
    once.map(|profile| Summary::behind(profile))
}

/// What the query of a list asks for.
#[derive(Debug, Default)]
struct Filter {
    provider: Option<String>,
    modality: Option<&'static str>,
    inference: Option<&'static str>,
    customization: Option<&'static str>,
}

impl Filter {
    /// Reads the raw query. Of what is percent-encoded only a space can be meant: every other character of a valid value
    /// needs no encoding.
    fn parse(query: &str) -> Result<Self, QueryError> {
        let mut filter = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "byProvider" => {
                    let provider = value.replace("%20", " ").replace('+', " ");
                    let plain = provider.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"- ".contains(&byte));
                    if !plain || !(1..=63).contains(&provider.len()) {
                        return Err(QueryError::Provider { value: clip(value) });
                    }
                    filter.provider = Some(provider);
                }
                "byOutputModality" => filter.modality = Some(one_of(name, value, &["TEXT", "IMAGE", "EMBEDDING"])?),
                "byInferenceType" => filter.inference = Some(one_of(name, value, &["ON_DEMAND", "PROVISIONED"])?),
                "byCustomizationType" => {
                    let all = &["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"];
                    filter.customization = Some(one_of(name, value, all)?);
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    /// AWS takes a provider's name in any case. Here the id's own word for it does too, which is known of every model.
    fn lets_through(&self, summary: &Summary) -> bool {
        let is_by = |asked: &String| {
            let word = summary.id.split('.').next().unwrap_or_default();
            asked.eq_ignore_ascii_case(word) || summary.provider.is_some_and(|name| asked.eq_ignore_ascii_case(name))
        };
        let gives = |asked: &str| summary.modalities.as_ref().is_some_and(|known| known.output.contains(&asked));
        self.provider.as_ref().is_none_or(is_by)
            && self.modality.is_none_or(gives)
            && self.inference.is_none_or(|asked| summary.inference_types.contains(&asked))
            && self.customization.is_none_or(|asked| summary.customizations.contains(&asked))
    }
}

/// A member of an enum of AWS's.
fn one_of(name: &str, value: &str, all: &'static [&'static str]) -> Result<&'static str, QueryError> {
    let found = all.iter().copied().find(|member| *member == value);
    found.ok_or_else(|| QueryError::Member { name: name.to_owned(), value: clip(value), all: all.join(", ") })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    model_summaries: Vec<Summary>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    model_details: Summary,
}

/// A model as both answers give it.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(rename = "modelArn")]
    arn: String,
    #[serde(rename = "modelId")]
    id: String,
    #[serde(rename = "modelName", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "providerName", skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    #[serde(flatten)]
    modalities: Option<Modalities>,
    #[serde(rename = "customizationsSupported")]
    customizations: [&'static str; 0],
    #[serde(rename = "inferenceTypesSupported")]
    inference_types: [&'static str; 1],
    #[serde(rename = "modelLifecycle")]
    lifecycle: Lifecycle,
}

/// Whether AWS calls a model legacy is not known here; that it can be called is.
#[derive(Debug, Serialize)]
struct Lifecycle {
    status: &'static str,
}

impl Summary {
    fn behind(profile: &Profile) -> Self {
        let model = profile.base_model();
        Self {
            arn: Model::behind(profile).arn,
            id: model.to_string(),
            name: known::name(model),
            provider: known::provider(model),
            modalities: known::modalities(model),
            customizations: [],
            inference_types: ["ON_DEMAND"],
            lifecycle: Lifecycle { status: "ACTIVE" },
        }
    }
}

#[cfg(test)]
mod tests;
