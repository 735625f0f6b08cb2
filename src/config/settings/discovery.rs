//! `[[accounts]]`, `[discovery]` and `[[vending]]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::profiles::Rule;
use crate::profiles::vending::VendingRule;
use crate::types::{AccountId, Models, Owners, Region};
use crate::upstream::AssumedRole;

/// An AWS account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its id.
    pub account: AccountId,
    /// The Regions in which it has profiles.
    pub regions: Vec<Region>,
    /// The role that is assumed there; without one calls are the gateway's own.
    pub role: Option<AssumedRole>,
}

/// How profiles are found in AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// How often everything is read again.
    pub every: Duration,
    /// Where what was found is kept for the next start.
    pub file: PathBuf,
    /// How long a request waits for a profile that is being made.
    pub vending_wait: Duration,
    /// The control plane, in place of AWS's own endpoints.
    pub endpoint: Option<http::Uri>,
    /// Whose the profiles are, the closest rule first; at least one.
    pub rules: Vec<Rule>,
}

/// What is done for whoever asks for a model and has no profile of it; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VendingSettings {
    /// They are told that they have none.
    Refuse {
        /// For whom.
        owners: Owners,
        /// Of which models.
        models: Models,
    },
    /// One is made.
    Create(VendingRule),
}
