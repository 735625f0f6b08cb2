//! Random calls, kills, restarts and time, against a model that is a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve { who: usize, amount: u64 },
    Settle { which: prop::sample::Index, percent: u64 },
    Release { which: prop::sample::Index },
    Kill,
    Restart,
    Wait { hours: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..3_usize, 0_u64..400).prop_map(|(who, amount)| Step::Reserve { who, amount }),
        4 => (which(), 0_u64..=100).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => which().prop_map(|which| Step::Release { which }),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
        1 => (1_u64..30).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A sequential model beside the store: what is charged to whom on which day, and what runs.
    #[test]
    fn counts_and_bill_survive_kills_and_restarts_as_a_plain_list_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut place = Place::new();
    let mut store = place.open().0;
    let day = |place: &Place| place.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    // Whose, on which day, how much.
    let mut spent: Vec<(String, u64, u64)> = Vec::new();
    let mut running: Vec<(Booking, u64, u64)> = Vec::new();
    for step in steps {
        match step {
            Step::Reserve { who, amount } => {
                let call = booking(["alice", "bob", "carol"][who], amount);
                let today = day(&place);
                let own = |name: &str, on: u64| *name == *call.principal && on == today;
                let used: u64 = spent.iter().filter(|(name, on, _)| own(name, *on)).map(|(.., nanos)| nanos).sum();
                let held: u64 =
                    running.iter().filter(|(other, on, _)| own(&other.principal, *on)).map(|(.., held)| held).sum();
                let fits = amount == 0 || used + held + amount <= 1_000;
                let answer = reserve(&store, &call).await;
                prop_assert_eq!(answer.is_ok(), fits, "{:?}", answer);
                if fits {
                    running.push((call, today, amount));
                }
            }
            Step::Settle { which, percent } if !running.is_empty() => {
                let (call, on, held) = running.swap_remove(which.index(running.len()));
                let nanos = held * percent / 100;
                store.settle(settlement(&call, nanos));
                spent.push((call.principal.to_string(), on, nanos));
            }
            Step::Release { which } if !running.is_empty() => {
                let (call, ..) = running.swap_remove(which.index(running.len()));
                store.settle(released(&call));
            }
            Step::Settle { .. } | Step::Release { .. } => {}
            Step::Kill => {
                // What a settlement has said is in the file once it has been written; before that the reservation is.
                store.bill().await.unwrap();
                place = place.killed();
                store = place.open().0;
                spent.extend(running.drain(..).map(|(call, on, held)| (call.principal.to_string(), on, held)));
            }
            Step::Restart => {
                store.close().await;
                drop(store);
                store = place.open().0;
                spent.extend(running.drain(..).map(|(call, on, held)| (call.principal.to_string(), on, held)));
            }
            Step::Wait { hours } => place.clock.advance(Duration::from_hours(hours)),
        }
        let billed: u64 = spent.iter().map(|(.., nanos)| nanos).sum();
        let bill = store.bill().await.unwrap();
        prop_assert_eq!(bill.cost().nanos(), i64::try_from(billed).unwrap());
        let today = day(&place);
        for who in ["alice", "bob", "carol"] {
            let used: u64 =
                spent.iter().filter(|(name, on, _)| name == who && *on == today).map(|(.., nanos)| nanos).sum();
            let held: u64 = running
                .iter()
                .filter(|(call, on, _)| *call.principal == *who && *on == today)
                .map(|(.., held)| held)
                .sum();
            let states = store.counters().await.unwrap();
            let own =
                states.iter().filter(|state| state.counter.unit == Unit::Usd && state.counter.subject.name() == who);
            let own = own.filter(|state| state.span.holds(place.clock.now()));
            let counted = own.fold((0, 0), |(spent, held), state| (spent + state.spent, held + state.reserved));
            prop_assert_eq!(counted, (used, held), "{}", who);
        }
    }
    Ok(())
}
