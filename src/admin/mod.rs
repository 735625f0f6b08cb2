//! Floor 12: the second listener, for operators: health, metrics, the bill.
//!
//! What it shows, it shows without authentication, so it belongs on loopback or on a network of the operator's. It answers from what
//! it is handed ([`AdminSources`]) and knows nothing of how any of it is made. It changes nothing but budgets, and those only for who
//! has a token.

mod pages;
mod serve;

pub use pages::{AdminSources, Answer, ChangeError, Changed, Changing, Check, State};
pub use serve::serve;
