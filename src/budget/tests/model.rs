//! Random interleavings of reserving, settling, releasing, dropping and time, against a model that is a plain map.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        who: usize,
        cents: u64,
    },
    /// The call at this place among those that run ends, in this way.
    End {
        which: prop::sample::Index,
        how: End,
    },
    Wait {
        hours: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum End {
    Settle { percent: u64 },
    AtReservation,
    Release,
    Drop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        4 => (0_u64..=100).prop_map(|percent| End::Settle { percent }),
        1 => Just(End::AtReservation),
        2 => Just(End::Release),
        1 => Just(End::Drop),
    ];
    let step = prop_oneof![
        5 => (0..NAMES.len(), 0_u64..40).prop_map(|(who, cents)| Step::Reserve { who, cents }),
        4 => (any::<prop::sample::Index>(), end).prop_map(|(which, how)| Step::End { which, how }),
        1 => (1_u64..40).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..120)
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

fn rules() -> Vec<BudgetRule> {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let bobs = Owners::Only { principals: vec!["bob".to_owned()], groups: Vec::new() };
    vec![
        BudgetRule { limits: Limits { tokens: Some(2_000_000), ..usd("1") }, ..budget("daily", Window::Day, "1") },
        BudgetRule { zone: berlin, ..budget("monthly", Window::Month, "2.50") },
        BudgetRule { owners: bobs, ..budget("bobs", Window::Day, "0.30") },
    ]
}

type Key = (String, String, Unit, SystemTime);

/// The model: what is spent and what is reserved, by budget, principal, unit and window.
#[derive(Default)]
struct Counts(HashMap<Key, (u64, u64)>);

struct Running {
    reservation: Reservation,
    cents: u64,
    held: Vec<(Key, u64)>,
}

/// What a call of so many cents holds under every rule for a principal: key, limit, amount.
fn lines(who: &str, cents_held: u64, at: SystemTime) -> Vec<(Key, u64, u64)> {
    let tokens = cents(cents_held).hold(Reserve::WorstCase).tokens();
    let own = |rule: &BudgetRule| rule.name != "bobs" || who == "bob";
    let mut lines = Vec::new();
    for rule in rules().into_iter().filter(own) {
        let start = rule.schedule().slot(at).unwrap().slice.start;
        let key = |unit| (rule.name.clone(), who.to_owned(), unit, start);
        lines.push((key(Unit::Usd), rule.limits.of(Unit::Usd).unwrap(), nanos(cents_held)));
        if let Some(limit) = rule.limits.tokens {
            lines.push((key(Unit::Tokens), limit, tokens));
        }
    }
    lines
}

fn end(running: Running, how: End, counts: &mut Counts) -> u64 {
    let Running { reservation, cents: held_cents, held } = running;
    let spent_cents = match how {
        End::Settle { percent } => held_cents * percent / 100,
        End::AtReservation | End::Drop => held_cents,
        End::Release => 0,
    };
    for (key, amount) in held {
        let (spent, reserved) = counts.0.get_mut(&key).unwrap();
        *reserved -= amount;
        *spent += match (how, key.2) {
            (End::Release, _) => 0,
            (End::AtReservation | End::Drop, _) => amount,
            (End::Settle { .. }, Unit::Usd) => nanos(spent_cents),
            (End::Settle { .. }, _) => spent_cents * 10_000,
        };
    }
    match how {
        End::Settle { .. } => reservation.settle(used(spent_cents)),
        End::AtReservation => reservation.settle_at_reservation(ReservedReason::Truncated),
        End::Release => reservation.release(),
        End::Drop => drop(reservation),
    }
    spent_cents
}

fn check(world: &World, counts: &Counts) -> Result<(), TestCaseError> {
    let limit = |key: &Key| {
        let rule = rules().into_iter().find(|rule| rule.name == key.0).unwrap();
        rule.limits.of(key.2).unwrap()
    };
    let now_is = world.clock.now();
    let mut listed = HashMap::new();
    for state in now(world.store.counters()).unwrap() {
        let CounterState { counter, span, spent, reserved } = state;
        let key = (counter.budget.to_string(), counter.subject.name().to_owned(), counter.unit, span.start);
        prop_assert!(spent + reserved <= limit(&key), "{:?} is over its limit", key);
        prop_assert_eq!(counts.0.get(&key).copied(), Some((spent, reserved)), "{:?}", key);
        prop_assert!(listed.insert(key, (spent, reserved)).is_none(), "a count is listed twice");
    }
    for (key, count) in &counts.0 {
        let rule = rules().into_iter().find(|rule| rule.name == key.0).unwrap();
        let open = rule.schedule().slot(now_is).unwrap().slice.start == key.3;
        prop_assert!(listed.contains_key(key) || (!open && count.1 == 0), "{:?} {:?} is forgotten", key, count);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_counts_as_a_plain_map_does_and_no_limit_is_exceeded(steps in steps()) {
        let world = World::new(rules());
        let (mut counts, mut running, mut billed) = (Counts::default(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Reserve { who, cents: held_cents } => {
                    let lines = lines(NAMES[who], held_cents, world.clock.now());
                    let fits = lines.iter().all(|(key, limit, amount)| {
                        let (spent, reserved) = counts.0.get(key).copied().unwrap_or_default();
                        *amount == 0 || spent + reserved + amount <= *limit
                    });
                    let answer = world.reserve(NAMES[who], &cents(held_cents));
                    prop_assert_eq!(answer.is_ok(), fits, "{:?}", answer);
                    if let Ok(reservation) = answer {
                        for (key, _, amount) in &lines {
                            counts.0.entry(key.clone()).or_default().1 += amount;
                        }
                        let held = lines.into_iter().map(|(key, _, amount)| (key, amount)).collect();
                        running.push(Running { reservation, cents: held_cents, held });
                    }
                }
                Step::End { which, how } if !running.is_empty() => {
                    billed += end(running.swap_remove(which.index(running.len())), how, &mut counts);
                }
                Step::End { .. } => {}
                Step::Wait { hours } => world.clock.advance(Duration::from_hours(hours)),
            }
            check(&world, &counts)?;
        }
        for left in running {
            billed += end(left, End::Drop, &mut counts);
        }
        check(&world, &counts)?;
        prop_assert_eq!(now(world.ledger.bill()).unwrap().cost(), money(billed));
        prop_assert!(now(world.store.counters()).unwrap().iter().all(|state| state.reserved == 0));
    }
}
