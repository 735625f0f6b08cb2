//! `tollgate profile sync`: reads AWS, writes down what was found, and says what has changed since the last time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::desk::{Desk, told, unread};
use crate::cli::stored::printable;
use crate::cli::{Output, Streams};
use crate::profiles::fleet::PlaceFound;
use crate::profiles::vending::{Headroom, QUOTA_CODE, QUOTA_NAME};
use crate::types::ProfileArn;

pub(super) async fn run(desk: &Desk, output: Output, streams: &mut Streams<'_>) -> anyhow::Result<Result<(), String>> {
    let before = desk.directory.places();
    let read = match desk.read(streams).await? {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let after = desk.directory.places();
    let changes = Changes::between(&before, &after);
    let failed: Vec<_> = read.iter().filter_map(|(place, read)| Some(unread(place, read.as_ref().err()?))).collect();
    desk.vending.read_quotas(desk.now).await;
    let headrooms = desk.vending.headrooms();
    let written = desk.keep().await;
    match output {
        Output::Json => {
            let places = after.iter().zip(&read).map(|(place, (_, read))| {
                let room = headrooms.iter().find(|room| room.place == place.place);
                json!({
                    "quota": room.and_then(|room| room.quota),
                    "quota_error": room.and_then(|room| room.unread.as_ref()).map(ToString::to_string),
                    "account": place.place.account.as_str(), "region": place.place.region.as_str(),
                    "profiles": place.found.len(), "undetermined": place.undetermined.len(),
                    "read_at": place.read_at, "error": read.as_ref().err().map(ToString::to_string),
                })
            });
            let places: Vec<_> = places.collect();
            streams.json(&json!({ "places": places, "changes": changes }))?;
        }
        Output::Table => {
            changes.show(streams)?;
            for (place, _) in after.iter().zip(&read).filter(|(_, (_, read))| read.is_ok()) {
                let (found, unknown) = (place.found.len(), place.undetermined.len());
                let more = if unknown == 0 {
                    String::new()
                } else {
                    format!(", and {unknown} of unknown source: `tollgate profile list` says what to do")
                };
                writeln!(streams.err, "{}: {found} profiles{more}.", place.place)?;
            }
            for room in &headrooms {
                writeln!(streams.err, "{}", quota(room))?;
            }
        }
    }
    if let Err(reason) = written {
        return Ok(Err(reason));
    }
    Ok(if failed.is_empty() { Ok(()) } else { Err(failed.join("\nerror: ")) })
}

/// How much room AWS leaves where `[[vending]]` makes profiles.
fn quota(room: &Headroom) -> String {
    let Headroom { place, used, quota, unread } = room;
    match (quota, unread) {
        (Some(quota), _) if used >= quota => format!(
            "{place}: AWS's quota \"{QUOTA_NAME}\" ({QUOTA_CODE}) of {quota} is used up: ask for more in Service Quotas, or \
             delete what nobody needs (`tollgate profile orphans`)."
        ),
        (Some(quota), _) => format!("{place}: AWS's quota lets there be {quota}, and {} more.", quota - used),
        (None, Some(error)) => format!(
            "{place}: AWS's quota of profiles is not known, and not looked at: {}",
            told(error, "servicequotas:ListServiceQuotas, if it is to be known,")
        ),
        (None, None) => format!("{place}: AWS's quota of profiles has not been asked for."),
    }
}

/// What is different from what was known.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Changes {
    added: Vec<Side>,
    gone: Vec<Side>,
    changed: Vec<Changed>,
}

/// A profile as it is, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Side {
    arn: String,
    name: String,
    /// Nothing where it is not known.
    source: Option<String>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Changed {
    before: Side,
    after: Side,
}

impl Changes {
    fn between(before: &[PlaceFound], after: &[PlaceFound]) -> Self {
        let (before, mut after) = (sides(before), sides(after));
        let mut changes = Self::default();
        for (arn, before) in before {
            match after.remove(&arn) {
                None => changes.gone.push(before),
                Some(after) if after != before => changes.changed.push(Changed { before, after }),
                Some(_) => {}
            }
        }
        changes.added.extend(after.into_values());
        changes
    }

    fn show(&self, streams: &mut Streams<'_>) -> std::io::Result<()> {
        let Self { added, gone, changed } = self;
        for (sign, sides) in [('+', added), ('-', gone)] {
            for side in sides {
                let (name, source) = (printable(&side.name), side.source.as_deref().unwrap_or("unknown"));
                writeln!(streams.out, "{sign} {name} ({source}) {}", side.arn)?;
            }
        }
        for Changed { before, after } in changed {
            writeln!(streams.out, "~ {} {}", printable(&after.name), after.arn)?;
            for (what, was, is) in differences(before, after) {
                let shown = |value: Option<&str>| {
                    value.map_or_else(|| "(none)".to_owned(), |value| format!("{:?}", printable(value)))
                };
                writeln!(streams.out, "    {}: {} -> {}", printable(what), shown(was), shown(is))?;
            }
        }
        if self == &Self::default() {
            return writeln!(streams.out, "Nothing has changed.");
        }
        writeln!(streams.out, "{} added, {} gone, {} changed.", added.len(), gone.len(), changed.len())
    }
}

/// Every profile by its ARN.
fn sides(places: &[PlaceFound]) -> BTreeMap<String, Side> {
    let side = |arn: &ProfileArn, name: &str, source: Option<String>, tags| {
        let side = Side { arn: arn.to_string(), name: name.to_owned(), source, tags };
        (arn.to_string(), side)
    };
    let found = places.iter().flat_map(|place| place.found.iter()).map(|found| {
        let tags = found.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        side(found.profile.arn(), found.profile.name(), Some(found.profile.source().to_string()), tags)
    });
    let undetermined = places.iter().flat_map(|place| place.undetermined.iter());
    found.chain(undetermined.map(|unknown| side(&unknown.arn, &unknown.name, None, BTreeMap::new()))).collect()
}

/// What differs, by its name: what it was, what it is.
fn differences<'s>(before: &'s Side, after: &'s Side) -> Vec<(&'s str, Option<&'s str>, Option<&'s str>)> {
    let fixed = [
        ("name", Some(before.name.as_str()), Some(after.name.as_str())),
        ("made from", before.source.as_deref(), after.source.as_deref()),
    ];
    let mut keys: Vec<&str> = before.tags.keys().chain(after.tags.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    let tags = keys
        .into_iter()
        .map(|key| (key, before.tags.get(key).map(String::as_str), after.tags.get(key).map(String::as_str)));
    fixed.into_iter().chain(tags).filter(|(_, was, is)| was != is).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(arn: &str, tags: &[(&str, &str)]) -> Side {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Side { arn: arn.to_owned(), name: "a".to_owned(), source: Some("amazon.nova-lite-v1:0".to_owned()), tags }
    }

    #[test]
    fn a_tag_that_was_changed_is_told_with_both_values() {
        let (before, after) =
            (side("x", &[("Team", "red"), ("Gone", "1")]), side("x", &[("Team", "blue"), ("New", "2")]));
        let told = differences(&before, &after);
        assert_eq!(told, [("Gone", Some("1"), None), ("New", None, Some("2")), ("Team", Some("red"), Some("blue"))]);
    }
}
