//! Floor 9: what an operator sees of a request after it is over: metrics, one log line, nothing of its content.
//!
//! Invariants: a label value is either a word of an enum or a name from configuration, never text of a caller; text that
//! came from outside is redacted, cleaned of control characters and cut short before it is logged; prompts, completions
//! and credentials have no way in, because no type here can hold them.

mod conclusion;
mod gathered;
mod json_lines;
mod labels;
mod metrics;
mod reason;
mod record;
mod redact;
mod sources;
mod tracing_setup;

pub use conclusion::{Conclusion, Downstream, Ended, Forwarded, Guardrail, Settlement};
pub use gathered::flush as flush_log;
pub use labels::{
    FaultKind, FaultName, ModelLabel, Outcome, PrincipalLabel, ProfileLabel, Reloaded, Success, TokenKind,
};
pub use metrics::{Held, Metrics};
pub use reason::{RefusalReason, Unmetered};
pub use record::{Client, Record};
pub use redact::{excerpt, redact};
pub use sources::{BudgetReading, DirectoryReading, SessionReading, Sources, UpstreamReading};
pub use tracing_setup::{LogError, LogFormat, install_log};
