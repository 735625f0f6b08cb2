//! Whose a discovered profile is: rules on its tags, as an ABAC policy has them.
//!
//! `aws:ResourceTag/UserEmail` equal to `aws:PrincipalTag/UserEmail` is `Rule { profile_tag: "UserEmail", owner: Tag("UserEmail") }`.
//! Keys and values are compared byte for byte, and nothing in them is a wildcard. A tag that is missing or empty makes a profile
//! nobody's: with IAM's `StringEquals` and a missing principal tag the same policy would match every profile that was forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Profile;
use crate::identity::Principal;
use crate::types::{ModelId, ProfileArn};

/// Whose the profiles with a tag are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The key of the profile's tag.
    pub profile_tag: String,
    /// What its value has to be.
    pub owner: Match,
}

/// What the value of a profile's tag has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The value of the principal's tag of this key.
    Tag(String),
    /// The principal's name.
    Name,
    /// The name of a group of the principal's.
    Group,
}

impl Rule {
    /// Whether a profile is a principal's by this rule whose tag has this value; an empty one is nobody's.
    pub fn gives(&self, value: &str, principal: &Principal) -> bool {
        let theirs = match &self.owner {
            Match::Tag(key) => principal.tags().value(key) == Some(value),
            Match::Name => principal.name() == value,
            Match::Group => principal.groups().iter().any(|group| group == value),
        };
        theirs && !value.is_empty()
    }
}

/// A profile that was found in AWS, with the tags that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Keys and values; a key stands there once.
    pub tags: Box<[(Arc<str>, Box<str>)]>,
}

impl Found {
    /// A profile that has just been made.
    pub(super) fn of(arn: ProfileArn, name: &str, source: &ModelId, tags: &BTreeMap<String, String>) -> Self {
        let tags = tags.iter().map(|(key, value)| (Arc::from(key.as_str()), Box::from(value.as_str())));
        Self { profile: Arc::new(Profile::new(name, arn, source.clone())), tags: tags.collect() }
    }

    /// The value of a tag; an empty value counts as absent.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(own, _)| own.as_ref() == key);
        found.map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    }
}
