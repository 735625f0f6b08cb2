//! Calendars, with the days that are not 24 hours long.

use std::time::{Duration, SystemTime};

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
        assert_eq!(schedule.at(instant(at)), Some(span), "{zone} {at}: {why}");
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
        monthly in any::<bool>(),
    ) {
        let window = if monthly { Window::Month } else { Window::Day };
        let schedule = Schedule { window, zone: TimeZone::get(zone).unwrap() };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let span = schedule.at(at).unwrap();
        prop_assert!(span.holds(at));
        prop_assert_eq!(schedule.at(span.start), Some(span));
        prop_assert_eq!(schedule.at(span.end - Duration::from_nanos(1)), Some(span));
        prop_assert_eq!(schedule.at(span.end).map(|next| next.start), Some(span.end));
    }
}
