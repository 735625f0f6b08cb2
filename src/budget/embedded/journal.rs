//! What has been granted and settled since the last transaction, in a file of its own beside the store's: a line for a grant, written before
//! its call is let go and without waiting for a transaction, and a line for a settlement, written with the next grant. So whatever a
//! grant rests on is written before it.
//!
//! Journals are numbered. A transaction takes up what a journal holds and notes its number; then that journal is deleted and the next
//! one goes on. A start takes up the journals that no transaction has noted: calls without an end ran when the gateway ended. A line that says
//! nothing was not written to its end, and its call not let go. A settlement may stand there twice; the first is the one that counts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use super::ended::Ended;
use super::rows::Reserved;
use crate::budget::counts::Held;
use crate::budget::store::Settlement;

/// The journal that is written.
#[derive(Debug)]
pub(super) struct Journal {
    store: PathBuf,
    number: u64,
    file: File,
    /// What has still to be written.
    pending: Vec<u8>,
    /// Whether anything has been written.
    begun: bool,
    /// Whether the last line may lack its end.
    torn: bool,
}

impl Journal {
    /// Begins a journal of this number.
    pub(super) fn begin(store: &Path, number: u64) -> io::Result<Self> {
        let file = File::options().create(true).write(true).truncate(true).open(name(store, number))?;
        Ok(Self { store: store.to_owned(), number, file, pending: Vec::new(), begun: false, torn: false })
    }

    /// Writes down a call that is held.
    pub(super) fn put(&mut self, held: &Held, made: SystemTime) -> io::Result<()> {
        let before = self.pending.len();
        Reserved::of(held, made).write(&mut self.pending)?;
        self.pending.push(b'\n');
        // A call that is not let go leaves no line behind.
        self.write().inspect_err(|_| self.pending.truncate(before))
    }

    /// Notes a settlement, to be written with what comes next.
    pub(super) fn end(&mut self, settlement: &Settlement, at: SystemTime) {
        // While nothing can be written, nothing is granted that could rest on it, and memory must not grow.
        if self.pending.len() >= MOST_PENDING {
            return;
        }
        // Writing to memory does not fail.
        drop(serde_json::to_writer(&mut self.pending, &Ended::of(settlement, at)));
        self.pending.push(b'\n');
    }

    fn write(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        (self.torn, self.begun) = (true, true);
        self.file.write_all(&self.pending)?;
        self.torn = false;
        self.pending.clear();
        Ok(())
    }

    /// Goes on in the next journal where something stands in this one. The number up to which journals are complete.
    pub(super) fn turn(&mut self) -> io::Result<u64> {
        if self.begun || !self.pending.is_empty() {
            let next = Self::begin(&self.store, self.number + 1)?;
            // Grants of the next journal may rest on it, if the transaction fails.
            self.write()?;
            *self = next;
        }
        Ok(self.number - 1)
    }
}

#[cfg(test)]
impl Journal {
    /// From now on nothing can be written.
    pub(super) fn spoil(&mut self) {
        self.file = File::open(name(&self.store, self.number)).unwrap();
    }
}

/// What waits to be written is a tenth of a second's settlements, unless the disk is full.
const MOST_PENDING: usize = 1 << 20;

/// A line of a journal.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Reserved(Reserved<'static>),
    Ended(Ended<'static>),
}

/// What journals hold that come after number `noted`, and the highest number there is.
pub(super) fn read(store: &Path, noted: u64) -> io::Result<(Vec<Line>, u64)> {
    let mut journals = numbered(store)?;
    journals.sort_unstable();
    let (mut found, mut highest) = (Vec::new(), noted);
    for (number, path) in journals {
        highest = highest.max(number);
        if number > noted {
            let text = fs::read(path)?;
            found.extend(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
    }
    Ok((found, highest))
}

/// Deletes the journals up to a number.
pub(super) fn delete(store: &Path, up_to: u64) {
    for (_, path) in numbered(store).into_iter().flatten().filter(|(number, _)| *number <= up_to) {
        // One that stays is passed over at the next start, for its number has been noted.
        drop(fs::remove_file(path));
    }
}

fn numbered(store: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let own = name(store, 0);
    let prefix = own.file_name().and_then(|own| own.to_str()).map(|own| own.trim_end_matches('0').to_owned());
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|own| own.to_str()).zip(prefix.as_deref());
        let number = number.and_then(|(own, prefix)| own.strip_prefix(prefix)?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    Ok(found)
}

fn name(store: &Path, number: u64) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(format!("-journal-{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    //! Numbers, torn lines, and journals of others.

    use tempfile::TempDir;

    use super::*;
    use crate::budget::counts::Counts;
    use crate::budget::tests::calls::{booking, settlement};

    fn cost(line: &Line) -> i64 {
        match line {
            Line::Reserved(reserved) => reserved.held_nanodollars.unwrap(),
            Line::Ended(ended) => panic!("{ended:?}"),
        }
    }

    fn held(nanos: u64) -> Held {
        let (mut counts, call) = (Counts::default(), booking("alice", nanos));
        counts.reserve(call.clone(), SystemTime::UNIX_EPOCH).unwrap();
        counts.held(call.id).unwrap().clone()
    }

    #[test]
    fn what_was_written_is_read_again_but_for_what_has_been_noted() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("tollgate.db");
        let mut journal = Journal::begin(&store, 7).unwrap();
        assert_eq!(journal.turn().unwrap(), 6, "an empty one goes on");
        journal.put(&held(10), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(journal.turn().unwrap(), 7);
        journal.put(&held(20), SystemTime::UNIX_EPOCH).unwrap();
        journal.put(&held(30), SystemTime::UNIX_EPOCH).unwrap();
        fs::write(folder.path().join("tollgate.db-journal-x"), "{}").unwrap();
        fs::write(folder.path().join("other.db-journal-9"), "{}").unwrap();
        let costs = |noted| {
            let (found, highest) = read(&store, noted).unwrap();
            (found.iter().map(cost).collect::<Vec<_>>(), highest)
        };
        assert_eq!(costs(6), (vec![10, 20, 30], 8));
        assert_eq!(costs(7), (vec![20, 30], 8));
        assert_eq!(costs(9), (vec![], 9));
        delete(&store, 7);
        assert_eq!(costs(0), (vec![20, 30], 8));
    }

    #[test]
    fn what_cannot_be_written_does_not_grow_without_end() {
        let folder = TempDir::new().unwrap();
        let mut journal = Journal::begin(&folder.path().join("tollgate.db"), 1).unwrap();
        journal.spoil();
        let call = held(10).booking;
        for _ in 0..2 * MOST_PENDING / 100 {
            journal.end(&settlement(&call, 10), SystemTime::UNIX_EPOCH);
        }
        assert!(journal.put(&held(20), SystemTime::UNIX_EPOCH).is_err());
        assert!((MOST_PENDING..MOST_PENDING + 1_024).contains(&journal.pending.len()));
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_is_none_and_spoils_no_other() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("tollgate.db");
        let mut journal = Journal::begin(&store, 1).unwrap();
        journal.put(&held(10), SystemTime::UNIX_EPOCH).unwrap();
        journal.file.write_all(b"{\"id\":\"half").unwrap();
        journal.torn = true;
        journal.put(&held(20), SystemTime::UNIX_EPOCH).unwrap();
        journal.file.write_all(b"{\"id\":\"half").unwrap();
        let (found, _) = read(&store, 0).unwrap();
        assert_eq!(found.iter().map(cost).collect::<Vec<_>>(), [10, 20]);
    }
}
