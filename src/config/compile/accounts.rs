//! `[[accounts]]`: where profiles are, and as whom calls are made there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::discovery::key;
use super::profiles::Draft;
use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::AccountSettings;
use crate::identity::{Principal, Template};
use crate::types::{AccountId, Arn, Region, is_tag_value};
use crate::upstream::{AssumedRole, session_name};

/// The accounts, with distinct ids.
pub(super) fn compile(
    file: &Entry<'_>,
    principals: &[Placed<Principal>],
    profiles: &[Draft],
    report: &mut Report,
) -> Vec<AccountSettings> {
    let entries = file.tables("accounts");
    values::distinct("account", entries.iter().filter_map(|entry| entry.text("account")), report);
    if !file.has("discovery") && entries.iter().any(|entry| !entry.has("role_arn")) {
        let wrong = Wrong::new("is not used");
        let hint = "add [discovery] with a rule that says whose the profiles are, or role_arn, or leave it out";
        report.warning(&file.place_of("accounts"), wrong.hint(hint));
    }
    let accounts = entries.iter().filter_map(|entry| {
        let account = report.read(entry.text("account"), |text| {
            text.parse::<AccountId>().map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
        });
        let texts = entry.texts("regions");
        values::distinct("Region", texts.iter().cloned(), report);
        let regions = values::each(texts, report, |text| {
            text.parse::<Region>().map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
        });
        let role = role(entry, account.as_ref(), &regions, report);
        if let Some(role) = &role {
            let discovers = file.has("discovery");
            let callers = principals.iter().map(|principal| &principal.value);
            let callers = callers.filter(|principal| discovers || calls_there(principal, profiles, &role.account));
            unfit(entry, role, callers, report);
        }
        Some(AccountSettings { account: account?, regions, role })
    });
    accounts.collect()
}

/// The role, if there is one.
fn role(
    entry: &Entry<'_>,
    account: Option<&AccountId>,
    regions: &[Region],
    report: &mut Report,
) -> Option<AssumedRole> {
    if !entry.has("role_arn") {
        for name in ["external_id", "session_name", "session_tags", "transitive_tags", "duration"] {
            if entry.has(name) {
                let wrong = Wrong::new("is of sessions, and without role_arn there are none");
                report.error(&entry.place_of(name), wrong.hint("add role_arn, or leave it out"));
            }
        }
        return None;
    }
    let arn = report.read(entry.text("role_arn"), |text| role_arn(text, account, regions));
    let external_id = report.read(entry.text("external_id"), external_id);
    let name = report.read(entry.text("session_name"), name);
    let tags = tags(entry, report);
    let transitive = values::each(entry.texts("transitive_tags"), report, |text| {
        if entry.pairs("session_tags").iter().any(|(key, _)| key.value == text) {
            return Ok(text.to_owned());
        }
        let wrong = Wrong::new(format!("{} is none of session_tags", quoted(text)));
        Err(wrong.hint("a tag that goes on has to be there first"))
    });
    values::distinct("tag", entry.texts("transitive_tags").into_iter(), report);
    let bounds = SHORTEST..=LONGEST;
    let duration =
        values::span_within(entry, "duration", &bounds, "from 15 minutes to 12 hours, as AWS has it", report);
    if duration.is_some_and(|duration| duration > CHAINED) {
        let wrong = Wrong::new("AWS refuses more than an hour where the gateway's own credentials are those of a role");
        let hint = "\"1h\", unless they are a user's access key, and the role's maximum session duration is as long";
        report.warning(&entry.place_of("duration"), wrong.hint(hint));
    }
    Some(AssumedRole {
        account: account?.clone(),
        arn: arn?,
        external_id,
        session_name: name?,
        session_tags: tags,
        transitive_tags: transitive,
        duration: duration?,
    })
}

/// A role's ARN, of this account and of the partition of its Regions.
fn role_arn(text: &str, account: Option<&AccountId>, regions: &[Region]) -> Result<String, Wrong> {
    let hint = "such as \"arn:aws:iam::111122223333:role/tollgate\"";
    let arn = Arn::parse(text).filter(|arn| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_+=,.@-".contains(c);
        let path = arn.resource.strip_prefix("role/").unwrap_or_default();
        let named = !path.is_empty() && !path.ends_with('/') && path.chars().all(plain);
        arn.service == "iam" && arn.region.is_empty() && named && arn.account.parse::<AccountId>().is_ok()
    });
    let arn = arn.ok_or_else(|| Wrong::new(format!("{} is no role's ARN", quoted(text))).hint(hint))?;
    if let Some(account) = account.filter(|account| account.as_str() != arn.account) {
        let wrong = Wrong::new(format!("is a role of account {}, and the account is {account}", arn.account));
        return Err(wrong.hint("profiles are called from the account that they are in"));
    }
    if let Some(region) = regions.iter().find(|region| region.partition() != arn.partition) {
        return Err(Wrong::new(format!("is of the partition {}, and {region} is of another", arn.partition)).hint(hint));
    }
    Ok(text.to_owned())
}

