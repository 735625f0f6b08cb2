//! Floor 14: the commands, one file each.

pub mod check;
