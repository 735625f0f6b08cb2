//! Values as stores write them down: times in milliseconds since the Unix epoch, amounts as signed numbers, names as words.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::adjustment::Effect;
use super::bill::{Entry, Heading, Item, Outcome, ReservedReason, Settled};
use super::store::{CounterId, Unit};
use crate::bedrock::Operation;
use crate::types::{ModelId, Subject};

pub(super) fn millis(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn instant(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(amount: i64) -> u64 {
    u64::try_from(amount).unwrap_or(0)
}

/// A counter by its words; `None` where a later Tollgate counts what is not known here.
pub(super) fn counter(budget: &str, kind: &str, subject: &str, model: &str, unit: &str) -> Option<CounterId> {
    Some(CounterId {
        budget: Arc::from(budget),
        subject: Subject::of(kind, subject)?,
        model: (!model.is_empty()).then(|| Arc::from(model)),
        unit: Unit::from_word(unit)?,
    })
}

/// An operation by its name; one that is not known any more counts as the plainest.
pub(super) fn operation(name: &str) -> Operation {
    Operation::ALL.into_iter().find(|operation| operation.name() == name).unwrap_or(Operation::InvokeModel)
}

/// Whether a settlement is at the usage or at the reservation.
const fn basis(settled: Settled) -> &'static str {
    match settled {
        Settled::Counted(_) => "counted",
        Settled::AtReservation(_) => AT_RESERVATION,
    }
}

/// How a call was settled, by the words of [`basis`] and [`Settled::as_str`].
fn settled(basis: &str, outcome: &str) -> Settled {
    if basis == AT_RESERVATION {
        return Settled::AtReservation(reason(outcome));
    }
    let counted = Outcome::ALL.into_iter().find(|known| known.as_str() == outcome);
    Settled::Counted(counted.unwrap_or(Outcome::Complete))
}

/// A heading as words: principal, model, profile, operation, basis, outcome. What it does not have is empty.
pub(super) fn heading(heading: &Heading) -> [&str; 6] {
    let Heading { principal, model, profile, operation, settled } = heading;
    six(principal, model.as_ref(), profile.as_deref(), *operation, *settled)
}

/// The words of [`heading`] of the row that an entry is added to.
pub(super) fn of_entry(entry: &Entry) -> [&str; 6] {
    let Entry { principal, item: Item { operation, model, profile, .. }, settled, .. } = entry;
    six(principal, model.as_ref(), profile.as_deref(), *operation, *settled)
}

fn six<'a>(
    principal: &'a str,
    model: Option<&'a ModelId>,
    profile: Option<&'a str>,
    operation: Operation,
    settled: Settled,
) -> [&'a str; 6] {
    let model = model.map_or("", ModelId::as_str);
    [principal, model, profile.unwrap_or(""), operation.name(), basis(settled), settled.as_str()]
}

/// The heading of the words of [`heading`].
pub(super) fn heading_of([principal, model, profile, by, basis, outcome]: [String; 6]) -> Heading {
    Heading {
        principal: principal.into(),
        model: model.parse().ok(),
        profile: (!profile.is_empty()).then(|| profile.into()),
        operation: operation(&by),
        settled: settled(&basis, &outcome),
    }
}

pub(super) fn reason(word: &str) -> ReservedReason {
    ReservedReason::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap_or(ReservedReason::Dropped)
}

/// What a change does, by the words of [`Effect`].
pub(super) fn effect(word: &str, unit: Option<Unit>, amount: Option<u64>, until: Option<SystemTime>) -> Option<Effect> {
    match word {
        "limit" => Some(Effect::Limit(unit?, amount?)),
        "raise" => Some(Effect::Raise(unit?, amount?, until?)),
        "configured" => Some(Effect::Configured),
        "reset" => Some(Effect::Reset),
        _ => None,
    }
}

const AT_RESERVATION: &str = "at_reservation";