fn external_id(text: &str) -> Result<String, Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if (2..=1_224).contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no external id", quoted(text)));
    Err(wrong.hint("2 to 1224 ASCII letters, digits and _ + = , . @ : / -"))
}

/// What sessions are called. What is filled in is made to fit; what stands there has to fit by itself.
fn name(text: &str) -> Result<Template, Wrong> {
    let template = template(text)?;
    let is_plain = template.names().next().is_none();
    if is_plain && session_name(text) != text {
        let wrong = Wrong::new(format!("{} is no session's name", quoted(text)));
        return Err(wrong
            .hint("2 to 64 ASCII letters, digits and _ + = , . @ -, and no ten hexadecimal digits after the last -"));
    }
    Ok(template)
}

fn tags(entry: &Entry<'_>, report: &mut Report) -> BTreeMap<String, Template> {
    let pairs = entry.pairs("session_tags");
    if pairs.len() > MOST_TAGS {
        let wrong = Wrong::new(format!("{} tags are more than a session may have", pairs.len()));
        report.error(&entry.place_of("session_tags"), wrong.hint(format!("{MOST_TAGS} at most")));
    }
    let (mut tags, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (name, text) in pairs {
        let place = name.place.clone();
        let known = report.read(Some(Placed { value: name.value, place: place.clone() }), |name| {
            if name.to_lowercase().starts_with("aws:") {
                return Err(Wrong::new(format!("{} is a key of AWS's own", quoted(name))).hint("leave it out"));
            }
            key(name)
        });
        if !seen.insert(name.value.to_lowercase()) {
            let wrong = Wrong::new(format!("{} is there twice", quoted(name.value)));
            report
                .error(&place, wrong.hint("AWS takes keys of session tags for the same that differ in capitals alone"));
        }
        let value = report.read(Some(Placed { value: text, place }), |text| {
            let template = template(text)?;
            let is_plain = template.names().next().is_none();
            if is_plain && !is_tag_value(text) {
                let wrong = Wrong::new(format!("{} is no value of a tag", quoted(text)));
                return Err(wrong.hint("1 to 256 letters, digits, spaces and _ . : / = + - @"));
            }
            Ok(template)
        });
        if let (Some(known), Some(value)) = (known, value) {
            tags.insert(known, value);
        }
    }
    tags
}

fn template(text: &str) -> Result<Template, Wrong> {
    Template::parse(text).map_err(|error| {
        let hint = "{principal} and the principal's tags, such as {UserEmail}, are filled in";
        Wrong::new(format!("{}: {error}", quoted(text))).hint(hint)
    })
}

fn calls_there(principal: &Principal, profiles: &[Draft], account: &AccountId) -> bool {
    let theirs = |draft: &Draft| draft.settings.owners.rank(principal.name(), principal.groups()).is_some();
    profiles.iter().any(|draft| draft.settings.arn.account() == account && theirs(draft))
}

/// Whoever is listed and would get no session: each of their calls there is refused.
fn unfit<'p>(entry: &Entry<'_>, role: &AssumedRole, callers: impl Iterator<Item = &'p Principal>, report: &mut Report) {
    let lacking: Vec<_> =
        callers.filter_map(|caller| Some((caller.name(), role.request(caller).err()?.part))).collect();
    let Some((first, part)) = lacking.first() else { return };
    let others = match lacking.len() - 1 {
        0 => String::new(),
        1 => " and one more".to_owned(),
        more => format!(" and {more} more"),
    };
    let wrong = Wrong::new(format!("calls of {first}{others} are refused in this account: sessions take {{{part}}}"));
    let hint = format!("give {first} a tag {part} that fits, or take it out of session_name and session_tags");
    report.warning(entry.place(), wrong.hint(hint));
}

const SHORTEST: Duration = Duration::from_mins(15);
const LONGEST: Duration = Duration::from_hours(12);
/// What AWS gives at most to who has a role's credentials already.
const CHAINED: Duration = Duration::from_hours(1);
const MOST_TAGS: usize = 50;
