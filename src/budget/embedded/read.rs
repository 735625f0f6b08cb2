//! Reading the file beside its owner, or without one: for the bill, and for the commands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::{changes, rows, schema};
use crate::budget::adjustment::{Adjustment, Adjustments, Change};
use crate::budget::bill::{Bill, LISTED_CALLS, UsageRow, hour_of, sum_up};
use crate::budget::store::{Answer, Booking, CounterState, Health, ReserveError, Settlement, Store, StoreError};
use crate::budget::threshold::{Mark, Pending};

/// A store's file, opened for reading. It is a store on which nothing can be reserved.
pub struct StoreFile {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl StoreFile {
    /// Opens a file that is there, whether a gateway has it open or not.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: rusqlite::Error| StoreError(format!("{}: {error}", path.display()));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(schema::PATIENCE).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// What has been settled.
    pub fn bill(&self) -> Result<Bill, StoreError> {
        let usage = self.usage(SystemTime::UNIX_EPOCH)?;
        let (at_reservation, all) = self.told(rows::listed(&self.connection(), LISTED_CALLS))?;
        let unlisted = all.saturating_sub(at_reservation.len() as u64);
        Ok(Bill { rows: sum_up(usage.iter().map(|usage| &usage.row)), at_reservation, unlisted })
    }

    /// What has been settled since an instant, by the hour.
    pub fn usage(&self, since: SystemTime) -> Result<Vec<UsageRow>, StoreError> {
        self.told(rows::usage(&self.connection(), hour_of(since)))
    }

    /// Every count that is written down, with what the reservations in the file hold of it.
    pub fn counters(&self) -> Result<Vec<CounterState>, StoreError> {
        let mut states = BTreeMap::new();
        for written in self.told(rows::counts(&self.connection()))? {
            let state = CounterState {
                counter: written.counter.clone(),
                span: written.slice,
                spent: written.amount,
                reserved: 0,
            };
            states.insert((written.counter, written.slice), state);
        }
        for line in self.told(rows::reservations(&self.connection()))?.into_iter().flat_map(|held| held.lines) {
            let key = (line.counter.clone(), line.slice);
            let state = states.entry(key).or_insert_with(|| CounterState {
                counter: line.counter,
                span: line.slice,
                spent: 0,
                reserved: 0,
            });
            state.reserved = state.reserved.saturating_add(line.amount);
        }
        Ok(states.into_values().collect())
    }

    /// The thresholds of which a webhook has still to be told.
    pub(super) fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        self.told(rows::pending(&self.connection()))
    }

    /// Every change of a budget that an operator made, oldest first.
    pub fn history(&self) -> Result<Vec<Adjustment>, StoreError> {
        let changes = self.told(changes::all(&self.connection()))?;
        Ok(changes.into_iter().map(|(adjustment, _)| adjustment).collect())
    }

    /// Copies the whole store into a new file, also while a gateway writes to it. The copy is of one instant.
    pub fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| StoreError(format!("{}: {error}", to.display()));
        let mut copy = Connection::open(to).map_err(failed)?;
        {
            let source = self.connection();
            let backup = Backup::new(&source, &mut copy).map_err(failed)?;
            backup.run_to_completion(PAGES_A_STEP, Duration::from_millis(1), None).map_err(failed)?;
        }
        // The copy is one file, not three.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told<T>(&self, answer: rusqlite::Result<T>) -> Result<T, StoreError> {
        answer.map_err(|error| StoreError(format!("{}: {error}", self.path.display())))
    }
}

impl Store for StoreFile {
    fn reserve(&self, _: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        let error = StoreError(format!("{} is open for reading only", self.path.display()));
        Box::pin(std::future::ready(Err(ReserveError::Store(error))))
    }

    /// Nothing was reserved, so nothing is settled.
    fn settle(&self, _: Settlement) {}

    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        Box::pin(std::future::ready(Self::counters(self)))
    }

    fn claim(&self, _: Mark, _: bool) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>> {
        Box::pin(std::future::ready(Self::pending(self)))
    }

    /// Who only reads tells nobody.
    fn delivered(&self, _: Mark) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn change(&self, change: Change, now: SystemTime) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(changes::add(&self.path, &change, now)))
    }

    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>> {
        Box::pin(std::future::ready(Self::history(self)))
    }

    fn health(&self) -> Health {
        Health::default()
    }

    fn adjustments(&self) -> Option<Arc<Adjustments>> {
        let history = self.history().ok()?;
        Some(Arc::new(Adjustments::new(history.iter().map(|adjustment| &adjustment.change))))
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        Box::pin(std::future::ready(Self::bill(self)))
    }

    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>> {
        Box::pin(std::future::ready(Self::usage(self, since)))
    }
}

impl fmt::Debug for StoreFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How much is copied while nobody else can write.
const PAGES_A_STEP: i32 = 1_024;
