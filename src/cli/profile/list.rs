//! `tollgate profile list`: every profile that is known, and whose it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::desk::{Desk, told};
use super::explain::{owner, rule_text};
use crate::cli::stored::{printable, table};
use crate::cli::{Output, Streams};
use crate::identity::Principal;
use crate::profiles::control::ControlError;
use crate::profiles::discovery::{Doubt, SOURCE_TAG};
use crate::profiles::{Found, Grant, Listing, Match, Reach, Rule, Source};
use crate::types::{Owners, ProfileArn};

pub(super) async fn run(
    desk: &Desk,
    principal: Option<&str>,
    live: bool,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    if live && let Err(reason) = desk.read_whole(streams).await? {
        return Ok(Err(reason));
    }
    let rows = match principal {
        None => every_row(desk),
        Some(name) => {
            let Some(principal) = desk.known(name) else { return Ok(Err(desk.of_nobody(name))) };
            rows_of(desk, principal)
        }
    };
    match output {
        Output::Json => streams.json(&rows)?,
        Output::Table => show(desk, &rows, streams)?,
    }
    Ok(Ok(()))
}

/// A profile as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    arn: String,
    id: String,
    source: Option<String>,
    /// Principals, `group …` or `everyone`; of a profile that was found those who are known. Nobody where it is empty.
    whose: Vec<String>,
    /// By what it is theirs.
    by: Option<String>,
    tags: BTreeMap<String, String>,
    account: String,
    region: String,
    /// When its place was last read; nothing for what the configuration lists.
    read_at: Option<Timestamp>,
    /// What is to be done about it.
    remedy: Option<String>,
}

impl Row {
    fn new(name: &str, arn: &ProfileArn) -> Self {
        Self {
            name: name.to_owned(),
            arn: arn.to_string(),
            id: arn.id().to_owned(),
            source: None,
            whose: Vec::new(),
            by: None,
            tags: BTreeMap::new(),
            account: arn.account().to_string(),
            region: arn.region().to_string(),
            read_at: None,
            remedy: None,
        }
    }

    fn listed(desk: &Desk, listing: &Listing) -> Self {
        let own = match listing {
            Listing::Grant(grant) => return Self::granted(grant),
            Listing::Unsourced(own) => own,
        };
        let (source, remedy) = match desk.directory.source_of(own) {
            Source::Known(source) => (Some(source.to_string()), None),
            Source::Awaited(why) => (None, Some(awaited(why.as_ref()))),
            Source::Doubtful(doubt) => (None, Some(doubtful(&doubt))),
        };
        let (whose, by) = (owned_by(&own.owners), Some("[[profiles]]".to_owned()));
        Self { source, whose, by, remedy, ..Self::new(&own.name, &own.arn) }
    }

    fn granted(grant: &Grant) -> Self {
        let whose = owned_by(&grant.owners);
        let by = match grant.reach {
            Reach::AnyName => "[[profiles]]",
            Reach::ArnAlone if grant.profile.prompt().is_some() => "[[exact_arns]], a prompt",
            Reach::ArnAlone => "[[exact_arns]]",
        };
        let source = Some(grant.profile.source().to_string());
        Self { source, whose, by: Some(by.to_owned()), ..Self::new(grant.profile.name(), grant.profile.arn()) }
    }

    fn found(found: &Found, read_at: Option<Timestamp>) -> Self {
        let tags = found.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let source = Some(found.profile.source().to_string());
        Self { source, tags, read_at, ..Self::new(found.profile.name(), found.profile.arn()) }
    }
}

/// The owners that the configuration names.
fn owned_by(owners: &Owners) -> Vec<String> {
    match owners {
        Owners::Everyone => vec!["everyone".to_owned()],
        Owners::Only { principals, groups } => {
            principals.iter().cloned().chain(groups.iter().map(|group| format!("group {group}"))).collect()
        }
    }
}

/// What is to be done about a profile of `[[profiles]]` for whose source AWS is asked.
pub(super) fn awaited(why: Option<&ControlError>) -> String {
    let wanted = "bedrock:GetInferenceProfile and bedrock:ListTagsForResource";
    match why {
        Some(error) => {
            format!("what it was made from could not be asked: {}; or say it with source", told(error, wanted))
        }
        None => "a gateway that runs asks AWS what it was made from; `--live` asks now, and source says it".to_owned(),
    }
}

/// What is to be done about one of which AWS leaves it in doubt.
pub(super) fn doubtful(doubt: &Doubt) -> String {
    format!("{doubt}; correct that in AWS, or say in [[profiles]] what it was made from, with source")
}

/// Who has which value by each rule, so that a hundred thousand profiles are looked up and not searched for.
pub(super) struct Register<'d>(Vec<(&'d Rule, HashMap<&'d str, Vec<&'d str>>)>);

impl<'d> Register<'d> {
    pub(super) fn of(rules: &'d [Rule], people: &'d [Arc<Principal>]) -> Self {
        let of_rule = |rule: &'d Rule| {
            let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
            for person in people {
                let values: Vec<&str> = match &rule.owner {
                    Match::Tag(key) => person.tags().value(key).into_iter().collect(),
                    Match::Name => vec![person.name()],
                    Match::Group => person.groups().iter().map(String::as_str).collect(),
                };
                for value in values {
                    names.entry(value).or_default().push(person.name());
                }
            }
            (rule, names)
        };
        Self(rules.iter().map(of_rule).collect())
    }

    /// Those of the people whose a profile is, and by which rules.
    pub(super) fn whose(&self, found: &Found) -> (Vec<String>, Vec<String>) {
        let (mut whose, mut by): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for ((rule, names), number) in self.0.iter().zip(1..) {
            let Some(value) = found.tag(&rule.profile_tag) else { continue };
            by.push(format!("rule {number}: {}", rule_text(rule)));
            for name in names.get(value).into_iter().flatten() {
                if whose.iter().all(|known| known != name) {
                    whose.push((*name).to_owned());
                }
            }
        }
        (whose, by)
    }
}

