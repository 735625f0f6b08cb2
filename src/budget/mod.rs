//! Floor 7: money and tokens are held before a call and settled after it.
//!
//! The way of a call: an [`Estimate`] says what it can use at most; the [`Ledger`] turns it into one line for each limit
//! of each budget that the principal falls under and asks its [`Store`] to hold all lines or none; the answer is a
//! [`Reservation`], without which nothing is sent to Bedrock and which settles exactly once.
//!
//! | ending | charged |
//! | --- | --- |
//! | counts read, price known | what was used, also when that is more than was held |
//! | nothing reached Bedrock ([`Reservation::release`]) | nothing |
//! | Bedrock refused, or its guardrail blocked the input | the usage that the caller of [`Reservation::settle`] read: none, or guardrail units |
//! | no counts, for any [`ReservedReason`] | what was held; the call is listed |
//! | counts read, price unknown | tokens as used, dollars as held; the call is listed |
//! | the reservation is dropped, also by a panic | what was held, as [`ReservedReason::Dropped`]; the call is listed |
//!
//! The guarantee, for a budget with [`Reserve::WorstCase`]: what is spent and held in one window never exceeds the limit
//! as long as calls stay within their estimates, however many race. With [`Reserve::Expected`] each call in flight can
//! exceed what was held for it by at most the input that was not held: its worst case less its expectation. A call
//! settles into the window it was reserved in, also after that window has ended.
//!
//! Not here: rate limits.

mod adjustment;
mod bill;
mod counts;
mod embedded;
mod estimate;
mod ledger;
mod memory;
mod refusal;
mod reservation;
mod rule;
mod shared;
mod store;
mod threshold;
mod window;
mod words;

pub use adjustment::{Adjustment, Adjustments, Change, Effect};
pub use bill::{Bill, BillRow, Entry, Heading, Item, Outcome, ReservedCall, ReservedReason, Settled, UsageRow};
pub use embedded::{Durability, EmbeddedKeys, EmbeddedOptions, EmbeddedStore, OpenError, Recovered, StoreFile, in_use};
pub use estimate::{Attachments, Estimate, Hold, RequestFacts};
pub use ledger::{Ledger, RuleError};
pub use memory::MemoryStore;
pub use refusal::{Exhausted, Refused};
pub use reservation::{Actual, Reservation};
pub use rule::{Apart, Applies, BudgetRule, Limits, Reserve};
pub use shared::{SharedKeys, SharedOptions, SharedServer, SharedStore, Topology};
pub use store::{
    Answer, Booking, Charge, CounterId, CounterState, Enforcement, Health, Line, ReservationId, ReserveError,
    Settlement, Shortfall, Spend, Standing, Store, StoreError, Unit,
};
pub use threshold::{Crossing, Mark, Pending, THRESHOLDS, Told};
pub use window::{Schedule, Slot, Span, Window};

pub use crate::types::{Models, Per, Subject};

#[cfg(test)]
mod tests;
