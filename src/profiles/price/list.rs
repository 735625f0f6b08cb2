//! A price list as a file: read, compared, changed and written.
//!
//! The form is that of the snapshot that is built in: one JSON object with `source`, `taken`, `guardrail` (dollars per unit),
//! `models` (rows by the id that a profile is made from) and `regions` (rows that hold in one Region), with every price a decimal
//! string in dollars per million tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::import::Imported;
use super::row::{PriceError, PriceRow};
use super::table::PriceTable;

/// A price list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// Where it comes from.
    pub source: String,
    /// The day on which it was taken.
    pub taken: String,
    /// Dollars per unit of each guardrail policy.
    pub guardrail: BTreeMap<String, String>,
    /// Rows by id.
    pub models: BTreeMap<String, PriceRow>,
    /// Rows by Region and id.
    #[serde(default)]
    pub regions: BTreeMap<String, BTreeMap<String, PriceRow>>,
}

/// A row that is in one list and not, or not so, in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which Region; everywhere where there is none.
    pub region: Option<String>,
    /// Of which id.
    pub model: String,
    /// What it was.
    pub before: Option<PriceRow>,
    /// What it is.
    pub after: Option<PriceRow>,
}

impl PriceList {
    /// The snapshot that is built in.
    pub fn shipped() -> Result<Self, PriceError> {
        Self::read(include_str!("bedrock-prices.json"))
    }

    /// Reads a list and sees to it that every row of it makes sense.
    pub fn read(text: &str) -> Result<Self, PriceError> {
        PriceTable::from_json(text)?;
        Ok(serde_json::from_str(text)?)
    }

    /// As a file, a row a line, so that two versions can be compared line by line.
    pub fn text(&self) -> Result<String, PriceError> {
        let mut text = String::new();
        let rows = |text: &mut String, rows: &BTreeMap<String, PriceRow>, indent: &str| {
            for (place, (model, row)) in rows.iter().enumerate() {
                let comma = if place + 1 == rows.len() { "" } else { "," };
                let (model, row) = (serde_json::to_string(model)?, serde_json::to_string(row)?);
                let _ = writeln!(text, "{indent}{model}:{row}{comma}");
            }
            Ok::<_, serde_json::Error>(())
        };
        let _ = writeln!(text, "{{\n\"source\":{},", serde_json::to_string(&self.source)?);
        let _ = writeln!(text, "\"taken\":{},", serde_json::to_string(&self.taken)?);
        let _ = writeln!(text, "\"guardrail\":{},", serde_json::to_string(&self.guardrail)?);
        text.push_str("\"models\":{\n");
        rows(&mut text, &self.models, " ")?;
        text.push_str("},\n\"regions\":{\n");
        for (place, (region, own)) in self.regions.iter().enumerate() {
            let _ = writeln!(text, " {}:{{", serde_json::to_string(region)?);
            rows(&mut text, own, "  ")?;
            text.push_str(if place + 1 == self.regions.len() { " }\n" } else { " },\n" });
        }
        text.push_str("}}\n");
        Ok(text)
    }

    /// The list with what another has: all of it where that is whole, otherwise beside what there was.
    #[must_use]
    pub fn updated(&self, imported: &Imported) -> Self {
        let new = &imported.list;
        let mut list = if imported.whole { new.clone() } else { self.clone() };
        if !imported.whole {
            list.models.extend(new.models.clone());
            for (region, rows) in &new.regions {
                list.regions.entry(region.clone()).or_default().extend(rows.clone());
            }
            list.source = format!("{}; {}", self.source, new.source);
            list.taken.clone_from(&new.taken);
        }
        // What a list has in a form that is not understood is not gone.
        for left in imported.left.iter().filter(|_| imported.whole) {
            let (region, model) = match left.what.split('/').collect::<Vec<_>>().as_slice() {
                [model] => (None, *model),
                ["bedrock", region, model] => (Some(*region), *model),
                _ => continue,
            };
            if let Some(row) = self.row(region, model) {
                list.rows_of(region).insert(model.to_owned(), row.clone());
            }
        }
        // A list without prices of guardrails does not say that they cost nothing.
        if list.guardrail.is_empty() {
            list.guardrail.clone_from(&self.guardrail);
        }
        list
    }

    /// What is different in another list, in the order of Regions and ids.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let all: BTreeSet<_> = self.rows().chain(other.rows()).map(|(region, model, _)| (region, model)).collect();
        let differences = all.into_iter().filter_map(|(region, model)| {
            let (before, after) = (self.row(region, model).cloned(), other.row(region, model).cloned());
            let (region, model) = (region.map(str::to_owned), model.to_owned());
            (before != after).then_some(Difference { region, model, before, after })
        });
        differences.collect()
    }

    /// Every row with its Region and id.
    pub fn rows(&self) -> impl Iterator<Item = (Option<&str>, &str, &PriceRow)> {
        let regional = self.regions.iter().flat_map(|(region, rows)| {
            rows.iter().map(move |(model, row)| (Some(region.as_str()), model.as_str(), row))
        });
        self.models.iter().map(|(model, row)| (None, model.as_str(), row)).chain(regional)
    }

    /// A row.
    pub fn row(&self, region: Option<&str>, model: &str) -> Option<&PriceRow> {
        match region {
            Some(region) => self.regions.get(region)?.get(model),
            None => self.models.get(model),
        }
    }

    /// Every id.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows().map(|(_, model, _)| model)
    }

    /// The rows of a Region, or those that hold everywhere.
    pub(super) fn rows_of(&mut self, region: Option<&str>) -> &mut BTreeMap<String, PriceRow> {
        match region {
            Some(region) => self.regions.entry(region.to_owned()).or_default(),
            None => &mut self.models,
        }
    }

    /// The rows that say most of an id in a Region, the closest first: its own, the same id's everywhere, the same model's anywhere.
    pub(super) fn rows_like(&self, region: Option<&str>, id: &str) -> Vec<&PriceRow> {
        let base = id.strip_prefix("global.").unwrap_or(id);
        let same = |model: &str| model == base || model.strip_suffix(base).is_some_and(|prefix| prefix.ends_with('.'));
        let own = self.row(region, id).into_iter().chain(self.row(None, id));
        own.chain(self.rows().filter(|(_, model, _)| same(model)).map(|(_, _, row)| row)).collect()
    }
}
