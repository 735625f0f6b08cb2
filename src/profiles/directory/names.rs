//! The profiles of one owner, by what they can be called.
//!
//! Most owners have a handful, and looking through a handful is as fast as a map and takes a tenth of its memory; those who have
//! more get maps when the directory is finished.

use std::sync::Arc;

use super::DirectoryError;
use crate::profiles::{Profile, Unsourced};
use crate::types::{ModelId, ModelName, QuickMap};

/// The profiles of one owner. What came first counts.
#[derive(Debug, Default)]
pub(in crate::profiles) struct Names {
    granted: Vec<Granted>,
    maps: Option<Box<Maps>>,
    /// What is reached by its ARN alone; few have any.
    by_arn: Vec<Arc<Profile>>,
    /// What may fit more than its own names, once it is known what it was made from; few have any, and not for long.
    awaited: Vec<Arc<Unsourced>>,
}

/// A profile as its owner has it.
#[derive(Clone, Debug)]
pub(in crate::profiles) struct Granted {
    pub(in crate::profiles) profile: Arc<Profile>,
    aliases: Box<[String]>,
}

/// How closely a profile fits a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is called exactly so: by its name, id, ARN or an alias.
    Exact,
    /// It was made from this very model or system-defined profile.
    Source,
    /// It is over the same foundation model.
    BaseModel,
}

#[derive(Debug, Default)]
struct Maps {
    exact: QuickMap<String, usize>,
    by_source: QuickMap<ModelId, usize>,
    by_base_model: QuickMap<ModelId, usize>,
}

impl Granted {
    /// The first alias, if there is one: the word that people know it by.
    pub(in crate::profiles) fn alias(&self) -> Option<&str> {
        self.aliases.first().map(String::as_str)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        let own = [self.profile.name(), self.profile.arn().id(), self.profile.arn().as_str()];
        own.into_iter().chain(self.aliases.iter().map(String::as_str))
    }
}

impl Names {
    /// Adds a profile of the configuration, every word of which has to be its own.
    pub(super) fn grant(
        &mut self,
        profile: &Arc<Profile>,
        aliases: &[String],
        owner: impl Fn() -> String,
    ) -> Result<(), DirectoryError> {
        let granted = Granted { profile: Arc::clone(profile), aliases: aliases.into() };
        let maps = self.maps.get_or_insert_default();
        for word in granted.words() {
            let known = *maps.exact.entry(word.to_owned()).or_insert(self.granted.len());
            let Some(known) = self.granted.get(known).map(|granted| &granted.profile) else { continue };
            if !Arc::ptr_eq(known, profile) {
                return Err(DirectoryError::Clash {
                    word: word.to_owned(),
                    owner: owner(),
                    first: known.name().to_owned(),
                    second: profile.name().to_owned(),
                });
            }
        }
        self.granted.push(granted);
        Ok(())
    }

    /// Adds what is reached by its ARN alone.
    pub(super) fn grant_exact(&mut self, profile: &Arc<Profile>) {
        self.by_arn.push(Arc::clone(profile));
    }

    /// What is reached by exactly this ARN and no other name.
    pub(in crate::profiles) fn by_arn(&self, arn: &str) -> Option<&Arc<Profile>> {
        self.by_arn.iter().find(|profile| profile.arn().as_str() == arn)
    }

    /// Adds a profile of which is not known what it was made from.
    pub(super) fn await_source(&mut self, own: &Arc<Unsourced>) {
        self.awaited.push(Arc::clone(own));
    }

    /// A profile of unknown source that a name means, or may mean where nothing else fits: by its own names, and as any model's.
    pub(in crate::profiles) fn awaited(&self, name: &ModelName, fit: Option<Fit>) -> Option<&Arc<Unsourced>> {
        let called = |word: &str| self.awaited.iter().find(|own| own.is_called(word));
        match (name, fit) {
            (_, Some(Fit::Exact)) | (ModelName::Refused(_), _) => None,
            (ModelName::ApplicationProfile(arn), _) => called(arn.as_str()),
            (ModelName::Word(word), _) => called(word),
            (ModelName::Model(id), Some(_)) => called(id.as_str()),
            (ModelName::Model(id), None) => called(id.as_str()).or(self.awaited.first()),
        }
    }

    /// Adds a profile that was found, which cannot be refused: a word that is known already stays what it was.
    pub(super) fn find(&mut self, profile: &Arc<Profile>) {
        self.granted.push(Granted { profile: Arc::clone(profile), aliases: Box::default() });
    }

    /// Nothing more is added.
    pub(super) fn finish(&mut self) {
        self.granted.shrink_to_fit();
        self.maps = None;
        if self.granted.len() <= LOOKED_THROUGH {
            return;
        }
        let mut maps = Maps::default();
        for (at, granted) in self.granted.iter().enumerate() {
            for word in granted.words() {
                maps.exact.entry(word.to_owned()).or_insert(at);
            }
            maps.by_source.entry(granted.profile.source().clone()).or_insert(at);
            maps.by_base_model.entry(granted.profile.base_model().clone()).or_insert(at);
        }
        self.maps = Some(Box::new(maps));
    }

    /// All of them, in their order.
    pub(in crate::profiles) fn granted(&self) -> &[Granted] {
        &self.granted
    }

    /// The profile that has exactly this name, id, ARN or alias.
    pub(in crate::profiles) fn exact(&self, word: &str) -> Option<&Arc<Profile>> {
        let granted = match &self.maps {
            Some(maps) => self.granted.get(*maps.exact.get(word)?)?,
            None => self.granted.iter().find(|granted| granted.words().any(|own| own == word))?,
        };
        Some(&granted.profile)
    }

    /// The profile that fits a name best, and how closely.
    pub(in crate::profiles) fn best(&self, name: &ModelName) -> Option<(Fit, &Arc<Profile>)> {
        let exact = |word| self.exact(word).map(|profile| (Fit::Exact, profile));
        match name {
            ModelName::ApplicationProfile(arn) => exact(arn.as_str()),
            ModelName::Word(word) => exact(word),
            ModelName::Model(id) => exact(id.as_str())
                .or_else(|| self.by_source(id).map(|profile| (Fit::Source, profile)))
                .or_else(|| self.by_base_model(id).map(|profile| (Fit::BaseModel, profile))),
            ModelName::Refused(_) => None,
        }
    }

    fn by_source(&self, id: &ModelId) -> Option<&Arc<Profile>> {
        let granted = match &self.maps {
            Some(maps) => self.granted.get(*maps.by_source.get(id)?)?,
            None => self.granted.iter().find(|granted| granted.profile.source() == id)?,
        };
        Some(&granted.profile)
    }

    fn by_base_model(&self, id: &ModelId) -> Option<&Arc<Profile>> {
        let base = id.base_str();
        let granted = match &self.maps {
            Some(maps) => self.granted.get(*maps.by_base_model.get(base)?)?,
            None => self.granted.iter().find(|granted| granted.profile.base_model().as_str() == base)?,
        };
        Some(&granted.profile)
    }
}

/// How many are looked through one by one.
const LOOKED_THROUGH: usize = 8;
