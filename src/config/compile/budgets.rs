//! `[[budgets]]`: how much may be spent, by whom, in which window.

use jiff::tz::TimeZone;

use super::owners::{self, Nobody};
use super::principals::Roster;
use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::BudgetSettings;
use crate::config::suggest;
use crate::types::Money;

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Placed<BudgetSettings>> {
    let entries = file.tables("budgets");
    values::distinct("budget", entries.iter().filter_map(|entry| entry.text("name")), report);
    entries.iter().filter_map(|entry| budget(entry, roster, report)).collect()
}

fn budget(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Placed<BudgetSettings>> {
    let name = report.read(entry.text("name"), values::name);
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let window = values::choice(entry, "window", report);
    let zone = report.read(entry.text("time_zone"), zone);
    let usd = values::dollars(entry, "usd", report);
    let tokens = values::number::<u64>(entry, "tokens", 0..=i64::MAX, report);
    let reserve = values::choice(entry, "reserve", report);
    if !entry.has("usd") && !entry.has("tokens") {
        let hint = "add usd = \"5.00\", or tokens = 1000000, or both";
        report.error(entry.place(), Wrong::new("limits nothing").hint(hint));
    }
    if usd == Some(Money::ZERO) || tokens == Some(0) {
        report.warning(entry.place(), Wrong::new("allows nothing: every call under it will be refused"));
    }
    let value =
        BudgetSettings { name: name?, owners: owners?, window: window?, zone: zone?, usd, tokens, reserve: reserve? };
    Some(Placed { value, place: entry.place().clone() })
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
