//! What is being made at the moment, and what has been refused lately: bounds on what one caller, or all, can have AWS asked for.
//!
//! Whoever asks for what is being made already waits for that. A principal has few makings at a time, one after another, so that
//! their limit holds; and after some refusals within a minute AWS is not asked for them at all until the minute is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::VendError;
use crate::profiles::control::{ControlError, Place};
use crate::types::ModelId;

/// Whose profile of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileKey {
    pub(super) principal: String,
    pub(super) source: ModelId,
    pub(super) rule: Option<usize>,
}

/// What became of a making; nothing while it goes on.
pub(super) type Outcome = Option<Result<(), VendError>>;

/// What is being made, and what has been refused.
#[derive(Debug, Default)]
pub(super) struct Makings(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    making: HashMap<ProfileKey, watch::Receiver<Outcome>>,
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    places: HashMap<Place, usize>,
    refused: HashMap<ProfileKey, (Timestamp, VendError)>,
    /// How often a principal was refused, and since when that is counted.
    failures: HashMap<String, (Timestamp, u32)>,
}

/// What is done about a request.
pub(super) enum Joined {
    /// It is being made: this tells what becomes of it.
    Waiting(watch::Receiver<Outcome>),
    /// It is this request's to have it made.
    First(Ticket, watch::Receiver<Outcome>),
    /// It was refused lately, or there is no room.
    Refused(VendError),
}

/// The right to make one profile. Dropped without an outcome, it tells those who wait that there is none.
#[derive(Debug)]
pub(super) struct Ticket {
    key: ProfileKey,
    makings: Arc<Makings>,
    tell: watch::Sender<Outcome>,
}

/// A profile that is planned in a place.
#[derive(Debug)]
pub(super) struct Plan<'m> {
    place: Place,
    makings: &'m Makings,
    /// How many others are planned there.
    pub(super) others: usize,
}

impl Makings {
    /// Joins what is being made, or begins it.
    pub(super) fn join(self: &Arc<Self>, key: &ProfileKey, now: Timestamp) -> Joined {
        let mut inner = self.inner();
        if let Some(waiting) = inner.making.get(key) {
            return Joined::Waiting(waiting.clone());
        }
        if let Some(error) = inner.refused_lately(key, now) {
            return Joined::Refused(error);
        }
        let own = inner.making.keys().filter(|making| making.principal == key.principal).count();
        if own >= MOST_OF_ONE || inner.making.len() >= MOST {
            return Joined::Refused(VendError::Busy);
        }
        let (tell, told) = watch::channel(None);
        inner.making.insert(key.clone(), told.clone());
        Joined::First(Ticket { key: key.clone(), makings: Arc::clone(self), tell }, told)
    }

    /// A principal's makings come one after another.
    pub(super) fn turn(&self, principal: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut inner = self.inner();
        inner.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(inner.turns.entry(principal.to_owned()).or_default())
    }

    /// Plans one in a place, until what is returned is dropped.
    pub(super) fn plan(&self, place: &Place) -> Plan<'_> {
        let mut inner = self.inner();
        let planned = inner.places.entry(place.clone()).or_default();
        let others = *planned;
        *planned += 1;
        Plan { place: place.clone(), makings: self, others }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refused_lately(&self, key: &ProfileKey, now: Timestamp) -> Option<VendError> {
        let within = |at: Timestamp, span| (SignedDuration::ZERO..span).contains(&now.duration_since(at));
        if let Some((at, error)) = self.refused.get(key)
            && within(*at, error.remembered())
        {
            return Some(error.clone());
        }
        let (at, times) = self.failures.get(&key.principal)?;
        (within(*at, MINUTE) && *times >= MOST_REFUSALS).then_some(VendError::Often)
    }

    fn remember(&mut self, key: &ProfileKey, now: Timestamp, error: &VendError) {
        let young = |at: &Timestamp| now.duration_since(*at) < MINUTE;
        if self.refused.len() >= MOST_REMEMBERED || self.failures.len() >= MOST_REMEMBERED {
            self.refused.retain(|_, (at, _)| young(at));
            self.failures.retain(|_, (at, _)| young(at));
        }
        if self.refused.len() < MOST_REMEMBERED {
            self.refused.insert(key.clone(), (now, error.clone()));
        }
        if error.is_passing() {
            return;
        }
        let room = self.failures.len() < MOST_REMEMBERED;
        match self.failures.get_mut(&key.principal) {
            Some((at, times)) if young(at) => *times += 1,
            Some(counted) => *counted = (now, 1),
            None if room => {
                self.failures.insert(key.principal.clone(), (now, 1));
            }
            None => {}
        }
    }
}

