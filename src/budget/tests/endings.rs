//! Every way a reservation can end, each once.

use std::time::{Duration, SystemTime};

use super::*;

fn settled(world: &World) -> Vec<(Settled, u64, Money)> {
    let bill = now(world.ledger.bill()).unwrap();
    bill.rows.iter().map(|row| (row.heading.settled, row.calls, row.cost)).collect()
}

type End = fn(Reservation);

#[test]
fn every_ending_charges_what_the_table_says() {
    let counted = Settled::Counted;
    let cases: [(End, u64, Option<Settled>); 8] = [
        (|held| held.settle(used(3)), 3, Some(counted(Outcome::Complete))),
        (|held| held.settle(used(12)), 12, Some(counted(Outcome::Complete))),
        (|held| held.settle(Actual { outcome: Outcome::Drained, ..used(4) }), 4, Some(counted(Outcome::Drained))),
        (|held| held.settle(Actual::nothing(Outcome::Fault)), 0, Some(counted(Outcome::Fault))),
        (
            |held| held.settle_at_reservation(ReservedReason::NoCounts),
            10,
            Some(Settled::AtReservation(ReservedReason::NoCounts)),
        ),
        (
            |held| held.settle(Actual { cost: None, ..used(3) }),
            10,
            Some(Settled::AtReservation(ReservedReason::PriceUnknown)),
        ),
        (drop, 10, Some(Settled::AtReservation(ReservedReason::Dropped))),
        (Reservation::release, 0, None),
    ];
    for (place, (end, charged, row)) in cases.into_iter().enumerate() {
        let world = World::new(vec![budget("daily", Window::Day, "1")]);
        let held = world.reserve("alice", &cents(10)).unwrap();
        assert_eq!((held.held_cost(), world.count("alice", "daily")), (Some(money(10)), (0, nanos(10))));
        end(held);
        assert_eq!(world.count("alice", "daily"), (nanos(charged), 0), "case {place}");
        let rows: Vec<_> = row.into_iter().map(|row| (row, 1, money(charged))).collect();
        assert_eq!(settled(&world), rows, "case {place}");
    }
}

#[test]
fn a_panic_settles_at_the_reservation() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    let held = world.reserve("alice", &cents(10)).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = held;
        std::panic::resume_unwind(Box::new("a bug"));
    }));
    assert!(unwound.is_err());
    assert_eq!(world.count("alice", "daily"), (nanos(10), 0));
    let bill = now(world.ledger.bill()).unwrap();
    let listed = ReservedCall {
        request_id: "r-1".into(),
        principal: "alice".into(),
        reason: ReservedReason::Dropped,
        cost: Some(money(10)),
    };
    assert_eq!((bill.at_reservation, bill.unlisted), (vec![listed], 0));
}

#[test]
fn the_bill_has_a_row_for_each_heading_and_sums_them_up() {
    let world = World::new(Vec::new());
    let usage = |input, output| TokenUsage { input, output, cache_read: 7, ..Default::default() };
    for (who, tokens, cost) in
        [("alice", usage(1, 2), Some(2)), ("bob", usage(3, 4), Some(4)), ("alice", usage(5, 6), Some(6))]
    {
        let actual = Actual { usage: tokens, cost: cost.map(money), outcome: Outcome::Complete };
        world.reserve(who, &cents(10)).unwrap().settle(actual);
    }
    let count_tokens = Item { operation: Operation::CountTokens, ..item("r-3") };
    let held = now(world.ledger.reserve(&principal("alice"), count_tokens, &Estimate::free())).unwrap();
    held.settle(Actual::nothing(Outcome::Complete));
    let bill = now(world.ledger.bill()).unwrap();
    let rows: Vec<_> = bill
        .rows
        .iter()
        .map(|row| (row.heading.principal.as_ref(), row.heading.operation, row.calls, row.usage, row.cost))
        .collect();
    let both = TokenUsage { input: 6, output: 8, cache_read: 14, ..Default::default() };
    assert_eq!(
        rows,
        [
            ("alice", Operation::ConverseStream, 2, both, money(8)),
            ("alice", Operation::CountTokens, 1, TokenUsage::default(), Money::ZERO),
            ("bob", Operation::ConverseStream, 1, usage(3, 4), money(4)),
        ]
    );
    assert_eq!((bill.calls(), bill.cost()), (4, money(12)));
    assert_eq!(bill.rows[0].heading.model, Some(model()));
    assert_eq!(bill.rows[0].heading.profile.as_deref(), Some("alice-sonnet"));
}

#[test]
fn a_call_without_a_price_is_billed_as_unpriced() {
    let world = World::new(Vec::new());
    let unpriced = Estimate::model(RequestFacts::default(), model(), None);
    let actual = Actual { cost: None, ..used(3) };
    world.reserve("alice", &unpriced).unwrap().settle(actual);
    let bill = now(world.ledger.bill()).unwrap();
    assert_eq!((bill.rows[0].unpriced, bill.rows[0].usage, bill.rows[0].cost), (1, actual.usage, Money::ZERO));
    assert_eq!((bill.at_reservation[0].reason, bill.at_reservation[0].cost), (ReservedReason::PriceUnknown, None));
}

