//! The table: which row prices which source, and what is done where no row fits exactly.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use crate::types::{Geography, ModelId, QuickMap, Region};

use super::guardrail::GuardrailPrice;
use super::model::ModelPrice;
use super::row::{PriceError, PriceRow};

/// Prices by source and Region.
///
/// A lookup takes the first of these that there is:
///
/// 1. an override of exactly this source;
/// 2. the Region's own row, for a bare foundation-model id (a single Region);
/// 3. the source's own row, for an id with a geographic prefix;
/// 4. for any other bare id, the dearest of its list price and of the rows of the Region's geography, because a single
///    Region costs what its geography costs; where that geography has no row, the dearest row of the model anywhere;
/// 5. for any other geographic id, the dearest row of its foundation model anywhere.
///
/// "Anywhere" leaves out GovCloud, and GovCloud looks nowhere else: its prices are a fifth higher and never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    overrides: QuickMap<ModelId, Arc<ModelPrice>>,
    models: QuickMap<ModelId, Arc<ModelPrice>>,
    regions: QuickMap<Region, QuickMap<ModelId, Arc<ModelPrice>>>,
    guardrail: GuardrailPrice,
    taken: String,
}

impl PriceTable {
    /// The snapshot that is built in.
    pub fn shipped() -> Self {
        #[expect(clippy::expect_used, reason = "the snapshot is part of the build, and a test reads it")]
        static SHIPPED: LazyLock<PriceTable> = LazyLock::new(|| {
            PriceTable::from_json(include_str!("bedrock-prices.json")).expect("the shipped prices are well-formed")
        });
        SHIPPED.clone()
    }

    /// Reads a table in the form that [`PriceList::text`](super::PriceList::text) writes.
    pub fn from_json(text: &str) -> Result<Self, PriceError> {
        let written: Written = serde_json::from_str(text)?;
        let regions = written.regions.into_iter().map(|(region, rows)| {
            let named = region.parse().map_err(|_| PriceError::Region(region))?;
            Ok((named, read_rows(rows)?))
        });
        Ok(Self {
            overrides: QuickMap::default(),
            models: read_rows(written.models)?,
            regions: regions.collect::<Result<_, PriceError>>()?,
            guardrail: GuardrailPrice::read(written.guardrail)?,
            taken: written.taken,
        })
    }

    /// With another price for exactly this source, in every Region.
    #[must_use]
    pub fn with_override(mut self, source: ModelId, price: ModelPrice) -> Self {
        self.overrides.insert(source, Arc::new(price));
        self
    }

    /// The price of calls through a profile that was made from `source` and is served by `region`; `None` where nothing
    /// can be derived from the table.
    pub fn price(&self, source: &ModelId, region: &Region) -> Option<Arc<ModelPrice>> {
        if let Some(price) = self.overrides.get(source) {
            return Some(Arc::clone(price));
        }
        let own = self.models.get(source);
        let gov = is_gov(region);
        match (source.prefix(), source.geography()) {
            (Some(_), _) if own.is_some() => own.cloned(),
            (Some(_), Some(Geography::UsGov)) => dearest(self.regional(&source.base(), is_gov)),
            (Some(_), _) if gov => None,
            (Some(_), _) => dearest(self.anywhere(&source.base())),
            (None, _) => {
                let exact = self.regions.get(region).and_then(|rows| rows.get(source));
                if exact.is_some() || gov {
                    return exact.or_else(|| self.row_of(Geography::UsGov, source)).cloned();
                }
                let near: Vec<_> =
                    geographies(region).iter().filter_map(|geography| self.row_of(*geography, source)).collect();
                if own.is_some() && (!near.is_empty() || region.as_str().starts_with("us-")) {
                    return dearest(own.into_iter().chain(near));
                }
                dearest(self.anywhere(source))
            }
        }
    }

    /// What guardrails cost.
    pub const fn guardrail(&self) -> &GuardrailPrice {
        &self.guardrail
    }

    /// The day on which the snapshot was taken, `2026-11-27`.
    pub fn taken(&self) -> &str {
        &self.taken
    }

    /// Every source that has a row or an override of its own.
    pub fn sources(&self) -> impl Iterator<Item = &ModelId> {
        let added = self.overrides.keys().filter(|source| !self.models.contains_key(*source));
        self.models.keys().chain(added)
    }

    /// Every row of a foundation model outside GovCloud: its own, each geography's, each Region's.
    fn anywhere(&self, base: &ModelId) -> impl Iterator<Item = &Arc<ModelPrice>> {
        let geographic = COMMERCIAL.iter().filter_map(|geography| self.row_of(*geography, base));
        self.row(base).into_iter().chain(geographic).chain(self.regional(base, |region| !is_gov(region)))
    }

    fn regional(&self, base: &ModelId, counts: fn(&Region) -> bool) -> impl Iterator<Item = &Arc<ModelPrice>> {
        self.regions.iter().filter(move |(region, _)| counts(region)).filter_map(|(_, rows)| rows.get(base))
    }

    fn row_of(&self, geography: Geography, base: &ModelId) -> Option<&Arc<ModelPrice>> {
        self.row(&format!("{}.{base}", geography.prefix()).parse().ok()?)
    }

    fn row(&self, source: &ModelId) -> Option<&Arc<ModelPrice>> {
        self.overrides.get(source).or_else(|| self.models.get(source))
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "source")]
    _source: String,
    taken: String,
    guardrail: HashMap<String, String>,
    models: HashMap<String, PriceRow>,
    regions: HashMap<String, HashMap<String, PriceRow>>,
}

const COMMERCIAL: [Geography; 7] =
    [Geography::Global, Geography::Us, Geography::Eu, Geography::Apac, Geography::Jp, Geography::Au, Geography::Ca];

/// The geographies whose profiles a Region can serve.
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
fn geographies(region: &Region) -> &'static [Geography] {
    match region.as_str() {
        "ap-northeast-1" | "ap-northeast-3" => &[Geography::Jp, Geography::Apac],
        "ap-southeast-2" | "ap-southeast-4" => &[Geography::Au, Geography::Apac],
        name if name.starts_with("us-") => &[Geography::Us],
        name if name.starts_with("eu-") => &[Geography::Eu],
        name if name.starts_with("ap-") => &[Geography::Apac],
        name if name.starts_with("ca-") => &[Geography::Ca, Geography::Us],
        _ => &[],
    }
}

fn is_gov(region: &Region) -> bool {
    region.as_str().starts_with("us-gov-")
}

fn dearest<'a>(rows: impl Iterator<Item = &'a Arc<ModelPrice>>) -> Option<Arc<ModelPrice>> {
    // One row is handed on as it is: the common case allocates nothing.
    rows.cloned().reduce(|one, other| if one == other { one } else { Arc::new(one.dearer(&other)) })
}

fn read_rows(rows: HashMap<String, PriceRow>) -> Result<QuickMap<ModelId, Arc<ModelPrice>>, PriceError> {
    rows.into_iter()
        .map(|(id, row)| {
            let price = ModelPrice::try_from(&row)
                .map_err(|source| PriceError::Row { model: id.clone(), source: Box::new(source) })?;
            Ok((id.parse().map_err(|_| PriceError::ModelId(id))?, Arc::new(price)))
        })
        .collect()
}
