//! The door: every gate of a call is looked at under one lock, so that it goes through all of them or through none.
//!
//! The lock is held for a few map look-ups and never across an await. A call without room queues at the first gate that has
//! none, and only there: it must not hold up at one gate those who lack nothing but that one. When its turn comes it looks
//! at all gates again, and goes to the queue of another if that is what is missing then.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::admitted::{Admitted, Place};
use super::gate::{Charge, Gate, Shortage};
use super::refusal::Limited;
use super::rule::{RateLimit, Rates, RuleError};
use crate::identity::Principal;
use crate::types::{ModelId, QuickMap, Subject};

/// How many calls may wait at one limit of one subject; further ones are refused at once.
pub const MOST_WAITING: usize = 1_000;

/// The rate limits in force, with their counts.
#[derive(Debug)]
pub struct Limits {
    rules: Vec<RateLimit>,
    state: Arc<State>,
}

/// Which gate: a rule by its place, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    rule: usize,
    subject: Subject,
}

/// The gates that are in use.
#[derive(Debug, Default)]
pub(super) struct State {
    gates: Mutex<Gates>,
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct Gates {
    by_key: QuickMap<Key, Gate>,
    /// At how many gates those that are idle are dropped.
    sweep_at: usize,
}

/// What an attempt to get in led to.
enum Attempt {
    In(Admitted),
    /// Look again then, or when the bell rings.
    Wait(Instant),
    Refused(Box<Limited>),
}

/// A call at the door. Dropped, it leaves the queue that it stands in.
struct Comer {
    state: Arc<State>,
    principal: Arc<str>,
    call: u64,
    tokens: u64,
    since: Instant,
    bell: Arc<Notify>,
    queued_at: Option<Key>,
    has_waited: bool,
}

impl Limits {
    /// Puts rules in force.
    pub fn new(rules: Vec<RateLimit>) -> Result<Self, RuleError> {
        let mut names = HashSet::new();
        for rule in &rules {
            if !names.insert(rule.name.as_str()) {
                return Err(RuleError::DuplicateName(rule.name.clone()));
            }
            if rule.rates == Rates::default() {
                return Err(RuleError::NoRate(rule.name.clone()));
            }
        }
        Ok(Self { rules, state: Arc::default() })
    }

    /// Lets a call in that is expected to use so many tokens, at once or after waiting for as long as the limit without room
    /// allows. Whoever drops the future has left.
    pub async fn admit(
        &self,
        principal: &Principal,
        model: Option<&ModelId>,
        tokens: u64,
    ) -> Result<Admitted, Box<Limited>> {
        let keys = self.keys(principal, model);
        if keys.is_empty() {
            return Ok(Admitted::unlimited());
        }
        let mut comer = Comer {
            state: Arc::clone(&self.state),
            principal: Arc::clone(principal.shared_name()),
            call: self.state.calls.fetch_add(1, Ordering::Relaxed),
            tokens,
            since: Instant::now(),
            bell: Arc::default(),
            queued_at: None,
            has_waited: false,
        };
        loop {
            let until = match self.attempt(&keys, &mut comer) {
                Attempt::In(admitted) => return Ok(admitted),
                Attempt::Refused(limited) => return Err(limited),
                Attempt::Wait(until) => until,
            };
            let bell = Arc::clone(&comer.bell);
            // Rung or not, what is there is looked at.
            let _ = timeout_at(until, bell.notified()).await;
        }
    }

