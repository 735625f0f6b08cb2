//! Floor 14: the command line, one file per command.

pub mod check;
pub mod mock;
