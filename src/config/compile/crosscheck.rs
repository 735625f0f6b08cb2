//! What only the whole file can tell: names that lead to two profiles, people without a profile, budgets that cannot hold.
//!
//! Faults are looked for among whatever could be compiled. Warnings about what is *absent* wait until there is no error left,
//! because half a file would raise them falsely.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::profiles::Draft;
use crate::bedrock::Operation;
use crate::budget::Enforcement;
use crate::config::Surroundings;
use crate::config::diagnostics::{Place, Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{
    AccountSettings, BudgetSettings, GuardrailSettings, PolicySettings, PriceSettings, ProfileSettings,
    UpstreamSettings,
};
use crate::config::suggest;
use crate::identity::Principal;
use crate::profiles::Reach;
use crate::profiles::price::PriceTable;
use crate::types::{ModelId, Owners, ProfileArn, Region};

/// The lists that refer to one another.
pub(super) struct Whole<'a> {
    pub(super) principals: &'a [Placed<Principal>],
    pub(super) profiles: &'a [Draft],
    pub(super) guardrails: &'a [Placed<GuardrailSettings>],
    pub(super) budgets: &'a [Placed<BudgetSettings>],
    pub(super) prices: &'a [Placed<PriceSettings>],
    /// The table of the configuration, if it names one.
    pub(super) table: Option<&'a PriceTable>,
    /// Tokens or certificates may tell of people who are not listed.
    pub(super) open: bool,
    /// There are more profiles in AWS.
    pub(super) discovers: bool,
}

/// A principal's access to a profile.
type Grant<'a> = (&'a Principal, &'a Draft);

