//! Floor 14: the commands, one file each.

pub mod check;
//! Floor 14: the command line, one file per command.
pub mod mock;
