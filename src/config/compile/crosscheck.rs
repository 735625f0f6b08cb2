//! What only the whole file can tell: names that lead to two profiles, people without a profile, budgets that cannot hold.
//!
//! Faults are looked for among whatever could be compiled. Warnings about what is *absent* wait until there is no error left,
//! because half a file would raise them falsely.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::profiles::Draft;
use crate::bedrock::Operation;
use crate::config::Surroundings;
use crate::config::diagnostics::{Place, Placed, Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::{
    AdminSettings, BudgetSettings, GuardrailSettings, PolicySettings, PriceSettings, ServerSettings, UpstreamSettings,
};
use crate::config::suggest;
use crate::identity::Principal;
use crate::types::{Owners, Rank, Region};

/// The lists that refer to one another.
pub(super) struct Whole<'a> {
    pub(super) principals: &'a [Placed<Principal>],
    pub(super) profiles: &'a [Draft],
    pub(super) guardrails: &'a [Placed<GuardrailSettings>],
    pub(super) budgets: &'a [Placed<BudgetSettings>],
    pub(super) prices: &'a [Placed<PriceSettings>],
}

/// A principal's access to a profile.
type Grant<'a> = (&'a Principal, Rank, &'a Draft);

impl Whole<'_> {
    pub(super) fn check(&self, around: &Surroundings<'_>, report: &mut Report) {
        let grants = self.grants();
        clashing_names(&grants, report);
        self.clashing_guardrails(report);
        self.unpriced_budgets(&grants, around, report);
        if !report.has_errors() {
            same_sources(&grants, report);
            self.unowned(&grants, report);
            self.unused_prices(report);
        }
    }

    fn grants(&self) -> Vec<Grant<'_>> {
        let pairs =
            self.principals.iter().flat_map(|principal| self.profiles.iter().map(move |draft| (principal, draft)));
        pairs
            .filter_map(|(principal, draft)| {
                let rank = rank(&draft.settings.owners, &principal.value)?;
                Some((&principal.value, rank, draft))
            })
            .collect()
    }

    /// A call carries one guardrail: the closest one, so two may not be equally close.
    fn clashing_guardrails(&self, report: &mut Report) {
        let mut reported = BTreeSet::new();
        for principal in self.principals {
            let mut closest: HashMap<Rank, &Place> = HashMap::new();
            for guardrail in self.guardrails {
                let Some(rank) = rank(&guardrail.value.owners, &principal.value) else { continue };
                if let Some(first) = closest.get(&rank) {
                    if reported.insert(guardrail.place.offset) {
                        let (name, line) = (principal.value.name(), report.line(first));
                        let wrong = Wrong::new(format!("{name} would owe this guardrail and the one on line {line}"));
                        report.error(
                            &guardrail.place,
                            wrong.hint("a call carries one guardrail: narrow the owners of one of them"),
                        );
                    }
                } else {
                    closest.insert(rank, &guardrail.place);
                }
            }
        }
    }

    /// A budget in dollars over somebody whose profile has no price could not be kept.
    fn unpriced_budgets(&self, grants: &[Grant<'_>], around: &Surroundings<'_>, report: &mut Report) {
        let overridden: HashSet<_> = self.prices.iter().map(|price| &price.value.model).collect();
        let unpriced: Vec<_> = grants
            .iter()
            .filter(|(_, _, draft)| {
                let source = &draft.settings.source;
                !overridden.contains(source) && !(around.price_known)(source)
            })
            .collect();
        for budget in self.budgets.iter().filter(|budget| budget.value.usd.is_some()) {
            let mut reported = HashSet::new();
            for (principal, _, draft) in &unpriced {
                let source = &draft.settings.source;
                if rank(&budget.value.owners, principal).is_some() && reported.insert(source) {
                    let (budget, name) = (&budget.value.name, principal.name());
                    let wrong =
                        Wrong::new(format!("{source} has no price, and {name} has the budget {budget} in dollars"));
                    report.error(&draft.source, wrong.hint(format!("add [prices.\"{source}\"] with input and output")));
                }
            }
        }
    }

    fn unowned(&self, grants: &[Grant<'_>], report: &mut Report) {
        let owned: HashSet<usize> = grants.iter().map(|(_, _, draft)| draft.place.offset).collect();
        for draft in self.profiles.iter().filter(|draft| !owned.contains(&draft.place.offset)) {
            let wrong = Wrong::new(format!("nobody owns {}", draft.settings.name));
            report.warning(&draft.place, wrong.hint("add principals = [\"…\"], groups = [\"…\"] or everyone = true"));
        }
        let served: HashSet<&str> = grants.iter().map(|(principal, _, _)| principal.name()).collect();
        for principal in self.principals.iter().filter(|principal| !served.contains(principal.value.name())) {
            let wrong = Wrong::new(format!("{} has no profile and can call no model", principal.value.name()));
            report.warning(&principal.place, wrong.hint("name them, a group of theirs or everyone in a [[profiles]]"));
        }
    }

    fn unused_prices(&self, report: &mut Report) {
        let sources = || self.profiles.iter().map(|draft| draft.settings.source.as_str());
        for price in self.prices.iter().filter(|price| !sources().any(|source| source == price.value.model.as_str())) {
            let hint = suggest::did_you_mean(price.value.model.as_str(), sources());
            let hint =
                hint.unwrap_or_else(|| "prices go by the source of a profile, geographic prefix included".to_owned());
            report.warning(&price.place, Wrong::new("no profile has this source").hint(hint));
        }
    }
}

/// Two listeners cannot share an address.
pub(super) fn listeners(file: &Entry<'_>, server: &ServerSettings, admin: &AdminSettings, report: &mut Report) {
    let (a, b) = (server.listen, admin.listen);
    let overlapping = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    if a.port() == b.port() && a.port() != 0 && overlapping {
        let place = if file.table("admin").has("listen") {
            file.table("admin").place_of("listen")
        } else {
            file.table("server").place_of("listen")
        };
        let wrong = Wrong::new(format!("server.listen and admin.listen are both on port {}", a.port()));
        report.error(&place, wrong.hint("callers and operators have a port each"));
    }
}

/// The Region of all profiles, where it is one.
pub(super) fn only_region(profiles: &[Draft]) -> Option<Region> {
    let (first, rest) = profiles.split_first()?;
    let region = first.settings.arn.region();
    rest.iter().all(|draft| draft.settings.arn.region() == region).then(|| region.clone())
}

/// Calls that name no profile must go somewhere, if they are allowed.
pub(super) fn guardrail_region(
    file: &Entry<'_>,
    upstream: &UpstreamSettings,
    policy: &PolicySettings,
    report: &mut Report,
) {
    if upstream.region.is_none() && policy.operations.contains(&Operation::ApplyGuardrail) && !report.has_errors() {
        let wrong =
            Wrong::new("missing, and the profiles lie in several Regions: ApplyGuardrail calls have nowhere to go");
        let hint = "set upstream.region, or leave ApplyGuardrail out of policy.operations";
        report.warning(&file.table("upstream").place_of("region"), wrong.hint(hint));
    }
}

/// A name that leads one principal to two profiles, equally closely.
fn clashing_names(grants: &[Grant<'_>], report: &mut Report) {
    let mut first: HashMap<(&str, Rank, &str), (&Draft, &Place)> = HashMap::new();
    let mut reported = BTreeSet::new();
    for (principal, rank, draft) in grants {
        for name in &draft.names {
            let (other, place) = *first.entry((principal.name(), *rank, &name.value)).or_insert((draft, &name.place));
            if other.settings.name != draft.settings.name && reported.insert(name.place.offset) {
                let (caller, line) = (principal.name(), report.line(place));
                let wrong = Wrong::new(format!(
                    "{:?} leads {caller} to this profile and to {}",
                    name.value, other.settings.name
                ));
                report.error(
                    &name.place,
                    wrong.hint(format!("the other one is named on line {line}: rename one, or narrow its owners")),
                );
            }
        }
    }
}

/// A model that one principal can reach through two profiles, equally closely.
fn same_sources(grants: &[Grant<'_>], report: &mut Report) {
    let mut first: HashMap<(&str, Rank, &str), &Draft> = HashMap::new();
    let mut reported = BTreeSet::new();
    for (principal, rank, draft) in grants {
        let source = draft.settings.source.as_str();
        let other = *first.entry((principal.name(), *rank, source)).or_insert(draft);
        if other.place != draft.place && reported.insert(draft.place.offset) {
            let wrong = Wrong::new(format!(
                "{} has two profiles of {source}: this and {}",
                principal.name(),
                other.settings.name
            ));
            report.warning(
                &draft.source,
                wrong.hint("a call that names the model cannot tell them apart; their names and ARNs can"),
            );
        }
    }
}

fn rank(owners: &Owners, principal: &Principal) -> Option<Rank> {
    owners.rank(principal.name(), principal.groups())
}
