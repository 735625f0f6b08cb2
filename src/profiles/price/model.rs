//! The price of one model, and what a call of it comes to.

use crate::types::{Money, ServiceTier, TokenPrice, TokenUsage};

use super::pieces::{PiecePrices, Pieces};

/// What a million tokens of each kind cost. Every kind has a price: see [`Rates::new`] for those a row does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Input that came from no cache.
    pub input: TokenPrice,
    /// Output.
    pub output: TokenPrice,
    /// Input read from the prompt cache.
    pub cache_read: TokenPrice,
    /// Input written to the prompt cache for five minutes.
    pub cache_write_5m: TokenPrice,
    /// Input written to the prompt cache for an hour.
    pub cache_write_1h: TokenPrice,
}

impl Rates {
    /// Prices of input and output, with those of the cache where nothing better is known: reading and writing for five
    /// minutes cost as much as input, writing for an hour twice that, which is what every row that names it says.
    pub const fn new(input: TokenPrice, output: TokenPrice) -> Self {
        let twice = TokenPrice::from_nanos_per_million(input.nanos_per_million().saturating_mul(2));
        Self { input, output, cache_read: input, cache_write_5m: input, cache_write_1h: twice }
    }

    /// Kind by kind the dearer of the two.
    #[must_use]
    pub fn dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write_5m: self.cache_write_5m.max(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
        }
    }

    fn charge(&self, usage: &TokenUsage) -> Money {
        let sum = [
            self.input.times(usage.input),
            self.output.times(usage.output),
            self.cache_read.times(usage.cache_read),
            self.cache_write_5m.times(usage.cache_write_5m),
            self.cache_write_1h.times(usage.cache_write_1h),
        ];
        TokenPrice::charge(sum.into_iter().fold(0, i128::saturating_add))
    }

    fn dearest_input(&self, lifetime: CacheLifetime) -> TokenPrice {
        let short = self.input.max(self.cache_read).max(self.cache_write_5m);
        match lifetime {
            CacheLifetime::None | CacheLifetime::FiveMinutes => short,
            CacheLifetime::OneHour => short.max(self.cache_write_1h),
        }
    }
}

/// The longest time for which a request asks the prompt cache to keep its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheLifetime {
    /// Nothing is asked. Models that cache by themselves may still write, so this is priced as five minutes.
    None,
    /// Five minutes.
    FiveMinutes,
    /// An hour. Also what to assume of a request that was not looked through.
    #[default]
    OneHour,
}

/// Prices that hold for the whole call when its input, cached or not, is longer than a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongContext {
    /// Input tokens above which these prices hold.
    pub above: u64,
    /// The prices.
    pub rates: Rates,
}

/// What one model costs by tier and length, and how much it can take and give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    standard: Rates,
    flex: Option<Rates>,
    priority: Option<Rates>,
    long: Option<LongContext>,
    latency_optimized: Option<Rates>,
    pieces: PiecePrices,
    max_input: Option<u64>,
    max_output: Option<u64>,
}

impl ModelPrice {
    /// A price of the default tier alone.
    pub const fn new(standard: Rates) -> Self {
        Self {
            standard,
            flex: None,
            priority: None,
            long: None,
            latency_optimized: None,
            pieces: PiecePrices { image_made: Money::ZERO, image_read: Money::ZERO, query: Money::ZERO },
            max_input: None,
            max_output: None,
        }
    }

    /// With prices of the flex and priority tiers, where they are known.
    #[must_use]
    pub const fn with_tiers(self, flex: Option<Rates>, priority: Option<Rates>) -> Self {
        Self { flex, priority, ..self }
    }

    /// With prices for long input.
    #[must_use]
    pub const fn with_long_context(self, long: Option<LongContext>) -> Self {
        Self { long, ..self }
    }

    /// With prices of latency-optimised inference, where they are known.
    #[must_use]
    pub const fn with_latency_optimized(self, latency_optimized: Option<Rates>) -> Self {
        Self { latency_optimized, ..self }
    }

    /// The price of calls that ask for latency-optimised inference, where it is known. Bedrock may serve them as others are
    /// served, so no kind of token costs less than there.
    #[must_use]
    pub fn latency_optimized(&self) -> Option<Self> {
        let rates = self.latency_optimized?.dearer(self.standard);
        let long = self.long.map(|long| LongContext { rates: long.rates.dearer(rates), ..long });
        let priority = Some(self.priority.map_or(rates, |priority| priority.dearer(rates)));
        Some(Self { standard: rates, flex: Some(rates), priority, long, latency_optimized: Some(rates), ..*self })
    }

