//! `[[accounts]]` and `[discovery]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::profiles::Rule;
use crate::types::{AccountId, Region};

/// An AWS account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its id.
    pub account: AccountId,
    /// The Regions in which it has profiles.
    pub regions: Vec<Region>,
}

/// How profiles are found in AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// How often everything is read again.
    pub every: Duration,
    /// Where what was found is kept for the next start.
    pub file: PathBuf,
    /// The control plane, in place of AWS's own endpoints.
    pub endpoint: Option<http::Uri>,
    /// Whose the profiles are, the closest rule first; at least one.
    pub rules: Vec<Rule>,
}
