//! What the configuration's profiles were made from that do not say it: AWS is asked, once however many want to know.
//!
//! What AWS tells is judged as discovery judges it (`discovery::source`): the tag first, unless the models contradict it. Until it is
//! known nobody can call through the profile, since nothing could be priced; what leaves a doubt stays nobody's. What is known stays
//! known while AWS does not answer.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetInferenceProfile.html>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::control::{ControlError, Place, SharedControlPlane, bedrock};
use super::discovery::{self, Doubt};
use super::fleet::PlaceFound;
use super::{Grant, Profile, Reach};
use crate::types::{ModelId, Owners, ProfileArn};

/// What the configuration lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// A profile whose source it says.
    Grant(Box<Grant>),
    /// A profile whose source AWS is asked for.
    Unsourced(Arc<Unsourced>),
}

/// A profile of the configuration that does not say what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsourced {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: ProfileArn,
    /// Whose it is.
    pub owners: Owners,
    /// Words that its owners may call it by.
    pub aliases: Vec<String>,
}

/// What is known of a profile's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing yet; and why not, where it was asked.
    Awaited(Option<ControlError>),
    /// What it was made from.
    Known(ModelId),
    /// AWS leaves a doubt, or knows no such profile: it is nobody's.
    Doubtful(Doubt),
}

/// What is known of the profiles that do not say their source.
#[derive(Debug)]
pub struct Sources {
    control: SharedControlPlane,
    /// Prefixes of geographies beside those that are known.
    geographies: Vec<String>,
    states: Mutex<HashMap<ProfileArn, State>>,
}

#[derive(Debug)]
struct State {
    source: Source,
    asked_at: Option<Timestamp>,
    /// While it is being asked; closed when that is over.
    asking: Option<watch::Receiver<()>>,
}

/// What is done about a wish to know.
pub(super) enum Joined {
    /// Nothing: it is known, or could not be told a moment ago.
    Settled,
    /// It is being asked: this is closed when that is over.
    Waiting(watch::Receiver<()>),
    /// It is this one's to ask.
    First(Ticket),
}

/// The right to ask for one source. Dropped, it is over for all who wait.
#[derive(Debug)]
pub(super) struct Ticket {
    arn: ProfileArn,
    sources: Arc<Sources>,
    _tell: watch::Sender<()>,
}

impl From<Grant> for Listing {
    fn from(grant: Grant) -> Self {
        Self::Grant(Box::new(grant))
    }
}

impl Listing {
    /// The profile's ARN.
    pub fn arn(&self) -> &ProfileArn {
        match self {
            Self::Grant(grant) => grant.profile.arn(),
            Self::Unsourced(own) => &own.arn,
        }
    }
}

impl Unsourced {
    /// The grant that it is once its source is known.
    pub(super) fn grant(&self, source: ModelId) -> Grant {
        Grant {
            profile: Profile::new(self.name.clone(), self.arn.clone(), source),
            owners: self.owners.clone(),
            reach: Reach::AnyName,
            aliases: self.aliases.clone(),
        }
    }

    /// Whether this is its name, id, ARN or an alias.
    pub(super) fn is_called(&self, word: &str) -> bool {
        [self.name.as_str(), self.arn.id(), self.arn.as_str()].contains(&word)
            || self.aliases.iter().any(|alias| alias == word)
    }
}

impl Sources {
    /// Nothing is known yet of those among `listings`.
    pub fn new(listings: &[Listing], control: SharedControlPlane, geographies: Vec<String>) -> Arc<Self> {
        let unsourced = listings.iter().filter_map(|listing| match listing {
            Listing::Grant(_) => None,
            Listing::Unsourced(own) => Some(own.arn.clone()),
        });
        let state = || State { source: Source::Awaited(None), asked_at: None, asking: None };
        let states = unsourced.map(|arn| (arn, state())).collect();
        Arc::new(Self { control, geographies, states: Mutex::new(states) })
    }

    /// What is known of one; until AWS has told it, what discovery has found there.
    pub(super) fn source(&self, arn: &ProfileArn, found: &[PlaceFound]) -> Source {
        let own = self.states().get(arn).map(|state| state.source.clone());
        match own {
            Some(Source::Awaited(why)) => {
                let mut found = found.iter().flat_map(|place| place.found.iter());
                let found = found.find(|found| found.profile.arn() == arn);
                found.map_or(Source::Awaited(why), |found| Source::Known(found.profile.source().clone()))
            }
            Some(own) => own,
            None => Source::Awaited(None),
        }
    }

    /// Whether AWS has been asked for one, whatever it answered.
    pub(super) fn was_asked(&self, arn: &ProfileArn) -> bool {
        self.states().get(arn).is_some_and(|state| state.asked_at.is_some())
    }

