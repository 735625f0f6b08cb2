//! Windows, and amounts that a double cannot hold.

use super::*;

#[tokio::test]
async fn windows_go_by_the_servers_clock() {
    /// Three days behind.
    #[derive(Debug)]
    struct Slow;
    impl Clock for Slow {
        fn now(&self) -> SystemTime {
            SystemTime::now() - Duration::from_hours(72)
        }
    }
    let place = Place::new();
    let slow = SharedStore::open(&place.options(), Arc::new(Slow)).await.unwrap().0;
    let right = place.running(&place.options()).await;
    // The first answer has told of the clock; without that, the script does.
    slow.0.time.learn(crate::budget::words::millis(Slow.now()));
    let states = reserve(&slow, &booking("alice", 600)).await.unwrap();
    assert!(states[0].span.holds(SystemTime::now()), "{states:?}");
    assert!(matches!(reserve(&right, &booking("alice", 600)).await, Err(ReserveError::Exhausted(_))));
}

#[tokio::test]
async fn a_rolling_window_eases_as_its_slices_leave() {
    let place = Place::new();
    let store = place.gateway().await;
    let rolling = |amount| {
        let mut call = booking("alice", amount);
        for line in &mut call.lines {
            line.schedule.window = Window::Rolling(Duration::from_hours(1));
        }
        call
    };
    for _ in 0..4 {
        let call = rolling(250);
        reserve(&store, &call).await.unwrap();
        store.settle(settlement(&call, 250));
        place.clock.advance(Duration::from_mins(15));
    }
    let states = reserve(&store, &rolling(250)).await;
    let Err(ReserveError::Exhausted(short)) = states else { panic!("the first still counts: {states:?}") };
    assert_eq!(short[0].state.span.end, place.clock.now() + Duration::from_mins(1), "when the first leaves");
    place.clock.advance(Duration::from_mins(1));
    reserve(&store, &rolling(250)).await.unwrap();
    assert!(matches!(reserve(&store, &rolling(1)).await, Err(ReserveError::Exhausted(_))));
    // What no longer counts is dropped: an hour after it has left.
    place.clock.advance(Duration::from_hours(3));
    reserve(&store, &rolling(1)).await.unwrap();
    let key = store.0.keys.count(&line("alice", Unit::Usd, 0, Enforcement::Hard).counter);
    let fields: Vec<String> = place.server.ask(&["HKEYS", &key]);
    assert!(fields.len() <= 4, "{fields:?}");
}

#[tokio::test]
async fn amounts_beyond_what_a_double_can_count_are_exact() {
    let place = Place::new();
    let store = place.gateway().await;
    let limit = (1 << 60) + 7;
    let call = |amount| {
        let mut call = booking("alice", amount);
        call.lines.truncate(1);
        call.lines.iter_mut().for_each(|line| line.limit = limit);
        call
    };
    let first = call(1 << 60);
    reserve(&store, &first).await.unwrap();
    store.settle(settlement(&first, (1 << 60) + 1));
    assert_eq!(usd(&store, "alice").await, ((1 << 60) + 1, 0));
    let states = reserve(&store, &call(5)).await.unwrap();
    assert_eq!((states[0].spent, states[0].reserved), ((1 << 60) + 1, 5));
    let refused = reserve(&store, &call(2)).await;
    let Err(ReserveError::Exhausted(short)) = refused else { panic!("{refused:?}") };
    assert_eq!(short[0].state.left(limit), 1);
    reserve(&store, &call(1)).await.unwrap();
    // Where nothing refuses, what no number holds stays at the highest.
    let mut soft = call(1);
    soft.lines = vec![Line { limit, amount: u64::MAX, ..line("alice", Unit::Usd, 1, Enforcement::Soft) }];
    let states = reserve(&store, &soft).await.unwrap();
    assert!(states[0].reserved >= 1_000_000_000_000_000, "{states:?}");
    let key = store.0.keys.count(&soft.lines[0].counter);
    let field = format!("{}:r", Placed::of(&soft.lines[0], &store.0.keys, place.clock.now()).unwrap().slice.text());
    let _: i64 = place.server.ask(&["HSET", &key, &field, "9223372036854775807"]);
    let more = Booking { id: ReservationId::random(), ..soft.clone() };
    assert!(reserve(&store, &more).await.unwrap()[0].reserved >= 9_223_372_036_854_775_807);
    let _: i64 = place.server.ask(&["HSET", &key, &field, "5"]);
    store.settle(released(&soft));
    store.settle(released(&more));
    assert_eq!(usd(&store, "alice").await.1, 0, "never less than nothing");
    reserve(&store, &Booking { id: ReservationId::random(), ..soft }).await.unwrap();
}
