//! Spans of time as they are written in the file: whole numbers with units, largest first, such as `"1h30m"`.

use std::time::Duration;

/// Reads a span of time: `"30s"`, `"5m"`, `"1h30m"`, `"250ms"`. Units are `d`, `h`, `m`, `s` and `ms`, each at most once and
/// largest first; there are no fractions, signs or spaces, and a bare number is refused because its unit would be a guess.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError::NoUnit)?;
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if digits.is_empty() {
            return Err(DurationError::Malformed);
        }
        if !UNITS.iter().any(|(known, _)| *known == unit) {
            return Err(DurationError::Malformed);
        }
        let (_, millis) = units.find(|(known, _)| *known == unit).ok_or(DurationError::Order)?;
        let count: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        let part = count.checked_mul(*millis).map(Duration::from_millis).ok_or(DurationError::TooLong)?;
        total = total.checked_add(part).ok_or(DurationError::TooLong)?;
        rest = tail;
    }
    if text.is_empty() {
        return Err(DurationError::Malformed);
    }
    // Timers hold some 580 years; a century is longer than anything here can mean.
    if total > CENTURY { Err(DurationError::TooLong) } else { Ok(total) }
}

/// Writes a span of time in the form that [`parse_duration`] reads. Below a millisecond nothing is shown.
pub fn show_duration(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if left >= millis {
            text.push_str(&(left / millis).to_string());
            text.push_str(unit);
            left %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Why a text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("not a span of time, such as \"30s\", \"5m\" or \"1h30m\" (units: d, h, m, s, ms)")]
    Malformed,
    /// A number without a unit.
    #[error("a span of time needs a unit, such as \"30s\" (units: d, h, m, s, ms)")]
    NoUnit,
    /// A unit that comes twice, or after a smaller one.
    #[error("units stand largest first and once each, such as \"1h30m\"")]
    Order,
    /// More than a century.
    #[error("longer than a century")]
    TooLong,
}

/// Units with their milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const CENTURY: Duration = Duration::from_hours(100 * 366 * 24);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_in_every_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("010s", 10_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_its_reason() {
        for (text, error) in [
            ("", DurationError::Malformed),
            ("s", DurationError::Malformed),
            ("-1s", DurationError::Malformed),
            ("1.5h", DurationError::Malformed),
            ("5 m", DurationError::Malformed),
            ("5min", DurationError::Malformed),
            ("5S", DurationError::Malformed),
            ("٣s", DurationError::Malformed),
            ("30", DurationError::NoUnit),
            ("1h30", DurationError::NoUnit),
            ("30m1h", DurationError::Order),
            ("1s1s", DurationError::Order),
            ("99999999999999999999s", DurationError::TooLong),
            ("18446744073709551615d", DurationError::TooLong),
            ("36601d", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(millis in 0_u64..3_000_000_000_000) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(span)), Ok(span));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
