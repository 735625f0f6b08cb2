//! What the allowed Regions of `[policy]` leave of the rest of the file: a profile that nobody can call was meant otherwise.

use super::profiles::Draft;
use crate::bedrock::Operation;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::{PolicySettings, VendingSettings};
use crate::policy::Outside;
use crate::profiles::Profile;
use crate::profiles::vending::Geographies;

/// Warns of profiles, and of a Region for guardrails, whose calls would all be refused.
pub(super) fn check(file: &Entry<'_>, profiles: &[Draft], policy: &PolicySettings, report: &mut Report) {
    if report.has_errors() {
        return;
    }
    for draft in profiles {
        let settings = &draft.settings;
        // Where the source is not said, the Region alone can be looked at; the rest is at each call.
        let checked = match &settings.source {
            Some(source) => {
                let profile = Profile::new(settings.name.clone(), settings.arn.clone(), source.clone());
                policy.residency.check_profile(&profile)
            }
            None => policy.residency.check_region(settings.arn.region().as_str()),
        };
        let Err(outside) = checked else { continue };
        let wrong = Wrong::new(format!("nobody can call {}: {outside}", settings.name));
        report.warning(&draft.source, wrong.hint(remedy(&outside)));
    }
    let upstream = file.table("upstream");
    if let Some(region) = upstream.text("region").filter(|_| policy.operations.contains(&Operation::ApplyGuardrail))
        && let Err(outside) = policy.residency.check_region(region.value)
    {
        let wrong = Wrong::new(format!("every ApplyGuardrail call will be refused: {outside}"));
        report.warning(
            &region.place,
            wrong.hint("leave ApplyGuardrail out of policy.operations, or name another Region"),
        );
    }
}

/// Warns of Regions in which nobody can call what is found, and of geographies of which nobody can call what is made.
pub(super) fn check_discovery(
    file: &Entry<'_>,
    vending: &[VendingSettings],
    policy: &PolicySettings,
    report: &mut Report,
) {
    if report.has_errors() {
        return;
    }
    for region in file.tables("accounts").iter().flat_map(|account| account.texts("regions")) {
        if let Err(outside) = policy.residency.check_region(region.value) {
            let wrong = Wrong::new(format!("nobody can call what is found there: {outside}"));
            report.warning(&region.place, wrong.hint("leave it out, or allow it"));
        }
    }
    for (entry, vending) in file.tables("vending").iter().zip(vending) {
        let VendingSettings::Create(rule) = vending else { continue };
        let Geographies(geographies) = &rule.geographies;
        for (text, geography) in entry.texts("geographies").iter().zip(geographies) {
            let allowed = match geography {
                Some(geography) => policy.residency.check_geography(*geography),
                None => policy.residency.check_region(rule.place.region.as_str()),
            };
            if let Err(outside) = allowed {
                let wrong = Wrong::new(format!("nobody can call what is made of that: {outside}"));
                report.warning(&text.place, wrong.hint("leave it out, so that none is made in vain"));
            }
        }
    }
}

fn remedy(outside: &Outside) -> &'static str {
    match outside {
        Outside::Region { .. } => "take the profile out, or allow its Region",
        Outside::Geography { .. } => {
            "allow the whole of it, such as \"eu-*\", or make the profile from a model that one Region serves"
        }
        Outside::Anywhere { .. } => {
            "make the profile from a geography or a model of one Region, or allow \"unspecified\" too, which is anywhere"
        }
        Outside::Global => "make the profile from a geography or a model of one Region",
    }
}
