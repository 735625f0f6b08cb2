//! `[[rate_limits]]`: how fast and how many calls may be made, by whom, of which models.

use std::num::NonZeroU64;

use super::owners::{self, Nobody};
use super::principals::Roster;
use super::profiles::Draft;
use super::values::{self, Zero};
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::duration::show_duration;
use crate::config::schema::Entry;
use crate::config::settings::RateLimitSettings;
use crate::limits::LONGEST_WAIT;
use crate::types::Models;

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Placed<RateLimitSettings>> {
    let entries = file.tables("rate_limits");
    values::distinct("rate limit", entries.iter().filter_map(|entry| entry.text("name")), report);
    entries.iter().filter_map(|entry| rate_limit(entry, roster, report)).collect()
}

fn rate_limit(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Placed<RateLimitSettings>> {
    let name = report.read(entry.text("name"), values::name);
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let per = values::choice(entry, "per", report);
    let models = models(entry, report);
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

/// Patterns of foundation models. `None` where one is wrong or the list is empty, which would limit nothing.
fn models(entry: &Entry<'_>, report: &mut Report) -> Option<Models> {
    if !entry.has("models") {
        return Some(Models::All);
    }
    let texts = entry.texts("models");
    let written = texts.len();
    if written == 0 {
        report.error(&entry.place_of("models"), Wrong::new("names no model").hint("leave it out for all models"));
        return None;
    }
    let patterns = values::each(texts, report, pattern);
    (patterns.len() == written).then_some(Models::Like(patterns))
}

fn pattern(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_*".contains(&byte));
    if plain && (1..=256).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no pattern of models", quoted(text)));
    Err(wrong.hint("a foundation model's id, in which * stands for anything: \"anthropic.claude-opus-*\""))
}

/// A pattern that fits no profile's model limits nothing, and was meant to.
pub(super) fn unmatched(file: &Entry<'_>, profiles: &[Draft], report: &mut Report) {
    if report.has_errors() {
        return;
    }
    for entry in file.tables("rate_limits") {
        for pattern in entry.texts("models") {
            let models = Models::Like(vec![pattern.value.to_owned()]);
            if !profiles.iter().any(|draft| models.contain(Some(&draft.settings.source))) {
                let wrong = Wrong::new(format!("no profile's model is like {}", quoted(pattern.value)));
                let hint = "patterns are held against the foundation model's id, without a prefix such as `us.`";
                report.warning(&pattern.place, wrong.hint(hint));
            }
        }
    }
}

const RATES: [&str; 4] = ["requests_per_second", "requests_per_minute", "tokens_per_minute", "concurrent"];

/// Far above what an account of AWS allows.
const MOST: i64 = 1_000_000_000_000;
