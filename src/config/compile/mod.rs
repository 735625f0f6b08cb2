//! From what was read to [`Settings`]: one file a section, then what only the whole file can tell (`crosscheck`).
//!
//! A section that finds a fault reports it and goes on, so that a file's faults are all found at once; it returns `None` only
//! after it has reported why. What others refer to (the names of principals and groups) is taken from the file as read, so
//! that a fault in one place is not reported again at every place that mentions it.

mod accounts;
mod admin;
mod alerts;
mod aws_login;
mod budgets;
mod certificates;
mod crosscheck;
mod discovery;
mod guardrails;
mod identity;
mod log;
mod metering;
mod models;
mod oidc;
mod owners;
mod person;
mod policy;
mod prices;
mod principals;
mod profiles;
mod rate_limits;
mod residency;
mod server;
mod store;
mod upstream;
mod values;
mod vending;

use super::Surroundings;
use super::diagnostics::Report;
use super::schema::Entry;
use super::settings::Settings;

/// Compiles a file. `None` means that an error has been reported.
pub(super) fn settings(file: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<Settings> {
    let roster = principals::Roster::of(file);
    let server = server::compile(&file.table("server"), around, &roster, report);
    let admin = admin::compile(&file.table("admin"), around, report);
    let upstream = upstream::compile(&file.table("upstream"), around, report);
    let identity = identity::compile(&file.table("identity"), &file.table("server"), around, report);
    let principals = principals::compile(file, report);
    principals::somebody(file, report);
    let profiles = profiles::compile(file, &roster, report);
    let accounts = accounts::compile(file, &principals, &profiles, report);
    let discovery = discovery::compile(file, around, report);
    let vending = vending::compile(file, &roster, &accounts, discovery.as_ref(), report);
    profiles::some(file, report);
    let policy = policy::compile(&file.table("policy"), report);
    let guardrails = guardrails::compile(file, &roster, report);
    let budgets = budgets::compile(file, &roster, report);
    let rate_limits = rate_limits::compile(file, &roster, report);
    let price_table = prices::table(&file.table("price_table"), around, report);
    let prices = prices::compile(file, report);
    let alerts = alerts::compile(&file.table("alerts"), around, report);
    let metering = metering::compile(&file.table("metering"), report);
    let store = store::compile(&file.table("store"), around, report);
    let log = log::compile(&file.table("log"), report);

    // What will be found in AWS is not known here.
    let more_in_aws = file.has("discovery");
    if !more_in_aws {
        models::unmatched(file, "budgets", &profiles, report);
    }
    crosscheck::listeners(file, report);
    crosscheck::Whole {
        principals: &principals,
        profiles: &profiles,
        guardrails: &guardrails,
        budgets: &budgets,
        prices: &prices,
        table: price_table.as_ref().ok().and_then(|file| file.as_ref()?.table.as_ref()),
        open: roster.open,
        discovers: more_in_aws,
    }
    .check(around, report);
    if !more_in_aws {
        models::unmatched(file, "rate_limits", &profiles, report);
    }

    let mut upstream = upstream?;
    upstream.region = upstream.region.or_else(|| crosscheck::only_region(&profiles, &accounts));
    crosscheck::guardrail_region(file, &upstream, &policy, report);
    residency::check(file, &profiles, &policy, report);
    residency::check_discovery(file, &vending, &policy, report);
    let regions = profiles.iter().map(|draft| draft.settings.arn.region()).chain(&upstream.region);
    let regions = regions.chain(accounts.iter().flat_map(|account| &account.regions));
    upstream::without_fips(file, &upstream, regions, report);
    Some(Settings {
        server: server?,
        admin: admin?,
        upstream,
        identity: identity?,
        principals: values::unplaced(principals),
        profiles: profiles.into_iter().map(|draft| draft.settings).collect(),
        accounts,
        discovery,
        vending,
        policy,
        guardrails: values::unplaced(guardrails),
        budgets: values::unplaced(budgets),
        rate_limits: values::unplaced(rate_limits),
        price_table: price_table.ok()?,
        prices: values::unplaced(prices),
        alerts: alerts?,
        metering: metering?,
        store: store?,
        log: log?,
    })
}
