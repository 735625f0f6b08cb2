//! Service Quotas: how many inference profiles an account may have in a Region.
//!
//! The quota is known by its code, under which AWS's General Reference has it. Where Service Quotas knows no value of its own for the
//! account, it lists none.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/bedrock.html#limits_bedrock>

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};

use super::{ControlError, Place, Question, Service, SharedControlPlane, ask};

/// What AWS calls the quota.
pub const NAME: &str = "Inference profiles per account";
/// AWS's code of it.
pub const CODE: &str = "L-40EC9882";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List<'a> {
    service_code: &'a str,
    quota_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    quotas: Vec<Quota>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    #[serde(default)]
    quota_code: String,
    value: Option<f64>,
}

/// How many inference profiles the account of a place may have there.
pub(in crate::profiles) async fn profiles(control: &SharedControlPlane, place: &Place) -> Result<usize, ControlError> {
    let mut token: Option<String> = None;
    loop {
        let body = List { service_code: "bedrock", quota_code: CODE, next_token: token.as_deref() };
        let question = Question {
            service: Service::Quotas,
            place: place.clone(),
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            target: Some("ServiceQuotasV20190624.ListServiceQuotas"),
            body: serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default(),
        };
        let page: Page = ask(control, question).await?;
        let found = page.quotas.iter().find(|quota| quota.quota_code == CODE).and_then(|quota| whole(quota.value?));
        if let Some(found) = found {
            return Ok(found);
        }
        match page.next_token.filter(|next| !next.is_empty()) {
            // A page that leads to itself would never end.
            Some(next) if token.as_deref() != Some(next.as_str()) => token = Some(next),
            Some(_) | None => {
                return Err(ControlError::NotFound(format!("Service Quotas lists no value of \"{NAME}\" ({CODE})")));
            }
        }
    }
}

/// A number of things, which AWS writes as a number with a point.
fn whole(value: f64) -> Option<usize> {
    format!("{:.0}", value.floor()).parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::profiles::control::{Asked, ControlPlane, Reply};

    /// Answers with these pages, one after the other.
    #[derive(Debug)]
    struct Pages(Mutex<Vec<&'static str>>, Mutex<Vec<String>>);

    impl ControlPlane for Pages {
        fn ask(&self, question: Question) -> Asked {
            assert_eq!((question.service, question.path.as_str()), (Service::Quotas, "/"));
            self.1.lock().unwrap().push(String::from_utf8(question.body.to_vec()).unwrap());
            let body = Bytes::from(self.0.lock().unwrap().remove(0));
            Box::pin(std::future::ready(Ok(Reply { status: 200, error: None, body })))
        }
    }

    async fn read(pages: &[&'static str]) -> (Result<usize, ControlError>, Vec<String>) {
        let place = Place { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let answers = Arc::new(Pages(Mutex::new(pages.to_vec()), Mutex::default()));
        let control: SharedControlPlane = Arc::clone(&answers) as SharedControlPlane;
        let read = profiles(&control, &place).await;
        let asked = answers.1.lock().unwrap().clone();
        (read, asked)
    }

    #[tokio::test]
    async fn the_quota_is_found_by_its_code_on_whatever_page() {
        let other = "{\"Quotas\":[{\"QuotaCode\":\"L-0E5A840C\",\"Value\":100.0}],\"NextToken\":\"n\"}";
        let own = "{\"Quotas\":[{\"QuotaCode\":\"L-40EC9882\",\"Value\":1000.0}]}";
        let (quota, asked) = read(&[other, own]).await;
        assert_eq!(quota, Ok(1_000));
        assert_eq!(asked[0], "{\"ServiceCode\":\"bedrock\",\"QuotaCode\":\"L-40EC9882\"}");
        assert!(asked[1].ends_with("\"NextToken\":\"n\"}"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_quota_that_is_not_listed_or_is_no_number_is_not_known() {
        let itself = "{\"Quotas\":[],\"NextToken\":\"n\"}";
        let no_number = "{\"Quotas\":[{\"QuotaCode\":\"L-40EC9882\"}]}";
        let negative = "{\"Quotas\":[{\"QuotaCode\":\"L-40EC9882\",\"Value\":-1.0}]}";
        for pages in [&["{}"][..], &[itself, itself], &[no_number], &[negative]] {
            let (quota, _) = read(pages).await;
            assert!(matches!(quota, Err(ControlError::NotFound(_))), "{quota:?}");
        }
    }
}
