//! `[prices]`: prices in place of those shipped.

use super::values;
use crate::config::Surroundings;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::PriceSettings;
use crate::types::ModelId;

pub(super) fn compile(file: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Vec<Placed<PriceSettings>> {
    let prices = file.named("prices").into_iter();
    prices.filter_map(|(model, entry)| price(model, &entry, around, report)).collect()
}

fn price(
    model: Placed<&str>,
    entry: &Entry<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Option<Placed<PriceSettings>> {
    let model: Option<ModelId> = report.read(Some(model), |text| {
        text.parse().map_err(|error| {
            let hint = "in quotes, because ids hold dots: [prices.\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\"]";
            Wrong::new(format!("{}: {error}", quoted(text))).hint(hint)
        })
    });
    let input = values::price(entry, "input", report);
    let output = values::price(entry, "output", report);
    let cache_read = values::price(entry, "cache_read", report);
    let cache_write_5m = values::price(entry, "cache_write_5m", report);
    let cache_write_1h = values::price(entry, "cache_write_1h", report);
    let model = model?;
    let complete = entry.has("input") && entry.has("output");
    if !complete && !(around.price_known)(&model) {
        let wrong = Wrong::new("no price of this model is shipped, so half a price is none");
        report.error(entry.place(), wrong.hint("give at least input and output, in dollars per million tokens"));
    }
    let value = PriceSettings { model, input, output, cache_read, cache_write_5m, cache_write_1h };
    Some(Placed { value, place: entry.place().clone() })
}
