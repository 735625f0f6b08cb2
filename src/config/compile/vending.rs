//! `[[vending]]`: who gets a profile when they have none.

use std::collections::BTreeMap;

use super::owners::{self, Nobody};
use super::principals::Roster;
use super::{models, values};
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{AccountSettings, DiscoverySettings, VendingSettings};
use crate::identity::Template;
use crate::profiles::control::Place;
use crate::profiles::vending::{Geographies, OWN_TAGS, VendingRule};
use crate::profiles::{Match, Rule};
use crate::types::Geography;

pub(super) fn compile(
    file: &Entry<'_>,
    roster: &Roster<'_>,
    accounts: &[AccountSettings],
    discovery: Option<&DiscoverySettings>,
    report: &mut Report,
) -> Vec<VendingSettings> {
    let entries = file.tables("vending");
    if !entries.is_empty() && !file.has("discovery") {
        let wrong = Wrong::new("nothing says whose a profile is that is made");
        let hint = "add [discovery] with a rule on a tag that [[vending]] sets, and [[accounts]]";
        report.error(&file.place_of("vending"), wrong.hint(hint));
    }
    entries.iter().filter_map(|entry| vending(entry, roster, accounts, discovery, report)).collect()
}

fn vending(
    entry: &Entry<'_>,
    roster: &Roster<'_>,
    accounts: &[AccountSettings],
    discovery: Option<&DiscoverySettings>,
    report: &mut Report,
) -> Option<VendingSettings> {
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let models = models::compile(entry, report);
    let creates = report.read(entry.text("on_missing"), |text| match text {
        "create" => Ok(true),
        "refuse" => Ok(false),
        _ => Err(Wrong::new(format!("{} is neither create nor refuse", quoted(text)))),
    });
    if creates == Some(false) {
        return Some(VendingSettings::Refuse { owners: owners?, models: models? });
    }
    let place = place(entry, accounts, report);
    let geographies = values::each(entry.texts("geographies"), report, geography);
    if !entry.has("geographies") {
        let wrong = Wrong::new("`geographies` is missing");
        let hint = "where calls may be served: geographies = [\"us\"], say, or [\"regional\"] for the Region alone";
        report.error(entry.place(), wrong.hint(hint));
    }
    let name = report.read(entry.text("name"), template);
    let mut tags = BTreeMap::new();
    for (key, value) in entry.pairs("tags") {
        let place = key.place.clone();
        if OWN_TAGS.contains(&key.value) || key.value.starts_with("aws:") {
            let wrong = Wrong::new(format!("{} is set by Tollgate or AWS itself", quoted(key.value)));
            report.error(&place, wrong.hint("leave it out"));
        } else if let Some(template) = report.read(Some(Placed { value, place }), template) {
            tags.insert(key.value.to_owned(), template);
        }
    }
    let per_principal = values::number(entry, "per_principal", 1..=10_000, report);
    let most = entry.has("most_profiles").then(|| values::number(entry, "most_profiles", 1..=1_000_000, report));
    if let Some(discovery) = discovery
        && !discovery.rules.iter().any(|rule| makes_it_theirs(rule, &tags))
    {
        let wrong = Wrong::new("no rule of [discovery] would say that what is made is the caller's");
        let hint = "tags = { UserEmail = \"{UserEmail}\" }, say, with profile_tag and principal_tag = \"UserEmail\"";
        report.error(entry.place(), wrong.hint(hint));
    }
    Some(VendingSettings::Create(VendingRule {
        owners: owners?,
        models: models?,
        place: place?,
        geographies: Geographies(geographies),
        name: name?,
        tags,
        per_principal: per_principal?,
        most: match most {
            Some(most) => Some(most?),
            None => None,
        },
    }))
}

/// Whether a profile with these tags is its owner's by a rule: `tollgate:owner` is the principal's name.
fn makes_it_theirs(rule: &Rule, tags: &BTreeMap<String, Template>) -> bool {
    let filled = tags.get(&rule.profile_tag).and_then(Template::bare);
    match &rule.owner {
        Match::Tag(key) => filled == Some(key),
        Match::Name => filled == Some("principal") || rule.profile_tag == crate::profiles::vending::OWNER_TAG,
        Match::Group => false,
    }
}

/// The account and Region in which it is made: those of the rule, or the first.
fn place(entry: &Entry<'_>, accounts: &[AccountSettings], report: &mut Report) -> Option<Place> {
    let account = match entry.text("account") {
        None => accounts.first(),
        Some(text) => {
            let found = accounts.iter().find(|account| account.account.as_str() == text.value);
            if found.is_none() {
                let wrong = Wrong::new(format!("{} is none of [[accounts]]", quoted(text.value)));
                report.error(&text.place, wrong.hint("discovery has to find there what is made"));
            }
            found
        }
    }?;
    let region = match entry.text("region") {
        None => account.regions.first(),
        Some(text) => {
            let found = account.regions.iter().find(|region| region.as_str() == text.value);
            if found.is_none() {
                let wrong = Wrong::new(format!("{} is no Region of that account's", quoted(text.value)));
                report.error(&text.place, wrong.hint("add it to the regions of [[accounts]]"));
            }
            found
        }
    }?;
    Some(Place { account: account.account.clone(), region: region.clone() })
}

fn geography(text: &str) -> Result<Option<Geography>, Wrong> {
    if text == "regional" {
        return Ok(None);
    }
    let known = Geography::from_prefix(text).map(Some);
    known.ok_or_else(|| {
        Wrong::new(format!("{} is no geography", quoted(text)))
            .hint("us, eu, apac, jp, au, ca, us-gov, global, or regional for the Region alone")
    })
}

fn template(text: &str) -> Result<Template, Wrong> {
    Template::parse(text).map_err(|error| {
        let hint = "{principal}, {model}, {source} and the principal's tags, such as {UserEmail}, are filled in";
        Wrong::new(format!("{}: {error}", quoted(text))).hint(hint)
    })
}
