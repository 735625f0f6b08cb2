//! Log lines on their way to standard error: those of an ordinary course are gathered for a moment and written in one go, because a
//! system call for each costs more than the line. Warnings and errors, and all before them, are written at once.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Where lines are gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered(());

/// What has been gathered and not written.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Who writes it a moment later.
static WRITER: OnceLock<Thread> = OnceLock::new();

impl Gathered {
    /// Begins to gather. Without a thread of its own every line is written at once.
    pub(super) fn begin() -> Self {
        let writer = std::thread::Builder::new().name("tollgate-log".to_owned()).spawn(|| {
            loop {
                std::thread::park();
                std::thread::sleep(MOMENT);
                flush();
            }
        });
        if let Ok(writer) = writer {
            let _ = WRITER.set(writer.thread().clone());
        }
        Self(())
    }
}

/// Writes what has been gathered. To be called before the process ends.
pub fn flush() {
    write(&mut lines());
}

fn write(lines: &mut Vec<u8>) {
    // There is nobody to tell that a log cannot be written.
    drop(io::stderr().write_all(lines));
    lines.clear();
}

// What a panic under the lock leaves behind is lines.
fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line that is being written.
#[derive(Debug)]
pub(super) struct Line {
    urgent: bool,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = lines();
        let first = lines.is_empty();
        lines.extend_from_slice(bytes);
        match WRITER.get() {
            Some(writer) if !self.urgent && lines.len() < MOST => {
                if first {
                    writer.unpark();
                }
            }
            Some(_) | None => write(&mut lines),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Gathered {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { urgent: true }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line { urgent: *metadata.level() <= Level::WARN }
    }
}

/// How long lines are gathered.
const MOMENT: Duration = Duration::from_millis(50);
/// So many bytes are written without waiting for the moment.
const MOST: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, for what it looks at is the process's own.
    #[test]
    fn lines_are_gathered_for_a_moment_unless_they_are_urgent_or_many() {
        let Gathered(()) = Gathered::begin();
        Line { urgent: false }.write_all(b"").unwrap();
        flush();
        let held = {
            let mut kept = lines();
            kept.extend_from_slice(b"gathered: ");
            kept.len()
        };
        assert_eq!(held, 10);
        Line { urgent: true }.write_all(b"urgent\n").unwrap();
        assert!(lines().is_empty());
        Line { urgent: false }.write_all(&vec![b'\n'; MOST]).unwrap();
        assert!(lines().is_empty());
    }
}
