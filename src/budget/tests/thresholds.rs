//! Thresholds are told of once in a window.

use std::time::Duration;

use super::*;

fn crossed(world: &World, told: &mut Told) -> Vec<(String, u8)> {
    let crossings = now(world.ledger.crossings([&principal("alice"), &principal("bob")], told, false)).unwrap();
    let named = |crossing: Crossing| (crossing.mark.counter.subject.name().to_owned(), crossing.mark.percent);
    crossings.into_iter().map(named).collect()
}

fn spend(world: &World, who: &str, part: u64) {
    world.reserve(who, &cents(part)).unwrap().settle(used(part));
}

#[test]
fn each_threshold_is_told_of_once_in_a_window_whoever_looks() {
    let world = World::new(vec![budget("daily", Window::Day, "1")]);
    let (mut told, mut other) = (Told::default(), Told::default());
    spend(&world, "alice", 49);
    assert_eq!(crossed(&world, &mut told), []);
    spend(&world, "alice", 31);
    let running = world.reserve("bob", &cents(90)).unwrap();
    assert_eq!(crossed(&world, &mut told), [("alice".to_owned(), 50), ("alice".to_owned(), 80)]);
    assert_eq!(crossed(&world, &mut told), []);
    assert_eq!(crossed(&world, &mut other), [], "another gateway on the same store");
    spend(&world, "alice", 20);
    running.settle(used(60));
    assert_eq!(crossed(&world, &mut other), [("alice".to_owned(), 95), ("bob".to_owned(), 50)]);
    assert_eq!(crossed(&world, &mut told), []);
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(crossed(&world, &mut told), []);
    spend(&world, "alice", 50);
    assert_eq!(crossed(&world, &mut told), [("alice".to_owned(), 50)]);
}

#[test]
fn a_window_that_moves_is_told_of_once_in_its_length() {
    let world = World::new(vec![budget("rolling", Window::Rolling(Duration::from_hours(2)), "1")]);
    let mut told = Told::default();
    spend(&world, "alice", 50);
    assert_eq!(crossed(&world, &mut told).len(), 1);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(crossed(&world, &mut told), []);
    world.clock.advance(Duration::from_mins(61));
    assert_eq!(crossed(&world, &mut told), [], "it has been told of, and still counts");
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(crossed(&world, &mut told), [], "it has left the window");
    spend(&world, "alice", 50);
    assert_eq!(crossed(&world, &mut told).len(), 1);
}
