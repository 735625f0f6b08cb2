//! Tags of Bedrock's resources. Application inference profiles have them; system-defined ones are there, and have none.

use serde::Deserialize;
use serde_json::json;

use super::Answer;
use super::grammar::{self, TagMember};
use super::profiles::owned;
use crate::mock::account::Received;
use crate::mock::callers::Caller;
use crate::mock::calls::Calls;
use crate::mock::estate::Shown;
use crate::mock::lag::View;
use crate::mock::refusal::Refusal;
use crate::types::{Arn, ModelId};

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "resourceARN")]
    resource: Option<String>,
    tags: Option<Vec<TagMember>>,
    #[serde(rename = "tagKeys")]
    keys: Option<Vec<String>>,
}

impl Calls {
    pub(super) fn list_tags_for_resource(
        &self,
        caller: &Caller,
        body: &[u8],
        record: &mut Received,
    ) -> Result<Answer, Refusal> {
        let (named, resource) = named(body, record)?;
        drop(named);
        self.demand_resource(caller, "bedrock:ListTagsForResource", &resource)?;
        let tags = match self.resource(caller, &resource)? {
            None => Vec::new(),
            Some(profile) => profile.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect(),
        };
        Ok(Answer::ok(json!({ "tags": tags })))
    }

    pub(super) fn tag_resource(&self, caller: &Caller, body: &[u8], record: &mut Received) -> Result<Answer, Refusal> {
        let (named, resource) = named(body, record)?;
        self.demand_resource(caller, "bedrock:TagResource", &resource)?;
        let members = named.tags.ok_or_else(|| Refusal::constraint(None, "tags", "not be null"))?;
        let profile = self.resource(caller, &resource)?.ok_or_else(|| untaggable(&resource))?;
        let tags = grammar::tags(members, |key| profile.tags.contains_key(key), profile.tags.len())?;
        if self.control.estate.retag(&profile.arn, self.now(), |all| all.extend(tags)) {
            Ok(Answer::ok(json!({})))
        } else {
            Err(absent(&resource))
        }
    }

    pub(super) fn untag_resource(
        &self,
        caller: &Caller,
        body: &[u8],
        record: &mut Received,
    ) -> Result<Answer, Refusal> {
        let (named, resource) = named(body, record)?;
        self.demand_resource(caller, "bedrock:UntagResource", &resource)?;
        let keys = named.keys.ok_or_else(|| Refusal::constraint(None, "tagKeys", "not be null"))?;
        if keys.len() > 200 {
            return Err(Refusal::constraint(Some("[...]"), "tagKeys", "have length less than or equal to 200"));
        }
        for (at, key) in keys.iter().enumerate() {
            grammar::tag_key(&format!("tagKeys.{}.member", at + 1), Some(key))?;
        }
        let profile = self.resource(caller, &resource)?.ok_or_else(|| untaggable(&resource))?;
        if self.control.estate.retag(&profile.arn, self.now(), |all| all.retain(|key, _| !keys.contains(key))) {
            Ok(Answer::ok(json!({})))
        } else {
            Err(absent(&resource))
        }
    }

    fn demand_resource(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), Refusal> {
        self.iam.demand(caller, action, Some(resource))?;
        grammar::bounded("resourceARN", Some(resource), 20, 1_011)?;
        if Arn::parse(resource).is_none_or(|arn| arn.service != "bedrock") {
            return Err(Refusal::validation("The provided resource ARN is invalid."));
        }
        owned(resource, caller, action)
    }

    /// The application inference profile of an ARN; `None` where it is a system-defined one that there is.
    fn resource(&self, caller: &Caller, resource: &str) -> Result<Option<Shown>, Refusal> {
        let (kind, id) = Arn::parse(resource).and_then(|arn| arn.kind_and_id()).unwrap_or_default();
        if kind == "inference-profile" {
            let here = self.control.catalog.system_profiles(&caller.place.region);
            let known = id.parse::<ModelId>().is_ok_and(|id| here.contains(&id));
            return if known { Ok(None) } else { Err(absent(resource)) };
        }
        self.control.estate.find(View::Reads, &caller.place, resource).map(Some).ok_or_else(|| absent(resource))
    }
}

fn named(body: &[u8], record: &mut Received) -> Result<(Named, String), Refusal> {
    let mut named: Named = serde_json::from_slice(body).map_err(|_| Refusal::serialization())?;
    record.subject.clone_from(&named.resource);
    let resource = named.resource.take().ok_or_else(|| Refusal::constraint(None, "resourceARN", "not be null"))?;
    Ok((named, resource))
}

fn absent(resource: &str) -> Refusal {
    Refusal::not_found(&format!("The resource {resource} was not found."))
}

fn untaggable(resource: &str) -> Refusal {
    Refusal::validation(&format!("The resource {resource} cannot be tagged."))
}