impl Ticket {
    /// Tells what became of it.
    pub(super) fn end(self, made: Result<(), VendError>, now: Timestamp) {
        if let Err(error) = &made {
            let (principal, source) = (&self.key.principal, &self.key.source);
            if error.is_callers() {
                tracing::warn!(principal, %source, %error, "no inference profile was made");
            } else {
                tracing::error!(principal, %source, %error, "no inference profile could be made");
            }
            self.makings.inner().remember(&self.key, now, error);
        }
        self.tell.send_replace(Some(made));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.makings.inner().making.remove(&self.key);
        self.tell.send_if_modified(|outcome| {
            let unknown = outcome.is_none();
            if unknown {
                *outcome = Some(Err(ControlError::Unavailable("it was given up".to_owned()).into()));
            }
            unknown
        });
    }
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        let mut inner = self.makings.inner();
        if let Some(planned) = inner.places.get_mut(&self.place) {
            *planned = planned.saturating_sub(1);
        }
    }
}

/// How many profiles of one principal are being made or wait their turn.
const MOST_OF_ONE: usize = 4;
/// Of all together.
const MOST: usize = 64;
/// How often within a minute one principal is refused before AWS is not asked for them any more.
const MOST_REFUSALS: u32 = 8;
const MOST_REMEMBERED: usize = 10_000;
/// How long a refusal of AWS's is taken for its answer.
pub(super) const MINUTE: SignedDuration = SignedDuration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(principal: &str, number: usize) -> ProfileKey {
        ProfileKey {
            principal: principal.to_owned(),
            source: format!("us.maker.m{number}").parse().unwrap(),
            rule: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    fn first(makings: &Arc<Makings>, key: &ProfileKey, seconds: i64) -> Ticket {
        match makings.join(key, at(seconds)) {
            Joined::First(ticket, _) => ticket,
            Joined::Waiting(_) => panic!("it is being made"),
            Joined::Refused(error) => panic!("{error}"),
        }
    }

    fn refused(makings: &Arc<Makings>, key: &ProfileKey, seconds: i64) -> Option<VendError> {
        match makings.join(key, at(seconds)) {
            Joined::Refused(error) => Some(error),
            Joined::First(..) | Joined::Waiting(_) => None,
        }
    }

    #[test]
    fn one_has_it_made_and_the_others_wait_for_that() {
        let makings = Arc::new(Makings::default());
        let ticket = first(&makings, &key("alice", 1), 0);
        let Joined::Waiting(told) = makings.join(&key("alice", 1), at(0)) else { panic!("a second asks") };
        ticket.end(Ok(()), at(1));
        assert_eq!(*told.borrow(), Some(Ok(())));
        let Joined::First(ticket, told) = makings.join(&key("alice", 1), at(1)) else { panic!("it is over") };
        drop(ticket);
        assert!(matches!(&*told.borrow(), Some(Err(VendError::Control(ControlError::Unavailable(_))))));
    }

    #[test]
    fn nobody_has_more_made_at_a_time_than_a_few_and_all_together_than_some_dozens() {
        let makings = Arc::new(Makings::default());
        let mut tickets: Vec<_> = (0..MOST_OF_ONE).map(|number| first(&makings, &key("alice", number), 0)).collect();
        assert_eq!(refused(&makings, &key("alice", 99), 0), Some(VendError::Busy));
        for number in 0..MOST - MOST_OF_ONE {
            tickets.push(first(&makings, &key(&format!("p{number}"), 0), 0));
        }
        assert_eq!(refused(&makings, &key("bob", 0), 0), Some(VendError::Busy));
        drop(tickets);
        assert_eq!(refused(&makings, &key("bob", 0), 0), None);
    }

    #[test]
    fn what_aws_refuses_is_its_answer_for_a_while_and_many_refusals_are_an_answer_to_everything() {
        let makings = Arc::new(Makings::default());
        let denied = || VendError::Control(ControlError::Denied("no".to_owned()));
        first(&makings, &key("alice", 0), 0).end(Err(denied()), at(0));
        assert_eq!(refused(&makings, &key("alice", 0), 59), Some(denied()));
        assert_eq!(refused(&makings, &key("alice", 1), 1), None);
        for number in 1..i64::from(MOST_REFUSALS) {
            let key = key("alice", usize::try_from(number).unwrap());
            first(&makings, &key, number).end(Err(denied()), at(number));
        }
        assert_eq!(refused(&makings, &key("alice", 99), 10), Some(VendError::Often));
        assert_eq!(refused(&makings, &key("bob", 99), 10), None);
        assert_eq!(refused(&makings, &key("alice", 99), 60), None);
        // What passes by itself is asked about again soon, and counts for nothing.
        let away = || VendError::Control(ControlError::Unavailable("away".to_owned()));
        for _ in 0..=MOST_REFUSALS {
            first(&makings, &key("carol", 0), 0).end(Err(away()), at(-5));
        }
        assert_eq!(refused(&makings, &key("carol", 0), -4), Some(away()));
        assert_eq!(refused(&makings, &key("carol", 0), 0), None);
    }

    #[test]
    fn what_is_planned_in_a_place_counts_until_it_is_there() {
        let makings = Makings::default();
        let place = |region: &str| Place { account: "111122223333".parse().unwrap(), region: region.parse().unwrap() };
        let one = makings.plan(&place("us-east-1"));
        let two = makings.plan(&place("us-east-1"));
        assert_eq!((one.others, two.others, makings.plan(&place("eu-west-1")).others), (0, 1, 0));
        drop(one);
        assert_eq!(makings.plan(&place("us-east-1")).others, 1);
    }
}
