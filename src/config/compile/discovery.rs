//! `[discovery]`: how profiles are found in AWS, and whose they are.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::upstream::endpoint;
use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::DiscoverySettings;
use crate::profiles::{Match, Rule};
use crate::types::is_tag_key;

/// `None` means that there is no discovery, or that an error has been reported.
pub(super) fn compile(file: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<DiscoverySettings> {
    let entry = file.table("discovery");
    if !entry.is_present() {
        return None;
    }
    let often = "AWS is asked for every profile each time: 10s or longer";
    let every = values::span_within(&entry, "every", &OFTEN, often, report);
    let file_name = if entry.has("file") {
        values::path(&entry, "file", around.folder, report)
    } else {
        // The configuration's own folder is often not to be written to; the store's is.
        let store = file.table("store").text("path").map(|path| around.folder.join(path.value));
        store.map(|store| store.with_file_name("profiles.json"))
    };
    let vending_wait = values::span(&entry, "vending_wait", Zero::Refused, report);
    let own = report.read(entry.text("endpoint"), endpoint);
    let rules: Vec<_> = entry.tables("rules").iter().filter_map(|entry| rule(entry, report)).collect();
    if file.tables("accounts").is_empty() {
        let wrong = Wrong::new("there is no account to look in");
        report.error(
            entry.place(),
            wrong.hint("[[accounts]] with account = \"111122223333\" and regions = [\"us-east-1\"]"),
        );
    }
    if entry.tables("rules").is_empty() {
        let wrong = Wrong::new("no rule says whose the profiles are");
        let hint = "[[discovery.rules]] with profile_tag = \"UserEmail\" and principal_tag = \"UserEmail\", say";
        report.error(entry.place(), wrong.hint(hint));
    }
    Some(DiscoverySettings { every: every?, file: file_name?, vending_wait: vending_wait?, endpoint: own, rules })
}

fn rule(entry: &Entry<'_>, report: &mut Report) -> Option<Rule> {
    let profile_tag = report.read(entry.text("profile_tag"), key);
    let tag = report.read(entry.text("principal_tag"), key);
    let name = report.read(entry.text("name_of"), |text| match text {
        "principal" => Ok(Match::Name),
        "group" => Ok(Match::Group),
        _ => Err(Wrong::new(format!("{} is neither principal nor group", quoted(text)))),
    });
    let owner = match (entry.has("principal_tag"), entry.has("name_of")) {
        (true, false) => tag.map(Match::Tag),
        (false, true) => name,
        (both, _) => {
            let wrong = if both { "both principal_tag and name_of" } else { "neither principal_tag nor name_of" };
            let hint = "what the tag's value has to be: a tag of the principal's (principal_tag = \"UserEmail\"), or a name \
                        (name_of = \"principal\" or \"group\")";
            report.error(entry.place(), Wrong::new(wrong).hint(hint));
            None
        }
    };
    Some(Rule { profile_tag: profile_tag?, owner: owner? })
}

/// How often everything may be read again: what is read without pause is throttled by AWS, for everybody in the account.
const OFTEN: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::MAX;

/// The key of a tag, as AWS has them.
pub(super) fn key(text: &str) -> Result<String, Wrong> {
    if is_tag_key(text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no key of a tag", quoted(text)));
    Err(wrong.hint("1 to 128 letters, digits, spaces and _ . : / = + - @, as it is written in AWS, capitals included"))
}
