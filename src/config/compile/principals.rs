//! `[[principals]]`: who there is.

use std::collections::BTreeSet;

use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::suggest;
use crate::identity::Principal;
use crate::types::Tags;

/// The names that others may refer to, as read: also those of principals that could not be compiled. Where no list could be
/// read at all, that has been reported, and no reference to it is.
pub(super) struct Roster<'a> {
    pub(super) principals: BTreeSet<&'a str>,
    pub(super) groups: BTreeSet<&'a str>,
    /// Tokens or certificates may tell of others.
    pub(super) open: bool,
    /// Names that they tell of in any case: what stands in `[identity]` without a part to fill in.
    told: Told<'a>,
}

struct Told<'a> {
    principals: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
}

impl<'a> Roster<'a> {
    /// Whether there is a list to refer to, and nobody beyond it.
    pub(super) fn is_readable(&self) -> bool {
        !self.principals.is_empty() && !self.open
    }

    /// What a name was probably meant to be that no list has, where others than the listed are possible.
    pub(super) fn meant(&self, list: &str, name: &str) -> Option<String> {
        let (listed, told) = match list {
            "groups" => (&self.groups, &self.told.groups),
            _ => (&self.principals, &self.told.principals),
        };
        let known = || listed.union(told).copied();
        if !self.open || known().any(|known| known == name) { None } else { suggest::did_you_mean(name, known()) }
    }

    /// The names in a file.
    pub(super) fn of(file: &Entry<'a>) -> Self {
        let entries = file.tables("principals");
        let identity = file.table("identity");
        let ways =
            [identity.tables("oidc"), identity.table("aws_login").tables("roles"), identity.tables("certificates")];
        let ways = ways.concat();
        let plain = |text: Placed<&'a str>| (!text.value.contains('{')).then_some(text.value);
        Self {
            told: Told {
                principals: ways.iter().filter_map(|way| way.text("principal")).filter_map(plain).collect(),
                groups: ways.iter().flat_map(|way| way.texts("groups")).filter_map(plain).collect(),
            },
            principals: entries.iter().filter_map(|entry| entry.text("name")).map(|name| name.value).collect(),
            open: ELSEWHERE.iter().any(|way| identity.has(way)),
            groups: entries.iter().flat_map(|entry| entry.texts("groups")).map(|group| group.value).collect(),
        }
    }
}

/// With nobody listed, who can call?
pub(super) fn somebody(file: &Entry<'_>, report: &mut Report) {
    if file.tables("principals").is_empty() && !Roster::of(file).open {
        let wrong = Wrong::new("nobody is listed");
        let hint =
            "list them, or give them keys that say who they are: `tollgate key create --principal NAME --group GROUP`";
        report.warning(&file.place_of("principals"), wrong.hint(hint));
    }
}

pub(super) fn compile(file: &Entry<'_>, report: &mut Report) -> Vec<Placed<Principal>> {
    let entries = file.tables("principals");
    values::distinct("principal", entries.iter().filter_map(|entry| entry.text("name")), report);
    entries.iter().filter_map(|entry| principal(entry, report)).collect()
}

fn principal(entry: &Entry<'_>, report: &mut Report) -> Option<Placed<Principal>> {
    let name = report.read(entry.text("name"), values::who);
    let groups = entry.texts("groups");
    values::distinct("group", groups.iter().cloned(), report);
    let groups = values::each(groups, report, values::who);
    let tags = tags(entry, report);
    Some(Placed { value: Principal::new(name?, groups, tags), place: entry.place().clone() })
}

/// AWS's rules for tags, because profiles and policies compare them with tags on AWS's side.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>
fn tags(entry: &Entry<'_>, report: &mut Report) -> Tags {
    let pairs = entry.pairs("tags");
    if pairs.len() > MOST_TAGS {
        let wrong = Wrong::new(format!("{} tags", pairs.len()));
        report.error(&entry.place_of("tags"), wrong.hint(format!("AWS allows {MOST_TAGS}")));
    }
    for (key, value) in &pairs {
        if key.value.is_empty() || !taggable(key.value, 128) {
            let hint = "a tag's key is 1 to 128 letters, digits, spaces and _ . : / = + - @";
            report.error(&key.place, Wrong::new(format!("{} is no tag's key", quoted(key.value))).hint(hint));
        } else if key.value.to_ascii_lowercase().starts_with("aws:") {
            report.error(&key.place, Wrong::new("keys that start with aws: are AWS's own"));
        }
        if !taggable(value, 256) {
            let hint = "a tag's value is up to 256 letters, digits, spaces and _ . : / = + - @";
            report.error(&key.place, Wrong::new(format!("{} is no tag's value", quoted(value))).hint(hint));
        } else if value.is_empty() {
            report.warning(&key.place, Wrong::new("an empty tag counts as absent"));
        }
    }
    pairs.into_iter().map(|(key, value)| (key.value.to_owned(), value.to_owned())).collect()
}

fn taggable(text: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    text.chars().all(plain) && text.chars().count() <= longest
}

/// What tells of principals besides `[[principals]]`.
const ELSEWHERE: [&str; 3] = ["oidc", "aws_login", "certificates"];

const MOST_TAGS: usize = 50;
