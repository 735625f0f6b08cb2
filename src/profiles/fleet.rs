//! What was found in AWS, place by place, and the file that it is kept in for a start when AWS does not answer.
//!
//! The file is written beside its name and renamed over it, so that a reader sees the old one or the new one whole. It holds
//! no secret; whoever may write it says whose every profile is, and AWS checks whether the gateway's role may call it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::control::Place;
use super::{Found, Profile};
use crate::types::{ModelId, ProfileArn};

/// What was found in one place.
#[derive(Clone, Debug)]
pub struct PlaceFound {
    /// Where.
    pub place: Place,
    /// When it was read; nothing where it never was.
    pub read_at: Option<Timestamp>,
    /// What was found, the oldest first.
    pub found: Arc<[Found]>,
    /// Profiles whose source is not known: they are nobody's until `tollgate:source` says it.
    pub undetermined: Arc<[Undetermined]>,
}

/// A profile of which is not known what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undetermined {
    /// Its ARN.
    pub arn: ProfileArn,
    /// Its name.
    pub name: String,
}

/// The file.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    places: Vec<WrittenPlace<'a>>,
}

#[derive(Serialize)]
struct WrittenPlace<'a> {
    account: &'a str,
    region: &'a str,
    read_at: Option<Timestamp>,
    undetermined: Vec<(&'a str, &'a str)>,
    profiles: Vec<WrittenProfile<'a>>,
}

#[derive(Serialize)]
struct WrittenProfile<'a> {
    arn: &'a str,
    name: &'a str,
    source: &'a str,
    tags: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
struct Stored {
    version: u32,
    places: Vec<StoredPlace>,
}

#[derive(Deserialize)]
struct StoredPlace {
    account: String,
    region: String,
    read_at: Option<Timestamp>,
    #[serde(default)]
    undetermined: Vec<(String, String)>,
    profiles: Vec<StoredProfile>,
}

#[derive(Deserialize)]
struct StoredProfile {
    arn: String,
    name: String,
    source: String,
    tags: Vec<(String, String)>,
}

/// Makes profiles of texts of which most come again and again: keys of tags, models.
#[derive(Debug, Default)]
pub(super) struct Interner {
    keys: HashMap<String, Arc<str>>,
    models: HashMap<ModelId, ModelId>,
}

impl Interner {
    pub(super) fn found(
        &mut self,
        arn: ProfileArn,
        name: String,
        source: ModelId,
        tags: impl IntoIterator<Item = (String, String)>,
    ) -> Found {
        let source = self.models.entry(source.clone()).or_insert(source).clone();
        let mut kept: Vec<(Arc<str>, Box<str>)> = Vec::new();
        for (key, value) in tags {
            let key = self.keys.entry(key).or_insert_with_key(|key| Arc::from(key.as_str()));
            if kept.iter().all(|(known, _)| known != key) {
                kept.push((Arc::clone(key), value.into()));
            }
        }
        Found { profile: Arc::new(Profile::new(name, arn, source)), tags: kept.into() }
    }
}

/// Reads the file. What is not of these places, or not of the place under which it stands, is left out; a place that the file does not know is empty.
pub fn read(path: &Path, places: &[Place], geographies: &[String]) -> io::Result<Vec<PlaceFound>> {
    let stored: Stored = match File::open(path) {
        Ok(file) => serde_json::from_reader(BufReader::new(file)).map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Stored { version: VERSION, places: Vec::new() },
        Err(error) => return Err(error),
    };
    if stored.version != VERSION {
        return Err(io::Error::other(format!("it has version {}, and version {VERSION} is known", stored.version)));
    }
    let mut interner = Interner::default();
    let mut stored: HashMap<(String, String), StoredPlace> =
        stored.places.into_iter().map(|place| ((place.account.clone(), place.region.clone()), place)).collect();
    let read = places.iter().map(|place| {
        let key = (place.account.as_str().to_owned(), place.region.as_str().to_owned());
        let Some(StoredPlace { read_at, undetermined, profiles, .. }) = stored.remove(&key) else {
            return PlaceFound::nothing(place.clone());
        };
        let found = profiles.into_iter().filter_map(|profile| {
            let arn = of(place, &profile.arn)?;
            let source = profile.source.parse::<ModelId>().ok()?;
            Some(interner.found(arn, profile.name, source.with_geographies(geographies), profile.tags))
        });
        let found = found.collect();
        let undetermined =
            undetermined.into_iter().filter_map(|(arn, name)| Some(Undetermined { arn: of(place, &arn)?, name }));
        PlaceFound { place: place.clone(), read_at, found, undetermined: undetermined.collect() }
    });
    Ok(read.collect())
}

/// An ARN that is of the place under which it stands.
fn of(place: &Place, arn: &str) -> Option<ProfileArn> {
    arn.parse().ok().filter(|arn| place.holds(arn))
}

