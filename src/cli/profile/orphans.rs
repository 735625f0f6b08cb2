//! `tollgate profile orphans`: profiles that nobody can use any more, or that are there twice.
//!
//! What is deleted is decided on the safe side: only what Tollgate has made, of which it is certain that nobody owns it. Who is not
//! known here may come with a token, or be known to another gateway that shares the account: `--owner-gone` says who has left.
//! Nothing is deleted while a place or the keys cannot be read.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::desk::Desk;
use super::list::Register;
use super::plan::{Consent, Planned};
use super::remove::{Doomed, planned};
use crate::cli::stored::{self, printable, table};
use crate::cli::{Output, Streams};
use crate::identity::Principal;
use crate::profiles::fleet::PlaceFound;
use crate::profiles::vending::OWNER_TAG;
use crate::profiles::{Directory, Found};
use crate::types::{ModelName, ProfileArn};

/// What to look for, and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Orphans {
    /// Delete those that are certain to be of no use
    #[arg(long)]
    pub delete: bool,
    /// This principal, whom the configuration does not know, has left; may be repeated
    #[arg(long = "owner-gone", value_name = "NAME")]
    pub owners_gone: Vec<String>,
    /// Whether it is done
    #[command(flatten)]
    pub consent: Consent,
}

/// A profile that is of no use, and whether that is certain.
#[derive(Debug, Serialize)]
struct Orphan {
    #[serde(skip)]
    arn: ProfileArn,
    #[serde(flatten)]
    planned: Planned,
    what: &'static str,
    /// Whether `--delete` deletes it.
    certain: bool,
}

pub(super) async fn run(
    desk: &Desk,
    orphans: &Orphans,
    output: Output,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Result<(), String>> {
    if (orphans.consent.yes || orphans.consent.dry_run) && !orphans.delete {
        return Ok(Err("--yes and --dry-run are for --delete".to_owned()));
    }
    if let Err(reason) = desk.read_whole(streams).await? {
        return Ok(Err(reason));
    }
    // After AWS: who has a profile by now was known before it was made.
    let people = match stored::described(&desk.settings).await {
        Ok(described) => stored::everybody(&desk.settings, described),
        Err(why) => {
            return Ok(Err(format!("the keys cannot be read, so that it is not known who is gone: {why}")));
        }
    };
    let known = |name: &str| people.iter().find(|person| person.name() == name);
    if let Some(name) = orphans.owners_gone.iter().find(|name| known(name).is_some()) {
        return Ok(Err(format!("{name} is not gone: the configuration or a live key knows them")));
    }
    let directory = desk.directory.load();
    let search = Search {
        people: &people,
        register: Register::of(desk.directory.rules(), &people),
        open: desk.settings.identity.is_open(),
        gone: &orphans.owners_gone,
        directory: &directory,
        desk,
    };
    let found = search.all(&desk.directory.places());
    if !orphans.delete {
        show(&found, search.open, output, streams)?;
        return Ok(Ok(()));
    }
    let doomed: Vec<_> = found
        .iter()
        .filter(|orphan| orphan.certain)
        .map(|orphan| Doomed { arn: orphan.arn.clone(), planned: orphan.planned.clone() })
        .collect();
    let (plan, deleted, failed) = match planned(desk, &doomed, orphans.consent, output, streams).await? {
        Ok(done) => done,
        Err(reason) => return Ok(Err(reason)),
    };
    let kept = found.len() - doomed.len();
    match output {
        Output::Json => {
            let dry_run = orphans.consent.dry_run;
            streams.json(
                &json!({ "plan": plan, "dry_run": dry_run, "deleted": deleted, "failed": failed, "kept": kept }),
            )?;
        }
        Output::Table if doomed.is_empty() => writeln!(streams.out, "There is nothing to delete.")?,
        Output::Table => {}
    }
    if kept > 0 {
        writeln!(streams.err, "note: {kept} more are kept, as `tollgate profile orphans` says")?;
    }
    Ok(if failed.is_empty() { Ok(()) } else { Err(format!("{} could not be deleted", failed.len())) })
}

struct Search<'s> {
    people: &'s [Arc<Principal>],
    register: Register<'s>,
    /// Whether there may be people of whom only a token or a certificate tells.
    open: bool,
    gone: &'s [String],
    directory: &'s Directory,
    desk: &'s Desk,
}

