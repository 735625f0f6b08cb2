//! From a principal and a name to the one profile that is meant, or to a refusal that says what to ask for.
//!
//! The order, in which the first that fits is taken:
//!
//! 1. closeness of the owner: the principal's own profiles in the configuration, then what rules on tags and names find, in the
//!    order of the rules; then group by group, in the order in which the principal has them, the configuration's and what rules
//!    find; then everyone's;
//! 2. closeness of the name: exactly the profile's (alias, name, id, ARN), then the very model or system-defined profile it
//!    was made from, then the same foundation model in another geography;
//! 3. the order of the configuration; of what was found, the order of accounts and Regions, and the oldest.
//!
//! So a profile of the caller's own for another geography comes before one of their group that fits exactly: whose bill it
//! is matters more than where it is served. An application profile's ARN fits exactly or not at all; so does the ARN of anything else
//! that can be called, which only a grant of that very ARN leads to. A refusal never tells
//! whether a profile exists that is another's.

use std::fmt;
use std::sync::Arc;

use super::directory::{Directory, Granted};
use super::explain::Step;
use super::{Profile, Target, Unsourced};
use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::types::{ModelName, ProfileArn};

impl Directory {
    /// Finds where a call on a model goes. `text` is the name as the caller wrote it; it is repeated in a refusal.
    pub fn resolve(
        &self,
        principal: &Principal,
        operation: Operation,
        name: &ModelName,
        text: &str,
    ) -> Result<Target, ResolveError> {
        let best = self
            .best(principal, name, text)
            .map_err(|own| ResolveError::Awaited { profile: own.name.clone(), arn: own.arn.clone() })?;
        let Some(profile) = best else {
            let (text, yours) = (clip(text), self.offer(principal));
            return Err(match name {
                ModelName::ApplicationProfile(_) => ResolveError::NotYours { arn: text, yours },
                ModelName::Model(_) => ResolveError::Unmapped { model: text, yours },
                ModelName::Word(_) => ResolveError::NoSuchName { name: text, yours },
                ModelName::Refused(kind) => ResolveError::RefusedKind { kind, yours },
            });
        };
        let profile = Arc::clone(profile);
        if operation == Operation::CountTokens {
            return Ok(Target::BaseModel(profile));
        }
        Ok(Target::Profile(profile))
    }

    /// The profile that a name means for a principal. The error is one that may be meant, of which is not known what it was made from.
    fn best<'d>(
        &'d self,
        principal: &'d Principal,
        name: &ModelName,
        text: &str,
    ) -> Result<Option<&'d Arc<Profile>>, &'d Arc<Unsourced>> {
        match self.looked_at(principal, name, text).find(Step::decides) {
            Some(Step { awaited: Some(awaited), .. }) => Err(awaited),
            step => Ok(step.and_then(|step| step.fit).map(|(_, profile)| profile)),
        }
    }

    /// Whether a name leads a principal to a profile.
    pub(super) fn owns(&self, principal: &Principal, name: &ModelName) -> bool {
        matches!(self.best(principal, name, ""), Ok(Some(_)))
    }

    /// The profile of a principal's that has exactly this name, id, ARN or alias.
    pub(super) fn exact<'d>(&'d self, principal: &'d Principal, word: &str) -> Option<&'d Arc<Profile>> {
        self.owners_of(principal).find_map(|(_, names)| names.exact(word))
    }

    /// What a principal can ask for, for a refusal.
    pub(super) fn offer(&self, principal: &Principal) -> Offer {
        let mut granted = self.granted_to(principal);
        let named = granted.by_ref().take(OFFERED).map(|granted| self.call_it(principal, granted)).collect();
        Offer { named, more: granted.count() }
    }

    /// The friendliest word that leads this principal to this profile: a word that a closer profile has does not.
    fn call_it(&self, principal: &Principal, granted: &Granted) -> String {
        let profile = &granted.profile;
        let leads_here = |word: &&str| {
            self.exact(principal, word).is_some_and(|found| found.arn() == profile.arn()) && !word.contains(' ')
        };
        let words = [granted.alias(), Some(profile.name())];
        let word = words.into_iter().flatten().find(leads_here).unwrap_or(profile.arn().as_str());
        format!("{word} ({})", profile.source())
    }
}

/// Why a name leads to no profile of the caller's. The caller's side's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// An application inference profile that is another's, or none at all.
    NotYours {
        /// The ARN that was asked for.
        arn: String,
        /// What to ask for instead.
        yours: Offer,
    },
    /// A model for which the caller has no profile.
    Unmapped {
        /// The model that was asked for.
        model: String,
        /// What to ask for instead.
        yours: Offer,
    },
    /// A kind of name that no profile can stand for.
    RefusedKind {
        /// Which kind.
        kind: &'static str,
        /// What to ask for instead.
        yours: Offer,
    },
    /// A profile of the caller's that is meant, or may be, and of which is not known yet what it was made from.
    Awaited {
        /// Its name.
        profile: String,
        /// Its ARN.
        arn: ProfileArn,
    },
    /// A word that is no model's id and nothing of the caller's.
    NoSuchName {
        /// The word.
        name: String,
        /// What to ask for instead.
        yours: Offer,
    },
}

/// The first few names that a principal can ask for, and how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    named: Vec<String>,
    more: usize,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named.is_empty() {
            return f.write_str(
                "ask the operator of this gateway for an inference profile of your own, as you have none yet",
            );
        }
        write!(f, "ask for one of yours: {}", self.named.join(", "))?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

impl ResolveError {
    /// What the person at the keyboard reads: what is wrong, and what to do about it.
    pub fn caller_text(&self) -> String {
        match self {
            Self::NotYours { arn, yours } => {
                format!("The inference profile {arn} is not one that you may call through; {yours}.")
            }
            Self::Unmapped { model, yours } => {
                format!("You have no inference profile for the model {model} at this gateway; {yours}.")
            }
            Self::RefusedKind { kind, yours } => {
                format!("What you asked for is {kind}, and this gateway calls inference profiles only; {yours}.")
            }
            Self::Awaited { profile, .. } => format!(
                "What your inference profile {profile} was made from is not known yet, as AWS is still asked for it. Try again in some \
                 seconds."
            ),
            Self::NoSuchName { name, yours } => {
                format!("There is no model, profile or alias named `{name}` at this gateway; {yours}.")
            }
        }
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::NotYours { arn, .. } => format!("inference profile {arn} is not granted to the caller"),
            Self::Unmapped { model, .. } => format!("no profile of the caller's is for the model {model}"),
            Self::RefusedKind { kind, .. } => format!("the model was named by {kind}"),
            Self::Awaited { profile, arn } => {
                format!("what {profile} ({arn}) was made from is not known: AWS has not told it yet")
            }
            Self::NoSuchName { name, .. } => format!("`{name}` is no model's id and no name of the caller's"),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.log_text())
    }
}

impl std::error::Error for ResolveError {}

/// A caller's text, short enough to be repeated to them and to the log. The longest useful name is an ARN.
pub(super) fn clip(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// How many names a refusal offers: more would not be read.
const OFFERED: usize = 4;

#[cfg(test)]
mod tests;
