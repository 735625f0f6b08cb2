//! `[[budgets]]`: how much may be spent, by whom, on what, in which window.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::models;
use super::owners::{self, Nobody};
use super::principals::Roster;
use super::values::{self, Zero};
use crate::budget::{Enforcement, Limits, Unit};
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{BudgetSettings, Window, WindowSettings};
use crate::config::suggest;

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Placed<BudgetSettings>> {
    let entries = file.tables("budgets");
    values::distinct("budget", entries.iter().filter_map(|entry| entry.text("name")), report);
    entries.iter().filter_map(|entry| budget(entry, roster, report)).collect()
}

fn budget(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Placed<BudgetSettings>> {
    let name = report.read(entry.text("name"), values::name);
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let default = entry.flag("default").map(|default| default.value);
    let per = values::choice(entry, "per", report);
    let models = models::compile(entry, report);
    let apart = values::choice(entry, "apart", report);
    let window = window(entry, report);
    let zone = report.read(entry.text("time_zone"), zone);
    let limits = limits(entry, report);
    let enforcement = values::choice(entry, "enforcement", report);
    let reserve = values::choice(entry, "reserve", report);
    let caps = caps(entry, &limits, enforcement, report);
    let value = BudgetSettings {
        name: name?,
        owners: owners?,
        default: default?,
        per: per?,
        models: models?,
        apart: apart?,
        window: window?,
        zone: zone?,
        limits,
        enforcement: enforcement?,
        reserve: reserve?,
        caps,
    };
    Some(Placed { value, place: entry.place().clone() })
}

fn limits(entry: &Entry<'_>, report: &mut Report) -> Limits {
    let mut number = |name| values::number::<u64>(entry, name, 0..=i64::MAX, report);
    let (tokens, input_tokens) = (number("tokens"), number("input_tokens"));
    let (output_tokens, requests) = (number("output_tokens"), number("requests"));
    let limits = Limits { usd: values::dollars(entry, "usd", report), tokens, input_tokens, output_tokens, requests };
    if !Unit::ALL.iter().any(|unit| entry.has(unit.as_str())) {
        let hint = "add one or more of usd = \"5.00\", tokens = 1000000, input_tokens, output_tokens, requests";
        report.error(entry.place(), Wrong::new("limits nothing").hint(hint));
    }
    if Unit::ALL.iter().any(|unit| limits.of(*unit) == Some(0)) {
        report.warning(entry.place(), Wrong::new("allows nothing: every call under it will be refused"));
    }
    limits
}

/// The most that is held for one call. A cap on tokens holds for tokens of every kind.
fn caps(entry: &Entry<'_>, limits: &Limits, enforcement: Option<Enforcement>, report: &mut Report) -> Limits {
    let usd = values::dollars(entry, "reserve_at_most_usd", report);
    let tokens = values::number::<u64>(entry, "reserve_at_most_tokens", 0..=i64::MAX, report);
    let caps = Limits { usd, tokens, input_tokens: tokens, output_tokens: tokens, requests: None };
    for (key, unit) in [("reserve_at_most_usd", Unit::Usd), ("reserve_at_most_tokens", Unit::Tokens)] {
        if !entry.has(key) {
            continue;
        }
        let limited = match unit {
            Unit::Usd => limits.usd.is_some(),
            Unit::Tokens | Unit::InputTokens | Unit::OutputTokens | Unit::Requests => {
                limits.tokens.or(limits.input_tokens).or(limits.output_tokens).is_some()
            }
        };
        if !limited {
            let wrong = Wrong::new("caps what is held of something that the budget does not limit");
            report.warning(&entry.place_of(key), wrong.hint("leave it out, or add the limit"));
        } else if enforcement == Some(Enforcement::Soft) {
            let wrong = Wrong::new("has no effect: a soft budget refuses nothing, however much is held");
            report.warning(&entry.place_of(key), wrong.hint("leave it out, or write enforcement = \"hard\""));
        } else if let (Some(cap), Some(limit)) = (caps.of(unit), limits.of(unit))
            && cap > limit
        {
            let wrong = Wrong::new("is above the limit: a call that needs so much is refused all the same");
            report.warning(&entry.place_of(key), wrong.hint("a cap below the limit lets big calls in"));
        }
    }
    caps
}

fn window(entry: &Entry<'_>, report: &mut Report) -> Option<WindowSettings> {
    let window = values::choice(entry, "window", report);
    let length = entry.has("length").then(|| values::span(entry, "length", Zero::Refused, report));
    let starts: Option<Weekday> = values::choice(entry, "week_starts", report);
    if window.is_some_and(|window| window != Window::Rolling) && entry.has("length") {
        let wrong = Wrong::new("has no effect: the calendar decides how long this window is");
        report.warning(&entry.place_of("length"), wrong.hint("leave it out, or write window = \"rolling\""));
    }
    if window.is_some_and(|window| window != Window::Week) && entry.has("week_starts") {
        let wrong = Wrong::new("has no effect: this window does not begin with a week");
        report.warning(&entry.place_of("week_starts"), wrong.hint("leave it out, or write window = \"week\""));
    }
    Some(match window? {
        Window::Hour => WindowSettings::Hour,
        Window::Day => WindowSettings::Day,
        Window::Week => WindowSettings::Week(starts?),
        Window::Month => WindowSettings::Month,
        Window::Lifetime => WindowSettings::Lifetime,
        Window::Rolling => match length {
            None => {
                let wrong = Wrong::new("is missing: a rolling window has a length");
                report.error(&entry.place_of("length"), wrong.hint("length = \"5h\", say"));
                return None;
            }
            Some(length) => WindowSettings::Rolling(rolling(entry, length?, report)?),
        },
    })
}

fn rolling(entry: &Entry<'_>, length: Duration, report: &mut Report) -> Option<Duration> {
    let whole = length.subsec_nanos() == 0;
    if whole && (SHORTEST..=LONGEST).contains(&length) {
        return Some(length);
    }
    let wrong = Wrong::new("is no length of a rolling window");
    report.error(&entry.place_of("length"), wrong.hint("whole seconds, from \"1m\" to \"366d\""));
    None
}

fn zone(text: &str) -> Result<TimeZone, Wrong> {
    let database = jiff::tz::db();
    database.get(text).map_err(|_| {
        let names: Vec<_> = database.available().map(|name| name.as_str().to_owned()).collect();
        let city = |name: &&String| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
        let nearest = names.iter().filter(city).min_by_key(|name| name.len()).map(String::as_str);
        let hint = nearest
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| suggest::did_you_mean(text, names.iter().map(String::as_str)))
            .unwrap_or_else(|| "a name of the IANA time zone database, such as \"Europe/Berlin\"".to_owned());
        Wrong::new(format!("{} is no time zone", quoted(text))).hint(hint)
    })
}

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(366 * 24);