    /// How many calls wait for room.
    pub fn waiting(&self) -> usize {
        self.state.lock().by_key.values().map(|gate| gate.queue.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn gates(&self) -> usize {
        self.state.lock().by_key.len()
    }

    /// What a principal alone falls under comes before what they share.
    fn keys(&self, principal: &Principal, model: Option<&ModelId>) -> Vec<Key> {
        let (name, groups) = (principal.name(), principal.groups());
        let mut keys: Vec<Key> = Vec::new();
        for (rule, limit) in self.rules.iter().enumerate() {
            if limit.owners.rank(name, groups).is_some() && limit.models.contain(model) {
                let subjects = limit.per.subjects(&limit.owners, principal.shared_name(), groups);
                keys.extend(subjects.into_iter().map(|subject| Key { rule, subject }));
            }
        }
        keys.sort_by_key(|key| match key.subject {
            Subject::Principal(_) => 0,
            Subject::Group(_) => 1,
            Subject::Everyone => 2,
        });
        keys
    }

    fn attempt(&self, keys: &[Key], comer: &mut Comer) -> Attempt {
        let now = Instant::now();
        let state = Arc::clone(&self.state);
        let mut gates = state.lock();
        for key in keys {
            let Some(rule) = self.rules.get(key.rule) else { continue };
            let gate = gates.of(key, rule.rates, now);
            let is_turn = gate.queue.is_turn_of(&comer.principal, comer.call);
            let shortage = match gate.shortage(comer.tokens, now) {
                None if is_turn => continue,
                None => gate.in_line(),
                Some(shortage) => shortage,
            };
            return comer.wait(&mut gates, key, rule, shortage, now);
        }
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(gate) = gates.by_key.get_mut(key) {
                gate.queue.served(&comer.principal);
                places.push(Place { key: key.clone(), taken: gate.enter(comer.tokens, now) });
            }
        }
        // After the turns have moved on, so that the bell rings for whoever is next now.
        comer.leave(&mut gates);
        drop(gates);
        Attempt::In(Admitted::new(state, places, comer.waited(now)))
    }
}

impl Comer {
    /// Stands in the queue of a gate without room, if its limit lets calls wait that long.
    fn wait(&mut self, gates: &mut Gates, key: &Key, rule: &RateLimit, shortage: Shortage, now: Instant) -> Attempt {
        let deadline = self.since + rule.max_wait;
        let elsewhere = self.queued_at.as_ref() != Some(key);
        let len = gates.by_key.get(key).map_or(0, |gate| gate.queue.len());
        let crowded = elsewhere && len >= MOST_WAITING;
        if now >= deadline || crowded {
            self.leave(gates);
            return Attempt::Refused(Box::new(Limited {
                limit: rule.name.clone(),
                subject: key.subject.clone(),
                measure: shortage.measure,
                most: shortage.limit,
                crowded: crowded && now < deadline,
                waited: self.waited(now),
                retry_after_s: Limited::whole_seconds(shortage.wait),
            }));
        }
        if elsewhere {
            self.leave(gates);
        }
        let Some(gate) = gates.by_key.get_mut(key) else { return Attempt::Wait(now) };
        if elsewhere {
            gate.queue.join(&self.principal, self.call, Arc::clone(&self.bell));
            self.queued_at = Some(key.clone());
            self.has_waited = true;
        }
        // Only whoever is next has to watch the clock: the others are woken by those before them.
        let is_turn = gate.queue.is_turn_of(&self.principal, self.call);
        let room = shortage.wait.filter(|_| is_turn).and_then(|wait| now.checked_add(wait));
        Attempt::Wait(room.map_or(deadline, |room| room.min(deadline)))
    }

    fn waited(&self, now: Instant) -> Duration {
        if self.has_waited { now - self.since } else { Duration::ZERO }
    }

    fn leave(&mut self, gates: &mut Gates) {
        if let Some(gate) = self.queued_at.take().and_then(|key| gates.by_key.get_mut(&key)) {
            gate.queue.leave(&self.principal, self.call);
        }
    }
}

impl Drop for Comer {
    fn drop(&mut self) {
        if self.queued_at.is_some() {
            let state = Arc::clone(&self.state);
            self.leave(&mut state.lock());
        }
    }
}

impl State {
    /// A call that was let in has ended.
    pub(super) fn exit(&self, places: &[Place], charge: Charge) {
        let now = Instant::now();
        let mut gates = self.lock();
        for place in places {
            if let Some(gate) = gates.by_key.get_mut(&place.key) {
                gate.exit(place.taken, charge, now);
            }
        }
    }

    // What a panic under the lock could leave behind is a count that is off by one call.
    fn lock(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gates {
    /// The gate of a key. A gate that is idle is as good as none, so their number follows that of the callers who are busy.
    fn of(&mut self, key: &Key, rates: Rates, now: Instant) -> &mut Gate {
        const FEW: usize = 1_024;
        if self.by_key.len() >= self.sweep_at.max(FEW) && !self.by_key.contains_key(key) {
            self.by_key.retain(|_, gate| !gate.is_idle(now));
            self.sweep_at = self.by_key.len().saturating_mul(2);
        }
        self.by_key.entry(key.clone()).or_insert_with(|| Gate::new(rates, now))
    }
}
