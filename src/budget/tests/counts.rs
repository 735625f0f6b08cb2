//! What budgets refuse, whom they count, and what they say.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

#[test]
fn a_budget_refuses_what_does_not_fit_and_says_when_it_resets() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    let first = world.reserve("alice", &cents(60)).unwrap();
    assert_eq!(first.remaining(), Some(money(40)));
    let refusal = exhausted(world.reserve("alice", &cents(41)));
    assert_eq!((refusal.budget.as_str(), refusal.unit, refusal.limit), ("daily", Unit::Usd, nanos(100)));
    assert_eq!((refusal.left, refusal.reserved, refusal.needed), (nanos(40), nanos(60), nanos(41)));
    assert_eq!(
        refusal.to_string(),
        "budget \"daily\" has $0.40 left of $1.00 a day, and this call can cost up to $0.41; it resets at 2026-11-22 \
         00:00 +00:00. $0.60 are held for calls that are still running: wait for them to end."
    );
    first.settle(used(60));
    let refusal = exhausted(world.reserve("alice", &cents(41)));
    assert!(refusal.to_string().ends_with("may still fit. Ask whoever runs Tollgate to raise it."), "{refusal}");
    world.reserve("alice", &cents(40)).unwrap().settle(used(40));
    assert_eq!(exhausted(world.reserve("alice", &cents(1))).left, 0);
    assert_eq!(world.count("alice", "daily"), (nanos(100), 0));
}

#[test]
fn the_next_day_starts_at_nothing() {
    let world = World::new(vec![budget("daily", Window::Day, "1"), budget("monthly", Window::Month, "1.50")]);
    world.reserve("alice", &cents(100)).unwrap().settle(used(100));
    assert!(world.reserve("alice", &cents(1)).is_err());
    world.clock.advance(Duration::from_hours(12));
    let refusal = exhausted(world.reserve("alice", &cents(51)));
    assert_eq!((refusal.budget.as_str(), refusal.left), ("monthly", nanos(50)));
    world.reserve("alice", &cents(50)).unwrap().settle(used(50));
    assert_eq!((world.count("alice", "daily"), world.count("alice", "monthly")), ((nanos(50), 0), (nanos(150), 0)));
}

#[test]
fn where_one_budget_refuses_no_other_holds_anything() {
    let world = World::new(vec![budget("large", Window::Month, "100"), budget("small", Window::Day, "0.10")]);
    assert_eq!(exhausted(world.reserve("alice", &cents(11))).budget, "small");
    assert_eq!((world.count("alice", "large"), world.count("alice", "small")), ((0, 0), (0, 0)));
}

#[test]
fn of_several_exhausted_budgets_the_one_that_resets_last_is_named() {
    let world = World::new(vec![budget("month", Window::Month, "0.10"), budget("day", Window::Day, "0.10")]);
    assert_eq!(exhausted(world.reserve("alice", &cents(11))).budget, "month");
}

#[test]
fn every_principal_has_a_count_of_their_own_and_only_under_their_budgets() {
    let only = |principals: &[&str], groups: &[&str]| Owners::Only {
        principals: principals.iter().map(ToString::to_string).collect(),
        groups: groups.iter().map(ToString::to_string).collect(),
    };
    let rule = |name, owners| BudgetRule { owners, ..budget(name, Window::Day, "1") };
    let world = World::new(vec![
        rule("alices", only(&["alice"], &[])),
        rule("engineers", only(&[], &["eng"])),
        rule("sales", only(&["carol"], &["sales"])),
    ]);
    let budgets = |who: &str| -> Vec<String> {
        let standings = now(world.ledger.standings([&principal(who)])).unwrap();
        standings.iter().map(|standing| standing.state.counter.budget.to_string()).collect()
    };
    assert_eq!(budgets("alice"), ["alices", "engineers"]);
    assert_eq!(budgets("bob"), ["engineers"]);
    world.reserve("alice", &cents(100)).unwrap().settle(used(100));
    world.reserve("bob", &cents(100)).unwrap().settle(used(99));
    let left = |who: &str| -> Option<u64> {
        now(world.ledger.standings([&principal(who)])).unwrap().iter().map(Standing::left).min()
    };
    assert_eq!((left("alice"), left("bob")), (Some(0), Some(money(1).nanos().unsigned_abs())));
    let nobodys = Principal::new("dave", Vec::new(), Tags::default());
    let free = now(world.ledger.reserve(&nobodys, item("r-2"), &cents(100_000))).unwrap();
    assert_eq!(free.remaining(), None);
    free.settle(used(1));
    assert_eq!(now(world.ledger.standings([&nobodys])).unwrap(), []);
}

