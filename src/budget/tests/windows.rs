//! Calendars, with the days that are not 24 hours long.

use std::time::{Duration, SystemTime};

use jiff::civil::Weekday;
use proptest::prelude::*;

use super::*;

fn instant(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

#[test]
fn windows_start_and_end_at_local_midnight() {
    for (window, zone, at, start, end, why) in [
        (Window::Day, "UTC", "2026-11-21T23:59:59.999Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "a plain day"),
        (
            Window::Day,
            "UTC",
            "2026-11-21T00:00:00Z",
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
            "its first instant",
        ),
        (Window::Day, "Asia/Kolkata", "2026-11-21T18:29:59Z", "2026-11-20T18:30:00Z", "2026-11-21T18:30:00Z", "+05:30"),
        (
            Window::Day,
            "Europe/Berlin",
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "23 hours",
        ),
        (
            Window::Day,
            "Europe/Berlin",
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            "25 hours",
        ),
        (
            Window::Day,
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
            "no midnight: the day starts at 01:00",
        ),
        (
            Window::Day,
            "Pacific/Apia",
            "2011-12-30T09:00:00Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "the next day of the calendar is missing",
        ),
        (Window::Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", "a leap year"),
        (
            Window::Month,
            "UTC",
            "2026-12-31T23:00:00Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "the year's end",
        ),
        (
            Window::Month,
            "America/New_York",
            "2026-03-31T12:00:00Z",
            "2026-03-01T05:00:00Z",
            "2026-04-01T04:00:00Z",
            "clocks change within it",
        ),
    ] {
        let schedule = Schedule { window, zone: TimeZone::get(zone).unwrap() };
        let span = Span { start: instant(start), end: instant(end) };
        assert_eq!(schedule.slot(instant(at)), Some(Slot { slice: span, window: span }), "{zone} {at}: {why}");
    }
}

#[test]
fn an_instant_is_shown_in_the_budgets_own_calendar() {
    let schedule = Schedule { window: Window::Day, zone: TimeZone::get("Europe/Berlin").unwrap() };
    assert_eq!(schedule.show(instant("2026-11-21T23:00:00Z")), "2026-11-22 00:00 +01:00");
}

#[test]
fn a_day_of_25_hours_has_one_count() {
    let berlin = BudgetRule { zone: TimeZone::get("Europe/Berlin").unwrap(), ..budget("daily", Window::Day, "1") };
    let midnight = instant("2026-10-24T22:00:00Z").duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let world = World::at(midnight, vec![berlin]);
    for hour in 0..25 {
        world.reserve("alice", &cents(4)).unwrap_or_else(|refused| panic!("hour {hour}: {refused}")).settle(used(4));
        world.clock.advance(Duration::from_secs(if hour < 24 { 3_600 } else { 3_599 }));
    }
    assert_eq!(exhausted(world.reserve("alice", &cents(1))).resets_at, instant("2026-10-25T23:00:00Z"));
    world.clock.advance(Duration::from_secs(1));
    world.reserve("alice", &cents(100)).unwrap().release();
}

proptest! {
    #[test]
    fn windows_touch_and_never_overlap(
        seconds in 0_u64..4_102_444_800,
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu",
            "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns", "Antarctica/Troll",
        ]),
        window in prop::sample::select(vec![
            Window::Hour, Window::Day, Window::Week(Weekday::Monday), Window::Week(Weekday::Saturday), Window::Month,
        ]),
    ) {
        let schedule = Schedule { window, zone: TimeZone::get(zone).unwrap() };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let span = |at| schedule.slot(at).map(|slot| slot.slice);
        let own = span(at).unwrap();
        prop_assert!(own.holds(at));
        prop_assert_eq!(span(own.start), Some(own));
        prop_assert_eq!(span(own.end - Duration::from_nanos(1)), Some(own));
        prop_assert_eq!(span(own.end).map(|next| next.start), Some(own.end));
        prop_assert_eq!(schedule.leaves(own), own.end);
    }

    #[test]
    fn a_rolling_window_counts_all_of_its_length_and_at_most_a_step_more(
        seconds in 10_000_000_u64..4_102_444_800,
        length in 1_u64..5_000_000,
        ago in 0_u64..6_000_000,
    ) {
        let schedule = Schedule { window: Window::Rolling(Duration::from_secs(length)), zone: TimeZone::UTC };
        let now_is = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let then = now_is - Duration::from_secs(ago);
        let (slot, slice) = (schedule.slot(now_is).unwrap(), schedule.slot(then).unwrap().slice);
        let counts = slot.window.start <= slice.start && slice.end <= slot.window.end;
        let step = (length / 60).max(1);
        prop_assert!(slot.slice.holds(now_is) && slot.window.holds(now_is));
        prop_assert!(counts || ago > length, "{ago} seconds ago counts");
        prop_assert!(!counts || ago < length + 2 * step, "{ago} seconds ago counts no more");
        prop_assert_eq!(counts, schedule.leaves(slice) > slot.slice.start, "the slice leaves when it no longer counts");
    }
}

#[test]
fn weeks_hours_and_lifetimes() {
    let span =
        |window, zone, at| Schedule { window, zone: TimeZone::get(zone).unwrap() }.slot(instant(at)).unwrap().slice;
    let of = |start, end| Span { start: instant(start), end: instant(end) };
    let (monday, sunday) = (Window::Week(Weekday::Monday), Window::Week(Weekday::Sunday));
    assert_eq!(span(monday, "UTC", "2026-11-22T23:00:00Z"), of("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"));
    assert_eq!(span(sunday, "UTC", "2026-11-22T23:00:00Z"), of("2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"));
    // A week of 167 hours.
    assert_eq!(
        span(monday, "Europe/Berlin", "2026-03-25T12:00:00Z"),
        of("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z")
    );
    assert_eq!(
        span(Window::Hour, "Asia/Kolkata", "2026-11-22T23:10:00Z"),
        of("2026-11-22T22:30:00Z", "2026-11-22T23:30:00Z")
    );
    // Lord Howe moves its clocks by half an hour.
    assert_eq!(
        span(Window::Hour, "Australia/Lord_Howe", "2026-04-04T14:45:00Z"),
        of("2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z")
    );
    let forever = span(Window::Lifetime, "UTC", "2026-11-22T23:10:00Z");
    assert!(forever.holds(instant("1970-01-01T00:00:00Z")) && forever.holds(instant("9000-01-01T00:00:00Z")));
}

#[test]
fn a_rolling_budget_frees_what_is_older_than_its_length() {
    let rolling = Window::Rolling(Duration::from_hours(24));
    let world = World::new(vec![budget("day", rolling, "1")]);
    world.reserve("alice", &cents(60)).unwrap().settle(used(60));
    world.clock.advance(Duration::from_hours(12));
    world.reserve("alice", &cents(40)).unwrap().settle(used(40));
    let refusal = exhausted(world.reserve("alice", &cents(50)));
    assert_eq!((refusal.left, refusal.resets_at), (0, instant("2026-11-22T12:24:00Z")), "a step is 24 minutes");
    world.clock.advance(Duration::from_hours(12));
    assert!(world.reserve("alice", &cents(1)).is_err());
    world.clock.advance(Duration::from_mins(24));
    world.reserve("alice", &cents(60)).unwrap().settle(used(60));
    assert_eq!(exhausted(world.reserve("alice", &cents(1))).left, 0);
}
