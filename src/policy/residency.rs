//! Data residency: in which Regions a call may be served at all.
//!
//! A call is allowed where *every* Region in which AWS may serve it is allowed, as IAM has it, which evaluates a cross-Region
//! profile for each of its destinations:
//!
//! - the Region whose endpoint is called: the one in the profile's ARN, or the gateway's own for a guardrail;
//! - for a profile made from a geographic one (`eu.…`), every Region of that geography;
//! - for one made from a `global.…` profile, `unspecified`, which is IAM's value of `aws:RequestedRegion` there. No Region's
//!   name fits it, so a list of Regions refuses such profiles as it does in IAM; `deny_global` refuses them without a list;
//! - a prefix that is not known here could be served anywhere, and counts as `unspecified` too.
//!
//! Which Regions a geography has differs by model; [`Geography::regions`] counts all that are known. A guardrail that has a
//! guardrail profile of its own is not looked into, as a request does not tell.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html>

use std::fmt;

use crate::profiles::{Profile, Target};
use crate::types::{Arn, Geography, Region, RegionPattern};

/// What is done with profiles that AWS serves in any Region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GlobalProfiles {
    /// They may be called, unless there is a list of Regions, and nothing like `unspecified` on it.
    #[default]
    ByRegion,
    /// They are refused.
    Denied,
}

/// Where calls may be served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Without a list every Region is allowed.
    allowed: Option<Vec<RegionPattern>>,
    global: GlobalProfiles,
    /// The Region of calls that name no profile.
    home: Option<Region>,
}

impl Residency {
    /// Calls may be served in these Regions; in all where there is no list, in none where it is empty.
    pub const fn new(allowed: Option<Vec<RegionPattern>>, global: GlobalProfiles) -> Self {
        Self { allowed, global, home: None }
    }

    /// Notes the Region to which calls go that name no profile.
    #[must_use]
    pub fn with_home(self, home: Region) -> Self {
        Self { home: Some(home), ..self }
    }

    /// The list, as it is told.
    pub fn allowed(&self) -> Option<&[RegionPattern]> {
        self.allowed.as_deref()
    }

    /// What is done with global profiles.
    pub const fn global(&self) -> GlobalProfiles {
        self.global
    }

    /// Whether a call may go there. `CountTokens` is held to what its profile is held to, though it asks the Region of the ARN
    /// alone: what may not be called is not counted for either.
    pub fn check(&self, target: &Target) -> Result<(), Outside> {
        match target {
            Target::Profile(profile) | Target::BaseModel(profile) => self.check_profile(profile),
            Target::Guardrail { identifier, .. } => {
                let named = Arn::parse(identifier).map(|arn| arn.region).filter(|region| !region.is_empty());
                let home = self.home.as_ref().map(Region::as_str);
                named.into_iter().chain(home).try_for_each(|region| self.check_region(region))
            }
        }
    }

    /// Whether calls may go through a profile.
    pub fn check_profile(&self, profile: &Profile) -> Result<(), Outside> {
        self.check_region(profile.arn().region().as_str())?;
        match (profile.source().geography(), profile.source().unknown_prefix()) {
            (Some(geography), _) => self.check_geography(geography),
            (None, Some(prefix)) if !self.allows(RegionPattern::UNSPECIFIED) => {
                Err(Outside::Anywhere { prefix: prefix.to_owned(), allowed: self.told() })
            }
            (None, _) => Ok(()),
        }
    }

    /// Whether a Region's endpoint may be called.
    pub fn check_region(&self, region: &str) -> Result<(), Outside> {
        if self.allows(region) {
            return Ok(());
        }
        Err(Outside::Region { region: region.to_owned(), allowed: self.told() })
    }

    /// Whether profiles of a geography may be called.
    pub fn check_geography(&self, geography: Geography) -> Result<(), Outside> {
        let prefix = geography.prefix();
        let outside: Vec<_> = geography.regions().iter().copied().filter(|region| !self.allows(region)).collect();
        if geography == Geography::Global && self.global == GlobalProfiles::Denied {
            Err(Outside::Global)
        } else if outside.is_empty() {
            Ok(())
        } else if geography == Geography::Global {
            Err(Outside::Anywhere { prefix: prefix.to_owned(), allowed: self.told() })
        } else {
            Err(Outside::Geography { prefix, outside, allowed: self.told() })
        }
    }

    fn allows(&self, region: &str) -> bool {
        self.allowed.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.fits(region)))
    }

    fn told(&self) -> String {
        let patterns: Vec<_> = self.allowed.iter().flatten().map(ToString::to_string).collect();
        if patterns.is_empty() { "none".to_owned() } else { patterns.join(", ") }
    }
}

/// In which way a call could be served outside of the allowed Regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The Region that is called is not allowed.
    Region {
        /// That Region.
        region: String,
        /// What is.
        allowed: String,
    },
    /// Some Regions of the profile's geography are not.
    Geography {
        /// Its prefix.
        prefix: &'static str,
        /// Those Regions.
        outside: Vec<&'static str>,
        /// What is allowed.
        allowed: String,
    },
    /// The profile may be served in any Region, or nobody here knows in which.
    Anywhere {
        /// Its prefix.
        prefix: String,
        /// What is allowed.
        allowed: String,
    },
    /// Global profiles are denied.
    Global,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region { region, allowed } => {
                write!(f, "the Region {region} is not one of those that are allowed ({allowed})")
            }
            Self::Geography { prefix, outside, allowed } => {
                let outside = outside.join(", ");
                write!(f, "AWS may serve profiles of `{prefix}.` in {outside} too, and allowed are {allowed}")
            }
            Self::Anywhere { prefix, allowed } => {
                write!(f, "AWS may serve profiles of `{prefix}.` in any Region, and allowed are {allowed}")
            }
            Self::Global => f.write_str("AWS may serve profiles of `global.` in any Region, which is denied"),
        }
    }
}

#[cfg(test)]
mod tests;
