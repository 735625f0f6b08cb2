//! `[price_table]` and `[prices]`: prices in place of those shipped.

use std::fs::File;
use std::io::Read;

use super::values;
use crate::config::Surroundings;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{PriceFile, PriceSettings};
use crate::profiles::price::{PiecePrices, PriceTable};
use crate::types::{ModelId, Money};

pub(super) fn compile(file: &Entry<'_>, report: &mut Report) -> Vec<Placed<PriceSettings>> {
    file.named("prices").into_iter().filter_map(|(model, entry)| price(model, &entry, report)).collect()
}

/// The table of a file. One that is not there is warned of: files are also checked on machines that lack it. `Err` means
/// that an error has been reported.
pub(super) fn table(
    entry: &Entry<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Result<Option<PriceFile>, ()> {
    let Some(path) = values::existing(entry, "file", around.folder, report) else {
        return if entry.has("file") { Err(()) } else { Ok(None) };
    };
    if !path.is_file() {
        return Ok(Some(PriceFile { path, table: None }));
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    let table = read.map_err(|error| error.to_string());
    match table.and_then(|_| PriceTable::from_json(&text).map_err(|error| error.to_string())) {
        Ok(table) => Ok(Some(PriceFile { path, table: Some(table) })),
        Err(why) => {
            let hint = "a file that `tollgate prices update --from LIST --to FILE` has written";
            report.error(&entry.place_of("file"), Wrong::new(format!("no price table: {why}")).hint(hint));
            Err(())
        }
    }
}

fn price(model: Placed<&str>, entry: &Entry<'_>, report: &mut Report) -> Option<Placed<PriceSettings>> {
    let model: Option<ModelId> = report.read(Some(model), |text| {
        text.parse().map_err(|error| {
            let hint = "in quotes, because ids hold dots: [prices.\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\"]";
            Wrong::new(format!("{}: {error}", quoted(text))).hint(hint)
        })
    });
    let mut piece = |kind| values::dollars(entry, kind, report).unwrap_or(Money::ZERO);
    let pieces =
        PiecePrices { image_made: piece("per_image"), image_read: piece("per_input_image"), query: piece("per_query") };
    let mut per_million = |kind| values::price(entry, kind, report);
    let (input, output) = (per_million("input"), per_million("output"));
    let optimized = (per_million(OPTIMIZED[0]), per_million(OPTIMIZED[1]));
    let value = PriceSettings {
        pieces,
        // Those that may be absent first, so that their faults are reported before a `?` ends the reading.
        cache_read: per_million("cache_read"),
        cache_write_5m: per_million("cache_write_5m"),
        cache_write_1h: per_million("cache_write_1h"),
        latency_optimized: match optimized {
            (Some(input), Some(output)) => Some((input, output)),
            _ if OPTIMIZED.iter().filter(|key| entry.has(key)).count() == 1 => {
                let wrong = Wrong::new("half of the price of latency-optimised inference");
                report.error(entry.place(), wrong.hint(format!("both {} and {}", OPTIMIZED[0], OPTIMIZED[1])));
                None
            }
            _ => None,
        },
        max_input: values::number(entry, "max_input", 1..=i64::MAX, report),
        max_output: values::number(entry, "max_output", 1..=i64::MAX, report),
        model: model?,
        input: input?,
        output: output?,
    };
    Some(Placed { value, place: entry.place().clone() })
}

const OPTIMIZED: [&str; 2] = ["latency_optimized_input", "latency_optimized_output"];

/// LiteLLM's whole list is two megabytes.
const LARGEST: u64 = 64 << 20;
