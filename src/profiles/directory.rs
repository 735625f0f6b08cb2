//! The directory: which profiles there are, and whose they are.
//!
//! It is built whole from the configuration's grants and from what discovery has found, and never changes, so that a name means
//! one thing for as long as a directory lives; a change is a new directory. Whatever the configuration could mean in two ways is
//! refused when it is built. What was found in AWS cannot be refused: there the first by the documented order counts.
//!
//! For each owner (a principal, a group, the value of a tag, everyone) there is one [`Names`], so that resolving takes a few
//! look-ups however many profiles there are.

mod error;
mod names;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::rule::{Found, Match, Rule};
use super::{Grant, Profile, Reach, Unsourced};
use crate::identity::Principal;
use crate::types::{Owners, ProfileArn, QuickMap};

pub use error::DirectoryError;
pub use names::Fit;
pub(super) use names::{Granted, Names};

/// The profiles that there are, by owner and by name.
#[derive(Debug, Default)]
pub struct Directory {
    principals: QuickMap<String, Names>,
    groups: QuickMap<String, Names>,
    everyone: Names,
    /// What was found, by the rules that say whose it is, in their order.
    found: Vec<ByRule>,
    read_at: Option<Timestamp>,
}

/// What a rule gives, by the value of the profile's tag.
#[derive(Debug)]
struct ByRule {
    rule: Rule,
    names: QuickMap<Box<str>, Names>,
}

/// As whom a principal owns profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'d> {
    /// By their own name, in the configuration.
    Principal,
    /// By a rule on the tags of what was found.
    Rule {
        /// The rule's place among the rules, from 0.
        at: usize,
        /// The rule.
        rule: &'d Rule,
        /// What the profile's tag has to say: the value of the principal's tag, which they may lack, or a name of theirs.
        value: Option<&'d str>,
    },
    /// As a member of a group, in the configuration.
    Group(&'d str),
    /// As everyone does.
    Everyone,
}

impl Directory {
    /// Builds a directory of grants alone. Their order is the configuration's.
    #[cfg(test)]
    pub fn new(grants: Vec<Grant>) -> Result<Self, DirectoryError> {
        Self::build(grants, &[], std::iter::empty())
    }

