//! The thread that owns the file: what came in is applied, written in one transaction, and answered.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::EmbeddedOptions;
use super::book::{Book, Taken};
use super::{changes, journal, rows};
use crate::budget::adjustment::{Adjustment, Adjustments, Effect};
use crate::budget::bill::UsageRow;
use crate::budget::store::{Booking, Charge, CounterState, ReservationId, ReserveError, Settlement, StoreError};
use crate::budget::threshold::Mark;
use crate::types::Clock;

/// What the owner is asked for.
pub(super) enum Work {
    /// Holds what a booking asks for; answers when it is in the file.
    Reserve(Box<Booking>, Granting),
    /// Settles what a [`Work::Reserve`] before it holds.
    Settle(Box<Settlement>),
    /// There is something to write, though nobody waits for it.
    Unwritten,
    /// Notes a threshold, and whether a webhook is to be told; answers whether it is new.
    Claim(Box<Mark>, bool, oneshot::Sender<Result<bool, StoreError>>),
    /// Notes that a webhook has been told.
    Delivered(Box<Mark>, oneshot::Sender<Result<(), StoreError>>),
    /// Answers when all that came before is written.
    Flush(oneshot::Sender<Result<(), StoreError>>),
    /// The same, and ends the thread.
    Close(oneshot::Sender<()>),
}

type Granting = oneshot::Sender<Result<Vec<CounterState>, ReserveError>>;

/// What others read while the owner goes on.
pub(super) struct Shared {
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) adjustments: Arc<ArcSwapOption<Adjustments>>,
    /// Why the file cannot be written.
    pub(super) trouble: Arc<ArcSwapOption<String>>,
}

pub(super) struct Owner {
    connection: Connection,
    shared: Shared,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    retention: Duration,
    /// When what nobody waits for is written.
    due: Option<Instant>,
    /// The last transaction failed.
    failing: bool,
    forgot: Option<SystemTime>,
    /// SQLite's number for what other connections have written.
    data_version: Option<i64>,
    looked: Instant,
}

/// A reservation that fits and is answered when it is in the file.
struct Granted {
    id: ReservationId,
    /// A hard budget holds something for it: it must not run unless it is in the file.
    hard: bool,
    states: Vec<CounterState>,
    answer: Granting,
}

