//! Who may ask STS now: how many at once, and not where it could not be reached a moment ago.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::AwsLoginSettings;
use super::error::{LoginFault, Outage};

/// The turns, and what is known of Regions.
#[derive(Debug)]
pub(super) struct Desk {
    /// The Regions of the configuration.
    named: Vec<String>,
    /// Whether the configuration says where STS is, whatever the Region.
    has_endpoint: bool,
    turns: Arc<Semaphore>,
    /// For Regions that nothing has come from yet, so that invented ones take no turn of the others.
    few_turns: Arc<Semaphore>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Where an answer has come from.
    answered: HashSet<String>,
    /// Where none came from, until when it is not asked, and why.
    away: HashMap<String, (Instant, String)>,
}

impl Desk {
    pub(super) fn new(settings: &AwsLoginSettings) -> Self {
        Self {
            named: settings.regions.clone(),
            has_endpoint: settings.endpoint.is_some(),
            turns: Arc::new(Semaphore::new(TURNS)),
            few_turns: Arc::new(Semaphore::new(FEW_TURNS)),
            seen: Mutex::default(),
        }
    }

    /// The right to ask in a Region, for as long as it is held. Who waits too long for it is told to come again.
    pub(super) async fn turn(&self, region: &str) -> Result<OwnedSemaphorePermit, LoginFault> {
        self.is_there(region)?;
        let turns = if self.is_proven(region) { &self.turns } else { &self.few_turns };
        let busy = || LoginFault::Unavailable(Outage::Busy);
        let turn = match Arc::clone(turns).try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                timeout(PATIENCE, Arc::clone(turns).acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())?
            }
        };
        // It may have been found away while we waited.
        self.is_there(region)?;
        Ok(turn)
    }

    /// Notes whether a Region has answered, or why it has not.
    pub(super) fn note(&self, region: &str, why_not: Option<&str>) {
        let place = self.place(region);
        let now = Instant::now();
        let mut seen = self.seen();
        seen.away.retain(|_, (until, _)| now < *until);
        match why_not {
            None => {
                seen.away.remove(place);
                if seen.answered.len() < MOST {
                    seen.answered.insert(place.to_owned());
                }
            }
            Some(why) => {
                if seen.away.len() >= MOST {
                    seen.away.clear();
                }
                seen.away.insert(place.to_owned(), (now + AWAY_FOR, why.to_owned()));
            }
        }
    }

    /// What it is that a Region cannot be asked.
    pub(super) fn outage(&self, region: &str, why: String) -> LoginFault {
        LoginFault::Unavailable(if self.is_proven(region) {
            Outage::Sts(why)
        } else {
            Outage::Unproven { region: region.to_owned(), why }
        })
    }

    fn is_there(&self, region: &str) -> Result<(), LoginFault> {
        let away = self.seen().away.get(self.place(region)).filter(|(until, _)| Instant::now() < *until).cloned();
        away.map_or(Ok(()), |(_, why)| Err(self.outage(region, format!("a moment ago: {why}"))))
    }

    fn is_proven(&self, region: &str) -> bool {
        self.has_endpoint
            || self.named.iter().any(|named| named == region)
            || self.seen().answered.contains(self.place(region))
    }

    /// By what a host is known: with an endpoint of the configuration there is but one.
    fn place<'r>(&self, region: &'r str) -> &'r str {
        if self.has_endpoint { "" } else { region }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many questions STS is asked at once at most; the others wait.
const TURNS: usize = 64;
const FEW_TURNS: usize = 8;
/// How long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a host that cannot be reached is not asked.
const AWAY_FOR: Duration = Duration::from_secs(5);
/// There are far fewer Regions.
const MOST: usize = 512;
