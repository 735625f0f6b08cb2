//! Counts in a SQLite file of this machine: exact for one gateway, and there again after its end, however it ended.
//!
//! The counts are in memory, under a lock that is held for moments. What is granted is written into a journal before it is answered: a
//! record in a file, no transaction. One thread owns the SQLite file: several times a second it takes what has changed, writes all of it in one
//! transaction, and the journal begins anew. With [`Durability::Power`] there is no journal, and a grant waits for the transaction that has it.
//! A settlement is not waited for; until it is in the file, the reservation is, there or in the journal, and a gateway that is killed in between
//! settles it at the reservation when it starts again.
//!
//! | what happens | what becomes of it |
//! | --- | --- |
//! | the process is killed | [`Durability::Process`]: nothing is lost; calls that ran are settled at the reservation at the next start |
//! | the machine loses power | [`Durability::Power`]: the same. [`Durability::Process`]: the last transactions may be missing |
//! | the file cannot be written | calls under a hard budget are refused; settlements are kept in memory and written later |
//! | a second gateway opens the file | it is refused at its start |

mod book;
mod changes;
mod ended;
mod journal;
mod keys;
mod owner;
mod read;
mod recover;
mod rows;
mod schema;

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::adjustment::{Adjustment, Adjustments, Change};
use super::bill::{Bill, UsageRow};
use super::store::{Answer, Booking, CounterState, Health, ReserveError, Settlement, Store, StoreError};
use super::threshold::{Mark, Pending};
use crate::types::Clock;
use book::{Book, NotYet};
use journal::Journal;
pub use keys::EmbeddedKeys;
use owner::{Owner, Shared, Work, lock as lock_book};
pub use read::StoreFile;
pub use recover::Recovered;

/// How the file is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Where it is; `-wal`, `-shm` and `.lock` stand beside it.
    pub path: PathBuf,
    /// What it survives.
    pub durability: Durability,
    /// How long usage rows and the list of calls settled at the reservation are kept.
    pub retention: Duration,
}

/// What a transaction survives once it has been answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The end of the process, however sudden. No reservation waits for the disk.
    #[default]
    Process,
    /// The end of the machine too: every transaction waits until the disk has it.
    Power,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another gateway has it.
    #[error(
        "{0} is in use by another gateway: a file is for one process; give this gateway a [store] path of its own, or stop the other"
    )]
    InUse(PathBuf),
    /// It was written by a later Tollgate.
    #[error(
        "{path} has the layout {found}, and this Tollgate knows those up to {known}: use the Tollgate that wrote it, or a later one"
    )]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
    /// It cannot be opened, read or written.
    #[error(
        "{path}: {why}: the folder has to exist and be writable for the gateway, and the file has to be a store of Tollgate's"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What SQLite or the system says.
        why: String,
    },
}

/// Counts in a file.
pub struct EmbeddedStore {
    clock: Arc<dyn Clock>,
    path: PathBuf,
    book: Arc<Mutex<Book>>,
    adjustments: Arc<ArcSwapOption<Adjustments>>,
    trouble: Arc<ArcSwapOption<String>>,
    work: Sender<Work>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the store lives.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens a file, makes it where there is none, and settles what its last gateway left behind.
    pub fn open(options: &EmbeddedOptions, clock: Arc<dyn Clock>) -> Result<(Self, Recovered), OpenError> {
        let path = &options.path;
        let failed = |why: String| OpenError::File { path: path.clone(), why };
        let lock = lock(path)?;
        let mut connection = schema::open(path, options.durability)?;
        let (counts, recovered, last) =
            recover::recover(&mut connection, path, clock.now()).map_err(|error| failed(error.to_string()))?;
        let journal = match options.durability {
            Durability::Process => {
                Some(Journal::begin(path, last + 1).map_err(|error| failed(format!("its journal: {error}")))?)
            }
            // What has to be on the disk before a call runs is written in a transaction that waits for the disk.
            Durability::Power => None,
        };
        let book = Arc::new(Mutex::new(Book { counts, journal, ..Book::default() }));
        let (work, inbox) = mpsc::channel();
        let adjustments = Arc::new(ArcSwapOption::empty());
        let trouble = Arc::new(ArcSwapOption::empty());
        let shared =
            Shared { book: Arc::clone(&book), adjustments: Arc::clone(&adjustments), trouble: Arc::clone(&trouble) };
        let mut owner = Owner::new(connection, shared, Arc::clone(&clock), options);
        owner.take_up_changes().map_err(|error| failed(error.to_string()))?;
        let thread = std::thread::Builder::new()
            .name("tollgate-store".to_owned())
            .spawn(move || owner.run(&inbox))
            .map_err(|error| failed(error.to_string()))?;
        let store = Self {
            clock,
            path: path.clone(),
            book,
            adjustments,
            trouble,
            work,
            thread: Mutex::new(Some(thread)),
            _lock: lock,
        };
        Ok((store, recovered))
    }

