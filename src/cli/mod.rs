//! Floor 14: the commands, one file each.
//!
//! A command writes to the writers it is given and answers with an [`ExitCode`]; only `main` ends the process.

pub mod budget;
pub mod cert;
pub mod check;
pub mod demo;
pub mod key;
pub mod mock;
pub mod prices;
pub mod profile;
pub mod serve;
pub mod store;
mod stored;
pub mod token;
pub mod usage;

use std::io;
use std::sync::LazyLock;

use clap::ValueEnum;
use serde::Serialize;

use crate::profiles::price::PriceTable;
use crate::types::{ModelId, Region};

/// How a command ended. The numbers are public API: scripts test them. clap itself ends with 2 where the command line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Fine,
    /// 1: what was looked at is faulty, or could not be done; the reason has been printed.
    Faulty,
    /// 2: the command line makes no sense.
    Usage,
    /// That of the program that was run in its place.
    Program(u8),
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Fine => 0,
            ExitCode::Faulty => 1,
            ExitCode::Usage => 2,
            ExitCode::Program(code) => code,
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

/// Whether the shipped price table knows a model in a Region.
pub fn price_known(source: &ModelId, region: &Region) -> bool {
    static SHIPPED: LazyLock<PriceTable> = LazyLock::new(PriceTable::shipped);
    SHIPPED.price(source, region).is_some()
}

/// Resolves at SIGINT (Ctrl-C) or SIGTERM. They are caught from the call on, not only once somebody waits.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupted, terminated) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async {
            let (Ok(mut interrupted), Ok(mut terminated)) = (interrupted, terminated) else {
                // Without handlers the signals end the process by themselves.
                return std::future::pending().await;
            };
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}
