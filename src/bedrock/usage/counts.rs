//! Token counts as an answer states them: each kind may be missing, and the same kind may be said in several places.

use crate::types::TokenUsage;

use super::reading::CacheWriteSplit;

/// The kinds of token that answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    Input,
    Output,
    CacheRead,
    /// All cache writes, however long they are kept.
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
}

/// What one place says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cache_read: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) cache_write_5m: Option<u64>,
    pub(super) cache_write_1h: Option<u64>,
}

impl Counts {
    /// What is said of a call that used nothing.
    pub(super) const fn zero() -> Self {
        Self {
            input: Some(0),
            output: Some(0),
            cache_read: Some(0),
            cache_write: Some(0),
            cache_write_5m: Some(0),
            cache_write_1h: Some(0),
        }
    }

    /// Whether input and output are both there; only then do the counts make a bill.
    pub(super) const fn is_whole(&self) -> bool {
        self.input.is_some() && self.output.is_some()
    }

    /// Whether the counts make a bill, of nothing.
    pub(super) fn is_nothing(&self) -> bool {
        self.is_whole() && self.usage().0.is_some_and(|usage| usage.total() == 0)
    }

    /// Takes note of a count. One kind under two names in the same place is one count, never a sum; should the two
    /// differ, the larger is believed.
    pub(super) fn note(&mut self, kind: Tokens, count: u64) {
        let slot = self.slot(kind);
        *slot = Some(slot.unwrap_or(0).max(count));
    }

    /// Adds a count to what is there: for lists whose entries are of_both of one sum.
    pub(super) fn add(&mut self, kind: Tokens, count: u64) {
        let slot = self.slot(kind);
        *slot = Some(slot.unwrap_or(0).saturating_add(count));
    }

    /// Each kind from here, and where it is missing here, from there.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cache_read: self.cache_read.or(other.cache_read),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_5m: self.cache_write_5m.or(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
        }
    }

    /// Whether nothing is said at all.
    pub(super) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// The counts as usage, missing kinds as zero; `None` if nothing was said.
    ///
    /// The two cache-write lifetimes are believed only if they add up to the cache writes that were counted, because the
    /// two may come from different places.
    pub(super) fn usage(&self) -> (Option<TokenUsage>, CacheWriteSplit) {
        if self.is_silent() {
            return (None, CacheWriteSplit::Known);
        }
        let five_minutes = self.cache_write_5m.unwrap_or(0);
        let one_hour = self.cache_write_1h.unwrap_or(0);
        let of_both = five_minutes.saturating_add(one_hour);
        let total = self.cache_write.unwrap_or(of_both);
        let (short, long, split) = if of_both == total {
            (five_minutes, one_hour, CacheWriteSplit::Known)
        } else if total == 0 {
            (0, 0, CacheWriteSplit::Known)
        } else {
            (total, 0, CacheWriteSplit::Unknown)
        };
        let usage = TokenUsage {
            input: self.input.unwrap_or(0),
            output: self.output.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: short,
            cache_write_1h: long,
        };
        (Some(usage), split)
    }

    fn slot(&mut self, kind: Tokens) -> &mut Option<u64> {
        match kind {
            Tokens::Input => &mut self.input,
            Tokens::Output => &mut self.output,
            Tokens::CacheRead => &mut self.cache_read,
            Tokens::CacheWrite => &mut self.cache_write,
            Tokens::CacheWrite5m => &mut self.cache_write_5m,
            Tokens::CacheWrite1h => &mut self.cache_write_1h,
        }
    }
}

/// Reads a count. Bedrock writes `28`, and behind a guardrail `28.0`; a fraction is rounded up. `None` if it is no
/// number, negative, or too large to be a count.
pub(super) fn parse_count(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|count| *count <= LARGEST);
    }
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let count = text.parse::<f64>().ok()?.ceil();
    #[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
    let fits = count.is_finite() && count <= LARGEST as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: a whole number in bounds")]
    let whole = count as u64;
    fits.then_some(whole)
}

/// Far above any call, and the largest power of two below which every whole number is exact as a float.
const LARGEST: u64 = 1 << 53;