fn every_row(desk: &Desk) -> Vec<Row> {
    let directory = &desk.directory;
    let register = Register::of(directory.rules(), &desk.people);
    let mut rows: Vec<Row> = directory.listings().iter().map(|listing| Row::listed(desk, listing)).collect();
    for place in directory.places() {
        rows.extend(place.found.iter().map(|found| {
            let (whose, by) = register.whose(found);
            let listed = directory.lists(found.profile.arn());
            let remedy = (by.is_empty() && !listed).then(|| nobodys(directory.rules()));
            let by = (!by.is_empty()).then(|| by.join("; "));
            Row { whose, by, remedy, ..Row::found(found, place.read_at) }
        }));
        rows.extend(place.undetermined.iter().map(|unknown| {
            let remedy = format!(
                "say what it was made from: aws bedrock tag-resource --region {} --resource-arn {} --tags \
                 key={SOURCE_TAG},value=MODEL",
                unknown.arn.region(),
                unknown.arn
            );
            Row { remedy: Some(remedy), read_at: place.read_at, ..Row::new(&unknown.name, &unknown.arn) }
        }));
    }
    rows
}

/// The profiles of one person, the closest first.
fn rows_of(desk: &Desk, principal: &Principal) -> Vec<Row> {
    let (directory, places) = (desk.directory.load(), desk.directory.places());
    let found: HashMap<_, _> = places
        .iter()
        .flat_map(|place| place.found.iter().map(|found| (found.profile.arn(), (found, place.read_at))))
        .collect();
    let rows = directory.owned_by(principal).map(|(own, profile)| {
        let row = match found.get(profile.arn()) {
            Some((found, read_at)) => Row::found(found, *read_at),
            None => Row::new(profile.name(), profile.arn()),
        };
        let source = Some(profile.source().to_string());
        let whose = vec![principal.name().to_owned()];
        Row { name: profile.name().to_owned(), source, whose, by: Some(owner(&own, principal)), ..row }
    });
    rows.collect()
}

fn nobodys(rules: &[Rule]) -> String {
    let keys: Vec<_> = rules.iter().map(|rule| rule.profile_tag.as_str()).collect();
    format!("it has none of the tags by which it could be anybody's: {}", keys.join(", "))
}

fn show(desk: &Desk, rows: &[Row], streams: &mut Streams<'_>) -> std::io::Result<()> {
    let cells = rows.iter().map(|row| {
        // The source has a column of its own.
        let tags = row.tags.iter().filter(|(key, _)| *key != SOURCE_TAG);
        let tags: Vec<_> = tags.map(|(key, value)| format!("{key}={value}")).collect();
        [
            printable(&row.name),
            row.source.clone().unwrap_or_else(|| "unknown".to_owned()),
            printable(&whose(row)),
            row.by.as_deref().map_or_else(|| "-".to_owned(), printable),
            if tags.is_empty() { "-".to_owned() } else { printable(&tags.join(", ")) },
            row.account.clone(),
            row.region.clone(),
            row.id.clone(),
            row.read_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
        ]
    });
    writeln!(
        streams.out,
        "{}",
        table(["NAME", "MADE FROM", "WHOSE", "BY", "TAGS", "ACCOUNT", "REGION", "ID", "READ"], cells)
    )?;
    let unknown: Vec<_> = rows.iter().filter(|row| row.source.is_none()).collect();
    for row in unknown.iter().take(SHOWN) {
        let remedy = row.remedy.as_deref().unwrap_or_default();
        let name = printable(&row.name);
        // What the configuration lists has an owner, who cannot use it.
        if row.by.is_some() {
            writeln!(streams.err, "note: nobody can call through {name}: {remedy}")?;
        } else {
            writeln!(streams.err, "note: {name} is nobody's: {remedy}")?;
        }
    }
    if unknown.len() > SHOWN {
        writeln!(streams.err, "note: and {} more likewise", unknown.len() - SHOWN)?;
    }
    if desk.directory.places().iter().any(|place| place.read_at.is_none()) {
        writeln!(streams.err, "note: not all of AWS has been read yet: `tollgate profile sync` reads it")?;
    }
    if let Some(why) = &desk.keys_unread {
        writeln!(
            streams.err,
            "warning: the keys cannot be read, so that those whom they describe are not known: {why}"
        )?;
    }
    Ok(())
}

/// The first few whose it is.
fn whose(row: &Row) -> String {
    match (row.whose.as_slice(), &row.by) {
        ([], None) => "nobody".to_owned(),
        ([], Some(_)) => "nobody known".to_owned(),
        (names, _) if names.len() > SHOWN => {
            let first: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
            format!("{} and {} more", first.join(", "), names.len() - SHOWN)
        }
        (names, _) => names.join(", "),
    }
}

/// How many names and notes are shown before the rest is counted.
const SHOWN: usize = 4;