    /// Sees to it that the owner writes what there is, soon.
    fn tell(&self) {
        if !std::mem::replace(&mut lock_book(&self.book).told, true) {
            let _ = self.work.send(Work::Unwritten);
        }
    }

    /// The owner's answer. It does not answer once it has ended, which is after [`Store::close`].
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Work) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let ended = || StoreError("the store has been closed".to_owned());
        self.work.send(question(answer)).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }

    /// What is in the file once everything that was settled before has been written.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&StoreFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Who does not answer has ended, and before that has written everything.
        if let Ok(flushed) = self.ask(Work::Flush).await {
            flushed?;
        }
        let path = self.path.clone();
        let answer = tokio::task::spawn_blocking(move || query(&StoreFile::open(&path)?)).await;
        answer.map_err(|error| StoreError(error.to_string()))?
    }
}

impl Store for EmbeddedStore {
    fn reserve(&self, booking: Booking) -> Answer<'_, Result<Vec<CounterState>, ReserveError>> {
        let granted = lock_book(&self.book).grant(booking, self.clock.now());
        let booking = match granted {
            Ok(states) => {
                self.tell();
                return Box::pin(std::future::ready(Ok(states)));
            }
            Err(NotYet::Refused(error)) => return Box::pin(std::future::ready(Err(error))),
            Err(NotYet::Unwritten(booking)) => booking,
        };
        Box::pin(async move { self.ask(|answer| Work::Reserve(booking, answer)).await.map_err(ReserveError::Store)? })
    }

    fn settle(&self, settlement: Settlement) {
        let mut book = lock_book(&self.book);
        let known = book.counts.held(settlement.id).is_some();
        if known && book.journal.is_some() {
            book.settle(settlement, self.clock.now());
            drop(book);
            self.tell();
            return;
        }
        drop(book);
        // It may stand behind its reservation. Without an owner there is nothing to settle: the reservation is in the file, and the
        // next start finds it.
        let _ = self.work.send(Work::Settle(Box::new(settlement)));
    }

    fn counters(&self) -> Answer<'_, Result<Vec<CounterState>, StoreError>> {
        let now = self.clock.now();
        let states = lock_book(&self.book).counts.states(now);
        Box::pin(std::future::ready(Ok(states)))
    }

    fn bill(&self) -> Answer<'_, Result<Bill, StoreError>> {
        Box::pin(self.read(StoreFile::bill))
    }

    fn usage(&self, since: SystemTime) -> Answer<'_, Result<Vec<UsageRow>, StoreError>> {
        Box::pin(self.read(move |file| file.usage(since)))
    }

    fn claim(&self, mark: Mark, for_webhook: bool) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(async move { self.ask(|answer| Work::Claim(Box::new(mark), for_webhook, answer)).await? })
    }

    fn pending(&self) -> Answer<'_, Result<Vec<Pending>, StoreError>> {
        Box::pin(self.read(StoreFile::pending))
    }

    fn delivered(&self, mark: Mark) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(async move { self.ask(|answer| Work::Delivered(Box::new(mark), answer)).await? })
    }

    fn adjustments(&self) -> Option<Arc<Adjustments>> {
        self.adjustments.load_full()
    }

    /// As another process would: the owner takes it up from the file.
    fn change(&self, change: Change, now: SystemTime) -> Answer<'_, Result<(), StoreError>> {
        let path = self.path.clone();
        Box::pin(async move {
            let added = tokio::task::spawn_blocking(move || changes::add(&path, &change, now)).await;
            added.map_err(|error| StoreError(error.to_string()))?
        })
    }

    fn history(&self) -> Answer<'_, Result<Vec<Adjustment>, StoreError>> {
        Box::pin(self.read(StoreFile::history))
    }

    fn health(&self) -> Health {
        let book = lock_book(&self.book);
        let (running, unwritten) = (book.counts.running(), book.unwritten.settled + book.writing);
        drop(book);
        let trouble = self.trouble.load().as_ref().map(ToString::to_string);
        Health { trouble, running, unwritten }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let _ = self.ask(Work::Close).await;
            if let Some(thread) = self.thread() {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        })
    }
}

impl EmbeddedStore {
    fn thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for EmbeddedStore {
    /// Ends as a kill would, but for what has been sent: that is still written.
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        let _ = self.work.send(Work::Close(answer));
        if let Some(thread) = self.thread() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether a gateway has a store's file open.
pub fn in_use(path: &Path) -> bool {
    matches!(lock(path), Err(OpenError::InUse(_)))
}

/// Sees to it that no other process has the file.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let failed = |error: std::io::Error| OpenError::File { path: path.to_owned(), why: error.to_string() };
    let file = File::options().create(true).truncate(false).write(true).open(&beside).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests;
