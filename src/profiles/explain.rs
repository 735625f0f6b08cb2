//! How a name is resolved, step by step, for people who ask why.
//!
//! The steps are those of [`resolve`](super::resolve): it takes the first that has a fit, so that what is explained cannot be
//! another thing than what is done.

use std::collections::HashSet;
use std::sync::Arc;

use super::Profile;
use super::directory::{Directory, Fit, Owner};
use crate::identity::Principal;
use crate::types::{ModelName, ProfileArn};

/// What is looked at for one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'d> {
    /// As whom the principal owns what is looked at.
    pub owner: Owner<'d>,
    /// How many profiles that are.
    pub profiles: usize,
    /// The one that fits the name best, and how closely.
    pub fit: Option<(Fit, &'d Arc<Profile>)>,
}

/// How a name is resolved for a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'d> {
    /// Everything that may be looked at, the closest owner first; what comes after the first fit is not looked at.
    pub steps: Vec<Step<'d>>,
}

impl<'d> Explanation<'d> {
    /// The place of the step that decides; nothing where no profile of the principal's fits.
    pub fn decided_at(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.fit.is_some())
    }

    /// The profile that is meant, how closely it fits, and as whose.
    pub fn chosen(&self) -> Option<(Owner<'d>, Fit, &'d Arc<Profile>)> {
        self.steps.iter().find_map(|step| step.fit.map(|(fit, profile)| (step.owner, fit, profile)))
    }
}

impl Directory {
    /// How a name is resolved for a principal.
    pub fn explain<'d>(&'d self, principal: &'d Principal, name: &ModelName) -> Explanation<'d> {
        Explanation { steps: self.looked_at(principal, name).collect() }
    }

    /// The steps, made as they are asked for.
    pub(super) fn looked_at<'d>(
        &'d self,
        principal: &'d Principal,
        name: &ModelName,
    ) -> impl Iterator<Item = Step<'d>> {
        self.candidates(principal).map(move |(owner, names)| match names {
            None => Step { owner, profiles: 0, fit: None },
            Some(names) => Step { owner, profiles: names.granted().len(), fit: names.best(name) },
        })
    }

    /// The profiles of a principal and as whose they are theirs, the closest first, each once.
    pub fn owned_by<'d>(&'d self, principal: &'d Principal) -> impl Iterator<Item = (Owner<'d>, &'d Arc<Profile>)> {
        let mut seen: HashSet<&ProfileArn> = HashSet::new();
        let owners = self.owners_of(principal);
        let all = owners.flat_map(|(owner, names)| names.granted().iter().map(move |own| (owner, &own.profile)));
        all.filter(move |(_, profile)| seen.insert(profile.arn()))
    }
}
