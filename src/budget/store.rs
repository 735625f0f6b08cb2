//! The seam between the ledger and wherever counts are kept.
//!
//! The ledger decides what to hold and under which budgets; a store decides whether it fits. What a store promises:
//!
//! - [`Store::reserve`] holds every line or none, atomically against all other reservations, in the window that is open
//!   by the store's own clock. Reserving an id that is held already changes nothing.
//! - [`Store::settle`] never blocks, never fails for its caller and takes effect once for an id: the first settlement of
//!   a held id counts, any other does nothing. It settles into the windows in which the id was reserved.
//! - What was reserved is remembered by its id, with what the bill has to say of it, so that a settlement carries only what
//!   was spent, and a store that outlives its gateway can settle what the gateway left behind.
//!
//! Reserving and reading answer with futures because other stores ask another thread or another machine.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use crate::types::{Money, Subject, TokenUsage};

use super::adjustment::{Adjustment, Adjustments, Change};
use super::bill::{Bill, Entry, Item, UsageRow};
use super::threshold::{Mark, Pending};
use super::window::{Schedule, Span};

/// What a store answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where counts are kept.
pub trait Store: Send + Sync + fmt::Debug {
    /// Holds all lines or none, and tells the counts after that, in the order of the lines. No two lines name the same
    /// counter.
    fn reserve(&self, booking: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>>;

    /// Settles what was held under an id.
    fn settle(&self, settlement: Settlement);

    /// Every count whose window is open or in which something is still held.
    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>>;

    /// What has been settled.
    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>>;

    /// What has been settled since an instant, by the hour; the hour that holds the instant is whole.
    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>>;

    /// Notes that a threshold has been told of; false where it had been before. Where a webhook is to be told as well, the
    /// threshold is pending until that is [`Store::delivered`].
    fn claim(&self, mark: Mark, for_webhook: bool) -> Answer<'_, Result<bool, StoreError>>;

    /// The thresholds of which a webhook has still to be told, by whichever gateway.
    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>>;

    /// Notes that a webhook has been told of a threshold.
    fn delivered(&self, mark: Mark) -> Answer<'_, Result<(), StoreError>>;

    /// What operators have changed about limits; `None` where nothing can be changed.
    fn adjustments(&self) -> Option<Arc<Adjustments>> {
        None
    }

    /// Writes a change of a budget down; gateways have it in force within two seconds.
    fn change(&self, change: Change, now: SystemTime) -> Answer<'_, Result<(), StoreError>>;

    /// Every change of a budget that was made, oldest first.
    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>>;

    /// How the store is, without asking it.
    fn health(&self) -> Health;

    /// Writes down what is still on its way, and ends. What is reserved or settled afterwards is kept in memory at most.
    fn close(&self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why calls under hard budgets are refused, or let through within an allowance; nothing where all is well.
    pub trouble: Option<String>,
    /// How many calls of this gateway are reserved and not settled.
    pub running: u64,
    /// How many settlements have not been written down.
    pub unwritten: u64,
}

/// A call for which amounts are to be held.
#[derive(Clone, Debug)]
pub struct Booking {
    /// The reservation's id.
    pub id: ReservationId,
    /// Who calls.
    pub principal: Arc<str>,
    /// The first of their groups; empty where there is none.
    pub group: Arc<str>,
    /// What it is.
    pub item: Item,
    /// What the bill shows where the truth stays unknown.
    pub held_cost: Option<Money>,
    /// What to hold.
    pub lines: Vec<Line>,
}

impl Booking {
    /// Whether a limit that refuses holds something for it: then it must not run unless that is written down.
    pub(super) fn is_under_a_hard_limit(&self) -> bool {
        self.lines.iter().any(|line| line.amount > 0 && line.enforcement == Enforcement::Hard)
    }

    /// Whether it can cost something. What cannot would be settled at nothing, and nobody else need know of it.
    pub(super) fn can_cost(&self) -> bool {
        self.held_cost != Some(Money::ZERO) || self.lines.iter().any(|line| line.amount > 0)
    }
}

/// Identifies a reservation among those of every gateway on the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationId(Uuid);

impl ReservationId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// One that was written down.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// As a UUID, for stores that write it down.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Nano-dollars.
    Usd,
    /// Tokens of all kinds.
    Tokens,
    /// Input tokens, cached ones included.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Calls that can cost something.
    Requests,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 5] = [Self::Usd, Self::Tokens, Self::InputTokens, Self::OutputTokens, Self::Requests];

    /// The label in metrics, and the key in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Requests => "requests",
        }
    }

    /// The unit of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == word)
    }

    /// An amount as a person reads it: `$1.50`, `12000 tokens`.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Usd => dollars(amount).to_string(),
            Self::Tokens => format!("{amount} tokens"),
            Self::InputTokens => format!("{amount} input tokens"),
            Self::OutputTokens => format!("{amount} output tokens"),
            Self::Requests => format!("{amount} requests"),
        }
    }
}

