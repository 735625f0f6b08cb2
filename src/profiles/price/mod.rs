//! What the model behind a profile costs.
//!
//! A price is found by the **source** of an application inference profile (the id it was made from) and the Region that
//! serves it, because AWS prices an application profile as its source: a bare foundation-model id is a single Region, a
//! `us.` or `eu.` profile is a geography, a `global.` profile is the list price. The shipped snapshot is dated
//! ([`PriceTable::taken`]) and comes from LiteLLM's list (`NOTICE` beside it; `tollgate prices update` makes it);
//! configuration can name another table ([`PriceList`], made of other lists by [`Imported`]) and overrides it id by id.
//!
//! Invariants: integers only (nano-dollars per million tokens), one rounding per call, upwards. What the table does not
//! say is never taken for cheap: where a row lacks a kind of token, a tier or a geography, the dearest of what it might
//! be is charged, and where nothing can be derived there is no price, which a budget in USD refuses.
//!
//! Images and queries are priced by the piece ([`PiecePrices`]), and counted by the request, because no answer counts them: a row
//! holds the dearest of a model's sizes and qualities.
//!
//! Not here: models priced by the second of sound or video (they have no row, hence no price), batch and commitment prices
//! (no call through the gateway can incur them), and the `ultrafast` tier (Bedrock's Runtime API cannot ask for it).
//!
//! <https://aws.amazon.com/bedrock/pricing/>

mod guardrail;
mod import;
mod list;
mod model;
mod pieces;
mod row;
mod table;

pub use guardrail::GuardrailPrice;
pub use import::{Imported, Left};
pub use list::{Difference, PriceList};
pub use model::{CacheLifetime, LongContext, ModelPrice, Rates};
pub use pieces::{PiecePrices, Pieces};
pub use row::{AboveRow, PriceError, PriceRow, RatesRow};
pub use table::PriceTable;

#[cfg(test)]
mod tests;
