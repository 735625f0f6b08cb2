//! Accounts, Regions, and the ARNs of what is in them.

use crate::types::{AccountId, ModelId, Region};

/// An account's part of a Region: what control planes list, and what a profile belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) account: AccountId,
    pub(super) region: Region,
}

impl Place {
    pub(super) fn partition(&self) -> &'static str {
        let region = self.region.as_str();
        match region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("eusc") => "aws-eusc",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The ARN of something of Bedrock's that belongs to the account.
    pub(super) fn arn(&self, resource: &str) -> String {
        format!("arn:{}:bedrock:{}:{}:{resource}", self.partition(), self.region, self.account)
    }

    /// A guardrail's ARN.
    pub(super) fn guardrail_arn(&self, identifier: &str) -> String {
        self.arn(&format!("guardrail/{identifier}"))
    }

    /// The ARN that IAM and the control plane have for a foundation model's id or a system-defined profile's.
    pub(super) fn model_arn(&self, id: &ModelId) -> String {
        match id.geography() {
            Some(_) => self.arn(&format!("inference-profile/{id}")),
            None => foundation_arn(self.partition(), self.region.as_str(), id),
        }
    }
}

/// A foundation model's ARN; it belongs to no account, and to no Region where it is served from any.
pub(super) fn foundation_arn(partition: &str, region: &str, id: &ModelId) -> String {
    format!("arn:{partition}:bedrock:{region}::foundation-model/{id}")
}
