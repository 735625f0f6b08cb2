//! What the allowed Regions of `[policy]` leave of the rest of the file: a profile that nobody can call was meant otherwise.

use super::profiles::Draft;
use crate::bedrock::Operation;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::PolicySettings;
use crate::policy::Outside;
use crate::profiles::Profile;

/// Warns of profiles, and of a Region for guardrails, whose calls would all be refused.
pub(super) fn check(file: &Entry<'_>, profiles: &[Draft], policy: &PolicySettings, report: &mut Report) {
    if report.has_errors() {
        return;
    }
    for draft in profiles {
        let settings = &draft.settings;
        let profile = Profile::new(settings.name.clone(), settings.arn.clone(), settings.source.clone());
        let Err(outside) = policy.residency.check_profile(&profile) else { continue };
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
