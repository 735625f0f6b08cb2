//! The thread that owns the file: what came in is applied, written in one transaction, and answered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::{changes, rows};
use crate::budget::adjustment::{Adjustment, Adjustments, Effect};
use crate::budget::bill::{BillRow, Entry, Heading, LISTED_CALLS, ReservedCall, UsageRow, hour_of};
use crate::budget::counts::{Counts, Held};
use crate::budget::store::{
    Booking, Charge, CounterId, CounterState, ReservationId, ReserveError, Settlement, StoreError,
};
use crate::budget::threshold::Mark;
use crate::budget::window::Span;
use crate::types::Clock;

/// What the owner is asked for.
pub(super) enum Work {
    Reserve(Box<Booking>, Granting),
    Settle(Box<Settlement>),
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
    pub(super) counts: Arc<Mutex<Counts>>,
    pub(super) adjustments: Arc<ArcSwapOption<Adjustments>>,
    /// Why the file cannot be written.
    pub(super) trouble: Arc<ArcSwapOption<String>>,
    /// How many settlements are not in it.
    pub(super) unwritten: Arc<AtomicU64>,
}

pub(super) struct Owner {
    connection: Connection,
    shared: Shared,
    clock: Arc<dyn Clock>,
    retention: Duration,
    unwritten: Unwritten,
    /// The last transaction failed.
    failing: bool,
    forgot: Option<SystemTime>,
    /// SQLite's number for what other connections have written.
    data_version: Option<i64>,
    looked: Instant,
}