impl Owner {
    pub(super) fn new(
        connection: Connection,
        shared: Shared,
        clock: Arc<dyn Clock>,
        options: &EmbeddedOptions,
    ) -> Self {
        Self {
            connection,
            shared,
            clock,
            path: options.path.clone(),
            retention: options.retention,
            due: None,
            failing: false,
            forgot: None,
            data_version: None,
            looked: Instant::now(),
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Work>) {
        loop {
            let wait = self.due.map_or(LOOK_EVERY, |due| due.saturating_duration_since(Instant::now()).min(LOOK_EVERY));
            let first = match inbox.recv_timeout(wait) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if self.looked.elapsed() >= LOOK_EVERY
                && let Err(error) = self.look()
            {
                tracing::warn!(%error, "changes of budgets cannot be read from the store's file; they are tried again");
            }
            if self.turn(first.into_iter().chain(inbox.try_iter()).take(AT_ONCE)) {
                break;
            }
        }
    }

    /// Takes up changes that another process has written into the file since the last look.
    fn look(&mut self) -> rusqlite::Result<()> {
        self.looked = Instant::now();
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if self.data_version == Some(version) {
            return Ok(());
        }
        self.take_up_changes()?;
        self.data_version = Some(version);
        Ok(())
    }

    /// Puts the changes in force that stand in the file.
    pub(super) fn take_up_changes(&mut self) -> rusqlite::Result<()> {
        let changes = changes::all(&self.connection)?;
        let mut book = lock(&self.shared.book);
        for (adjustment, open) in &changes {
            let Adjustment { sequence, made, change } = adjustment;
            if *open && book.unwritten.done.insert(*sequence) && change.effect == Effect::Reset {
                let reset = book.counts.reset(&change.budget, &change.subject, *made);
                book.unwritten.changed.extend(reset);
            }
        }
        drop(book);
        let limits = Adjustments::new(changes.iter().map(|(adjustment, _)| &adjustment.change));
        self.shared.adjustments.store(Some(Arc::new(limits)));
        Ok(())
    }

    /// Takes up a batch; says whether it was the last.
    pub(super) fn turn(&mut self, batch: impl Iterator<Item = Work>) -> bool {
        let (mut granted, mut flushed, mut closed, mut waited_for) = (Vec::new(), Vec::new(), None, false);
        for work in batch {
            waited_for |= !matches!(work, Work::Unwritten | Work::Claim(..) | Work::Delivered(..));
            match work {
                Work::Reserve(booking, answer) => granted.extend(self.reserve(*booking, answer)),
                Work::Settle(settlement) => {
                    lock(&self.shared.book).settle(*settlement, self.clock.now());
                }
                Work::Unwritten => {
                    self.due.get_or_insert_with(|| Instant::now() + LAZY);
                }
                Work::Claim(mark, for_webhook, answer) => {
                    let claimed = rows::claim(&self.connection, &mark, for_webhook.then(|| self.clock.now()));
                    let _ = answer.send(claimed.map_err(|error| StoreError(error.to_string())));
                }
                Work::Delivered(mark, answer) => {
                    let noted = rows::delivered(&self.connection, &mark);
                    let _ = answer.send(noted.map_err(|error| StoreError(error.to_string())));
                }
                Work::Flush(answer) => flushed.push(answer),
                Work::Close(answer) => closed = Some(answer),
            }
        }
        if waited_for || self.due.is_none_or(|due| due <= Instant::now()) {
            let written = self.write();
            self.due = written.is_err().then(|| Instant::now() + RETRY);
            self.report(&written);
            for reservation in granted {
                self.answer(reservation, written.as_ref().err());
            }
            for answer in flushed {
                let _ = answer.send(written.clone());
            }
        }
        let last = closed.is_some();
        if let Some(answer) = closed {
            let _ = answer.send(());
        }
        last
    }

    fn reserve(&mut self, booking: Booking, answer: Granting) -> Option<Granted> {
        let now = self.clock.now();
        let id = booking.id;
        let (hard, costs) = (booking.is_under_a_hard_limit(), booking.can_cost());
        let mut book = lock(&self.shared.book);
        let known = book.counts.held(id).is_some();
        match book.counts.reserve(booking, now) {
            Ok(states) => {
                if costs && !known {
                    book.unwritten.made.insert(id, now);
                }
                Some(Granted { id, hard, states, answer })
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                None
            }
        }
    }

    /// A reservation is in the file, or cannot be: under a hard budget it must not run then.
    fn answer(&mut self, reservation: Granted, failed: Option<&StoreError>) {
        let Granted { id, hard, states, answer } = reservation;
        let Some(error) = failed.filter(|_| hard) else {
            if answer.send(Ok(states)).is_err() {
                // Nobody waits any more: whoever asked has sent a settlement of nothing after it.
            }
            return;
        };
        let mut book = lock(&self.shared.book);
        if let Some(held) = book.counts.settle(id, Charge::Nothing) {
            book.unwritten.end(&held, Charge::Nothing);
        }
        drop(book);
        let _ = answer.send(Err(ReserveError::Store(error.clone())));
    }

    /// Writes what has changed, if anything has.
    fn write(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let forgetful = self.forgot.is_none_or(|at| at + FORGET_EVERY <= now);
        let mut book = lock(&self.shared.book);
        if book.unwritten.is_empty() && !forgetful {
            book.told = false;
            return Ok(());
        }
        let taken = match book.take() {
            Ok(taken) => taken,
            Err(error) => {
                (book.failing, book.told) = (true, false);
                return Err(StoreError(format!("its next journal cannot be begun: {error}")));
            }
        };
        drop(book);
        let written = self.transaction(&taken, now, forgetful);
        let mut book = lock(&self.shared.book);
        book.failing = written.is_err();
        book.writing = 0;
        match written {
            Ok(()) => {
                drop(book);
                if let Some(journals) = taken.journals {
                    journal::delete(&self.path, journals);
                }
                if forgetful {
                    self.forgot = Some(now);
                }
                Ok(())
            }
            Err(error) => {
                book.put_back(taken.unwritten);
                Err(StoreError(format!("its file cannot be written: {error}")))
            }
        }
    }

    fn transaction(&mut self, taken: &Taken, now: SystemTime, forgetful: bool) -> rusqlite::Result<()> {
        let Taken { unwritten, held, spent, journals } = taken;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (held, made) in held {
            rows::Reserved::of(held, *made).put(&transaction)?;
        }
        for written in spent {
            rows::put_count(&transaction, written)?;
        }
        for id in &unwritten.ended {
            rows::delete_reservation(&transaction, *id)?;
        }
        for ((hour, group, _), row) in &unwritten.usage {
            rows::add_usage(&transaction, &UsageRow { hour: *hour, group: Arc::clone(group), row: row.clone() })?;
        }
        for (at, call) in &unwritten.listed {
            rows::list(&transaction, call, *at)?;
        }
        for sequence in &unwritten.done {
            changes::done(&transaction, *sequence, now)?;
        }
        if let Some(journals) = journals {
            rows::note_journal(&transaction, *journals)?;
        }
        if forgetful {
            let before = now.checked_sub(self.retention).unwrap_or(SystemTime::UNIX_EPOCH);
            rows::forget(&transaction, before, now.checked_sub(KEPT_AFTER).unwrap_or(SystemTime::UNIX_EPOCH))?;
        }
        transaction.commit()
    }

    fn report(&mut self, written: &Result<(), StoreError>) {
        match written {
            Err(error) if !self.failing => tracing::error!(
                %error,
                "calls under hard budgets are refused until the store can be written; what is settled is kept in memory"
            ),
            Ok(()) if self.failing => {
                tracing::warn!("the store can be written again; nothing that was settled is lost");
            }
            Ok(()) | Err(_) => {}
        }
        if self.failing != written.is_err() {
            self.shared.trouble.store(written.as_ref().err().map(|error| Arc::new(error.0.clone())));
        }
        self.failing = written.is_err();
    }
}

// As for the store in memory: a panic under the lock is a bug of `counts`, and refusing every call would be a worse one.
pub(super) fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most that one transaction takes up.
const AT_ONCE: usize = 1_024;
/// How long what nobody waits for is gathered before it is written.
const LAZY: Duration = Duration::from_millis(100);

/// How soon what could not be written is tried again when nothing else comes in.
const RETRY: Duration = Duration::from_millis(250);
/// How often the file is looked at for changes that commands have written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Counts stay in the file this long after they have left their window.
const KEPT_AFTER: Duration = Duration::from_hours(24);