    /// Those that it is time to ask for, in no order.
    pub(super) fn due(&self, now: Timestamp) -> Vec<ProfileArn> {
        let states = self.states();
        states.iter().filter(|(_, state)| state.is_due(now)).map(|(arn, _)| arn.clone()).collect()
    }

    /// Joins who asks for one, or begins to.
    pub(super) fn join(self: &Arc<Self>, arn: &ProfileArn, now: Timestamp) -> Joined {
        let mut states = self.states();
        let Some(state) = states.get_mut(arn) else { return Joined::Settled };
        if let Some(asking) = &state.asking {
            return Joined::Waiting(asking.clone());
        }
        if state.asked_at.is_some_and(|at| (SignedDuration::ZERO..FORGOTTEN).contains(&now.duration_since(at))) {
            return Joined::Settled;
        }
        let (tell, told) = watch::channel(());
        state.asking = Some(told);
        Joined::First(Ticket { arn: arn.clone(), sources: Arc::clone(self), _tell: tell })
    }

    /// Notes what AWS has said; true where something else holds now.
    fn note(&self, arn: &ProfileArn, told: Source, now: Timestamp) -> bool {
        let mut states = self.states();
        let Some(state) = states.get_mut(arn) else { return false };
        state.asked_at = Some(now);
        if state.source == told {
            return false;
        }
        match (&told, &state.source) {
            // What it was made from does not change because AWS does not answer.
            (Source::Awaited(why), Source::Known(_) | Source::Doubtful(_)) => {
                tracing::debug!(%arn, ?why, "what the profile was made from cannot be asked again now");
                return false;
            }
            (Source::Awaited(why), Source::Awaited(before)) => {
                let kind = |error: &ControlError| std::mem::discriminant(error);
                if let Some(error) = why.as_ref().filter(|error| before.as_ref().map(kind) != Some(kind(error))) {
                    tracing::error!(
                        %arn, %error,
                        "what the profile of [[profiles]] was made from is not known, and nobody can call through it: the role \
                         needs bedrock:GetInferenceProfile, or the entry a source",
                    );
                }
                state.source = told;
                return false;
            }
            (Source::Known(source), _) => tracing::info!(%arn, %source, "AWS has told what the profile was made from"),
            (Source::Doubtful(doubt), _) => {
                tracing::error!(%arn, %doubt, "nobody can call through the profile of [[profiles]]");
            }
        }
        state.source = told;
        true
    }

    /// Asks AWS what one was made from.
    async fn ask(&self, arn: &ProfileArn) -> Source {
        let place = Place { account: arn.account().clone(), region: arn.region().clone() };
        let tags = match bedrock::tags(&self.control, &place, arn).await {
            Ok(tags) => tags,
            // Then the models alone have to leave no doubt.
            Err(ControlError::Denied(why)) => {
                tracing::debug!(%arn, why, "the profile's tags may not be read");
                BTreeMap::new()
            }
            Err(error) => return told_not(error),
        };
        let listed = match bedrock::get(&self.control, &place, arn.as_str()).await {
            Ok(listed) => listed.filter(|listed| listed.arn == *arn),
            Err(error) => return told_not(error),
        };
        let Some(listed) = listed else { return Source::Doubtful(Doubt::Absent("it is not active".to_owned())) };
        let tags: Vec<_> = tags.into_iter().collect();
        match discovery::source(&listed, &tags, &self.geographies) {
            Ok(source) => Source::Known(source),
            Err(doubt) => Source::Doubtful(doubt),
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<ProfileArn, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, now: Timestamp) -> bool {
        let every = match &self.source {
            Source::Awaited(_) => RETRY,
            Source::Doubtful(_) => DOUBT,
            Source::Known(_) => EVERY,
        };
        self.asking.is_none() && self.asked_at.is_none_or(|at| now.duration_since(at) >= every)
    }
}

impl Ticket {
    /// Asks, and notes what was told; true where something else holds now.
    pub(super) async fn ask(&self, now: Timestamp) -> bool {
        let told = self.sources.ask(&self.arn).await;
        self.sources.note(&self.arn, told, now)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(state) = self.sources.states().get_mut(&self.arn) {
            state.asking = None;
        }
    }
}

fn told_not(error: ControlError) -> Source {
    if let ControlError::NotFound(said) = error {
        return Source::Doubtful(Doubt::Absent(said));
    }
    Source::Awaited(Some(error))
}

/// How long a request takes it for AWS's answer that there was none.
const FORGOTTEN: SignedDuration = SignedDuration::from_secs(5);
/// When it is asked again without a request: after a failure, after a doubt, and of what is known.
const RETRY: SignedDuration = SignedDuration::from_secs(15);
const DOUBT: SignedDuration = SignedDuration::from_mins(1);
const EVERY: SignedDuration = SignedDuration::from_hours(1);

#[cfg(test)]
mod tests;
