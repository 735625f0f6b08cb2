//! `[policy]`: what is allowed at all.

use super::values;
use crate::bedrock::{Operation, Treatment};
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::PolicySettings;
use crate::config::suggest;
use crate::policy::{GlobalProfiles, Residency};
use crate::types::RegionPattern;

pub(super) fn compile(entry: &Entry<'_>, report: &mut Report) -> PolicySettings {
    PolicySettings { operations: operations(entry, report), residency: residency(entry, report) }
}

/// Without the key, every forwarded operation is allowed; with it, those it lists.
fn operations(entry: &Entry<'_>, report: &mut Report) -> Vec<Operation> {
    if !entry.has("operations") {
        return forwarded().collect();
    }
    let texts = entry.texts("operations");
    if texts.is_empty() {
        let wrong = Wrong::new("no operation is allowed: every call will be refused");
        report
            .warning(&entry.place_of("operations"), wrong.hint("leave the key out to allow every forwarded operation"));
    }
    values::distinct("operation", texts.iter().cloned(), report);
    values::each(texts, report, operation)
}

/// Without the list, every Region is allowed; with it, those it names.
fn residency(entry: &Entry<'_>, report: &mut Report) -> Residency {
    let texts = entry.texts("allowed_regions");
    if entry.has("allowed_regions") && texts.is_empty() {
        let wrong = Wrong::new("no Region is allowed: every call will be refused");
        report.warning(&entry.place_of("allowed_regions"), wrong.hint("leave the key out to allow every Region"));
    }
    values::distinct("Region", texts.iter().cloned(), report);
    let allowed = values::each(texts, report, |text| {
        text.parse::<RegionPattern>().map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
    });
    let deny = entry.flag("deny_global").is_some_and(|flag| flag.value);
    let global = if deny { GlobalProfiles::Denied } else { GlobalProfiles::ByRegion };
    Residency::new(entry.has("allowed_regions").then_some(allowed), global)
}

fn operation(text: &str) -> Result<Operation, Wrong> {
    let found = Operation::ALL.into_iter().find(|operation| operation.name() == text);
    match found.map(|operation| (operation, operation.treatment())) {
        Some((operation, Treatment::Forwarded(_))) => Ok(operation),
        Some((_, Treatment::Answered)) => Err(Wrong::new(format!("{text} is answered by Tollgate itself"))
            .hint("callers may always list their own profiles: leave it out")),
        Some((_, Treatment::Refused)) => Err(Wrong::new(format!("{text} is not forwarded"))
            .hint("it cannot be metered or guarded, so no setting allows it")),
        None => {
            let names = || forwarded().map(Operation::name);
            let hint = suggest::did_you_mean(text, names()).or_else(|| {
                let of_iam = Operation::ALL.into_iter().any(|operation| operation.iam_action() == text);
                of_iam.then(|| "operations are named as in the Runtime API, without `bedrock:`".to_owned())
            });
            let known: Vec<_> = names().collect();
            Err(Wrong::new(format!("{} is no operation", quoted(text)))
                .hint(hint.unwrap_or_else(|| format!("one of {}", known.join(", ")))))
        }
    }
}

fn forwarded() -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|operation| operation.forwarded().is_some())
}