    /// With prices of pieces.
    #[must_use]
    pub const fn with_pieces(self, pieces: PiecePrices) -> Self {
        Self { pieces, ..self }
    }

    /// Whether calls are charged by the piece alone: such models count no tokens.
    pub fn is_by_piece(&self) -> bool {
        self.pieces != PiecePrices::default() && self.dearest() == Rates::new(TokenPrice::ZERO, TokenPrice::ZERO)
    }

    /// What the pieces of a call cost, beside its tokens.
    pub fn pieces(&self, pieces: &Pieces) -> Money {
        self.pieces.cost(pieces)
    }

    /// With the largest input and output in tokens, where they are known.
    #[must_use]
    pub const fn with_limits(self, max_input: Option<u64>, max_output: Option<u64>) -> Self {
        Self { max_input, max_output, ..self }
    }

    /// The most tokens that the model answers with.
    pub const fn max_output(&self) -> Option<u64> {
        self.max_output
    }

    /// The most tokens that fit into the model's context. A row with long-context prices often names the shorter
    /// window, so at least a million is assumed there.
    pub fn context_window(&self) -> Option<u64> {
        let assumed = self.long.map(|_| LONG_WINDOW_TOKENS);
        self.max_input.map(|tokens| tokens.max(assumed.unwrap_or(0)))
    }

    /// The prices of the default tier below any long-context threshold.
    pub const fn standard(&self) -> &Rates {
        &self.standard
    }

    /// What a call's tokens cost: the tier is the one that Bedrock says served it, and the sum is rounded once, upwards. A tier
    /// that the row has no prices of costs as much as the dearest that it has. Input longer than the long-context
    /// threshold (cached or not) makes the whole call cost those prices, in any tier the dearer of the two.
    pub fn cost(&self, usage: &TokenUsage, tier: ServiceTier) -> Money {
        let input = usage.total().saturating_sub(usage.output);
        self.rates(Some(tier), input).charge(usage)
    }

    /// The most that a call's tokens can cost whose input and output stay within these bounds, whatever the cache does: all
    /// input at the dearest kind that `lifetime` leaves possible. `tier` is the one asked for; `None` is "not known",
    /// and means the dearest.
    pub fn worst_case(&self, input: u64, output: u64, tier: Option<ServiceTier>, lifetime: CacheLifetime) -> Money {
        let rates = self.rates(tier, input);
        TokenPrice::charge(rates.dearest_input(lifetime).times(input).saturating_add(rates.output.times(output)))
    }

    /// Kind by kind and tier by tier the dearer of two prices: for a source that has no row of its own.
    #[must_use]
    pub fn dearer(&self, other: &Self) -> Self {
        // Where one of the two has no price for the tier, its own answer to that tier counts.
        let tier = |own: Option<Rates>, others: Option<Rates>| {
            let either = own.is_some() || others.is_some();
            either.then(|| own.unwrap_or_else(|| self.dearest()).dearer(others.unwrap_or_else(|| other.dearest())))
        };
        let long = match (self.long, other.long) {
            (Some(a), Some(b)) => Some(LongContext { above: a.above.min(b.above), rates: a.rates.dearer(b.rates) }),
            (long, None) | (None, long) => long,
        };
        Self {
            standard: self.standard.dearer(other.standard),
            flex: tier(self.flex, other.flex),
            priority: tier(self.priority, other.priority),
            long,
            latency_optimized: match (self.latency_optimized, other.latency_optimized) {
                (Some(own), Some(others)) => Some(own.dearer(others)),
                (one, None) | (None, one) => one,
            },
            pieces: self.pieces.dearer(other.pieces),
            max_input: self.max_input.max(other.max_input),
            max_output: self.max_output.max(other.max_output),
        }
    }

    fn rates(&self, tier: Option<ServiceTier>, input: u64) -> Rates {
        let short = match tier {
            Some(ServiceTier::Default) => self.standard,
            Some(ServiceTier::Flex) => self.flex.unwrap_or_else(|| self.dearest()),
            Some(ServiceTier::Priority) => self.priority.unwrap_or_else(|| self.dearest()),
            Some(ServiceTier::Reserved) | None => self.dearest(),
        };
        match self.long {
            Some(long) if input > long.above => short.dearer(long.rates),
            _ => short,
        }
    }

    fn dearest(&self) -> Rates {
        self.flex.into_iter().chain(self.priority).fold(self.standard, Rates::dearer)
    }
}

/// The window of every model that has long-context prices on Bedrock, as far as AWS has said.
const LONG_WINDOW_TOKENS: u64 = 1_000_000;
