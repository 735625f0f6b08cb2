//! What has been granted and settled since the last transaction, in a file of its own beside the store's: a record for a grant, written before
//! its call is let go and without waiting for a transaction, and a record for a settlement, written with the next grant. So whatever a
//! grant rests on is written before it.
//!
//! Journals are numbered. A transaction takes up what a journal holds and notes its number; then that journal is deleted and the next
//! one goes on. A start takes up the journals that no transaction has noted: calls without an end ran when the gateway ended. The end of
//! a call whose reservation is nowhere says nothing any more.
//!
//! A journal begins with [`MAGIC`]. A record is its length and its CRC-32, four bytes each with the lowest first, and then a [`Line`] as postcard writes
//! it: fields and variants in the order of their declaration. Whoever changes that order counts the number in [`MAGIC`] up. What has not the
//! length or the sum that stand before it ends the journal: it was not written to its end, and its call not let go; the next one
//! is written in its place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

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
    /// Where the next record goes.
    end: u64,
    /// What has still to be written.
    pending: Vec<u8>,
}

/// A record of a journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Line<'a> {
    Reserved(Reserved<'a>),
    Ended(Ended<'a>),
}

impl Journal {
    /// Begins a journal of this number.
    pub(super) fn begin(store: &Path, number: u64) -> io::Result<Self> {
        let mut file = File::options().create(true).write(true).truncate(true).open(name(store, number))?;
        file.write_all(MAGIC)?;
        Ok(Self { store: store.to_owned(), number, file, end: MAGIC.len() as u64, pending: Vec::new() })
    }

    /// Writes down a call that is held.
    pub(super) fn put(&mut self, held: &Held, made: SystemTime) -> io::Result<()> {
        let before = self.pending.len();
        let written = self.add(&Line::Reserved(Reserved::of(held, made))).and_then(|()| self.write());
        // A call that is not let go leaves no record behind.
        written.inspect_err(|_| self.pending.truncate(before))
    }

    /// Notes a settlement, to be written with what comes next.
    pub(super) fn end(&mut self, settlement: &Settlement, at: SystemTime) {
        // While nothing can be written, nothing is granted that could rest on it, and memory must not grow.
        if self.pending.len() < MOST_PENDING {
            // Writing to memory does not fail.
            drop(self.add(&Line::Ended(Ended::of(settlement, at))));
        }
    }

    fn add(&mut self, line: &Line<'_>) -> io::Result<()> {
        let start = self.pending.len();
        self.pending.extend_from_slice(&[0; FRAME]);
        if let Err(error) = postcard::serialize_with_flavor(line, Behind(&mut self.pending)) {
            // Half a record would hide those behind it.
            self.pending.truncate(start);
            return Err(io::Error::other(error));
        }
        if let Some((frame, record)) =
            self.pending.get_mut(start..).and_then(|all| all.split_first_chunk_mut::<FRAME>())
        {
            *frame = framed(record);
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.end)?;
        self.end += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Goes on in the next journal where something stands in this one. The number up to which journals are complete.
    pub(super) fn turn(&mut self) -> io::Result<u64> {
        if self.end > MAGIC.len() as u64 || !self.pending.is_empty() {
            let mut next = Self::begin(&self.store, self.number + 1)?;
            // Grants of the next journal may rest on it, if the transaction fails. What cannot be written here goes along, and stands there before them.
            let _ = self.write();
            next.pending = std::mem::take(&mut self.pending);
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

/// What a journal begins with; the number is that of its form.
const MAGIC: &[u8] = b"tollgate journal 1\n";

/// The length and the checksum before a record.
const FRAME: usize = 8;

/// What waits to be written is a tenth of a second's settlements, unless the disk is full.
const MOST_PENDING: usize = 1 << 20;

/// Writes behind what stands there.
struct Behind<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

fn framed(record: &[u8]) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let (length, checksum) = frame.split_at_mut(4);
    length.copy_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    checksum.copy_from_slice(&crc32fast::hash(record).to_le_bytes());
    frame
}

/// The records of a journal. One that was written as a whole and says nothing is an error: it was not written by this Tollgate.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Line<'a>, postcard::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (frame, rest) = self.0.split_first_chunk::<FRAME>()?;
        let length = frame.first_chunk().map(|length| u32::from_le_bytes(*length))?;
        let (record, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        if record.is_empty() || framed(record) != *frame {
            return None;
        }
        self.0 = rest;
        Some(postcard::take_from_bytes(record).and_then(|(line, more)| {
            if more.is_empty() { Ok(line) } else { Err(postcard::Error::DeserializeBadEncoding) }
        }))
    }
}

/// Shows `take` what journals hold that come after number `noted`, and tells the highest number there is.
pub(super) fn read<E: From<io::Error>>(
    store: &Path,
    noted: u64,
    mut take: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<u64, E> {
    let mut journals = numbered(store)?;
    journals.sort_unstable();
    let mut highest = noted;
    for (number, path) in journals {
        highest = highest.max(number);
        if number <= noted {
            continue;
        }
        let bytes = fs::read(&path)?;
        // One that was only just made has not even that.
        if MAGIC.starts_with(&bytes) {
            continue;
        }
        // A loss of power can leave a file its length and none of its bytes.
        if bytes.iter().take(MAGIC.len()).all(|byte| *byte == 0) {
            tracing::warn!(path = %path.display(), bytes = bytes.len(), "a journal is empty: what stood there was lost with the power");
            continue;
        }
        let foreign = || {
            let text = "was written by another Tollgate: start and stop that one once, so that it takes up what stands there, \
                or move the file away, and the calls in it are on no bill";
            io::Error::new(io::ErrorKind::InvalidData, format!("{} {text}", path.display()))
        };
        let mut records = Records(bytes.strip_prefix(MAGIC).ok_or_else(foreign)?);
        for line in records.by_ref() {
            take(line.map_err(|_| foreign())?)?;
        }
        if !records.0.is_empty() {
            tracing::warn!(path = %path.display(), bytes = records.0.len(), "the end of a journal is no record: it was not written as a whole");
        }
    }
    Ok(highest)
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
    //! Numbers, torn records, and journals of others.

    use tempfile::TempDir;

    use super::*;
    use crate::budget::counts::Counts;
    use crate::budget::store::{Charge, ReservationId};
    use crate::budget::tests::calls::{booking, settlement};

    /// What is held in the calls of the journals, and the highest number.
    fn costs(store: &Path, noted: u64) -> io::Result<(Vec<i64>, u64)> {
        let mut costs = Vec::new();
        let highest = read(store, noted, |line| {
            match line {
                Line::Reserved(reserved) => costs.push(reserved.held_nanodollars.unwrap()),
                Line::Ended(ended) => panic!("{ended:?}"),
            }
            Ok::<(), io::Error>(())
        })?;
        Ok((costs, highest))
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
        // One that was made, and no more.
        fs::write(folder.path().join("tollgate.db-journal-9"), &MAGIC[..5]).unwrap();
        let costs = |noted| costs(&store, noted).unwrap();
        assert_eq!(costs(6), (vec![10, 20, 30], 9));
        assert_eq!(costs(7), (vec![20, 30], 9));
        assert_eq!(costs(10), (vec![], 10));
        delete(&store, 7);
        assert_eq!(costs(0), (vec![20, 30], 9));
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
    fn a_record_that_was_not_written_to_its_end_is_none_and_spoils_no_other() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("tollgate.db");
        let mut journal = Journal::begin(&store, 1).unwrap();
        journal.put(&held(10), SystemTime::UNIX_EPOCH).unwrap();
        let first = usize::try_from(journal.end).unwrap();
        journal.file.write_all_at(&[7; 300], journal.end).unwrap();
        journal.put(&held(20), SystemTime::UNIX_EPOCH).unwrap();
        let whole = fs::read(name(&store, 1)).unwrap();
        let all = usize::try_from(journal.end).unwrap();
        assert!(whole.len() > all, "something is left of what was torn");
        assert_eq!(costs(&store, 0).unwrap().0, [10, 20]);
        for end in MAGIC.len()..all {
            fs::write(name(&store, 1), &whole[..end]).unwrap();
            let expected = usize::from(end >= first);
            assert_eq!(costs(&store, 0).unwrap().0.len(), expected, "cut after {end} of {all} bytes");
        }
        for at in first..all {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1;
            fs::write(name(&store, 1), spoilt).unwrap();
            assert_eq!(costs(&store, 0).unwrap().0, [10], "byte {at} is another");
        }
    }

    #[test]
    fn a_journal_of_another_form_is_not_passed_over() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("tollgate.db");
        let mut unknown = MAGIC.to_vec();
        for record in [&b"\x07"[..], b"\x01\0"] {
            unknown.extend([&framed(record)[..], record].concat());
        }
        let mut longer = Journal::begin(&store, 9).unwrap();
        longer.put(&held(10), SystemTime::UNIX_EPOCH).unwrap();
        let mut longer = fs::read(name(&store, 9)).unwrap();
        fs::remove_file(name(&store, 9)).unwrap();
        longer.push(0);
        let record = longer[MAGIC.len() + FRAME..].to_vec();
        longer[MAGIC.len()..MAGIC.len() + FRAME].copy_from_slice(&framed(&record));
        for bytes in [b"{\"id\":\"x\"}\n".to_vec(), unknown, longer] {
            fs::write(name(&store, 1), bytes).unwrap();
            let error = costs(&store, 0).unwrap_err().to_string();
            assert!(error.contains("written by another Tollgate: start and stop that one once"), "{error}");
            assert_eq!(costs(&store, 1).unwrap(), (vec![], 1));
        }
        fs::write(name(&store, 1), vec![0; 4_096]).unwrap();
        assert_eq!(costs(&store, 0).unwrap(), (vec![], 1), "a loss of power can leave that");
    }

    /// Journals outlive the Tollgate that wrote them: where this fails, [`MAGIC`] has to count on.
    #[test]
    fn the_form_of_records_stays() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("tollgate.db");
        let mut journal = Journal::begin(&store, 1).unwrap();
        let mut held = held(10);
        held.booking.id = ReservationId::from_uuid(uuid::Uuid::from_u128(300));
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let spent = settlement(&held.booking, 7);
        for charge in [spent.charge, Charge::AsHeld, Charge::Nothing] {
            journal.end(
                &Settlement { charge, entry: spent.entry.clone().filter(|_| charge == spent.charge), ..spent },
                at,
            );
        }
        journal.put(&held, at).unwrap();
        let bytes = fs::read(name(&store, 1)).unwrap();
        let expected = [
            "68000000b917c8ef01ac02d00f02010e02040105616c6963651575732e6578616d706c652e6d6f64656c2d76313a300c616c6963652d736f6e6e6574",
            "0e436f6e766572736553747265616d07636f756e74656408636f6d706c65746503656e6708616c6963652d31300204000000010e",
            "07000000da99161b01ac02d00f0100",
            "070000009ba80d0201ac02d00f0000",
            "9c000000d99282b300ac02d00f08616c6963652d313005616c69636503656e670e436f6e766572736553747265616d011575732e6578616d706c652e",
            "6d6f64656c2d76313a30010c616c6963652d736f6e6e6574011402056461696c79097072696e636970616c05616c69636500037573640080f0b25280",
            "f0b25214056461696c79097072696e636970616c05616c6963650006746f6b656e730080f0b25280f0b2520a",
        ];
        assert_eq!(hex::encode(&bytes[MAGIC.len()..]), expected.concat());
    }
}
