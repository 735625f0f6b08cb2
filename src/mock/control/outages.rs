//! Services that fail for a while: the next so many calls, whatever they ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// A service of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MockService {
    /// Bedrock's control plane: profiles, their tags, foundation models. Model calls are not among it.
    Bedrock,
    /// The Resource Groups Tagging API.
    Tagging,
    /// The Security Token Service.
    Sts,
    /// Service Quotas.
    ServiceQuotas,
}

impl MockService {
    /// The service's name in a credential scope.
    pub(super) const fn signing_name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Tagging => "tagging",
            Self::Sts => "sts",
            Self::ServiceQuotas => "servicequotas",
        }
    }
}

/// How a service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MockFailure {
    /// Each call is one too many: `ThrottlingException` 429 of Bedrock, 400 of services that speak JSON, `Throttling` 400 of
    /// STS.
    Throttled,
    /// It answers 500 with its own error.
    Outage,
    /// It cuts the connection without an answer.
    Cut,
}

/// Failures that are still to happen.
#[derive(Debug, Default)]
pub(in crate::mock) struct Outages(Mutex<BTreeMap<MockService, (MockFailure, u32)>>);

impl Outages {
    /// Has the next `times` calls fail, in place of what was said before; `u32::MAX` is for ever.
    pub(in crate::mock) fn set(&self, service: MockService, failure: MockFailure, times: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service, (failure, times));
    }

    pub(in crate::mock) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How the call that is being answered fails.
    pub(super) fn next(&self, service: MockService) -> Option<MockFailure> {
        let mut outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (failure, left) = outages.get_mut(&service)?;
        match *left {
            0 => return None,
            u32::MAX => {}
            _ => *left -= 1,
        }
        Some(*failure)
    }
}
