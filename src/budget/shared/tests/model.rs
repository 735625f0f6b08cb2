//! Random calls at two gateways, kills, restarts of the server and time, against a model that is a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve { at: usize, who: usize, amount: u64 },
    Settle { which: prop::sample::Index, percent: u64 },
    Release { which: prop::sample::Index },
    Kill { gateway: usize },
    RestartServer,
    Wait { hours: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<prop::sample::Index>;
    let step = prop_oneof![
        8 => (0..2_usize, 0..3_usize, 0_u64..400).prop_map(|(at, who, amount)| Step::Reserve { at, who, amount }),
        5 => (which(), 0_u64..=100).prop_map(|(which, percent)| Step::Settle { which, percent }),
        1 => which().prop_map(|which| Step::Release { which }),
        1 => (0..2_usize).prop_map(|gateway| Step::Kill { gateway }),
        1 => Just(Step::RestartServer),
        1 => (1_u64..30).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// A sequential model beside the store: what is charged to whom on which day, and what runs where.
    #[test]
    fn counts_and_bill_survive_kills_and_restarts_as_a_plain_list_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}

struct Running {
    call: Booking,
    at: usize,
    day: u64,
    held: u64,
}

#[derive(Default)]
struct Model {
    /// Whose, on which day, how much.
    spent: Vec<(String, u64, u64)>,
    running: Vec<Running>,
}

impl Model {
    fn of(&self, who: &str, day: u64) -> (u64, u64) {
        let spent = self.spent.iter().filter(|(name, on, _)| name == who && *on == day).map(|(.., nanos)| nanos).sum();
        let held = self.running.iter().filter(|call| *call.call.principal == *who && call.day == day);
        (spent, held.map(|call| call.held).sum())
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut place = Place::new();
    let mut gateways = [place.gateway().await, place.gateway().await];
    let mut model = Model::default();
    let day = |place: &Place| place.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    for step in steps {
        match step {
            Step::Reserve { at, who, amount } => {
                let (call, today) = (booking(["alice", "bob", "carol"][who], amount), day(&place));
                let (spent, held) = model.of(&call.principal, today);
                let fits = amount == 0 || spent + held + amount <= 1_000;
                let answer = reserve(&gateways[at], &call).await;
                prop_assert_eq!(answer.is_ok(), fits, "{:?}", answer);
                if fits {
                    model.running.push(Running { call, at, day: today, held: amount });
                }
            }
            Step::Settle { which, percent } if !model.running.is_empty() => {
                let Running { call, at, day, held } = model.running.swap_remove(which.index(model.running.len()));
                let nanos = held * percent / 100;
                gateways[at].settle(settlement(&call, nanos));
                model.spent.push((call.principal.to_string(), day, nanos));
            }
            Step::Release { which } if !model.running.is_empty() => {
                let Running { call, at, .. } = model.running.swap_remove(which.index(model.running.len()));
                gateways[at].settle(released(&call));
            }
            Step::Settle { .. } | Step::Release { .. } => {}
            Step::Kill { gateway } => {
                // What it has settled has been told; what runs is left to the other one, when the lease has ended.
                assert!(gateways[gateway].0.told(Duration::from_mins(1)).await);
                gateways[gateway] = place.gateway().await;
                for _ in 0..6 {
                    place.clock.advance(LEASE / 2);
                    for living in &gateways {
                        look(living).await;
                    }
                }
                let (dead, left) = std::mem::take(&mut model.running).into_iter().partition(|call| call.at == gateway);
                model.running = left;
                let dead: Vec<Running> = dead;
                model.spent.extend(dead.into_iter().map(|call| (call.call.principal.to_string(), call.day, call.held)));
            }
            Step::RestartServer => {
                for gateway in &gateways {
                    assert!(gateway.0.told(Duration::from_mins(1)).await);
                }
                place.server.kill();
                place.server.start_again();
            }
            Step::Wait { hours } => {
                // Both live all the time.
                place.clock.advance(Duration::from_hours(hours));
                let lease = (place.clock.now() + LEASE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
                for gateway in &gateways {
                    let lease = lease.to_string();
                    let _: i64 = place.server.ask(&["ZADD", &gateway.0.keys.leases, &lease, &gateway.0.gateway]);
                }
            }
        }
        for gateway in &gateways {
            assert!(gateway.0.told(Duration::from_mins(1)).await);
        }
        let billed: u64 = model.spent.iter().map(|(.., nanos)| nanos).sum();
        prop_assert_eq!(gateways[0].bill().await.unwrap().cost().nanos(), i64::try_from(billed).unwrap());
        gateways[1].0.look_in().await.unwrap();
        let states = gateways[1].counters().await.unwrap();
        let today: Vec<_> = states.into_iter().filter(|state| state.span.holds(place.clock.now())).collect();
        for who in ["alice", "bob", "carol"] {
            prop_assert_eq!(dollars_of(&today, Some(who)), model.of(who, day(&place)), "{}", who);
        }
    }
    Ok(())
}
