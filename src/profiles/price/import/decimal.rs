//! Prices as exact decimals: JSON writes 3 dollars per million as `3e-06` per token, and no float holds that.

/// A number as JSON or a price list writes it, times ten to the power of `shift`, as a plain decimal with at most nine
/// decimals. `None` for what is no amount, is negative, or is finer than that.
pub(super) fn shifted(text: &str, shift: i32) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The point stands so many digits after the first.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(shift)?;
    if usize::try_from(point.unsigned_abs()).map_or(true, |places| places > MOST_DIGITS) {
        return None;
    }
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => {
            let (whole, fraction) = digits.split_at_checked(point)?;
            (whole.to_owned(), fraction.to_owned())
        }
        Err(_) => (String::new(), format!("{:0>width$}", digits, width = digits.len() + point.unsigned_abs() as usize)),
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    match fraction.len() {
        0 => Some(whole.to_owned()),
        1..=9 => Some(format!("{whole}.{fraction}")),
        _ => None,
    }
}

/// More than any price has, and few enough that a hostile list costs nothing.
const MOST_DIGITS: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_keep_every_digit() {
        for (text, shift, wanted) in [
            ("3e-06", 6, Some("3")),
            ("1.5E-7", 6, Some("0.15")),
            ("0.0000031250", 6, Some("3.125")),
            ("2.50e+00", 0, Some("2.5")),
            ("0.00006", 3, Some("0.06")),
            ("0", 6, Some("0")),
            ("0e0", 6, Some("0")),
            ("100", 0, Some("100")),
            ("5", 2, Some("500")),
            ("1e-16", 6, None),
            ("-1", 0, None),
            ("", 0, None),
            (".", 0, None),
            ("1.2.3", 0, None),
            ("1e999999999", 0, None),
            ("NaN", 0, None),
        ] {
            assert_eq!(shifted(text, shift).as_deref(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[-+0-9.eE]{0,30}|.*", shift in -9..9) {
            let _ = shifted(&text, shift);
        }

        #[test]
        fn shifting_moves_the_point(nanos in 0_u64..u64::MAX / 2) {
            let per_token = format!("{nanos}e-15");
            let (whole, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            let plain = format!("{whole}.{fraction:09}");
            let plain = plain.trim_end_matches('0').trim_end_matches('.');
            prop_assert_eq!(shifted(&per_token, 6).unwrap(), plain);
        }
    }
}
