//! Money as integers: nano-dollars, and prices as nano-dollars per million tokens.
//!
//! One nano-dollar is 10⁻⁹ USD. A price of $0.0375 per million tokens is 37.5 nano-dollars per thousand tokens, so prices
//! keep six more digits than amounts do and a charge is rounded once, upwards, at its end.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

/// An amount in nano-dollars (10⁻⁹ USD). `i64` holds ±9.2 billion dollars; arithmetic saturates there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be written down.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of so many nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The difference, never below the smallest amount.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The amount in dollars, for gauges and counters only: never calculate with it.
    #[expect(clippy::cast_precision_loss, reason = "a gauge shows money; it does not keep it")]
    pub fn as_dollars_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Money {
    /// Without the sign of its currency.
    pub const fn plain(self) -> PlainMoney {
        PlainMoney(self)
    }

    fn write(self, f: &mut fmt::Formatter<'_>, currency: &str) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let (mut fraction, mut decimals) = (amount % NANOS_PER_DOLLAR, 9);
        while decimals > 2 && fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        write!(f, "{sign}{currency}{}.{fraction:0decimals$}", amount / NANOS_PER_DOLLAR)
    }
}

impl fmt::Display for Money {
    /// Dollars with as many decimals as are needed, at least two: `$1.50`, `$0.000123`, `-$0.01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "$")
    }
}

/// [`Money`] without the sign of its currency, for those who calculate with it: `1.50`, `-0.01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainMoney(Money);

impl fmt::Display for PlainMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "")
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads a decimal string of dollars, such as `5`, `0.25` or `1000.000000001`. More than nine decimals are an error,
    /// as are signs, exponents and separators.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        decimal(text, 9).map(Self)
    }
}

/// A price in nano-dollars per million tokens (or per million of whatever unit the price is for).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenPrice(i64);

impl TokenPrice {
    /// Free.
    pub const ZERO: Self = Self(0);

    /// A price of so many nano-dollars per million.
    pub const fn from_nanos_per_million(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nano-dollars per million.
    pub const fn nanos_per_million(self) -> i64 {
        self.0
    }

    /// Reads a decimal string of dollars **per million** tokens: `3`, `0.0375`.
    pub fn per_million(text: &str) -> Result<Self, MoneyError> {
        decimal(text, 9).map(Self)
    }

    /// The price times a ratio, rounded up; it ends at the largest price there is.
    #[must_use]
    pub fn scaled(self, times: u32, by: std::num::NonZeroU32) -> Self {
        let by = i128::from(by.get());
        let scaled = (i128::from(self.0) * i128::from(times) + by - 1).div_euclid(by);
        Self(i64::try_from(scaled).unwrap_or(i64::MAX))
    }

    /// `count` units at this price, not yet divided: add these up over all the kinds of token of a call and hand the sum
    /// to [`TokenPrice::charge`], so that a call is rounded once.
    pub const fn times(self, count: u64) -> i128 {
        self.0 as i128 * count as i128
    }

    /// What a sum of [`TokenPrice::times`] comes to, rounded up to the next nano-dollar.
    pub fn charge(sum: i128) -> Money {
        const MILLION: i128 = 1_000_000;
        let rounded = sum.saturating_add(MILLION - 1).div_euclid(MILLION);
        Money(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for TokenPrice {
    /// Dollars per million, as [`TokenPrice::per_million`] reads them: `3`, `0.0375`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DOLLAR: i64 = 1_000_000_000;
        let (whole, fraction) = (self.0 / DOLLAR, (self.0 % DOLLAR).unsigned_abs());
        let text = format!("{whole}.{fraction:09}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Why a text is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not digits with at most one point.
    #[error("not a decimal number of dollars, such as \"12.50\"")]
    NotDecimal,
    /// More decimals than a nano-dollar has.
    #[error("more than nine decimals")]
    TooFine,
    /// Above nine billion dollars.
    #[error("too large")]
    TooLarge,
}

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;

fn decimal(text: &str, decimals: usize) -> Result<i64, MoneyError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return Err(MoneyError::NotDecimal);
    }
    if fraction.len() > decimals {
        return Err(MoneyError::TooFine);
    }
    format!("{whole}{fraction:0<decimals$}").parse().map_err(|_| MoneyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_and_shown_as_written() {
        for (text, nanos, shown) in [
            ("5", 5_000_000_000, "$5.00"),
            ("0.25", 250_000_000, "$0.25"),
            ("0.000000001", 1, "$0.000000001"),
            ("12.3456", 12_345_600_000, "$12.3456"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!((money.nanos(), money.to_string().as_str()), (nanos, shown));
        }
    }

    #[test]
    fn what_is_not_plain_decimal_is_refused() {
        for text in ["", ".5", "5.", "-1", "+1", "1e3", "1,5", "1.2.3", " 1", "٣"] {
            assert_eq!(text.parse::<Money>(), Err(MoneyError::NotDecimal), "{text:?}");
        }
        assert_eq!("0.0000000001".parse::<Money>(), Err(MoneyError::TooFine));
        assert_eq!("99999999999".parse::<Money>(), Err(MoneyError::TooLarge));
    }

    #[test]
    fn a_price_is_scaled_upwards_and_never_wraps() {
        let scaled =
            |nanos| TokenPrice::from_nanos_per_million(nanos).scaled(7, 4.try_into().unwrap()).nanos_per_million();
        assert_eq!([scaled(4), scaled(1), scaled(0), scaled(i64::MAX)], [7, 2, 0, i64::MAX]);
    }

    #[test]
    fn a_call_is_rounded_once_and_upwards() {
        let price = TokenPrice::per_million("0.0375").unwrap();
        assert_eq!(TokenPrice::charge(price.times(1)), Money::from_nanos(38));
        assert_eq!(TokenPrice::charge(price.times(1) + price.times(1)), Money::from_nanos(75));
        assert_eq!(TokenPrice::charge(0), Money::ZERO);
        assert_eq!(TokenPrice::charge(i128::MAX), Money::MAX);
    }
}
