//! `principals`, `groups` and `everyone` of a profile, a guardrail or a budget: whom it is for.

use std::collections::BTreeSet;

use super::principals::Roster;
use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::suggest;
use crate::types::Owners;

/// What it means that nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nobody {
    /// It waits for an owner.
    Allowed,
    /// It would be forgotten silently, and it is there to limit somebody.
    Refused,
}

/// Reads the three keys. `None` means that an error has been reported.
pub(super) fn compile(entry: &Entry<'_>, roster: &Roster<'_>, nobody: Nobody, report: &mut Report) -> Option<Owners> {
    let principals = known(entry, "principals", &roster.principals, report);
    let groups = known(entry, "groups", &roster.groups, report);
    let everyone = entry.flag("everyone")?;
    let listed = entry.has("principals") && !entry.texts("principals").is_empty()
        || entry.has("groups") && !entry.texts("groups").is_empty();
    if everyone.value && listed {
        let wrong = Wrong::new("stands beside a list").hint("either everyone = true, or principals and groups");
        report.error(&everyone.place, wrong);
        return None;
    }
    if everyone.value {
        return Some(Owners::Everyone);
    }
    if !listed && nobody == Nobody::Refused {
        let hint = "add everyone = true, or principals = [\"…\"], or groups = [\"…\"]";
        report.error(entry.place(), Wrong::new("is for nobody").hint(hint));
        return None;
    }
    Some(Owners::Only { principals: principals?, groups: groups? })
}

/// The names of a list, each of which must be known. `None` where one is not: without it the list would mean others.
fn known(entry: &Entry<'_>, name: &str, known: &BTreeSet<&str>, report: &mut Report) -> Option<Vec<String>> {
    let texts = entry.texts(name);
    let written = texts.len();
    values::distinct(name.trim_end_matches('s'), texts.iter().cloned(), report);
    let names: Vec<String> = texts.into_iter().filter_map(|text| one_of(text, name, known, report)).collect();
    (names.len() == written).then_some(names)
}

fn one_of(text: Placed<&str>, list: &str, known: &BTreeSet<&str>, report: &mut Report) -> Option<String> {
    if known.contains(text.value) {
        return Some(text.value.to_owned());
    }
    let (what, remedy) = match list {
        "groups" => ("no principal is in a group", "a group exists by being named in the groups of a [[principals]]"),
        _ => ("there is no principal", "every caller is listed under [[principals]]"),
    };
    let hint = suggest::did_you_mean(text.value, known.iter().copied()).unwrap_or_else(|| remedy.to_owned());
    report.error(&text.place, Wrong::new(format!("{what} {}", quoted(text.value))).hint(hint));
    None
}
