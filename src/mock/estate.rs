//! The application inference profiles of every account and Region, and who sees which change when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::config::MockProfile;
use super::lag::{Lags, MockPropagation, Sight, View};
use super::place::Place;
use crate::types::{ModelId, ProfileArn};

/// All profiles.
#[derive(Debug, Default)]
pub(super) struct Estate(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    profiles: Vec<Profile>,
    last: u64,
    propagation: MockPropagation,
    /// Which profile a client request token made.
    tokens: BTreeMap<(Place, String), ProfileArn>,
}

#[derive(Debug)]
struct Profile {
    shown: Shown,
    deleted: bool,
    lags: Lags,
}

/// A profile as a call sees it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Counts profiles in the order in which they were made; lists have this order, and their pages go on by it.
    pub(super) number: u64,
    pub(super) arn: ProfileArn,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) source: ModelId,
    pub(super) tags: BTreeMap<String, String>,
    /// Whether it ever had a tag: the Tagging API knows only such resources.
    pub(super) ever_tagged: bool,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
}

/// A profile to be made.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) arn: ProfileArn,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) source: ModelId,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) token: Option<String>,
}

/// Why a profile is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotMade {
    NameTaken,
    QuotaExceeded,
}

impl Estate {
    /// Puts a profile there at once, in place of one that has its ARN.
    pub(super) fn add(&self, name: &str, profile: &MockProfile, now: SystemTime) {
        let draft = Draft {
            arn: profile.arn.clone(),
            name: name.to_owned(),
            description: None,
            source: profile.source.clone(),
            tags: profile.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            token: None,
        };
        let mut books = self.books();
        books.profiles.retain(|old| old.shown.arn != profile.arn);
        books.push(draft, now);
    }

    /// Makes a profile as `CreateInferenceProfile` does. A client request token that was used before leads to the profile
    /// that it made then, whatever else is asked.
    pub(super) fn create(&self, draft: Draft, quota: usize, now: SystemTime) -> Result<ProfileArn, NotMade> {
        let mut books = self.books();
        let place = place_of(&draft.arn);
        let token = draft.token.clone().map(|token| (place.clone(), token));
        if let Some(arn) = token.as_ref().and_then(|token| books.tokens.get(token)) {
            return Ok(arn.clone());
        }
        let there = || books.profiles.iter().filter(|profile| !profile.deleted && profile.is_in(&place));
        if there().any(|profile| profile.shown.name == draft.name) {
            return Err(NotMade::NameTaken);
        }
        if there().count() >= quota {
            return Err(NotMade::QuotaExceeded);
        }
        let arn = draft.arn.clone();
        let propagation = books.propagation;
        books.push(draft, now).lags.note(&None, propagation);
        if let Some(token) = token {
            books.tokens.insert(token, arn.clone());
        }
        Ok(arn)
    }

    /// A profile by its ARN, or by its id in a place.
    pub(super) fn find(&self, view: View, place: &Place, name: &str) -> Option<Shown> {
        self.books().profiles.iter_mut().find(|profile| profile.is_called(place, name))?.seen(view)
    }

    /// The profiles of a place in their order.
    pub(super) fn all(&self, view: View, place: &Place) -> Vec<Shown> {
        let mut books = self.books();
        books
            .profiles
            .iter_mut()
            .filter(|profile| profile.is_in(place))
            .filter_map(|profile| profile.seen(view))
            .collect()
    }

    /// Every profile that there is, in truth.
    pub(super) fn truth(&self) -> Vec<Shown> {
        self.books().profiles.iter().filter(|profile| !profile.deleted).map(|profile| profile.shown.clone()).collect()
    }

    /// Whether there is such a profile, in truth.
    pub(super) fn any(&self, is_meant: impl Fn(&Shown) -> bool) -> bool {
        self.books().profiles.iter().any(|profile| !profile.deleted && is_meant(&profile.shown))
    }

    /// Deletes a profile; the ARN says which. Its name and its client request token are free again.
    pub(super) fn delete(&self, arn: &ProfileArn) -> bool {
        let mut books = self.books();
        let propagation = books.propagation;
        books.tokens.retain(|_, made| made != arn);
        books.alter(arn, propagation, |profile| profile.deleted = true)
    }

    /// Changes the tags of a profile.
    pub(super) fn retag(
        &self,
        arn: &ProfileArn,
        now: SystemTime,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> bool {
        let mut books = self.books();
        let propagation = books.propagation;
        books.alter(arn, propagation, |profile| profile.retag(now, change))
    }

    /// Takes a profile away at once.
    pub(super) fn remove(&self, arn: &ProfileArn) -> bool {
        let mut books = self.books();
        books.tokens.retain(|_, made| made != arn);
        books.alter(arn, MockPropagation::default(), |profile| profile.deleted = true)
    }

    /// Changes the tags of a profile at once.
    pub(super) fn replace_tags(&self, arn: &ProfileArn, tags: BTreeMap<String, String>, now: SystemTime) -> bool {
        self.books().alter(arn, MockPropagation::default(), |profile| profile.retag(now, |old| *old = tags))
    }

    /// How late changes are seen from now on.
    pub(super) fn propagate(&self, propagation: MockPropagation) {
        self.books().propagation = propagation;
    }

    /// Makes every change that was made so far seen everywhere.
    pub(super) fn settle(&self) {
        let mut books = self.books();
        books.profiles.retain(|profile| !profile.deleted);
        for profile in &mut books.profiles {
            profile.lags = Lags::default();
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn push(&mut self, draft: Draft, now: SystemTime) -> &mut Profile {
        let Draft { arn, name, description, source, tags, token: _ } = draft;
        self.last += 1;
        let ever_tagged = !tags.is_empty();
        let number = self.last;
        let shown = Shown { number, arn, name, description, source, tags, ever_tagged, created: now, updated: now };
        self.profiles.push_mut(Profile { shown, deleted: false, lags: Lags::default() })
    }

    fn alter(&mut self, arn: &ProfileArn, propagation: MockPropagation, change: impl FnOnce(&mut Profile)) -> bool {
        let found = self.profiles.iter_mut().find(|profile| !profile.deleted && profile.shown.arn == *arn);
        let Some(profile) = found else { return false };
        let before: Sight = Some(profile.shown.tags.clone());
        change(profile);
        profile.lags.note(&before, propagation);
        true
    }
}

impl Profile {
    fn is_in(&self, place: &Place) -> bool {
        self.shown.arn.account() == &place.account && self.shown.arn.region() == &place.region
    }

    fn is_called(&self, place: &Place, name: &str) -> bool {
        self.shown.arn.as_str() == name || self.shown.arn.id() == name && self.is_in(place)
    }

    fn seen(&mut self, view: View) -> Option<Shown> {
        match self.lags.stale(view) {
            Some(sight) => Some(Shown { tags: sight?, ..self.shown.clone() }),
            None => (!self.deleted).then(|| self.shown.clone()),
        }
    }

    fn retag(&mut self, now: SystemTime, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.shown.tags);
        self.shown.ever_tagged |= !self.shown.tags.is_empty();
        self.shown.updated = now;
    }
}

/// Where a profile is.
pub(super) fn place_of(arn: &ProfileArn) -> Place {
    Place { account: arn.account().clone(), region: arn.region().clone() }
}
