//! Floor 7: how fast and how many calls may be made, beside what they may cost.
//!
//! The way of a call: [`Limits::admit`] looks for room under every [`RateLimit`] that is for the principal and the model
//! and takes it under all of them or under none. What it gives is an [`Admitted`], which gives everything back unless the
//! call is sent ([`Admitted::sent`]), and holds its place among the concurrent calls until the answer has ended.
//!
//! | limit | a call takes | given back |
//! | --- | --- | --- |
//! | requests per second, per minute | one | where nothing was sent |
//! | tokens per minute | what such a call usually uses, a minute's worth at most | less what Bedrock counted; where it did not count, nothing |
//! | concurrent calls | one | at the end of the answer, also of one that is read on after its caller left |
//!
//! A rate is a bucket that holds one period's worth and refills evenly. A tokens bucket lets a call through as long as it is
//! not empty, and may then be in debt, which later calls wait for: what a call uses is known only after it.
//!
//! With [`RateLimit::max_wait`] calls that find no room queue for it: each principal has a line of their own and lines take
//! turns, so that the burst of one does not starve the rest. A queue holds [`MOST_WAITING`] calls. Nothing is taken and
//! nothing is reserved while a call waits, and who leaves leaves the queue.
//!
//! All counts are this process's own and start full; the clock is the runtime's, which never goes back.

mod admitted;
mod bucket;
mod door;
mod gate;
mod queue;
mod refusal;
mod rule;

pub use admitted::Admitted;
pub use door::{Limits, MOST_WAITING};
pub use gate::Measure;
pub use refusal::Limited;
pub use rule::{LONGEST_WAIT, RateLimit, Rates, RuleError};

#[cfg(test)]
mod tests;
