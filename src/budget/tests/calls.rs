//! Bookings and settlements as stores see them: a budget of 1,000 nano-dollars and as many tokens a day.

use super::*;

pub(in crate::budget) fn line(who: &str, unit: Unit, amount: u64, enforcement: Enforcement) -> Line {
    let counter = CounterId { budget: "daily".into(), subject: Subject::Principal(who.into()), model: None, unit };
    Line { counter, schedule: Schedule { window: Window::Day, zone: TimeZone::UTC }, limit: 1_000, amount, enforcement }
}

pub(in crate::budget) fn booking(who: &str, amount: u64) -> Booking {
    let lines =
        vec![line(who, Unit::Usd, amount, Enforcement::Hard), line(who, Unit::Tokens, amount / 2, Enforcement::Hard)];
    let held_cost = Some(Money::from_nanos(i64::try_from(amount).unwrap()));
    let (id, request_id) = (ReservationId::random(), format!("{who}-{amount}"));
    Booking { id, principal: who.into(), group: "eng".into(), item: item(&request_id), held_cost, lines }
}

pub(in crate::budget) fn settlement(booking: &Booking, nanos: u64) -> Settlement {
    let spend = Spend { input_tokens: 1, output_tokens: 2, nanodollars: Some(nanos) };
    let entry = Entry {
        principal: Arc::clone(&booking.principal),
        group: Arc::clone(&booking.group),
        item: booking.item.clone(),
        settled: Settled::Counted(Outcome::Complete),
        usage: TokenUsage { input: 1, output: 2, ..TokenUsage::default() },
        cost: Some(Money::from_nanos(i64::try_from(nanos).unwrap())),
    };
    Settlement { id: booking.id, charge: Charge::Spent(spend), entry: Some(entry) }
}

pub(in crate::budget) fn released(booking: &Booking) -> Settlement {
    Settlement { id: booking.id, charge: Charge::Nothing, entry: None }
}

/// What of dollars is spent and reserved, for one subject or for all.
pub(in crate::budget) fn dollars_of(states: &[CounterState], who: Option<&str>) -> (u64, u64) {
    let own = |state: &&CounterState| {
        state.counter.unit == Unit::Usd && who.is_none_or(|who| state.counter.subject.name() == who)
    };
    states.iter().filter(own).fold((0, 0), |(spent, held), state| (spent + state.spent, held + state.reserved))
}

/// Asks until it is there, for what a store does by itself.
pub(in crate::budget) async fn eventually(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        while !there().await {
            ticks.tick().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_mins(1), asking).await;
    in_time.unwrap_or_else(|_| panic!("never came: {what}"));
}
