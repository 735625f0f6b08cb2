//! `GetResources` of the Resource Groups Tagging API, of which application inference profiles are the only resources here.
//!
//! It tells of resources that have tags or ever had some. Pages are cut before filters are applied, as AWS reserves the
//! right to: a page may be shorter than asked, or empty, and still not be the last; the last has an empty token.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use super::pages::{Token, page};
use crate::mock::callers::Caller;
use crate::mock::calls::Calls;
use crate::mock::estate::Shown;
use crate::mock::lag::View;
use crate::mock::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Question {
    pagination_token: Option<String>,
    tag_filters: Vec<TagFilter>,
    resources_per_page: Option<i64>,
    tags_per_page: Option<i64>,
    resource_type_filters: Vec<String>,
    #[serde(rename = "ResourceARNList")]
    resource_arn_list: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TagFilter {
    key: Option<String>,
    values: Vec<String>,
}

/// For how long a token leads to the next page.
const TOKEN_SECONDS: u64 = 15 * 60;
const MOST_PER_PAGE: usize = 100;

impl Calls {
    pub(super) fn get_resources(&self, caller: &Caller, body: &[u8]) -> Result<Answer, Refusal> {
        self.iam.demand(caller, "tag:GetResources", None)?;
        let question: Question = serde_json::from_slice(body).map_err(|_| Refusal::serialization())?;
        let size = question.check()?.min(self.control.page_size);
        let place = &caller.place;
        let asked = format!(
            "{} {} {:?} {:?}",
            place.account, place.region, question.tag_filters, question.resource_type_filters
        );
        let now = self.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let after = match question.pagination_token.as_deref().unwrap_or_default() {
            "" => 0,
            text => {
                let token = Token::read(text, &asked).ok_or_else(|| invalid("The PaginationToken is invalid."))?;
                if token.made + TOKEN_SECONDS < now {
                    let message = "The PaginationToken has expired.";
                    return Err(Refusal::fault(StatusCode::BAD_REQUEST, "PaginationTokenExpiredException", message));
                }
                token.after
            }
        };
        let known = self.control.estate.all(View::Tagging, place).into_iter().filter(|profile| profile.ever_tagged);
        let (found, next) = match &question.resource_arn_list {
            None => page(known.map(|profile| (profile.number, profile)).collect(), after, size),
            Some(arns) => (known.filter(|profile| arns.iter().any(|arn| arn == profile.arn.as_str())).collect(), None),
        };
        let list: Vec<Value> = found.iter().filter(|profile| question.fits(profile)).map(mapping).collect();
        let token = next.map_or_else(String::new, |next| Token::new(&asked, next, now).write());
        Ok(Answer::ok(json!({ "PaginationToken": token, "ResourceTagMappingList": list })))
    }
}

impl Question {
    /// How many resources a page has.
    fn check(&self) -> Result<usize, Refusal> {
        let filtered = !self.tag_filters.is_empty() || !self.resource_type_filters.is_empty();
        let paged =
            self.resources_per_page.is_some() || self.tags_per_page.is_some() || self.pagination_token.is_some();
        if let Some(arns) = &self.resource_arn_list {
            if filtered || paged {
                return Err(invalid("ResourceARNList cannot be used together with filters or pagination."));
            }
            if arns.is_empty() || arns.len() > 100 {
                return Err(invalid("ResourceARNList must have from 1 to 100 members."));
            }
        }
        if self.resource_type_filters.len() > 100 {
            return Err(invalid("ResourceTypeFilters must have at most 100 members."));
        }
        if self.tag_filters.len() > 50 || self.tag_filters.iter().any(|filter| filter.values.len() > 20) {
            return Err(invalid("TagFilters must have at most 50 members of 20 values each."));
        }
        let is_key = |key: &str| !key.is_empty() && key.chars().count() <= 128;
        if !self.tag_filters.iter().all(|filter| filter.key.as_deref().is_some_and(is_key)) {
            return Err(invalid("Each of TagFilters must have a Key of 1 to 128 characters."));
        }
        if self.tags_per_page.is_some_and(|tags| !(100..=500).contains(&tags)) {
            return Err(invalid("TagsPerPage must be from 100 to 500."));
        }
        match self.resources_per_page.map(usize::try_from) {
            None => Ok(MOST_PER_PAGE),
            Some(Ok(size @ 1..=MOST_PER_PAGE)) => Ok(size),
            Some(_) => Err(invalid("ResourcesPerPage must be from 1 to 100.")),
        }
    }

    fn fits(&self, profile: &Shown) -> bool {
        let kinds = &self.resource_type_filters;
        let of_kind = kinds.is_empty()
            || kinds.iter().any(|kind| matches!(kind.as_str(), "bedrock" | "bedrock:application-inference-profile"));
        of_kind
            && self.tag_filters.iter().all(|filter| {
                let value = profile.tags.get(filter.key.as_deref().unwrap_or_default());
                value.is_some_and(|value| filter.values.is_empty() || filter.values.contains(value))
            })
    }
}

fn mapping(profile: &Shown) -> Value {
    let tags: Vec<Value> = profile.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    json!({ "ResourceARN": profile.arn.as_str(), "Tags": tags })
}

fn invalid(message: &str) -> Refusal {
    Refusal::fault(StatusCode::BAD_REQUEST, "InvalidParameterException", message)
}
