//! Other people's price lists, read into ours.

mod aws;
mod decimal;
mod litellm;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::list::PriceList;
use super::row::PriceError;

/// What a list gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its prices.
    pub list: PriceList,
    /// What of Bedrock's was left out.
    pub left: Vec<Left>,
    /// Whether it is meant to have every model: then one that it lacks is gone.
    pub whole: bool,
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which, by the list's own name.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Imported {
    /// Reads LiteLLM's list, one of AWS's, or one of ours: which of them it is, is seen. `known` gives the ids that AWS's names
    /// are matched with; `today` dates a list that has no date.
    pub fn read(text: &str, known: &PriceList, today: &str) -> Result<Self, PriceError> {
        let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
        if keys.contains_key("products") && keys.contains_key("terms") {
            return Ok(aws::read(&serde_json::from_str(text)?, known));
        }
        if keys.contains_key("models") && keys.contains_key("taken") {
            return Ok(Self { list: PriceList::read(text)?, left: Vec::new(), whole: true });
        }
        if litellm::is_one(&keys) {
            return Ok(litellm::read(&keys, today));
        }
        Err(PriceError::Unknown)
    }
}

#[cfg(test)]
mod tests;
