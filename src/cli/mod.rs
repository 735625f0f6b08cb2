//! Floor 14: one file per command.

pub mod cert;
