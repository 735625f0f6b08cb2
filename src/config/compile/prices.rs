//! `[prices]`: prices in place of those shipped.

use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::PriceSettings;
use crate::types::ModelId;

pub(super) fn compile(file: &Entry<'_>, report: &mut Report) -> Vec<Placed<PriceSettings>> {
    file.named("prices").into_iter().filter_map(|(model, entry)| price(model, &entry, report)).collect()
}

fn price(model: Placed<&str>, entry: &Entry<'_>, report: &mut Report) -> Option<Placed<PriceSettings>> {
    let model: Option<ModelId> = report.read(Some(model), |text| {
        text.parse().map_err(|error| {
            let hint = "in quotes, because ids hold dots: [prices.\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\"]";
            Wrong::new(format!("{}: {error}", quoted(text))).hint(hint)
        })
    });
    let mut per_million = |kind| values::price(entry, kind, report);
    let (input, output) = (per_million("input"), per_million("output"));
    let value = PriceSettings {
        // Those that may be absent first, so that their faults are reported before a `?` ends the reading.
        cache_read: per_million("cache_read"),
        cache_write_5m: per_million("cache_write_5m"),
        cache_write_1h: per_million("cache_write_1h"),
        max_input: values::number(entry, "max_input", 1..=i64::MAX, report),
        max_output: values::number(entry, "max_output", 1..=i64::MAX, report),
        model: model?,
        input: input?,
        output: output?,
    };
    Some(Placed { value, place: entry.place().clone() })
}
