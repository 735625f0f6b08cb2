//! Floor 11: listeners and connections.

pub mod local_ca;
pub mod tls;