/// Writes the file.
pub fn write(path: &Path, places: &[PlaceFound]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // A command may write while a gateway does.
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    // Tags name people.
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    give(&file, path)?;
    let mut file = BufWriter::new(file);
    let places = places.iter().map(WrittenPlace::of).collect();
    serde_json::to_writer(&mut file, &Written { version: VERSION, places }).map_err(io::Error::other)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    std::fs::rename(&beside, path)
}

/// What root writes is the folder's owner's: the gateway has to read it.
fn give(file: &File, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, own) = (std::fs::metadata(folder)?, file.metadata()?);
    if own.uid() != 0 || folder.uid() == 0 {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))
}

impl PlaceFound {
    /// A place that was never read.
    pub fn nothing(place: Place) -> Self {
        Self { place, read_at: None, found: Arc::default(), undetermined: Arc::default() }
    }
}

impl<'a> WrittenPlace<'a> {
    fn of(place: &'a PlaceFound) -> Self {
        let profiles = place.found.iter().map(|found| WrittenProfile {
            arn: found.profile.arn().as_str(),
            name: found.profile.name(),
            source: found.profile.source().as_str(),
            tags: found.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect(),
        });
        let undetermined = place.undetermined.iter().map(|unknown| (unknown.arn.as_str(), unknown.name.as_str()));
        Self {
            account: place.place.account.as_str(),
            region: place.place.region.as_str(),
            read_at: place.read_at,
            undetermined: undetermined.collect(),
            profiles: profiles.collect(),
        }
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str) -> Place {
        Place { account: "111122223333".parse().unwrap(), region: region.parse().unwrap() }
    }

    fn filled(region: &str) -> PlaceFound {
        let arn = format!("arn:aws:bedrock:{region}:111122223333:application-inference-profile/a1");
        let tags = [("UserEmail", "a@example.com"), ("UserEmail", "second"), ("CostCenter", "")];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let source = "us.amazon.nova-lite-v1:0".parse().unwrap();
        let found = Interner::default().found(arn.parse().unwrap(), "a lite".to_owned(), source, tags);
        let read_at = "2026-11-27T12:00:00Z".parse().ok();
        let undetermined =
            Undetermined { arn: arn.replace("/a1", "/b2").parse().unwrap(), name: "who knows".to_owned() };
        PlaceFound { place: place(region), read_at, found: [found].into(), undetermined: [undetermined].into() }
    }

    #[test]
    fn what_was_found_is_there_again_after_a_start_and_only_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.json");
        assert!(read(&path, &[place("us-east-1")], &[]).unwrap()[0].read_at.is_none(), "a first start has none");
        write(&path, &[filled("us-east-1"), filled("eu-west-1")]).unwrap();
        let read_again = read(&path, &[place("eu-west-1"), place("eu-central-1")], &[]).unwrap();
        let [known, unknown] = read_again.as_slice() else { panic!("{read_again:?}") };
        let filled = filled("eu-west-1");
        assert_eq!((&known.found, known.read_at), (&filled.found, filled.read_at));
        assert_eq!(known.undetermined, filled.undetermined);
        assert_eq!(known.found[0].tag("UserEmail"), Some("a@example.com"), "the first of two");
        assert_eq!((unknown.found.len(), unknown.read_at), (0, None));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        if std::os::unix::fs::chown(folder.path(), Some(4_711), Some(4_712)).is_ok() {
            write(&path, &[filled]).unwrap();
            let made = std::fs::metadata(&path).unwrap();
            assert_eq!((made.uid(), made.gid()), (4_711, 4_712), "root gives it away");
        }
    }

    #[test]
    fn what_stands_under_another_place_than_its_own_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.json");
        let own = filled("us-east-1");
        let elsewhere = filled("eu-west-1");
        let mut others = own.clone();
        others.place.account = "999999999999".parse().unwrap();
        let both = PlaceFound {
            found: own.found.iter().chain(elsewhere.found.iter()).cloned().collect(),
            undetermined: own.undetermined.iter().chain(elsewhere.undetermined.iter()).cloned().collect(),
            ..own.clone()
        };
        write(&path, &[both, others.clone()]).unwrap();
        let read = read(&path, &[own.place.clone(), others.place], &[]).unwrap();
        assert_eq!((&read[0].found, &read[0].undetermined), (&own.found, &own.undetermined));
        assert_eq!((read[1].found.len(), read[1].undetermined.len()), (0, 0));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.json");
        for text in ["", "{", "[]", "{\"version\":2,\"places\":[]}", "{\"version\":1}"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path, &[place("us-east-1")], &[]).is_err(), "{text}");
        }
        let text = "{\"version\":1,\"places\":[{\"account\":\"111122223333\",\"region\":\"us-east-1\",\"read_at\":null,\
                    \"profiles\":[{\"arn\":\"x\",\"name\":\"n\",\"source\":\"s\",\"tags\":[]}]}]}";
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            read(&path, &[place("us-east-1")], &[]).unwrap()[0].found.len(),
            0,
            "an ARN that is none is left out"
        );
    }
}