#[test]
fn tokens_are_limited_beside_dollars_and_without_a_price() {
    let rule = BudgetRule {
        limits: Limits { tokens: Some(5_000), ..Limits::default() },
        ..budget("tokens", Window::Day, "1")
    };
    let world = World::new(vec![rule]);
    let facts =
        RequestFacts { max_tokens: Some(976), attachments: Attachments::None, body_bytes: 1_000, ..Default::default() };
    let unpriced = Estimate::model(facts, model(), None);
    let hold = unpriced.hold(Reserve::WorstCase);
    assert_eq!((hold.tokens(), hold.cost, hold.requests), (3_000, None, 1));
    let first = world.reserve("alice", &unpriced).unwrap();
    assert_eq!(first.remaining(), None);
    let refusal = exhausted(world.reserve("alice", &unpriced));
    assert_eq!((refusal.unit, refusal.left), (Unit::Tokens, 2_000));
    assert!(refusal.to_string().contains("2000 tokens left of 5000 tokens a day"), "{refusal}");
    let usage = TokenUsage { input: 400, cache_read: 50, output: 50, ..Default::default() };
    first.settle(Actual { usage, cost: None, outcome: Outcome::Complete });
    assert_eq!(world.count("alice", "tokens"), (500, 0));
}

#[test]
fn without_a_price_a_budget_in_dollars_refuses_and_names_the_row() {
    let world = World::new(vec![budget("daily", Window::Day, "1000")]);
    let refused = world.reserve("alice", &Estimate::model(RequestFacts::default(), model(), None)).unwrap_err();
    assert_eq!(refused, Refused::PriceUnknown { budget: "daily".to_owned(), model: model() });
    assert!(refused.to_string().contains("[prices.\"us.example.model-v1:0\"]"), "{refused}");
    assert_eq!(world.count("alice", "daily"), (0, 0));
}

#[test]
fn what_is_free_passes_an_exhausted_budget() {
    let world = World::new(vec![budget("daily", Window::Day, "0.10")]);
    // More than was held: the budget is overdrawn by what the call really used.
    world.reserve("alice", &cents(10)).unwrap().settle(used(12));
    assert_eq!(exhausted(world.reserve("alice", &cents(1))).left, 0);
    world.reserve("alice", &Estimate::free()).unwrap().settle(Actual::nothing(Outcome::Complete));
    assert_eq!(world.count("alice", "daily"), (nanos(12), 0));
}

#[test]
fn a_new_configuration_goes_on_counting_under_the_same_names() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    world.reserve("alice", &cents(70)).unwrap().settle(used(70));
    let raised = ledger(vec![budget("daily", Window::Day, "2")], &world.clock, &world.store);
    let standings = now(raised.standings([&principal("alice")])).unwrap();
    assert_eq!(standings.iter().map(Standing::left).collect::<Vec<_>>(), [money(130).nanos().unsigned_abs()]);
}

#[test]
fn rules_that_cannot_be_counted_are_refused() {
    let world = World::new(Vec::new());
    let put = |rules| {
        let store = Arc::clone(&world.store) as Arc<dyn Store>;
        Ledger::new(rules, store, Arc::clone(&world.clock) as Arc<dyn Clock>).map(|_| ())
    };
    let twice = vec![budget("a", Window::Day, "1"), budget("a", Window::Month, "1")];
    assert_eq!(put(twice), Err(RuleError::DuplicateName("a".to_owned())));
    let unlimited = BudgetRule { limits: Limits::default(), ..budget("b", Window::Day, "1") };
    assert_eq!(put(vec![unlimited]), Err(RuleError::NoLimit("b".to_owned())));
}

#[test]
fn threads_that_race_for_a_budget_get_exactly_what_fits() {
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    const FIT: u64 = 500;
    let limit = format!("{}.{:02}", FIT * 3 / 100, FIT * 3 % 100);
    let world = World::new(vec![budget("month", Window::Month, "10000"), budget("day", Window::Day, &limit)]);
    let (granted, start) = (AtomicU64::new(0), Barrier::new(usize::try_from(THREADS).unwrap()));
    let kept: Vec<Reservation> = std::thread::scope(|scope| {
        let racer = || {
            start.wait();
            let mut kept = Vec::new();
            for _ in 0..EACH {
                if let Ok(reservation) = world.reserve("alice", &cents(3)) {
                    granted.fetch_add(1, Ordering::Relaxed);
                    kept.push(reservation);
                }
            }
            kept
        };
        let racers: Vec<_> = (0..THREADS).map(|_| scope.spawn(racer)).collect();
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(granted.load(Ordering::Relaxed), FIT);
    // Both budgets hold the same: no refused call has left a half of itself behind.
    assert_eq!(world.count("alice", "day"), (0, nanos(FIT * 3)));
    assert_eq!(world.count("alice", "month"), (0, nanos(FIT * 3)));
    std::thread::scope(|scope| {
        let mut kept = kept.into_iter();
        while kept.len() > 0 {
            let part: Vec<_> = kept.by_ref().take(100).collect();
            scope.spawn(move || part.into_iter().for_each(|reservation| reservation.settle(used(2))));
        }
    });
    assert_eq!(world.count("alice", "day"), (nanos(FIT * 2), 0));
    assert_eq!(now(world.ledger.bill()).unwrap().cost(), money(FIT * 2));
}
