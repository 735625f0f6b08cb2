//! Floor 14: the commands, one file each.
//!
//! A command writes to the writers it is given and answers with an [`ExitCode`]; only `main` ends the process.

pub mod check;

use std::io;

use clap::ValueEnum;
use serde::Serialize;

/// How a command ended. The numbers are public API: scripts test them. clap itself ends with 2 where the command line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Fine,
    /// 1: what was looked at is faulty, or could not be done; the reason has been printed.
    Faulty,
    /// 2: the command line makes no sense.
    Usage,
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Fine => 0,
            ExitCode::Faulty => 1,
            ExitCode::Usage => 2,
        }
    }
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts: one JSON value on standard output, nothing else.
    Json,
}

/// The two places a command writes to.
pub struct Streams<'a> {
    /// Results.
    pub out: &'a mut dyn io::Write,
    /// What is wrong, and progress.
    pub err: &'a mut dyn io::Write,
}

impl Streams<'_> {
    /// Writes one JSON value and a line break.
    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value)?;
        writeln!(self.out)
    }
}
