//! `[[rate_limits]]`: how fast and how many calls may be made, by whom, of which models.

use std::num::NonZeroU64;

use super::models;
use super::owners::{self, Nobody};
use super::principals::Roster;
use super::values::{self, Zero};
use crate::config::diagnostics::{Placed, Report, Wrong};
use crate::config::duration::show_duration;
use crate::config::schema::Entry;
use crate::config::settings::RateLimitSettings;
use crate::limits::LONGEST_WAIT;

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Placed<RateLimitSettings>> {
    let entries = file.tables("rate_limits");
    values::distinct("rate limit", entries.iter().filter_map(|entry| entry.text("name")), report);
    entries.iter().filter_map(|entry| rate_limit(entry, roster, report)).collect()
}

fn rate_limit(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Placed<RateLimitSettings>> {
    let name = report.read(entry.text("name"), values::name);
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let per = values::choice(entry, "per", report);
    let models = models::compile(entry, report);
    let [requests_per_second, requests_per_minute, tokens_per_minute, concurrent] =
        RATES.map(|rate| values::number::<u64>(entry, rate, 1..=MOST, report).and_then(NonZeroU64::new));
    if !RATES.iter().any(|rate| entry.has(rate)) {
        let hint = format!("add one or more of {}", RATES.join(", "));
        report.error(entry.place(), Wrong::new("limits nothing").hint(hint));
    }
    let max_wait = values::span(entry, "max_wait", Zero::Allowed, report);
    if max_wait.is_some_and(|wait| wait > LONGEST_WAIT) {
        let longest = show_duration(LONGEST_WAIT);
        let wrong = Wrong::new(format!("calls may wait for {longest} at most"));
        report.error(&entry.place_of("max_wait"), wrong.hint("clients give up on an answer that does not begin"));
    }
    let value = RateLimitSettings {
        name: name?,
        owners: owners?,
        per: per?,
        models: models?,
        requests_per_second,
        requests_per_minute,
        tokens_per_minute,
        concurrent,
        max_wait: max_wait?,
    };
    Some(Placed { value, place: entry.place().clone() })
}

const RATES: [&str; 4] = ["requests_per_second", "requests_per_minute", "tokens_per_minute", "concurrent"];

/// Far above what an account of AWS allows.
const MOST: i64 = 1_000_000_000_000;
