//! Inference profiles: list, get, create, delete.
//!
//! A list without `type` is of the system-defined profiles alone. Neither a list nor a profile tells what it was made from,
//! nor its tags.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::form::Form;
use super::grammar::{self, TagMember};
use super::pages::{Token, page};
use super::{Answer, wire_time};
use crate::mock::account::Received;
use crate::mock::callers::Caller;
use crate::mock::calls::Calls;
use crate::mock::catalog;
use crate::mock::estate::{Draft, NotMade, Shown};
use crate::mock::lag::View;
use crate::mock::place::Place;
use crate::mock::refusal::Refusal;
use crate::types::{Arn, ModelId, ProfileArn};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    inference_profile_name: Option<String>,
    description: Option<String>,
    client_request_token: Option<String>,
    model_source: Option<ModelSource>,
    tags: Option<Vec<TagMember>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelSource {
    copy_from: Option<String>,
}

impl Calls {
    pub(super) fn list_inference_profiles(&self, caller: &Caller, query: &str) -> Result<Answer, Refusal> {
        let place = &caller.place;
        self.iam.demand(caller, "bedrock:ListInferenceProfiles", Some(&place.arn("inference-profile/*")))?;
        let query = Form::parse(query.as_bytes());
        let size = self.page_size(query.value("maxResults"))?;
        let kind = query.value("type").unwrap_or("SYSTEM_DEFINED");
        let entries: Vec<(u64, Value)> = match kind {
            "SYSTEM_DEFINED" => {
                let all = self.control.catalog.system_profiles(&place.region);
                all.iter()
                    .filter_map(|id| self.system_profile(id, place))
                    .zip(1..)
                    .map(|(entry, at)| (at, entry))
                    .collect()
            }
            "APPLICATION" => {
                let all = self.control.estate.all(View::Lists, place);
                all.iter().map(|profile| (profile.number, application_profile(profile))).collect()
            }
            other => {
                return Err(Refusal::constraint(
                    Some(other),
                    "type",
                    "satisfy enum value set: [SYSTEM_DEFINED, APPLICATION]",
                ));
            }
        };
        let question = format!("{kind} {} {}", place.account, place.region);
        let after = match query.value("nextToken") {
            None => 0,
            Some(text) => {
                let token = Token::read(text, &question);
                token.ok_or_else(|| Refusal::validation("The provided nextToken is invalid."))?.after
            }
        };
        let (summaries, next) = page(entries, after, size);
        let mut body = json!({ "inferenceProfileSummaries": summaries });
        if let (Some(next), Some(body)) = (next, body.as_object_mut()) {
            body.insert("nextToken".to_owned(), Token::new(&question, next, 0).write().into());
        }
        Ok(Answer::ok(body))
    }

    pub(super) fn get_inference_profile(&self, caller: &Caller, name: &str) -> Result<Answer, Refusal> {
        let (place, action) = (&caller.place, "bedrock:GetInferenceProfile");
        self.demand_named(caller, action, name)?;
        let system = system_id(name, place).and_then(|id| {
            let here = self.control.catalog.system_profiles(&place.region).contains(&id);
            self.system_profile(&id, place).filter(|_| here)
        });
        if let Some(system) = system {
            return Ok(Answer::ok(system));
        }
        let found = self.control.estate.find(View::Reads, place, name);
        Ok(Answer::ok(application_profile(&found.ok_or_else(|| unknown(name))?)))
    }