/// Dollars as what a count counts; an amount below nothing is nothing.
pub(super) fn nanodollars(money: Money) -> u64 {
    u64::try_from(money.nanos()).unwrap_or(0)
}

/// What a count counts as dollars.
pub(super) fn dollars(nanodollars: u64) -> Money {
    i64::try_from(nanodollars).map_or(Money::MAX, Money::from_nanos)
}

/// Which count: one budget's, for one subject, in one unit, and where the budget counts models apart, for one of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterId {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Whose spending.
    pub subject: Subject,
    /// On which model or family.
    pub model: Option<Arc<str>>,
    /// The unit.
    pub unit: Unit,
}

/// What to hold against one count.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which count.
    pub counter: CounterId,
    /// In which windows it counts.
    pub schedule: Schedule,
    /// The most that may be spent and held in one window.
    pub limit: u64,
    /// How much to hold. Nothing always fits.
    pub amount: u64,
    /// Whether the limit refuses.
    pub enforcement: Enforcement,
}

/// Whether a limit refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// What does not fit is refused.
    #[default]
    Hard,
    /// Nothing is refused; the count goes on above the limit.
    Soft,
}

/// A count in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterState {
    /// Which count.
    pub counter: CounterId,
    /// Which window.
    pub span: Span,
    /// What has been settled.
    pub spent: u64,
    /// What is held for calls that run.
    pub reserved: u64,
}

impl CounterState {
    /// Slices of a counter (when, spent, reserved), as far as they lie in a window, as one count.
    pub(super) fn in_window(counter: CounterId, window: Span, slices: impl Iterator<Item = (Span, u64, u64)>) -> Self {
        let inside = slices.filter(|(slice, ..)| window.start <= slice.start && slice.end <= window.end);
        inside.fold(Self { counter, span: window, spent: 0, reserved: 0 }, |sum, (_, spent, reserved)| Self {
            spent: sum.spent.saturating_add(spent),
            reserved: sum.reserved.saturating_add(reserved),
            ..sum
        })
    }

    /// What a limit leaves.
    pub const fn left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.spent).saturating_sub(self.reserved)
    }
}

/// A count beside its limit: one line of `budget show`, one series of a gauge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The count.
    pub state: CounterState,
    /// Its limit.
    pub limit: u64,
}

impl Standing {
    /// What is left.
    pub const fn left(&self) -> u64 {
        self.state.left(self.limit)
    }
}

/// Why nothing was held.
#[derive(Debug)]
pub enum ReserveError {
    /// At least one line does not fit: those that do not, never empty.
    Exhausted(Vec<Shortfall>),
    /// The store cannot tell.
    Store(StoreError),
}

/// A line that did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Its place among the lines of the request.
    pub line: usize,
    /// The count as it stands.
    pub state: CounterState,
}

/// The store does not answer; the text says why, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the budget store is unavailable: {0}")]
pub struct StoreError(pub String);

/// How a reservation ended.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which reservation.
    pub id: ReservationId,
    /// What its lines become.
    pub charge: Charge,
    /// What is written on the bill, if anything.
    pub entry: Option<Entry>,
}

/// What the lines of a reservation become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// What was spent.
    Spent(Spend),
    /// What was held.
    AsHeld,
    /// Nothing: it is given back.
    Nothing,
}

impl Charge {
    /// What a line in `unit` that held `held` is charged with.
    pub const fn of(self, unit: Unit, held: u64) -> u64 {
        match (self, unit) {
            (Self::Nothing, _) => 0,
            (Self::Spent(Spend { input_tokens, output_tokens, .. }), Unit::Tokens) => {
                input_tokens.saturating_add(output_tokens)
            }
            (Self::Spent(Spend { input_tokens, .. }), Unit::InputTokens) => input_tokens,
            (Self::Spent(Spend { output_tokens, .. }), Unit::OutputTokens) => output_tokens,
            (Self::Spent(Spend { nanodollars: Some(nanos), .. }), Unit::Usd) => nanos,
            // A call is a call, whatever it used.
            (Self::Spent(_), Unit::Requests)
            | (Self::Spent(Spend { nanodollars: None, .. }), Unit::Usd)
            | (Self::AsHeld, _) => held,
        }
    }
}

/// What a call spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars; `None` where there is no price, and then lines in dollars are charged as held.
    pub nanodollars: Option<u64>,
}

impl Spend {
    /// Tokens by kind, and what they cost.
    pub fn new(usage: &TokenUsage, cost: Option<Money>) -> Self {
        let input_tokens = usage.total().saturating_sub(usage.output);
        Self { input_tokens, output_tokens: usage.output, nanodollars: cost.map(nanodollars) }
    }
}