impl Whole<'_> {
    pub(super) fn check(&self, around: &Surroundings<'_>, report: &mut Report) {
        let grants = self.grants();
        self.clashing_words(report);
        self.sources_of_one_arn(report);
        self.clashing_guardrails(report);
        self.unpriced_budgets(&grants, around, report);
        if !report.has_errors() {
            self.same_sources(report);
            self.unowned(&grants, report);
            if !self.discovers {
                self.unserved(&grants, report);
                self.unused_prices(report);
            }
        }
    }

    fn grants(&self) -> Vec<Grant<'_>> {
        let pairs =
            self.principals.iter().flat_map(|principal| self.profiles.iter().map(move |draft| (principal, draft)));
        pairs
            .filter(|(principal, draft)| owns(&draft.settings.owners, &principal.value))
            .map(|(principal, draft)| (&principal.value, draft))
            .collect()
    }

    /// One word for two profiles of one owner. Different owners may share words: the closest owner decides.
    fn clashing_words(&self, report: &mut Report) {
        let mut first: HashMap<(Owner<'_>, &str), (&Draft, &Place)> = HashMap::new();
        let mut reported = BTreeSet::new();
        for draft in self.profiles {
            for owner in each(&draft.settings.owners) {
                for word in &draft.words {
                    let (other, place) = *first.entry((owner, &word.value)).or_insert((draft, &word.place));
                    // Two profiles of one name are reported as such.
                    let renamed = other.settings.name != draft.settings.name;
                    if renamed && reported.insert(word.place.offset) {
                        let (name, line) = (&other.settings.name, report.line(place));
                        let wrong =
                            Wrong::new(format!("{} also means the profile {name} for {owner}", quoted(&word.value)));
                        let hint = format!("that is on line {line}: rename one, or give them different owners");
                        report.error(&word.place, wrong.hint(hint));
                    }
                }
            }
        }
    }

    /// One ARN may stand twice, for different owners, but it has one source: another one would be metered at a wrong price.
    fn sources_of_one_arn(&self, report: &mut Report) {
        let mut first: HashMap<&ProfileArn, &Draft> = HashMap::new();
        for draft in self.profiles {
            let other = *first.entry(&draft.settings.arn).or_insert(draft);
            if other.settings.source != draft.settings.source {
                let line = report.line(&other.source);
                let source = other
                    .settings
                    .source
                    .as_ref()
                    .map_or_else(|| "no source".to_owned(), |id| format!("the source {id}"));
                let wrong = Wrong::new(format!("the same ARN has {source} on line {line}"));
                report.error(&draft.source, wrong.hint("a profile is made from one source: correct the wrong one"));
            }
        }
    }

    /// A call carries one guardrail, the closest owner's, so an owner may owe only one.
    fn clashing_guardrails(&self, report: &mut Report) {
        let mut first: HashMap<Owner<'_>, &Place> = HashMap::new();
        let mut reported = BTreeSet::new();
        for guardrail in self.guardrails {
            for owner in each(&guardrail.value.owners) {
                let place = *first.entry(owner).or_insert(&guardrail.place);
                if place != &guardrail.place && reported.insert(guardrail.place.offset) {
                    let line = report.line(place);
                    let wrong = Wrong::new(format!("{owner} would owe this guardrail and the one on line {line}"));
                    let hint = "a call carries one guardrail: give them different owners, the closest of which decides";
                    report.error(&guardrail.place, wrong.hint(hint));
                }
            }
        }
    }

    /// A budget in dollars over somebody whose profile has no price could not be kept.
    fn unpriced_budgets(&self, grants: &[Grant<'_>], around: &Surroundings<'_>, report: &mut Report) {
        let overridden: HashSet<_> = self.prices.iter().map(|price| &price.value.model).collect();
        let unpriced: Vec<_> = grants
            .iter()
            .filter(|(_, draft)| {
                // What AWS tells later is not known here: a call without a price is refused by itself.
                let ProfileSettings { source: Some(source), arn, .. } = &draft.settings else { return false };
                let known = match self.table {
                    Some(table) => table.price(source, arn.region()).is_some(),
                    None => (around.price_known)(source, arn.region()),
                };
                !overridden.contains(source) && !known
            })
            .collect();
        let hard = |budget: &&Placed<BudgetSettings>| budget.value.enforcement == Enforcement::Hard;
        for budget in self.budgets.iter().filter(hard).filter(|budget| budget.value.limits.usd.is_some()) {
            let mut reported = HashSet::new();
            for (principal, draft) in &unpriced {
                let Some(source) = &draft.settings.source else { continue };
                let counts = budget.value.models.contain(Some(source));
                if counts && owns(&budget.value.owners, principal) && reported.insert(source) {
                    let (budget, name) = (&budget.value.name, principal.name());
                    let wrong =
                        Wrong::new(format!("{source} has no price, and {name} has the budget {budget} in dollars"));
                    report.error(&draft.source, wrong.hint(format!("add [prices.\"{source}\"] with input and output")));
                }
            }
        }
    }

    /// A model that one owner can reach through two profiles.
    fn same_sources(&self, report: &mut Report) {
        let mut first: HashMap<(Owner<'_>, &ModelId), &Draft> = HashMap::new();
        let mut reported = BTreeSet::new();
        for draft in self.profiles.iter().filter(|draft| draft.settings.reach == Reach::AnyName) {
            for owner in each(&draft.settings.owners) {
                let Some(source) = &draft.settings.source else { continue };
                let other = *first.entry((owner, source)).or_insert(draft);
                if other.place != draft.place && reported.insert(draft.place.offset) {
                    let (name, line) = (&other.settings.name, report.line(&other.place));
                    let wrong =
                        Wrong::new(format!("{owner} already has the profile {name} of this source, on line {line}"));
                    let hint =
                        format!("a call that names the model takes {name}; this one is reached by its other names");
                    report.warning(&draft.source, wrong.hint(hint));
                }
            }
        }
    }

    fn unowned(&self, grants: &[Grant<'_>], report: &mut Report) {
        let owned: HashSet<usize> = grants.iter().map(|(_, draft)| draft.place.offset).collect();
        // Whoever is named may be told of by a token, or by a key where nobody is listed.
        let told_of = self.open || self.principals.is_empty();
        let named = |owners: &Owners| told_of && !each(owners).is_empty();
        let unowned = self.profiles.iter().filter(|draft| !owned.contains(&draft.place.offset));
        for draft in unowned.filter(|draft| !named(&draft.settings.owners)) {
            let wrong = Wrong::new(format!("nobody owns {}", draft.settings.name));
            report.warning(&draft.place, wrong.hint("add principals = [\"…\"], groups = [\"…\"] or everyone = true"));
        }
    }

    fn unserved(&self, grants: &[Grant<'_>], report: &mut Report) {
        let served: HashSet<&str> = grants.iter().map(|(principal, _)| principal.name()).collect();
        for principal in self.principals.iter().filter(|principal| !served.contains(principal.value.name())) {
            let wrong = Wrong::new(format!("{} has no profile and can call no model", principal.value.name()));
            report.warning(&principal.place, wrong.hint("name them, a group of theirs or everyone in a [[profiles]]"));
        }
    }

    fn unused_prices(&self, report: &mut Report) {
        if self.profiles.iter().any(|draft| draft.settings.source.is_none()) {
            return;
        }
        let sources = || self.profiles.iter().filter_map(|draft| draft.settings.source.as_ref()).map(ModelId::as_str);
        for price in self.prices.iter().filter(|price| !sources().any(|source| source == price.value.model.as_str())) {
            let hint = suggest::did_you_mean(price.value.model.as_str(), sources());
            let hint =
                hint.unwrap_or_else(|| "prices go by the source of a profile, geographic prefix included".to_owned());
            report.warning(&price.place, Wrong::new("no profile has this source").hint(hint));
        }
    }
}

/// Two listeners cannot share an address. Looks at the texts, so that another fault of a section does not hide this one.
pub(super) fn listeners(file: &Entry<'_>, report: &mut Report) {
    let (server, admin) = (file.table("server"), file.table("admin"));
    let further = server.tables("listeners");
    let mut seen: Vec<(String, &str)> = Vec::new();
    let further = further.iter().enumerate().map(|(at, entry)| (format!("server.listeners[{at}]"), entry));
    let callers = std::iter::once(("server.listen".to_owned(), &server)).chain(further);
    for (name, entry) in callers.chain([("admin.listen".to_owned(), &admin)]) {
        let Some(text) = entry.text("listen") else { continue };
        if let Some((other, _)) = seen.iter().find(|(_, other)| overlap(other, text.value)) {
            // Where the other is a default, the fault stands where something is written.
            let place = if entry.has("listen") { text.place } else { server.place_of("listen") };
            let at = text
                .value
                .parse::<SocketAddr>()
                .map_or_else(|_| text.value.to_owned(), |at| format!("port {}", at.port()));
            let wrong = Wrong::new(format!("{other} and {name} are both on {at}"));
            report.error(&place, wrong.hint("every listener has a port, or a socket, of its own"));
        }
        seen.push((name, text.value));
    }
}

fn overlap(one: &str, other: &str) -> bool {
    let (Ok(left), Ok(right)) = (one.parse::<SocketAddr>(), other.parse::<SocketAddr>()) else { return one == other };
    let same_ip = left.ip() == right.ip() || [left.ip(), right.ip()].iter().any(IpAddr::is_unspecified);
    left.port() == right.port() && left.port() != 0 && same_ip
}

/// The Region of all profiles and accounts, where it is one.
pub(super) fn only_region(profiles: &[Draft], accounts: &[AccountSettings]) -> Option<Region> {
    let listed = profiles.iter().map(|draft| draft.settings.arn.region());
    let mut regions = listed.chain(accounts.iter().flat_map(|account| &account.regions));
    let first = regions.next()?;
    regions.all(|region| region == first).then(|| first.clone())
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

/// One of those a list of owners names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Owner<'a> {
    Principal(&'a str),
    Group(&'a str),
    Everyone,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(name) => f.write_str(name),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

fn each(owners: &Owners) -> Vec<Owner<'_>> {
    match owners {
        Owners::Everyone => vec![Owner::Everyone],
        Owners::Only { principals, groups } => {
            let principals = principals.iter().map(|name| Owner::Principal(name));
            principals.chain(groups.iter().map(|name| Owner::Group(name))).collect()
        }
    }
}

fn owns(owners: &Owners, principal: &Principal) -> bool {
    owners.rank(principal.name(), principal.groups()).is_some()
}
