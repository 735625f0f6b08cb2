//! When a new key expires: after a duration, at a time, or never. Days and longer are the calendar's, in UTC.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::Expiry;

/// The time that the command line asks for. It must lie ahead.
pub(super) fn of(expiry: &Expiry, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let (option, asked, expires) = match (&expiry.expires_in, &expiry.expires_at) {
        (None, None) => return Ok(None),
        (Some(duration), _) => ("--expires-in", duration, after("--expires-in", duration, now)?),
        (None, Some(time)) => ("--expires-at", time, at(time)?),
    };
    if expires <= now {
        return Err(format!("{option} {asked} is no time in the future: the key would never be good"));
    }
    Ok(Some(expires))
}

/// So long after now.
pub(super) fn after(option: &str, duration: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = |reason: String| format!("{option} {duration} is no duration, such as 12h, 30d, 6mo or 1y: {reason}");
    let span: Span = duration.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
    let then = now.to_zoned(TimeZone::UTC).checked_add(span).map_err(|error| wrong(error.to_string()))?;
    Ok(then.timestamp())
}

fn at(time: &str) -> Result<Timestamp, String> {
    time.parse().map_err(|error: jiff::Error| {
        format!("--expires-at {time} is no time with its zone, such as 2027-01-31T00:00:00Z: {error}")
    })
}