    pub(super) fn create_inference_profile(
        &self,
        caller: &Caller,
        body: &[u8],
        record: &mut Received,
    ) -> Result<Answer, Refusal> {
        let place = &caller.place;
        let creation: Creation = serde_json::from_slice(body).map_err(|_| Refusal::serialization())?;
        record.subject.clone_from(&creation.inference_profile_name);
        let made = place.arn("application-inference-profile/*");
        self.iam.demand(caller, "bedrock:CreateInferenceProfile", Some(&made))?;
        let tags = creation.tags.unwrap_or_default();
        if !tags.is_empty() {
            self.iam.demand(caller, "bedrock:TagResource", Some(&made))?;
        }
        let name = grammar::profile_name(creation.inference_profile_name.as_deref())?.to_owned();
        grammar::description(creation.description.as_deref())?;
        grammar::request_token(creation.client_request_token.as_deref())?;
        let source = creation.model_source.ok_or_else(|| Refusal::constraint(None, "modelSource", "not be null"))?;
        let source = self.source(source.copy_from.as_deref(), place)?;
        let tags = grammar::tags(tags, |_| false, 0)?.into_iter().collect();
        let id = Uuid::new_v4().simple().to_string();
        let arn = place.arn(&format!("application-inference-profile/{}", id.get(..12).unwrap_or_default()));
        let arn: ProfileArn = arn.parse().map_err(|_| Refusal::internal())?;
        let (description, token) = (creation.description, creation.client_request_token);
        let draft = Draft { arn, name, description, source, tags, token };
        let arn =
            self.control.estate.create(draft, self.control.profile_quota, self.now()).map_err(|error| match error {
                NotMade::NameTaken => {
                    let message = "An inference profile with the provided name already exists.";
                    Refusal::fault(StatusCode::BAD_REQUEST, "ConflictException", message)
                }
                NotMade::QuotaExceeded => {
                    let message =
                        "The number of application inference profiles in this account exceeds the service quota.";
                    Refusal::fault(StatusCode::BAD_REQUEST, "ServiceQuotaExceededException", message)
                }
            })?;
        let body = json!({ "inferenceProfileArn": arn.as_str(), "status": "ACTIVE" });
        Ok(Answer { status: StatusCode::CREATED, body })
    }

    pub(super) fn delete_inference_profile(&self, caller: &Caller, name: &str) -> Result<Answer, Refusal> {
        let place = &caller.place;
        self.demand_named(caller, "bedrock:DeleteInferenceProfile", name)?;
        if system_id(name, place).is_some_and(|id| self.control.catalog.model(&id.base()).is_some()) {
            return Err(Refusal::validation("System-defined inference profiles cannot be deleted."));
        }
        let found = self.control.estate.find(View::Reads, place, name).ok_or_else(|| unknown(name))?;
        if self.control.estate.delete(&found.arn) { Ok(Answer::ok(json!({}))) } else { Err(unknown(name)) }
    }

    /// IAM's word on an action with a profile that is named, and then the grammar of the name.
    fn demand_named(&self, caller: &Caller, action: &str, name: &str) -> Result<(), Refusal> {
        let resource = resource_of(name, &caller.place);
        self.iam.demand(caller, action, Some(&resource))?;
        grammar::identifier(name)?;
        owned(&resource, caller, action)
    }

    /// A foundation model of this Region, or a system-defined profile that this Region has.
    fn source(&self, copy_from: Option<&str>, place: &Place) -> Result<ModelId, Refusal> {
        let at = "modelSource.copyFrom";
        let text = grammar::bounded(at, copy_from, 1, 2_048)?;
        let parts = Arn::parse(text).filter(|arn| arn.service == "bedrock");
        let (kind, id) = parts.and_then(|arn| arn.kind_and_id()).unwrap_or_default();
        let (Some(arn), "foundation-model" | "inference-profile") = (parts, kind) else {
            let rule = "arn:aws(|-us-gov|-cn|-iso|-iso-b):bedrock:(|[0-9a-z-]{0,20}):(|[0-9]{12}):(inference-profile|\
                        foundation-model)/[a-zA-Z0-9-:.]+";
            return Err(grammar::pattern(text, at, rule));
        };
        let wrong = || Refusal::validation("copyFrom must be a valid inference profile model source ARN.");
        let id: ModelId = id.parse().map_err(|_| wrong())?;
        let here = arn.partition == place.partition() && arn.region == place.region.as_str();
        let known = if kind == "foundation-model" {
            arn.account.is_empty() && id.geography().is_none() && self.control.catalog.model(&id).is_some()
        } else {
            (arn.account.is_empty() || arn.account == place.account.as_str())
                && self.control.catalog.system_profiles(&place.region).contains(&id)
        };
        if here && known { Ok(id) } else { Err(wrong()) }
    }

