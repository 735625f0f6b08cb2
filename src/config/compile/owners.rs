//! `principals`, `groups` and `everyone` of a profile, a guardrail or a budget: whom it is for.

use super::principals::Roster;
use super::values;
use crate::config::diagnostics::{Report, Wrong, quoted};
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
    let principals = known(entry, "principals", roster, report);
    let groups = known(entry, "groups", roster, report);
    let everyone = entry.flag("everyone")?;
    let listed = !entry.texts("principals").is_empty() || !entry.texts("groups").is_empty();
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

/// Reads the two lists alone: never everyone, and never nobody.
pub(super) fn listed(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Owners> {
    let principals = known(entry, "principals", roster, report);
    let groups = known(entry, "groups", roster, report);
    if entry.texts("principals").is_empty() && entry.texts("groups").is_empty() {
        let hint = "add principals = [\"…\"] or groups = [\"…\"]";
        report.error(entry.place(), Wrong::new("is for nobody").hint(hint));
        return None;
    }
    Some(Owners::Only { principals: principals?, groups: groups? })
}

/// The names of a list, each of which must be known. `None` where one is not: without it the list would mean others.
fn known(entry: &Entry<'_>, list: &str, roster: &Roster<'_>, report: &mut Report) -> Option<Vec<String>> {
    let texts = entry.texts(list);
    let written = texts.len();
    values::distinct(list.trim_end_matches('s'), texts.iter().cloned(), report);
    let (known, what, remedy) = match list {
        "groups" => {
            let remedy = "a group exists by being named in the groups of a [[principals]]";
            (&roster.groups, "no principal is in a group", remedy)
        }
        _ => (&roster.principals, "there is no principal", "every caller is listed under [[principals]]"),
    };
    let names: Vec<String> = texts
        .into_iter()
        .filter_map(|text| {
            // Whoever a token tells of may be meant; a name that is nearly a listed one is a slip, and would bind nobody.
            if let Some(meant) = roster.meant(list, text.value) {
                let wrong = Wrong::new(format!("{} is not listed, and nearly a name that is", quoted(text.value)));
                let hint = format!("{meant} If not, whoever tokens or certificates tell of is meant");
                report.warning(&text.place, wrong.hint(hint));
            }
            if known.contains(text.value) || !roster.is_readable() {
                return Some(text.value.to_owned());
            }
            let hint = suggest::did_you_mean(text.value, known.iter().copied()).unwrap_or_else(|| remedy.to_owned());
            report.error(&text.place, Wrong::new(format!("{what} {}", quoted(text.value))).hint(hint));
            None
        })
        .collect();
    (names.len() == written).then_some(names)
}
