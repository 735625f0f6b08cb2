//! Bedrock's control plane: inference profiles.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};

use super::{ControlError, Place, Question, Service, SharedControlPlane, ask, ask_for_bytes};
use crate::sigv4::encoded;
use crate::types::{Geography, ModelId, ProfileArn};

/// An application inference profile as a list tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its ARN.
    pub arn: ProfileArn,
    /// Its name.
    pub name: String,
    /// When it was made, as AWS writes it; empty where it does not say.
    pub created: String,
    /// The foundation models that it calls, by ARN: one in each Region that may serve it.
    pub models: Vec<String>,
}

/// A profile that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Its name.
    pub name: String,
    /// The foundation model or system-defined profile that it is made from, by ARN.
    pub copy_from: String,
    /// What makes asking again harmless: AWS makes one profile for a token.
    pub token: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    inference_profile_summaries: Vec<Summary>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    inference_profile_arn: String,
    inference_profile_name: String,
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    created_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Create<'a> {
    inference_profile_name: &'a str,
    client_request_token: &'a str,
    model_source: CopyFrom<'a>,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CopyFrom<'a> {
    copy_from: &'a str,
}

#[derive(Deserialize, Serialize)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    inference_profile_arn: String,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Vec<Tag>,
}

/// Every application inference profile of a place that is active, the oldest first. `seen` is told after each page how many there are.
pub(in crate::profiles) async fn list(
    control: &SharedControlPlane,
    place: &Place,
    seen: &(dyn Fn(usize) + Send + Sync),
) -> Result<Vec<Listed>, ControlError> {
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    loop {
        // Sorted by name, as signatures want it.
        let next = token.as_deref().map(|token| format!("&nextToken={}", encoded(token))).unwrap_or_default();
        let query = format!("maxResults=1000{next}&type=APPLICATION");
        let question = question(place, Method::GET, "/inference-profiles".to_owned(), query, Bytes::new());
        let page: Page = ask(control, question).await?;
        all.extend(page.inference_profile_summaries.into_iter().filter_map(listed));
        seen(all.len());
        match page.next_token.filter(|next| !next.is_empty()) {
            // A page that leads to itself would never end.
            Some(next) if token.as_deref() != Some(next.as_str()) => token = Some(next),
            Some(_) | None => {
                all.sort_by(|one, other| (&one.created, one.arn.as_str()).cmp(&(&other.created, other.arn.as_str())));
                return Ok(all);
            }
        }
    }
}

/// One profile by its id or ARN.
pub async fn get(control: &SharedControlPlane, place: &Place, id: &str) -> Result<Option<Listed>, ControlError> {
    let path = format!("/inference-profiles/{}", encoded(id));
    let summary: Summary = ask(control, question(place, Method::GET, path, String::new(), Bytes::new())).await?;
    Ok(listed(summary))
}

/// Makes a profile.
pub async fn create(
    control: &SharedControlPlane,
    place: &Place,
    creation: &Creation,
) -> Result<ProfileArn, ControlError> {
    let tags = creation.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() });
    let body = json(&Create {
        inference_profile_name: &creation.name,
        client_request_token: &creation.token,
        model_source: CopyFrom { copy_from: &creation.copy_from },
        tags: tags.collect(),
    });
    let question = question(place, Method::POST, "/inference-profiles".to_owned(), String::new(), body);
    let created: Created = ask(control, question).await?;
    created.inference_profile_arn.parse().map_err(|error| {
        ControlError::Unavailable(format!("AWS made {}, which is {error}", created.inference_profile_arn))
    })
}

/// Deletes a profile.
pub async fn delete(control: &SharedControlPlane, place: &Place, id: &str) -> Result<(), ControlError> {
    let path = format!("/inference-profiles/{}", encoded(id));
    ask_for_bytes(control, question(place, Method::DELETE, path, String::new(), Bytes::new())).await.map(|_| ())
}

