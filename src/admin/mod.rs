//! Floor 12: the second listener, for operators: health, metrics, the bill.
//!
//! It has no authentication of its own, so it belongs on loopback or on a network of the operator's. It answers from what
//! it is handed ([`AdminSources`]) and knows nothing of how any of it is made. It can change nothing.

mod pages;
mod serve;

pub use pages::{AdminSources, Answer, Check, State};
pub use serve::serve;
