//! The directory in force: the configuration's grants and what was last found in AWS, swapped whole whenever either changes.
//!
//! A call sees one directory from its start to its end. Reading AWS and building a directory happen beside; a place that cannot be
//! read keeps what is known of it.

mod sourcing;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::control::{ControlError, Place, SharedControlPlane, jittered};
use super::fleet::{self, PlaceFound};
use super::vending::OWNER_TAG;
use super::{Directory, DirectoryError, Found, Grant, Listing, Rule, Source, Sources, discovery};
use crate::types::ProfileArn;

/// The directory in force.
#[derive(Debug)]
pub struct LiveDirectory {
    live: ArcSwap<Directory>,
    listings: Vec<Listing>,
    /// What those were made from that do not say it; nothing where all do.
    sources: Option<Arc<Sources>>,
    rules: Vec<Rule>,
    discovery: Option<Discovery>,
    known: Mutex<Vec<PlaceFound>>,
    /// Profiles that were made here, and when.
    recent: Mutex<HashMap<ProfileArn, Recent>>,
    /// When the last of them was made, in seconds: most calls need to know no more.
    newest: AtomicI64,
    /// Places that were asked for once, whatever they answered.
    tried: Mutex<HashSet<Place>>,
    /// One directory is built at a time, so that none is overwritten by an older one.
    building: Mutex<()>,
}

/// Where profiles are discovered, and how.
#[derive(Debug)]
pub struct Discovery {
    /// Where, the place that is preferred first.
    pub places: Vec<Place>,
    /// Who is asked.
    pub control: SharedControlPlane,
    /// Where what was found is kept for the next start.
    pub file: PathBuf,
    /// How often it is read again.
    pub every: Duration,
    /// Prefixes of geographies beside those that are known.
    pub geographies: Vec<String>,
}

/// Is told now and then how many profiles of a place have been listed.
pub type Seen = Arc<dyn Fn(&Place, usize) + Send + Sync>;

/// A profile that was made here.
#[derive(Clone, Copy, Debug)]
struct Recent {
    made: Timestamp,
    /// Whether Bedrock's runtime has answered through it.
    answers: bool,
}

/// How a place stands, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceReading {
    /// Where.
    pub place: Place,
    /// When it was last read; nothing where it never was.
    pub read_at: Option<Timestamp>,
    /// How many profiles are known.
    pub profiles: usize,
    /// How many are nobody's because their source is not known.
    pub undetermined: usize,
}

impl LiveDirectory {
    /// A directory of what the configuration lists, and of what the file knows of an earlier start. A file that cannot be used is
    /// none: what it says is read again anyway.
    pub fn new(
        listings: Vec<Listing>,
        sources: Option<Arc<Sources>>,
        rules: Vec<Rule>,
        discovery: Option<Discovery>,
        now: SystemTime,
    ) -> Result<Self, DirectoryError> {
        let known = discovery.as_ref().map_or_else(Vec::new, |discovery| {
            fleet::read(&discovery.file, &discovery.places, &discovery.geographies).unwrap_or_else(|error| {
                tracing::warn!(%error, file = %discovery.file.display(), "what was discovered before cannot be read");
                discovery.places.iter().cloned().map(PlaceFound::nothing).collect()
            })
        });
        let directory = build(&listings, sources.as_deref(), &rules, &known)?.dated(now);
        Ok(Self {
            live: ArcSwap::from_pointee(directory),
            listings,
            sources,
            rules,
            discovery,
            known: Mutex::new(known),
            recent: Mutex::default(),
            newest: AtomicI64::new(i64::MIN),
            tried: Mutex::default(),
            building: Mutex::default(),
        })
    }