#[test]
fn the_list_of_calls_settled_at_the_reservation_is_bounded_and_the_rows_are_not() {
    let world = World::new(Vec::new());
    for number in 0..1_003 {
        let held = now(world.ledger.reserve(&principal("alice"), item(&format!("r-{number}")), &cents(1))).unwrap();
        held.settle_at_reservation(ReservedReason::Truncated);
    }
    let bill = now(world.ledger.bill()).unwrap();
    assert_eq!((bill.at_reservation.len(), bill.unlisted, bill.calls()), (1_000, 3, 1_003));
    assert_eq!(&*bill.at_reservation[0].request_id, "r-3");
    assert_eq!(bill.cost(), money(1_003));
}

#[test]
fn a_settlement_that_arrives_twice_counts_once() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    let id = ReservationId::random();
    let subject = Subject::Principal(Arc::from("alice"));
    let counter = CounterId { budget: Arc::from("daily"), subject, model: None, unit: Unit::Usd };
    let schedule = budget("daily", Window::Day, "1").schedule();
    let line = Line { counter, schedule, limit: 100, amount: 60, enforcement: Enforcement::Hard };
    let booking = Booking { id, held_cost: None, lines: vec![line], ..calls::booking("alice", 0) };
    for _ in 0..2 {
        let counts = now(world.store.reserve(booking.clone())).unwrap();
        assert_eq!((counts[0].spent, counts[0].reserved), (0, 60));
    }
    let entry = Entry {
        principal: "alice".into(),
        group: "eng".into(),
        item: item("r-1"),
        settled: Settled::Counted(Outcome::Complete),
        usage: TokenUsage::default(),
        cost: Some(Money::from_nanos(50)),
    };
    let spend = Charge::Spent(Spend { input_tokens: 1, output_tokens: 0, nanodollars: Some(50) });
    for charge in [spend, spend, Charge::AsHeld, Charge::Nothing] {
        world.store.settle(Settlement { id, charge, entry: Some(entry.clone()) });
    }
    let counts = now(world.store.counters()).unwrap();
    assert_eq!((counts[0].spent, counts[0].reserved), (50, 0));
    assert_eq!(now(world.store.bill()).unwrap().calls(), 1);
}

#[test]
fn a_call_settles_into_the_window_it_was_reserved_in() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    world.clock.advance(Duration::from_mins(12 * 60 - 1));
    let held = world.reserve("alice", &cents(90)).unwrap();
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(world.count("alice", "daily"), (0, 0));
    let counts = now(world.store.counters()).unwrap();
    assert_eq!(counts.iter().map(|count| count.reserved).collect::<Vec<_>>(), [nanos(90)]);
    let today = world.reserve("alice", &cents(100)).unwrap();
    held.settle(used(80));
    assert_eq!(world.count("alice", "daily"), (0, nanos(100)));
    today.settle(used(1));
    assert_eq!(world.count("alice", "daily"), (nanos(1), 0));
}

/// Grants, and never says so.
#[derive(Debug)]
struct Silent(Arc<MemoryStore>);

impl Store for Silent {
    fn reserve(&self, booking: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        Box::pin(async move {
            self.0.reserve(booking).await?;
            std::future::pending().await
        })
    }

    fn settle(&self, settlement: Settlement) {
        self.0.settle(settlement);
    }

    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        self.0.counters()
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        self.0.bill()
    }

    fn claim(&self, mark: Mark, for_webhook: bool) -> Answer<'_, Result<bool, StoreError>> {
        self.0.claim(mark, for_webhook)
    }

    fn change(&self, change: Change, now: SystemTime) -> Answer<'_, Result<(), StoreError>> {
        self.0.change(change, now)
    }

    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>> {
        self.0.history()
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>> {
        self.0.pending()
    }

    fn delivered(&self, mark: Mark) -> Answer<'_, Result<(), StoreError>> {
        self.0.delivered(mark)
    }

    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>> {
        self.0.usage(since)
    }
}

#[test]
fn a_caller_who_leaves_while_the_store_decides_holds_nothing() {
    let world = World::new(Vec::new());
    let silent = Arc::new(Silent(Arc::clone(&world.store)));
    let rules = vec![budget("daily", Window::Day, "1")];
    let ledger = Ledger::new(rules, silent, Arc::clone(&world.clock) as Arc<dyn Clock>).unwrap();
    let (alice, estimate) = (principal("alice"), cents(10));
    let mut waiting = Box::pin(ledger.reserve(&alice, item("r-1"), &estimate));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(now(world.store.counters()).unwrap()[0].reserved, nanos(10));
    drop(waiting);
    let counts = now(world.store.counters()).unwrap();
    assert_eq!((counts[0].reserved, counts[0].spent), (0, 0));
    assert_eq!(now(world.store.bill()).unwrap(), Bill::default());
}