/// The tags of one profile.
pub async fn tags(
    control: &SharedControlPlane,
    place: &Place,
    arn: &ProfileArn,
) -> Result<BTreeMap<String, String>, ControlError> {
    #[derive(Serialize)]
    struct Of<'a> {
        #[serde(rename = "resourceARN")]
        arn: &'a str,
    }
    let body = json(&Of { arn: arn.as_str() });
    let question = question(place, Method::POST, "/listTagsForResource".to_owned(), String::new(), body);
    let tags: Tags = ask(control, question).await?;
    Ok(tags.tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// A summary whose ARN is an application profile's and that can be called.
fn listed(summary: Summary) -> Option<Listed> {
    let arn = summary.inference_profile_arn.parse().ok()?;
    let models = summary.models.into_iter().filter_map(|model| model.model_arn).collect();
    let active = matches!(summary.status.as_str(), "ACTIVE" | "");
    active.then_some(Listed { arn, name: summary.inference_profile_name, created: summary.created_at, models })
}

impl Listed {
    /// The foundation model that it calls, and in which Regions; the Region of one that is served anywhere is empty. Nothing where
    /// there are several models or none, or what is no foundation model.
    pub fn foundation(&self) -> Option<(ModelId, Vec<&str>)> {
        let mut regions = Vec::with_capacity(self.models.len());
        let mut base: Option<ModelId> = None;
        for arn in &self.models {
            let arn = crate::types::Arn::parse(arn)?;
            let id: ModelId = arn.kind_and_id().filter(|(kind, _)| *kind == "foundation-model")?.1.parse().ok()?;
            if base.get_or_insert_with(|| id.clone()) != &id {
                return None;
            }
            regions.push(arn.region);
        }
        Some((base?, regions))
    }

    /// What it was made from, as far as its models tell: AWS does not say it. One model in one Region is a foundation model;
    /// several Regions of one geography are that geography's system-defined profile; anything else could be several.
    pub fn source(&self) -> Option<ModelId> {
        let (base, regions) = self.foundation()?;
        let own = self.arn.region().as_str();
        match regions.as_slice() {
            [region] if *region == own => Some(base),
            [] | [_] => None,
            // Served anywhere: the ARN of the global model names no Region.
            regions if regions.iter().any(|region| region.is_empty()) => format!("global.{base}").parse().ok(),
            regions => format!("{}.{base}", Geography::of_regions(regions, own)?.prefix()).parse().ok(),
        }
    }

    /// Whether its models, where AWS lists them, let it be made from `source`. Where a geography is that nobody here knows, its
    /// Regions are not known either: there the model alone tells.
    pub fn may_be_of(&self, source: &ModelId) -> bool {
        if self.models.is_empty() {
            return true;
        }
        let Some((base, regions)) = self.foundation() else { return false };
        let own = self.arn.region().as_str();
        let unknown =
            source.unknown_prefix().and_then(|prefix| source.as_str().strip_prefix(prefix)?.strip_prefix('.'));
        match (source.geography(), unknown) {
            _ if unknown.unwrap_or(source.base_str()) != base.as_str() => false,
            (None, Some(_)) | (Some(Geography::Global), _) => true,
            // A call may always be served where it is made: AWS lets more and more Regions call a geography's profiles.
            (Some(geography), _) => {
                regions.iter().all(|region| geography.serves(region, own) || *region == own)
                    && regions.iter().any(|region| geography.serves(region, own))
            }
            (None, None) => regions.iter().all(|region| *region == own),
        }
    }
}

fn question(place: &Place, method: Method, path: String, query: String, body: Bytes) -> Question {
    Question { service: Service::Bedrock, place: place.clone(), method, path, query, target: None, body }
}

/// Texts alone cannot fail to be written.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(region: &str, models: &[&str]) -> Listed {
        let arn = format!("arn:aws:bedrock:{region}:111122223333:application-inference-profile/a1");
        Listed {
            arn: arn.parse().unwrap(),
            name: "n".to_owned(),
            created: String::new(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
        }
    }

    fn in_regions(regions: &[&str]) -> Vec<String> {
        regions
            .iter()
            .map(|region| format!("arn:aws:bedrock:{region}::foundation-model/amazon.nova-lite-v1:0"))
            .collect()
    }

    #[test]
    fn what_a_profile_was_made_from_is_told_by_its_models_where_they_leave_no_doubt() {
        for (own, regions, source) in [
            ("us-east-1", &["us-east-1"][..], Some("amazon.nova-lite-v1:0")),
            ("us-east-1", &["us-east-1", "us-east-2", "us-west-2"], Some("us.amazon.nova-lite-v1:0")),
            ("eu-west-1", &["eu-central-1", "eu-west-1"], Some("eu.amazon.nova-lite-v1:0")),
            ("us-gov-west-1", &["us-gov-west-1", "us-gov-east-1"], Some("us-gov.amazon.nova-lite-v1:0")),
            ("ap-northeast-1", &["ap-northeast-1", "ap-northeast-3"], Some("jp.amazon.nova-lite-v1:0")),
            ("ap-southeast-2", &["ap-southeast-2", "ap-southeast-4"], Some("au.amazon.nova-lite-v1:0")),
            (
                "ap-southeast-6",
                &["ap-southeast-6", "ap-southeast-2", "ap-southeast-4"],
                Some("au.amazon.nova-lite-v1:0"),
            ),
            ("ap-northeast-1", &["ap-northeast-1", "ap-south-1"], Some("apac.amazon.nova-lite-v1:0")),
            ("us-east-1", &["us-east-1", ""], Some("global.amazon.nova-lite-v1:0")),
            // A Region elsewhere, or several geographies: that could be anything.
            ("us-east-1", &["us-west-2"], None),
            ("us-east-1", &["us-east-1", "eu-west-1"], None),
            ("us-east-1", &[], None),
        ] {
            let models = in_regions(regions);
            let models: Vec<_> = models.iter().map(String::as_str).collect();
            let told = listed(own, &models).source();
            assert_eq!(told.as_ref().map(ModelId::as_str), source, "{own} {regions:?}");
        }
        let other = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0";
        let two = [in_regions(&["us-east-1"]).remove(0), other.to_owned()];
        assert_eq!(listed("us-east-1", &[&two[0], &two[1]]).source(), None, "two models");
        for model in ["", "arn:aws:bedrock:us-east-1:1:custom-model/a.b", "amazon.nova-lite-v1:0"] {
            assert_eq!(listed("us-east-1", &[model]).source(), None, "{model}");
        }
    }

    #[test]
    fn a_source_is_believed_unless_the_models_say_otherwise() {
        for (own, regions, source, believed) in [
            ("us-east-1", &["us-east-1"][..], "amazon.nova-lite-v1:0", true),
            ("us-east-1", &["us-east-1"], "amazon.nova-micro-v1:0", false),
            ("us-east-1", &["us-west-2"], "amazon.nova-lite-v1:0", false),
            ("us-east-1", &["us-east-1", "us-west-2"], "amazon.nova-lite-v1:0", false),
            ("us-east-1", &["us-east-1", "us-west-2"], "us.amazon.nova-lite-v1:0", true),
            ("us-east-1", &["us-east-1", "us-west-2"], "us.amazon.nova-micro-v1:0", false),
            ("us-east-1", &["us-east-1", "us-west-2"], "eu.amazon.nova-lite-v1:0", false),
            ("us-east-1", &["us-east-1"], "eu.amazon.nova-lite-v1:0", false),
            ("ca-central-1", &["ca-central-1", "us-east-1"], "us.amazon.nova-lite-v1:0", true),
            ("eu-west-1", &["eu-west-1", "eu-west-9"], "eu.amazon.nova-lite-v1:0", true),
            ("ap-southeast-6", &["ap-southeast-6", "ap-southeast-2"], "au.amazon.nova-lite-v1:0", true),
            ("ap-southeast-2", &["ap-southeast-2", "ap-southeast-1"], "au.amazon.nova-lite-v1:0", false),
            ("ap-northeast-1", &["ap-northeast-1", "ap-northeast-3"], "apac.amazon.nova-lite-v1:0", true),
            ("eu-west-1", &["eu-west-1", ""], "global.amazon.nova-lite-v1:0", true),
            ("eu-west-1", &["eu-west-1", ""], "global.amazon.nova-micro-v1:0", false),
            ("eu-west-1", &["eu-west-1", ""], "eu.amazon.nova-lite-v1:0", false),
            ("eu-west-1", &["eu-west-1", ""], "amazon.nova-lite-v1:0", false),
            // What AWS does not list contradicts nothing, nor do Regions a geography that is not known here.
            ("eu-west-1", &[], "us.amazon.nova-micro-v1:0", true),
            ("mx-central-1", &["mx-central-1", "us-east-1"], "mx.amazon.nova-lite-v1:0", true),
            ("mx-central-1", &["mx-central-1", "us-east-1"], "mx.amazon.nova-micro-v1:0", false),
        ] {
            let models = in_regions(regions);
            let models: Vec<_> = models.iter().map(String::as_str).collect();
            let source: ModelId = source.parse().unwrap();
            let listed = listed(own, &models);
            for source in [source.clone().with_geographies(&["mx".to_owned()]), source] {
                assert_eq!(listed.may_be_of(&source), believed, "{own} {regions:?} {source}");
            }
        }
        let (lite, pro) =
            (in_regions(&["us-east-1"]).remove(0), "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0");
        let source = "amazon.nova-lite-v1:0".parse().unwrap();
        assert!(!listed("us-east-1", &[&lite, pro]).may_be_of(&source), "two models");
        assert!(!listed("us-east-1", &["arn:aws:bedrock:us-east-1:1:custom-model/a.b"]).may_be_of(&source));
    }

    #[test]
    fn a_profile_that_cannot_be_called_is_not_listed() {
        let summary = |status: &str, arn: &str| Summary {
            inference_profile_arn: arn.to_owned(),
            inference_profile_name: "n".to_owned(),
            models: vec![],
            status: status.to_owned(),
            created_at: String::new(),
        };
        let arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1";
        assert!(super::listed(summary("ACTIVE", arn)).is_some());
        assert!(super::listed(summary("DELETING", arn)).is_none());
        assert!(super::listed(summary("ACTIVE", "arn:aws:bedrock:us-east-1::inference-profile/us.a.b")).is_none());
    }
}
