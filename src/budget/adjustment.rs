//! What an operator changes while gateways run: a limit for one subject, a raise that ends by itself, a count that begins
//! anew. Every change says who made it and why, and none is ever deleted: they are the history.

use std::sync::Arc;
use std::time::SystemTime;

use super::store::{CounterId, Unit};
use crate::types::{QuickMap, Subject};

/// A change as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Whose count of it.
    pub subject: Subject,
    /// What is done.
    pub effect: Effect,
    /// Who asked for it, as the system names them.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The limit is this amount, in place of the configured one.
    Limit(Unit, u64),
    /// The limit is this much higher until an instant.
    Raise(Unit, u64, SystemTime),
    /// The limits are those of the configuration again; raises end.
    Configured,
    /// What has been spent in the window that is open counts no more.
    Reset,
}

impl Effect {
    /// The word in the history: `limit`, `raise`, `configured` or `reset`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Limit(..) => "limit",
            Self::Raise(..) => "raise",
            Self::Configured => "configured",
            Self::Reset => "reset",
        }
    }

    /// The unit and the amount, where there are any.
    pub const fn amount(self) -> Option<(Unit, u64)> {
        match self {
            Self::Limit(unit, amount) | Self::Raise(unit, amount, _) => Some((unit, amount)),
            Self::Configured | Self::Reset => None,
        }
    }

    /// When it ends by itself.
    pub const fn until(self) -> Option<SystemTime> {
        match self {
            Self::Raise(_, _, until) => Some(until),
            Self::Limit(..) | Self::Configured | Self::Reset => None,
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Its place in the order of all changes.
    pub sequence: u64,
    /// When it was made.
    pub made: SystemTime,
    /// What it is.
    pub change: Change,
}

/// The changes of limits, by budget and subject, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Adjustments(QuickMap<(Arc<str>, Subject), Vec<Effect>>);

impl Adjustments {
    /// Those among changes, in their order, that are about limits.
    pub fn new<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut effects: QuickMap<_, Vec<_>> = QuickMap::default();
        for change in changes.into_iter().filter(|change| change.effect != Effect::Reset) {
            effects.entry((Arc::clone(&change.budget), change.subject.clone())).or_default().push(change.effect);
        }
        Self(effects)
    }

    /// The limit of a count at an instant, of the one that is configured.
    pub fn limit(&self, counter: &CounterId, configured: u64, now: SystemTime) -> u64 {
        if self.0.is_empty() {
            return configured;
        }
        let key = (Arc::clone(&counter.budget), counter.subject.clone());
        let (mut limit, mut raised) = (configured, 0_u64);
        for effect in self.0.get(&key).into_iter().flatten() {
            match *effect {
                Effect::Limit(unit, amount) if unit == counter.unit => limit = amount,
                Effect::Raise(unit, amount, until) if unit == counter.unit && now < until => {
                    raised = raised.saturating_add(amount);
                }
                Effect::Configured => (limit, raised) = (configured, 0),
                Effect::Limit(..) | Effect::Raise(..) | Effect::Reset => {}
            }
        }
        limit.saturating_add(raised)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn limits_are_set_raised_and_taken_back_in_the_order_in_which_that_was_asked_for() {
        let at = |hours| SystemTime::UNIX_EPOCH + Duration::from_hours(hours);
        let alice = Subject::Principal("alice".into());
        let change = |effect| Change {
            budget: "daily".into(),
            subject: alice.clone(),
            effect,
            by: "root".to_owned(),
            reason: "a deadline".to_owned(),
        };
        let mut changes = Vec::new();
        let counter = |unit| CounterId { budget: "daily".into(), subject: alice.clone(), model: None, unit };
        let mut expect = |effect, usd_before, usd_after, tokens| {
            changes.push(change(effect));
            let adjustments = Adjustments::new(&changes);
            assert_eq!(adjustments.limit(&counter(Unit::Usd), 100, at(1)), usd_before, "{effect:?}");
            assert_eq!(adjustments.limit(&counter(Unit::Usd), 100, at(9)), usd_after, "{effect:?}");
            assert_eq!(adjustments.limit(&counter(Unit::Tokens), 7, at(1)), tokens, "{effect:?}");
            let other = CounterId { subject: Subject::Everyone, ..counter(Unit::Usd) };
            assert_eq!(adjustments.limit(&other, 100, at(1)), 100);
        };
        expect(Effect::Raise(Unit::Usd, 50, at(8)), 150, 100, 7);
        expect(Effect::Raise(Unit::Usd, 5, at(24)), 155, 105, 7);
        expect(Effect::Limit(Unit::Usd, 10), 65, 15, 7);
        expect(Effect::Limit(Unit::Tokens, 9), 65, 15, 9);
        expect(Effect::Reset, 65, 15, 9);
        expect(Effect::Configured, 100, 100, 7);
        expect(Effect::Raise(Unit::Usd, u64::MAX, at(8)), u64::MAX, 100, 7);
    }
}
