//! The Resource Groups Tagging API: the tags of all profiles of a place, a hundred at a time, in place of one question for each.

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};

use super::{ControlError, Place, Question, Service, SharedControlPlane, ask};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Get<'a> {
    resource_type_filters: [&'static str; 1],
    resources_per_page: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination_token: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    resource_tag_mapping_list: Vec<Mapping>,
    #[serde(default)]
    pagination_token: String,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(rename = "ResourceARN")]
    arn: String,
    #[serde(rename = "Tags", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// The tags that are wanted, of every profile of a place that has any, by ARN.
pub(in crate::profiles) async fn tags(
    control: &SharedControlPlane,
    place: &Place,
    wanted: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<HashMap<String, Vec<(String, String)>>, ControlError> {
    let mut all = HashMap::new();
    let mut token = String::new();
    loop {
        let body = Get {
            resource_type_filters: ["bedrock:application-inference-profile"],
            resources_per_page: 100,
            pagination_token: Some(token.as_str()).filter(|token| !token.is_empty()),
        };
        let question = Question {
            service: Service::Tagging,
            place: place.clone(),
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            target: Some("ResourceGroupsTaggingAPI_20170126.GetResources"),
            body: serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default(),
        };
        let page: Page = ask(control, question).await?;
        for Mapping { arn, tags } in page.resource_tag_mapping_list {
            let tags = tags.into_iter().filter(|tag| wanted(&tag.key)).map(|tag| (tag.key, tag.value));
            all.insert(arn, tags.collect());
        }
        if page.pagination_token.is_empty() || page.pagination_token == token {
            return Ok(all);
        }
        token = page.pagination_token;
    }
}
