//! Calendar windows: which day or month it is, where, and when the next one starts.
//!
//! A window starts and ends at local midnight of its time zone, so that a day is 23 or 25 hours long where clocks change
//! and starts at 01:00 where midnight does not exist. Windows of one schedule touch and never overlap.

use std::fmt;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// How long a budget's limit lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Window {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

impl Schedule {
    /// The window that holds an instant; `None` only for instants beyond the years that calendars know (±9999).
    pub fn at(&self, instant: SystemTime) -> Option<Span> {
        let local = Timestamp::try_from(instant).ok()?.to_zoned(self.zone.clone());
        let first = match self.window {
            Window::Day => local,
            Window::Month => local.first_of_month().ok()?,
        };
        let next = match self.window {
            Window::Day => first.date().tomorrow().ok()?,
            Window::Month => first.date().checked_add(1.month()).ok()?,
        };
        let start = first.start_of_day().ok()?;
        let end = next.to_zoned(self.zone.clone()).and_then(|midnight| midnight.start_of_day()).ok()?;
        Some(Span { start: start.timestamp().into(), end: end.timestamp().into() })
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
