//! Service Quotas: the one quota of Bedrock that matters to who makes profiles, under the code and the name that it has in AWS's
//! General Reference.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/bedrock.html#limits_bedrock>

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::mock::callers::Caller;
use crate::mock::calls::Calls;
use crate::mock::refusal::Refusal;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Question {
    service_code: Option<String>,
    quota_code: Option<String>,
}

const CODE: &str = "L-40EC9882";
const NAME: &str = "Inference profiles per account";

impl Calls {
    pub(super) fn get_service_quota(&self, caller: &Caller, body: &[u8]) -> Result<Answer, Refusal> {
        self.iam.demand(caller, "servicequotas:GetServiceQuota", None)?;
        let question: Question = serde_json::from_slice(body).map_err(|_| Refusal::serialization())?;
        if question.service_code.as_deref() == Some("bedrock") && question.quota_code.as_deref() == Some(CODE) {
            return Ok(Answer::ok(json!({ "Quota": self.profile_quota(caller) })));
        }
        Err(Refusal::fault(
            StatusCode::BAD_REQUEST,
            "NoSuchResourceException",
            "The request failed because the specified service quota does not exist.",
        ))
    }

    pub(super) fn list_service_quotas(&self, caller: &Caller, body: &[u8]) -> Result<Answer, Refusal> {
        self.iam.demand(caller, "servicequotas:ListServiceQuotas", None)?;
        let question: Question = serde_json::from_slice(body).map_err(|_| Refusal::serialization())?;
        let asked = question.quota_code.as_deref().is_none_or(|code| code == CODE);
        match question.service_code.as_deref() {
            Some("bedrock") if asked => Ok(Answer::ok(json!({ "Quotas": [self.profile_quota(caller)] }))),
            Some("bedrock") => Ok(Answer::ok(json!({ "Quotas": [] }))),
            _ => {
                let message = "The request failed because the specified service does not exist.";
                Err(Refusal::fault(StatusCode::BAD_REQUEST, "NoSuchResourceException", message))
            }
        }
    }

    fn profile_quota(&self, caller: &Caller) -> Value {
        let place = &caller.place;
        let (partition, region, account) = (place.partition(), &place.region, &place.account);
        json!({
            "ServiceCode": "bedrock",
            "ServiceName": "Amazon Bedrock",
            "QuotaArn": format!("arn:{partition}:servicequotas:{region}:{account}:bedrock/{CODE}"),
            "QuotaCode": CODE,
            "QuotaName": NAME,
            "Value": self.control.profile_quota,
            "Unit": "None",
            "Adjustable": true,
            "GlobalQuota": false,
            "QuotaAppliedAtLevel": "ACCOUNT",
        })
    }
}