    /// Builds a directory of grants and of what was found, the closest first. A profile that is both is the grant's.
    pub fn build(
        grants: Vec<Grant>,
        rules: &[Rule],
        found: impl IntoIterator<Item = Found>,
    ) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        let mut names = HashSet::new();
        let mut sources: HashMap<ProfileArn, Arc<Profile>> = HashMap::new();
        for Grant { profile, owners, reach, aliases } in grants {
            let profile = Arc::new(profile);
            check(&profile, &owners, &aliases)?;
            if !names.insert(profile.name().to_owned()) {
                return Err(DirectoryError::NameTwice { name: profile.name().to_owned() });
            }
            let first = sources.entry(profile.arn().clone()).or_insert_with(|| Arc::clone(&profile));
            if first.source() != profile.source() {
                return Err(DirectoryError::Sources {
                    arn: profile.arn().to_string(),
                    first: first.name().to_owned(),
                    second: profile.name().to_owned(),
                });
            }
            if reach == Reach::ArnAlone {
                directory.grant_exact(&profile, &owners);
                continue;
            }
            match &owners {
                Owners::Everyone => directory.everyone.grant(&profile, &aliases, || "everyone".to_owned())?,
                Owners::Only { principals, groups } => {
                    for owner in principals {
                        let names = directory.principals.entry(owner.clone()).or_default();
                        names.grant(&profile, &aliases, || format!("principal {owner}"))?;
                    }
                    for owner in groups {
                        let names = directory.groups.entry(owner.clone()).or_default();
                        names.grant(&profile, &aliases, || format!("group {owner}"))?;
                    }
                }
            }
        }
        directory.found = rules.iter().map(ByRule::of).collect();
        for found in found {
            let profile = sources.get(found.profile.arn()).unwrap_or(&found.profile);
            for (rule, by_rule) in rules.iter().zip(&mut directory.found) {
                let Some(value) = found.tag(&rule.profile_tag) else { continue };
                let names = match by_rule.names.get_mut(value) {
                    Some(names) => names,
                    None => by_rule.names.entry(value.into()).or_default(),
                };
                names.find(profile);
            }
        }
        directory.finish();
        Ok(directory)
    }

    /// Notes profiles of which is not known yet what they were made from, so that a name of theirs does not lead elsewhere meanwhile.
    #[must_use]
    pub fn awaiting(mut self, awaited: &[Arc<Unsourced>]) -> Self {
        for own in awaited {
            match &own.owners {
                Owners::Everyone => self.everyone.await_source(own),
                Owners::Only { principals, groups } => {
                    for owner in principals {
                        self.principals.entry(owner.clone()).or_default().await_source(own);
                    }
                    for owner in groups {
                        self.groups.entry(owner.clone()).or_default().await_source(own);
                    }
                }
            }
        }
        self
    }

    fn grant_exact(&mut self, profile: &Arc<Profile>, owners: &Owners) {
        match owners {
            Owners::Everyone => self.everyone.grant_exact(profile),
            Owners::Only { principals, groups } => {
                for owner in principals {
                    self.principals.entry(owner.clone()).or_default().grant_exact(profile);
                }
                for owner in groups {
                    self.groups.entry(owner.clone()).or_default().grant_exact(profile);
                }
            }
        }
    }

    fn finish(&mut self) {
        let found = self.found.iter_mut().flat_map(|by_rule| by_rule.names.values_mut());
        let listed = self.principals.values_mut().chain(self.groups.values_mut());
        for names in listed.chain(found).chain(std::iter::once(&mut self.everyone)) {
            names.finish();
        }
    }

    /// Notes when the directory was read; the look-alike gives this time as its profiles' own.
    #[must_use]
    pub fn dated(self, read_at: SystemTime) -> Self {
        Self { read_at: Timestamp::try_from(read_at).ok(), ..self }
    }

    /// The profiles of a principal, the closest first, each once, in their order within the same owner.
    pub fn profiles_of<'d>(&'d self, principal: &'d Principal) -> impl Iterator<Item = &'d Arc<Profile>> {
        self.granted_to(principal).map(|granted| &granted.profile)
    }

    pub(super) fn granted_to<'d>(&'d self, principal: &'d Principal) -> impl Iterator<Item = &'d Granted> {
        let mut seen = HashSet::new();
        let all = self.owners_of(principal).flat_map(|(_, names)| names.granted());
        all.filter(move |granted| seen.insert(granted.profile.arn()))
    }

    /// What is known under the names by which a principal owns profiles, the closest first.
    pub(super) fn owners_of<'d>(&'d self, principal: &'d Principal) -> impl Iterator<Item = (Owner<'d>, &'d Names)> {
        self.candidates(principal).filter_map(|(owner, names)| Some((owner, names?)))
    }

    /// As whom a principal may own profiles, the closest first, and what is known there: their own in the configuration,
    /// what the rules on tags and names find, then group by group the configuration's and what the rules on groups find, then
    /// everyone's. A tag that is missing or empty is nobody's.
    pub(super) fn candidates<'d>(
        &'d self,
        principal: &'d Principal,
    ) -> impl Iterator<Item = (Owner<'d>, Option<&'d Names>)> {
        let rules = move |of_groups: bool| {
            let rules = self.found.iter().enumerate();
            rules.filter(move |(_, by_rule)| (by_rule.rule.owner == Match::Group) == of_groups)
        };
        let own = (Owner::Principal, self.principals.get(principal.name()));
        let found = rules(false).map(move |(at, by_rule)| {
            let value = match &by_rule.rule.owner {
                Match::Tag(key) => principal.tags().value(key),
                Match::Name | Match::Group => Some(principal.name()),
            };
            by_rule.candidate(at, value)
        });
        let groups = principal.groups().iter().flat_map(move |group| {
            let listed = (Owner::Group(group.as_str()), self.groups.get(group));
            let found = rules(true).map(move |(at, by_rule)| by_rule.candidate(at, Some(group.as_str())));
            std::iter::once(listed).chain(found)
        });
        let everyone = (Owner::Everyone, Some(&self.everyone));
        std::iter::once(own).chain(found).chain(groups).chain(std::iter::once(everyone))
    }

    pub(super) const fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }
}

impl ByRule {
    fn of(rule: &Rule) -> Self {
        Self { rule: rule.clone(), names: QuickMap::default() }
    }

    fn candidate<'d>(&'d self, at: usize, value: Option<&'d str>) -> (Owner<'d>, Option<&'d Names>) {
        (Owner::Rule { at, rule: &self.rule, value }, value.and_then(|value| self.names.get(value)))
    }
}

/// Refuses a grant that could not be used as it was meant.
fn check(profile: &Profile, owners: &Owners, aliases: &[String]) -> Result<(), DirectoryError> {
    let name = profile.name();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" _-.".contains(&byte));
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !plain || name.trim() != name {
        return Err(DirectoryError::Name { name: name.escape_default().take(MAX_NAME_BYTES).collect() });
    }
    if let Owners::Only { principals, groups } = owners
        && (principals.is_empty() && groups.is_empty() || principals.iter().chain(groups).any(String::is_empty))
    {
        return Err(DirectoryError::Nobody { profile: name.to_owned() });
    }
    let written = |alias: &&String| {
        let plain = alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte));
        plain && !alias.is_empty() && alias.len() <= MAX_ALIAS_BYTES && !alias.starts_with("arn:")
    };
    match aliases.iter().find(|alias| !written(alias)) {
        Some(alias) => Err(DirectoryError::Alias {
            profile: name.to_owned(),
            alias: alias.escape_default().take(MAX_NAME_BYTES).collect(),
        }),
        None => Ok(()),
    }
}

/// AWS's limit on an inference profile's name.
const MAX_NAME_BYTES: usize = 64;
/// AWS's limit on a `modelId`.
const MAX_ALIAS_BYTES: usize = 2_048;

#[cfg(test)]
mod tests;