/// What has changed since the last transaction.
#[derive(Default)]
struct Unwritten {
    /// Reservations that are not in the file.
    made: HashMap<ReservationId, SystemTime>,
    /// Reservations that are in the file and no longer in force.
    ended: Vec<ReservationId>,
    changed: HashSet<(CounterId, Span)>,
    usage: BTreeMap<(SystemTime, String, Heading), BillRow>,
    listed: Vec<(SystemTime, ReservedCall)>,
    /// Changes that have been carried out.
    done: HashSet<u64>,
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
    pub(super) fn new(connection: Connection, shared: Shared, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self {
            connection,
            shared,
            clock,
            retention,
            unwritten: Unwritten::default(),
            failing: false,
            forgot: None,
            data_version: None,
            looked: Instant::now(),
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Work>) {
        loop {
            let first = match inbox.recv_timeout(if self.unwritten.is_empty() { LOOK_EVERY } else { RETRY }) {
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
        for (adjustment, open) in &changes {
            let Adjustment { sequence, made, change } = adjustment;
            if *open && self.unwritten.done.insert(*sequence) && change.effect == Effect::Reset {
                let reset = lock(&self.shared.counts).reset(&change.budget, &change.subject, *made);
                self.unwritten.changed.extend(reset);
            }
        }
        let limits = Adjustments::new(changes.iter().map(|(adjustment, _)| &adjustment.change));
        self.shared.adjustments.store(Some(Arc::new(limits)));
        Ok(())
    }

    /// Takes up one batch; true when that was the last one.
    fn turn(&mut self, batch: impl Iterator<Item = Work>) -> bool {
        let (mut granted, mut flushed, mut closed) = (Vec::new(), Vec::new(), None);
        for work in batch {
            match work {
                Work::Reserve(booking, answer) => granted.extend(self.reserve(*booking, answer)),
                Work::Settle(settlement) => self.settle(*settlement),
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
        let written = self.write();
        self.report(&written);
        for reservation in granted {
            self.answer(reservation, written.as_ref().err());
        }
        for answer in flushed {
            let _ = answer.send(written.clone());
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
        let mut counts = lock(&self.shared.counts);
        let known = counts.held(id).is_some();
        let reserved = counts.reserve(booking, now);
        drop(counts);
        match reserved {
            Ok(states) => {
                if costs && !known {
                    self.unwritten.made.insert(id, now);
                }
                Some(Granted { id, hard, states, answer })
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                None
            }
        }
    }

    fn settle(&mut self, settlement: Settlement) {
        let Settlement { id, charge, entry } = settlement;
        let Some(held) = lock(&self.shared.counts).settle(id, charge) else { return };
        self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        self.unwritten.end(&held, charge);
        if let Some(entry) = entry {
            self.unwritten.bill(&entry, self.clock.now());
        }
    }

    /// Answers who waits. Where the file could not be written, what a hard budget holds is given back and refused.
    fn answer(&mut self, reservation: Granted, failed: Option<&StoreError>) {
        let Granted { id, hard, states, answer } = reservation;
        let Some(error) = failed.filter(|_| hard) else {
            if answer.send(Ok(states)).is_err() {
                // Nobody waits any more: whoever asked has sent a settlement of nothing after it.
            }
            return;
        };
        if let Some(held) = lock(&self.shared.counts).settle(id, Charge::Nothing) {
            self.unwritten.end(&held, Charge::Nothing);
        }
        let _ = answer.send(Err(ReserveError::Store(error.clone())));
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let forgetful = self.forgot.is_none_or(|at| at + FORGET_EVERY <= now);
        if self.unwritten.is_empty() && !forgetful {
            return Ok(());
        }
        let written = self.transaction(now, forgetful);
        if written.is_ok() {
            self.unwritten = Unwritten::default();
            self.shared.unwritten.store(0, Ordering::Relaxed);
            if forgetful {
                self.forgot = Some(now);
            }
        }
        written.map_err(|error| StoreError(format!("its file cannot be written: {error}")))
    }

    fn transaction(&mut self, now: SystemTime, forgetful: bool) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let counts = lock(&self.shared.counts);
            for (id, made) in &self.unwritten.made {
                if let Some(held) = counts.held(*id) {
                    rows::put_reservation(&transaction, held, *made)?;
                }
            }
            for (counter, slice) in &self.unwritten.changed {
                if let Some(written) = counts.spent(counter, *slice) {
                    rows::put_count(&transaction, &written)?;
                }
            }
        }
        for id in &self.unwritten.ended {
            rows::delete_reservation(&transaction, *id)?;
        }
        for ((hour, group, _), row) in &self.unwritten.usage {
            rows::add_usage(&transaction, &UsageRow { hour: *hour, group: group.clone(), row: row.clone() })?;
        }
        for (at, call) in &self.unwritten.listed {
            rows::list(&transaction, call, *at)?;
        }
        for sequence in &self.unwritten.done {
            changes::done(&transaction, *sequence, now)?;
        }
        if forgetful {
            let before = now.checked_sub(self.retention).unwrap_or(SystemTime::UNIX_EPOCH);
            rows::forget(&transaction, before, now.checked_sub(KEPT_AFTER).unwrap_or(SystemTime::UNIX_EPOCH))?;
        }
        transaction.commit()
    }

    /// One line when it begins to fail, one when it works again.
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

impl Unwritten {
    fn is_empty(&self) -> bool {
        self.made.is_empty()
            && self.ended.is_empty()
            && self.changed.is_empty()
            && self.usage.is_empty()
            && self.listed.is_empty()
            && self.done.is_empty()
    }

    fn end(&mut self, held: &Held, charge: Charge) {
        if self.made.remove(&held.booking.id).is_none() {
            self.ended.push(held.booking.id);
        }
        if charge != Charge::Nothing {
            self.changed.extend(held.lines.iter().map(|line| (line.counter.clone(), line.slice)));
        }
    }

    fn bill(&mut self, entry: &Entry, now: SystemTime) {
        if let Some(call) = entry.reserved_call() {
            // While the file cannot be written, memory holds as many as a list shows.
            if self.listed.len() == LISTED_CALLS {
                self.listed.remove(0);
            }
            self.listed.push((now, call));
        }
        let key = (hour_of(now), entry.group.clone(), entry.heading());
        self.usage.entry(key).or_insert_with_key(|(_, _, heading)| BillRow::empty(heading.clone())).add(entry);
    }
}

// As for the store in memory: a panic under the lock is a bug of `counts`, and refusing every call would be a worse one.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most that one transaction takes up.
const AT_ONCE: usize = 1_024;
/// How soon what could not be written is tried again when nothing else comes in.
const RETRY: Duration = Duration::from_millis(250);
/// How often the file is looked at for changes that commands have written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Counts stay in the file this long after they have left their window.
const KEPT_AFTER: Duration = Duration::from_hours(24);