    /// The directory as it is now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Directory>> {
        self.live.load()
    }

    /// Where profiles are discovered.
    pub const fn discovery(&self) -> Option<&Discovery> {
        self.discovery.as_ref()
    }

    /// By which rules they are somebody's.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How each place stands.
    pub fn readings(&self) -> Vec<PlaceReading> {
        let known = self.known();
        let readings = known.iter().map(|known| PlaceReading {
            place: known.place.clone(),
            read_at: known.read_at,
            profiles: known.found.len(),
            undetermined: known.undetermined.len(),
        });
        readings.collect()
    }

    /// What is known of each place.
    pub fn places(&self) -> Vec<PlaceFound> {
        self.known().clone()
    }

    /// What the configuration lists.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Whether the configuration lists a profile.
    pub fn lists(&self, arn: &ProfileArn) -> bool {
        self.listings.iter().any(|listing| listing.arn() == arn)
    }

    /// Reads every place again, puts in force what was found in each as soon as it has been read, and writes it down. The
    /// errors are those of places that could not be read. A file that cannot be written costs the next start its memory, and
    /// nothing now.
    pub async fn refresh(self: &Arc<Self>, now: SystemTime) -> Vec<(Place, Result<usize, ControlError>)> {
        let read = self.read_all(now, Arc::new(|_: &Place, _| {})).await;
        if let (Err(error), Some(discovery)) = (self.write_down().await, &self.discovery) {
            tracing::warn!(%error, file = %discovery.file.display(), "what was discovered cannot be written down");
        }
        read
    }

    /// Reads every place again, as [`refresh`](Self::refresh) does, and writes nothing down. `seen` is told now and then how
    /// many profiles of a place have been listed.
    pub async fn read_all(self: &Arc<Self>, now: SystemTime, seen: Seen) -> Vec<(Place, Result<usize, ControlError>)> {
        let Some(discovery) = &self.discovery else { return Vec::new() };
        let Ok(now) = Timestamp::try_from(now) else { return Vec::new() };
        let mut reading = JoinSet::new();
        for place in &discovery.places {
            let (live, place, seen) = (Arc::clone(self), place.clone(), Arc::clone(&seen));
            reading.spawn(async move {
                let told = |count| seen(&place, count);
                let read = live.refresh_place(&place, &told, now).await;
                live.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
                (place, read)
            });
        }
        let mut read = Vec::new();
        // One that panicked is a mistake of ours, and no reason to stop reading the others.
        while let Some(one) = reading.join_next().await {
            match one {
                Ok(one) => read.push(one),
                Err(error) => tracing::error!(%error, "a reading was given up"),
            }
        }
        let at = |place: &Place| discovery.places.iter().position(|own| own == place);
        read.sort_by_key(|(place, _)| at(place));
        read
    }

    async fn refresh_place(
        self: &Arc<Self>,
        place: &Place,
        seen: &(dyn Fn(usize) + Send + Sync),
        now: Timestamp,
    ) -> Result<usize, ControlError> {
        let Some(discovery) = &self.discovery else { return Ok(0) };
        let found = discovery::read_place(discovery, place, &self.rules, seen, now).await?;
        let count = found.found.len();
        let own = Arc::clone(self);
        self.learn(move |known| {
            let Some(known) = known.iter_mut().find(|known| known.place == found.place) else { return };
            let mut found = found;
            own.keep_recent(known, &mut found, now);
            *known = found;
        })
        .await?;
        Ok(count)
    }

    /// Puts a profile in force that has just been made, before the place is read again.
    /// AWS's own list may lack it for a while: it stays known for ten minutes.
    pub async fn adopt(self: &Arc<Self>, place: &Place, made: Found, now: Timestamp) -> Result<(), ControlError> {
        let place = place.clone();
        {
            let mut recent = self.recent();
            recent.retain(|_, recent| now.duration_since(recent.made) < LISTED_WITHIN);
            recent.insert(made.profile.arn().clone(), Recent { made: now, answers: false });
            self.newest.fetch_max(now.as_second(), Ordering::Relaxed);
        }
        self.learn(move |known| {
            let Some(known) = known.iter_mut().find(|known| known.place == place) else { return };
            let others = known.found.iter().filter(|found| found.profile.arn() != made.profile.arn()).cloned();
            let mut found: Vec<_> = others.collect();
            found.push(made);
            known.found = found.into();
        })
        .await
    }

    async fn learn(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Vec<PlaceFound>) + Send + 'static,
    ) -> Result<(), ControlError> {
        let own = Arc::clone(self);
        // A hundred thousand profiles take some tenths of a second.
        let built = tokio::task::spawn_blocking(move || {
            let _alone = own.building.lock().unwrap_or_else(PoisonError::into_inner);
            let known = {
                let mut known = own.known();
                change(&mut known);
                known.clone()
            };
            let directory =
                build(&own.listings, own.sources.as_deref(), &own.rules, &known).map_err(|error| error.to_string())?;
            let newest = known.iter().filter_map(|known| known.read_at).max();
            own.live.store(Arc::new(match newest {
                Some(newest) => directory.dated(newest.into()),
                None => directory,
            }));
            Ok::<(), String>(())
        });
        match built.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ControlError::Unavailable(error)),
            Err(error) => Err(ControlError::Unavailable(error.to_string())),
        }
    }

    /// Takes a profile out of force that has just been deleted, before the place is read again.
    pub async fn forget(self: &Arc<Self>, arn: &ProfileArn) -> Result<(), ControlError> {
        let arn = arn.clone();
        {
            self.recent().remove(&arn);
        }
        self.learn(move |known| {
            for known in known.iter_mut().filter(|known| known.place.holds(&arn)) {
                known.found = known.found.iter().filter(|found| *found.profile.arn() != arn).cloned().collect();
                known.undetermined = known.undetermined.iter().filter(|unknown| unknown.arn != arn).cloned().collect();
            }
        })
        .await
    }

    /// Writes down what is known, for the next start.
    pub async fn write_down(&self) -> io::Result<()> {
        let Some(file) = self.discovery.as_ref().map(|discovery| discovery.file.clone()) else { return Ok(()) };
        let known = self.places();
        let written = tokio::task::spawn_blocking(move || fleet::write(&file, &known));
        written.await.map_err(io::Error::other)?
    }

    /// How many profiles are known in a place: those of whom something holds, and all.
    pub fn count(&self, place: &Place, holds: impl Fn(&Found) -> bool) -> (usize, usize) {
        let known = self.known();
        let Some(known) = known.iter().find(|known| known.place == *place) else { return (0, 0) };
        (known.found.iter().filter(|found| holds(found)).count(), known.found.len())
    }

    /// How many profiles are known in a place, those of unknown source included: AWS's quota counts them all.
    pub fn used(&self, place: &Place) -> usize {
        let known = self.known();
        let known = known.iter().find(|known| known.place == *place);
        known.map_or(0, |known| known.found.len() + known.undetermined.len())
    }

    /// Keeps of what was made here lately what a reading does not have yet: AWS's list may lack it, or the tagging API its tags.
    fn keep_recent(&self, known: &PlaceFound, found: &mut PlaceFound, now: Timestamp) {
        let mut recent = self.recent();
        recent.retain(|_, recent| now.duration_since(recent.made) < LISTED_WITHIN);
        if recent.is_empty() {
            return;
        }
        let complete: HashSet<&ProfileArn> = found
            .found
            .iter()
            .filter(|found| found.tag(OWNER_TAG).is_some())
            .map(|found| found.profile.arn())
            .collect();
        let lacking = |arn: &ProfileArn| recent.contains_key(arn) && !complete.contains(arn);
        let kept: Vec<_> = known.found.iter().filter(|known| lacking(known.profile.arn())).cloned().collect();
        if kept.is_empty() {
            return;
        }
        let others =
            found.found.iter().filter(|found| !kept.iter().any(|kept| kept.profile.arn() == found.profile.arn()));
        let all: Vec<_> = others.cloned().chain(kept.iter().cloned()).collect();
        let unknown = found.undetermined.iter();
        let unknown = unknown.filter(|unknown| !kept.iter().any(|kept| *kept.profile.arn() == unknown.arn)).cloned();
        found.undetermined = unknown.collect();
        found.found = all.into();
    }

    /// Whether a profile was made here within that time, and Bedrock's runtime has not answered through it yet.
    pub fn made_within(&self, arn: &ProfileArn, now: Timestamp, span: SignedDuration) -> bool {
        let newest = self.newest.load(Ordering::Relaxed);
        if newest < now.as_second().saturating_sub(span.as_secs()) {
            return false;
        }
        self.recent().get(arn).is_some_and(|recent| !recent.answers && now.duration_since(recent.made) < span)
    }

    /// Bedrock's runtime has answered through it.
    pub fn answers(&self, arn: &ProfileArn) {
        if let Some(recent) = self.recent().get_mut(arn) {
            recent.answers = true;
        }
    }

    /// Whether what is in a place is known, from AWS or from an earlier start.
    pub fn is_read(&self, place: &Place) -> bool {
        self.known().iter().any(|known| known.place == *place && known.read_at.is_some())
    }

    /// A place that has not been asked for yet, since the start.
    pub fn untried(&self) -> Option<Place> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.discovery.iter().flat_map(|discovery| &discovery.places);
        places.into_iter().find(|place| !tried.contains(place) && !self.is_read(place)).cloned()
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<ProfileArn, Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until the next reading: about as long as configured, and not the same for all gateways.
    pub fn pause(&self) -> Option<Duration> {
        self.discovery.as_ref().map(|discovery| {
            let tenth = discovery.every / 10;
            discovery.every.saturating_sub(tenth) + jittered(tenth * 2)
        })
    }

    fn known(&self) -> MutexGuard<'_, Vec<PlaceFound>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long AWS may take to list a profile that it has made.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

fn build(
    listings: &[Listing],
    sources: Option<&Sources>,
    rules: &[Rule],
    known: &[PlaceFound],
) -> Result<Directory, DirectoryError> {
    let (mut grants, mut awaited) = (Vec::with_capacity(listings.len()), Vec::new());
    for listing in listings {
        match listing {
            Listing::Grant(grant) => grants.push(Grant::clone(grant)),
            Listing::Unsourced(own) => match sources.map(|sources| sources.source(&own.arn, known)) {
                Some(Source::Known(source)) => grants.push(own.grant(source)),
                Some(Source::Awaited(_)) | None => awaited.push(Arc::clone(own)),
                Some(Source::Doubtful(_)) => {}
            },
        }
    }
    let found = known.iter().flat_map(|known| known.found.iter().cloned());
    Ok(Directory::build(grants, rules, found)?.awaiting(&awaited))
}

#[cfg(test)]
mod tests;
