//! `[store]`: where counts and the bill are kept.

use std::time::Duration;

use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::StoreSettings;

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<StoreSettings> {
    let kind = values::choice(entry, "kind", report);
    let path = values::path(entry, "path", around.folder, report);
    let durability = values::choice(entry, "durability", report);
    let retention = values::span(entry, "retention", Zero::Refused, report);
    if retention.is_some_and(|kept| kept < SHORTEST) {
        let hint = "\"400d\" keeps more than a year for the cost report; at least \"1d\"";
        report.error(entry.place(), Wrong::new("`retention` is shorter than a day").hint(hint));
    }
    Some(StoreSettings { kind: kind?, path: path?, durability: durability?, retention: retention? })
}

const SHORTEST: Duration = Duration::from_hours(24);
