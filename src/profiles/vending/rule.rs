//! Who gets which profiles, where, and with which tags.

use std::collections::BTreeMap;

use crate::identity::Template;
use crate::profiles::control::Place;
use crate::types::{Geography, ModelId, Models, Owners};

/// What is done for whoever has no profile of what they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vend {
    /// Nothing.
    Not {
        /// For whom.
        owners: Owners,
        /// Of which models.
        models: Models,
    },
    /// One is made.
    Profile(VendingRule),
}

/// For whom what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendingRule {
    /// For whom.
    pub owners: Owners,
    /// Of which models.
    pub models: Models,
    /// Where.
    pub place: Place,
    /// From what.
    pub geographies: Geographies,
    /// The profile's name, before what makes it unlike others; `{principal}`, `{model}` and the principal's tags are filled in.
    pub name: Template,
    /// Its tags, likewise.
    pub tags: BTreeMap<String, Template>,
    /// How many one principal may have made.
    pub per_principal: usize,
    /// How many there may be in the place, whoever's, before none is made any more.
    pub most: Option<usize>,
}

/// From which system-defined profiles profiles may be made, the first where the caller names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geographies(pub Vec<Option<Geography>>);

impl Geographies {
    /// What a profile is made from when this is asked for: the same geography where it is allowed, and the first one where
    /// a foundation model is named without any. A geography that is asked for and not allowed has nothing.
    pub fn source(&self, asked: &ModelId) -> Option<ModelId> {
        let geography = match asked.geography() {
            Some(geography) => Some(*self.0.iter().flatten().find(|own| **own == geography)?),
            None => *self.0.first()?,
        };
        let base = asked.base_str();
        match geography {
            Some(geography) => format!("{}.{base}", geography.prefix()).parse().ok(),
            None => base.parse().ok(),
        }
    }
}