    fn system_profile(&self, id: &ModelId, place: &Place) -> Option<Value> {
        let (name, description) = self.control.catalog.describe(id, place)?;
        Some(json!({
            "inferenceProfileName": name,
            "description": description,
            "createdAt": "2025-09-29T00:00:00Z",
            "updatedAt": "2025-09-29T00:00:00Z",
            "inferenceProfileArn": place.model_arn(id),
            "inferenceProfileId": id.as_str(),
            "models": models(id, place),
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }))
    }

    /// How many entries a page has: what is asked, from 1 to 1000, and never more than the configuration says.
    fn page_size(&self, asked: Option<&str>) -> Result<usize, Refusal> {
        let Some(asked) = asked else { return Ok(self.control.page_size) };
        let size: i64 = asked.parse().map_err(|_| Refusal::serialization())?;
        match usize::try_from(size) {
            Ok(size @ 1..=1_000) => Ok(size.min(self.control.page_size)),
            _ if size < 1 => {
                Err(Refusal::constraint(Some(asked), "maxResults", "have value greater than or equal to 1"))
            }
            _ => Err(Refusal::constraint(Some(asked), "maxResults", "have value less than or equal to 1000")),
        }
    }
}

/// Whether a resource is in the caller's account and the Region called; of other accounts' there is no policy that lets
/// anybody in.
pub(super) fn owned(resource: &str, caller: &Caller, action: &str) -> Result<(), Refusal> {
    let Some(arn) = Arn::parse(resource) else { return Ok(()) };
    if !arn.account.is_empty() && arn.account != caller.place.account.as_str() {
        return Err(caller.not_allowed(action, Some(resource)));
    }
    if arn.region == caller.place.region.as_str() {
        return Ok(());
    }
    Err(Refusal::validation("The provided ARN is of another Region."))
}

fn application_profile(profile: &Shown) -> Value {
    let place = crate::mock::estate::place_of(&profile.arn);
    let mut value = json!({
        "inferenceProfileName": profile.name,
        "createdAt": wire_time(profile.created),
        "updatedAt": wire_time(profile.updated),
        "inferenceProfileArn": profile.arn.as_str(),
        "inferenceProfileId": profile.arn.id(),
        "models": models(&profile.source, &place),
        "status": "ACTIVE",
        "type": "APPLICATION",
    });
    if let (Some(text), Some(value)) = (&profile.description, value.as_object_mut()) {
        value.insert("description".to_owned(), text.as_str().into());
    }
    value
}

fn models(id: &ModelId, place: &Place) -> Vec<Value> {
    catalog::behind(id, place).into_iter().map(|arn| json!({ "modelArn": arn })).collect()
}

/// The ARN that IAM has for a name.
fn resource_of(name: &str, place: &Place) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    match name.parse::<ModelId>() {
        Ok(id) if id.geography().is_some() => place.model_arn(&id),
        _ => place.arn(&format!("application-inference-profile/{name}")),
    }
}

/// The system-defined profile that a name or ARN leads to.
fn system_id(name: &str, place: &Place) -> Option<ModelId> {
    let id = match Arn::parse(name) {
        None => name,
        Some(arn) => {
            let (kind, id) = arn.kind_and_id()?;
            (kind == "inference-profile" && arn.region == place.region.as_str()).then_some(id)?
        }
    };
    id.parse().ok().filter(|id: &ModelId| id.geography().is_some())
}

fn unknown(name: &str) -> Refusal {
    Refusal::not_found(&format!("The inference profile {name} was not found."))
}
