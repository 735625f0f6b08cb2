//! The directory: which profiles there are, and whose they are.
//!
//! It is built whole from grants and never changes, so that a name means one thing for as long as a directory lives; a
//! change is a new directory. Whatever could be understood in two ways is refused when it is built. For each owner (a
//! principal, a group, everyone) there is one map a kind of name, so that resolving takes a few look-ups however many
//! profiles there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::{Grant, Profile};
use crate::identity::Principal;
use crate::types::{ModelId, ModelName, Owners, ProfileArn};

/// The profiles that there are, by owner and by name.
#[derive(Debug, Default)]
pub struct Directory {
    principals: HashMap<String, Names>,
    groups: HashMap<String, Names>,
    everyone: Names,
    read_at: Option<Timestamp>,
}

/// The profiles of one owner. Lists and maps keep what came first in the configuration.
#[derive(Debug, Default)]
pub(super) struct Names {
    granted: Vec<Granted>,
    /// By name, id, ARN and alias.
    exact: HashMap<String, Arc<Profile>>,
    by_source: HashMap<ModelId, Arc<Profile>>,
    by_base_model: HashMap<ModelId, Arc<Profile>>,
}

/// A profile as its owner has it.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) profile: Arc<Profile>,
    /// The first alias, if there is one: the word that people know it by.
    pub(super) alias: Option<String>,
}

impl Directory {
    /// Builds a directory. The order of the grants is the configuration's.
    pub fn new(grants: Vec<Grant>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        let mut names = HashSet::new();
        let mut sources: HashMap<ProfileArn, Arc<Profile>> = HashMap::new();
        for Grant { profile, owners, aliases } in grants {
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
            match &owners {
                Owners::Everyone => directory.everyone.add(&profile, &aliases, "everyone")?,
                Owners::Only { principals, groups } => {
                    for owner in principals {
                        let names = directory.principals.entry(owner.clone()).or_default();
                        names.add(&profile, &aliases, &format!("principal {owner}"))?;
                    }
                    for owner in groups {
                        let names = directory.groups.entry(owner.clone()).or_default();
                        names.add(&profile, &aliases, &format!("group {owner}"))?;
                    }
                }
            }
        }
        Ok(directory)
    }

    /// Notes when the directory was read; the look-alike gives this time as its profiles' own.
    #[must_use]
    pub fn dated(self, read_at: SystemTime) -> Self {
        Self { read_at: Timestamp::try_from(read_at).ok(), ..self }
    }

    /// The profiles of a principal, the closest first: their own, then those of their groups in the order of the groups,
    /// then everyone's; each once, in the order of the configuration within the same owner.
    pub fn profiles_of<'d>(&'d self, principal: &Principal) -> impl Iterator<Item = &'d Arc<Profile>> {
        self.granted_to(principal).map(|granted| &granted.profile)
    }

    pub(super) fn granted_to<'d>(&'d self, principal: &Principal) -> impl Iterator<Item = &'d Granted> {
        let mut seen = HashSet::new();
        let all = self.owners_of(principal).flat_map(|names| &names.granted);
        all.filter(move |granted| seen.insert(granted.profile.arn()))
    }

    /// What is known under the names by which a principal owns profiles, the closest first.
    pub(super) fn owners_of<'d>(&'d self, principal: &Principal) -> impl Iterator<Item = &'d Names> {
        let own = self.principals.get(principal.name());
        let groups = principal.groups().iter().filter_map(|group| self.groups.get(group));
        own.into_iter().chain(groups).chain(std::iter::once(&self.everyone))
    }

    pub(super) const fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }
}

impl Names {
    fn add(&mut self, profile: &Arc<Profile>, aliases: &[String], owner: &str) -> Result<(), DirectoryError> {
        let own = [profile.name(), profile.arn().id(), profile.arn().as_str()];
        for word in own.into_iter().chain(aliases.iter().map(String::as_str)) {
            let known = self.exact.entry(word.to_owned()).or_insert_with(|| Arc::clone(profile));
            if !Arc::ptr_eq(known, profile) {
                return Err(DirectoryError::Clash {
                    word: word.to_owned(),
                    owner: owner.to_owned(),
                    first: known.name().to_owned(),
                    second: profile.name().to_owned(),
                });
            }
        }
        self.by_source.entry(profile.source().clone()).or_insert_with(|| Arc::clone(profile));
        self.by_base_model.entry(profile.base_model().clone()).or_insert_with(|| Arc::clone(profile));
        self.granted.push(Granted { profile: Arc::clone(profile), alias: aliases.first().cloned() });
        Ok(())
    }

    /// The profile that has exactly this name, id, ARN or alias.
    pub(super) fn exact(&self, word: &str) -> Option<&Arc<Profile>> {
        self.exact.get(word)
    }

    /// The profile that fits a name best.
    pub(super) fn best(&self, name: &ModelName) -> Option<&Arc<Profile>> {
        match name {
            ModelName::ApplicationProfile(arn) => self.exact(arn.as_str()),
            ModelName::Word(word) => self.exact(word),
            ModelName::Model(id) => self
                .exact(id.as_str())
                .or_else(|| self.by_source.get(id))
                .or_else(|| self.by_base_model.get(&id.base())),
            ModelName::Refused(_) => None,
        }
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

/// Why a directory cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// A name outside the grammar.
    #[error(
        "`{name}` cannot name a profile: 1 to 64 letters, digits, spaces, `_`, `-` and `.`, with no space at its ends"
    )]
    Name {
        /// The name, escaped and cut.
        name: String,
    },
    /// Two profiles have the same name.
    #[error(
        "two profiles are named `{name}`: give each a name of its own, and let them share an alias if their owners differ"
    )]
    NameTwice {
        /// The name.
        name: String,
    },
    /// An alias outside the grammar.
    #[error(
        "profile `{profile}` has the alias `{alias}`, which no caller can ask for: letters, digits, `_`, `-`, `.` and `:`, no ARN"
    )]
    Alias {
        /// The profile's name.
        profile: String,
        /// The alias, escaped and cut.
        alias: String,
    },
    /// One word for two profiles of one owner.
    #[error("`{word}` means both profile `{first}` and profile `{second}` for {owner}: rename it in one of them")]
    Clash {
        /// The name, id, ARN or alias that both have.
        word: String,
        /// For whom.
        owner: String,
        /// One profile.
        first: String,
        /// The other.
        second: String,
    },
    /// One ARN with two sources: one of the two would be metered at a wrong price.
    #[error("profiles `{first}` and `{second}` have the same ARN {arn} and different sources: correct the wrong one")]
    Sources {
        /// The ARN.
        arn: String,
        /// One profile.
        first: String,
        /// The other.
        second: String,
    },
    /// A profile for nobody, or for a name that is empty.
    #[error(
        "profile `{profile}` belongs to nobody: list its principals or its groups by name, or say that it is everyone's"
    )]
    Nobody {
        /// The profile's name.
        profile: String,
    },
}

/// AWS's limit on an inference profile's name.
const MAX_NAME_BYTES: usize = 64;
/// AWS's limit on a `modelId`.
const MAX_ALIAS_BYTES: usize = 2_048;

#[cfg(test)]
mod tests;