impl Search<'_> {
    fn all(&self, places: &[PlaceFound]) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let granted = |arn: &ProfileArn| self.desk.directory.lists(arn);
        for place in places {
            let mine: Vec<_> = place.found.iter().filter(|found| !granted(found.profile.arn())).collect();
            let twice = self.twice(&mine);
            for found in mine {
                let orphan = self.orphan(found).or_else(|| {
                    let kept = twice.get(found.profile.arn())?;
                    Some(orphan(found, "duplicate", format!("{kept} has the same owner, source and tags"), true))
                });
                orphans.extend(orphan);
            }
            orphans.extend(place.undetermined.iter().filter(|own| !granted(&own.arn)).map(|own| Orphan {
                arn: own.arn.clone(),
                planned: Planned {
                    name: own.name.clone(),
                    arn: Some(own.arn.to_string()),
                    account: own.arn.account().to_string(),
                    region: own.arn.region().to_string(),
                    why: "what it was made from is not known: tag it tollgate:source".to_owned(),
                    ..Planned::default()
                },
                what: "source unknown",
                certain: false,
            }));
        }
        orphans
    }

    /// A profile whose owner is gone, or that no rule gives to anybody.
    fn orphan(&self, found: &Found) -> Option<Orphan> {
        let (whose, by) = self.register.whose(found);
        let Some(owner) = found.tag(OWNER_TAG) else {
            // Somebody else's making: it is told of and left alone.
            let why = "it has none of the tags by which it could be anybody's, and Tollgate did not make it";
            return by.is_empty().then(|| orphan(found, "nobody's", why.to_owned(), false));
        };
        let owner_known = self.people.iter().any(|person| person.name() == owner);
        let said_gone = self.gone.iter().any(|name| name == owner);
        if !owner_known {
            let (why, certain) = match (whose.as_slice(), !said_gone) {
                ([], false) => (format!("{owner} has left"), true),
                ([], true) => (
                    format!(
                        "{owner} is not known here, and may come with a token or to another gateway of this account: --owner-gone {owner} says that they have left"
                    ),
                    false,
                ),
                (others, _) => {
                    (format!("{owner} is not known any more, but it is also that of {}", others.join(", ")), false)
                }
            };
            return Some(orphan(found, "owner gone", why, certain));
        }
        if !whose.is_empty() {
            return None;
        }
        let (why, certain) = if by.is_empty() {
            ("it has none of the tags by which it could be anybody's".to_owned(), true)
        } else if self.open {
            (
                format!(
                    "by its tags it is not {owner}'s; it may be somebody's who comes with a token or a certificate"
                ),
                false,
            )
        } else {
            (format!("by its tags it is nobody's who is known, not {owner}'s either"), true)
        };
        Some(orphan(found, "nobody's", why, certain))
    }

    /// Profiles of one place that have owner, source and tags of another, which is kept: that through which calls go, or else
    /// the oldest.
    fn twice<'f>(&self, found: &[&'f Found]) -> HashMap<&'f ProfileArn, String> {
        let mut alike: HashMap<_, Vec<&Found>> = HashMap::new();
        for found in found.iter().filter(|found| found.tag(OWNER_TAG).is_some()) {
            let mut tags: Vec<_> = found.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
            tags.sort_unstable();
            alike.entry((found.profile.source(), tags)).or_default().push(found);
        }
        let mut twice = HashMap::new();
        for ((source, _), alike) in alike.iter().filter(|(_, alike)| alike.len() > 1) {
            let owner = alike.first().and_then(|found| found.tag(OWNER_TAG)).unwrap_or_default();
            let owner = self.people.iter().find(|person| person.name() == owner);
            let name = ModelName::Model((*source).clone());
            let used = owner.and_then(|owner| self.directory.explain(owner, &name, source.as_str()).chosen());
            let used = used.and_then(|(_, _, used)| alike.iter().find(|found| found.profile.arn() == used.arn()));
            let Some(kept) = used.or(alike.first()) else { continue };
            for found in alike.iter().filter(|found| found.profile.arn() != kept.profile.arn()) {
                twice.insert(found.profile.arn(), kept.profile.name().to_owned());
            }
        }
        twice
    }
}

fn orphan(found: &Found, what: &'static str, why: String, certain: bool) -> Orphan {
    let arn = found.profile.arn();
    let planned = Planned {
        name: found.profile.name().to_owned(),
        arn: Some(arn.to_string()),
        account: arn.account().to_string(),
        region: arn.region().to_string(),
        source: Some(found.profile.source().to_string()),
        owner: found.tag(OWNER_TAG).map(str::to_owned),
        tags: found.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        why,
    };
    Orphan { arn: arn.clone(), planned, what, certain }
}

fn show(orphans: &[Orphan], open: bool, output: Output, streams: &mut Streams<'_>) -> std::io::Result<()> {
    if output == Output::Json {
        return streams.json(&orphans);
    }
    if orphans.is_empty() {
        return writeln!(streams.out, "There are none.");
    }
    let cells = orphans.iter().map(|orphan| {
        let planned = &orphan.planned;
        [
            printable(&planned.name),
            orphan.what.to_owned(),
            planned.owner.as_deref().map_or_else(|| "-".to_owned(), printable),
            planned.source.clone().unwrap_or_else(|| "unknown".to_owned()),
            planned.account.clone(),
            planned.region.clone(),
            if orphan.certain { "yes" } else { "no" }.to_owned(),
            printable(&planned.why),
        ]
    });
    let head = ["NAME", "WHAT", "OWNER", "MADE FROM", "ACCOUNT", "REGION", "CERTAIN", "WHY"];
    writeln!(streams.out, "{}", table(head, cells))?;
    let certain = orphans.iter().filter(|orphan| orphan.certain).count();
    writeln!(
        streams.err,
        "{} in all; `tollgate profile orphans --delete` deletes the {certain} that are certain.",
        orphans.len()
    )?;
    if open {
        writeln!(streams.err, "note: people of tokens and certificates are not known here")?;
    }
    Ok(())
}
