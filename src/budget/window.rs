//! Windows: which hour, day, week or month it is, where, and when the next one starts; and those that move with time.
//!
//! A day, week or month starts and ends at local midnight of its time zone, so that a day is 23 or 25 hours long where clocks change
//! and starts at 01:00 where midnight does not exist. Windows of one schedule touch and never overlap.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// How long a budget's limit lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// A clock hour.
    Hour,
    /// A calendar day.
    Day,
    /// A calendar week, from this day on.
    Week(Weekday),
    /// A calendar month.
    Month,
    /// The time that has just passed, this long. It moves in steps of a sixtieth, and never counts less than that time.
    Rolling(Duration),
    /// Once and for all.
    Lifetime,
}

impl fmt::Display for Window {
    /// As it stands behind an amount: `a day`, `in 1h 30m`, `in all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour => f.write_str("an hour"),
            Self::Day => f.write_str("a day"),
            Self::Week(_) => f.write_str("a week"),
            Self::Month => f.write_str("a month"),
            Self::Rolling(length) => write!(f, "in any {}s", length.as_secs()),
            Self::Lifetime => f.write_str("in all"),
        }
    }
}

/// The windows of a budget: how long, and by whose calendar.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// How long.
    pub window: Window,
    /// By whose calendar.
    pub zone: TimeZone,
}

thread_local! {
    /// Windows that instants were in lately. A calendar is asked again when they are over.
    static RECENT: RefCell<Vec<(Schedule, Span)>> = const { RefCell::new(Vec::new()) };
}

/// How many windows are remembered: a few budgets have a few windows, and most share a time zone.
const REMEMBERED: usize = 16;

/// Where an instant lies: what is spent now is written into the slice, and what counts is all slices of the window. They
/// are the same but for rolling windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Into which slice.
    pub slice: Span,
    /// From the first slice that counts to the end of this one.
    pub window: Span,
}

impl Schedule {
    /// Where an instant lies; `None` only for instants beyond the years that calendars know (±9999).
    pub fn slot(&self, instant: SystemTime) -> Option<Slot> {
        let Window::Rolling(length) = self.window else {
            return self.recent(instant).map(|span| Slot { slice: span, window: span });
        };
        let step = (length.as_secs() / SLICES).max(1);
        let number = instant.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs() / step;
        let edge = |number: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(number.checked_mul(step)?));
        let slice = Span { start: edge(number)?, end: edge(number + 1)? };
        let counted = length.as_secs().div_ceil(step);
        Some(Slot { slice, window: Span { start: edge(number.saturating_sub(counted))?, end: slice.end } })
    }

    /// When a slice of this schedule no longer counts.
    pub fn leaves(&self, slice: Span) -> SystemTime {
        match self.window {
            Window::Rolling(length) => {
                let step = (length.as_secs() / SLICES).max(1);
                slice.end + Duration::from_secs(length.as_secs().div_ceil(step) * step)
            }
            Window::Hour | Window::Day | Window::Week(_) | Window::Month | Window::Lifetime => slice.end,
        }
    }

    /// The window of a calendar that holds an instant: most often the one that the last instant was in.
    fn recent(&self, instant: SystemTime) -> Option<Span> {
        RECENT.with_borrow_mut(|recent| {
            let known = recent.iter().find(|(own, span)| span.start <= instant && instant < span.end && own == self);
            if let Some((_, span)) = known {
                return Some(*span);
            }
            let span = self.at(instant)?;
            if recent.len() == REMEMBERED {
                recent.remove(0);
            }
            recent.push((self.clone(), span));
            Some(span)
        })
    }

    /// The window of a calendar that holds an instant.
    fn at(&self, instant: SystemTime) -> Option<Span> {
        let local = Timestamp::try_from(instant).ok()?.to_zoned(self.zone.clone());
        let (first, next) = match self.window {
            Window::Hour => return hour(&self.zone, local.timestamp()),
            Window::Rolling(_) | Window::Lifetime => {
                return Some(Span {
                    start: SystemTime::UNIX_EPOCH,
                    end: Timestamp::from_second(Timestamp::MAX.as_second()).ok()?.into(),
                });
            }
            Window::Day => (local.date(), local.date().tomorrow().ok()?),
            Window::Week(starts) => {
                let first = local.date().checked_sub(i64::from(local.weekday().since(starts)).days()).ok()?;
                (first, first.checked_add(7.days()).ok()?)
            }
            Window::Month => {
                let first = local.date().first_of_month();
                (first, first.checked_add(1.month()).ok()?)
            }
        };
        let midnight = |date: Date| date.to_zoned(self.zone.clone()).and_then(|midnight| midnight.start_of_day()).ok();
        Some(Span { start: midnight(first)?.timestamp().into(), end: midnight(next)?.timestamp().into() })
    }

    /// An instant as it is written in this calendar: `2026-11-22 00:00 +01:00`.
    pub fn show(&self, instant: SystemTime) -> String {
        Timestamp::try_from(instant).map_or_else(
            |_| "never".to_owned(),
            |timestamp| Zoned::new(timestamp, self.zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string(),
        )
    }
}

/// One window: from its start (within) to its end (without).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Its first instant; with the budget's name and the principal's it identifies a count.
    pub start: SystemTime,
    /// The first instant of the next window.
    pub end: SystemTime,
}

impl Span {
    /// Whether an instant lies in the window.
    pub fn holds(&self, instant: SystemTime) -> bool {
        self.start <= instant && instant < self.end
    }
}

/// The clock hour that holds an instant: between two full hours of the local clock, cut short where clocks are moved.
fn hour(zone: &TimeZone, instant: Timestamp) -> Option<Span> {
    const HOUR: i64 = 3_600;
    let ahead = i64::from(zone.to_offset(instant).seconds());
    let full = (instant.as_second() + ahead).div_euclid(HOUR) * HOUR - ahead;
    let moved = zone.preceding(instant + 1.nanosecond()).next().map_or(Timestamp::MIN, |moved| moved.timestamp());
    let until = zone.following(instant).next().map_or(Timestamp::MAX, |next| next.timestamp());
    let start = Timestamp::from_second(full).ok()?.max(moved);
    let end = Timestamp::from_second(full + HOUR).ok()?.min(until);
    Some(Span { start: start.into(), end: end.into() })
}

/// Into how many slices a rolling window is cut.
const SLICES: u64 = 60;
