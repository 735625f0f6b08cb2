//! Reserving: one script, asked again where a window has just ended or where the connection broke.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::Shared;
use super::holding::{Here, Placed, Sent, countable, row};
use super::link::AT_ONCE;
use crate::budget::store::{
    Booking, Charge, CounterState, Enforcement, Line, ReserveError, Settlement, Shortfall, StoreError, Unit,
    nanodollars,
};
use crate::budget::window::Span;
use crate::budget::words::{instant, millis};

/// What the script answers.
enum Said {
    Held(Vec<CounterState>),
    Full(Vec<Shortfall>),
    /// The window that was open here is not the one that is open there.
    Moved,
    /// It has been settled before it arrived: nobody waits for it any more.
    Ended,
}

impl Shared {
    pub(super) async fn reserve(self: &Arc<Self>, booking: Booking) -> Result<Vec<CounterState>, ReserveError> {
        let id = booking.id;
        if self.here().get(&id).is_some_and(|here| here.sent == Sent::Known || here.allowed.is_some()) {
            return Ok(self.last_seen(&booking.lines));
        }
        if !booking.can_cost() {
            let placed = self.place(&booking.lines, self.time.now()).map_err(ReserveError::Store)?;
            self.here().insert(id, Here { placed, sent: Sent::Never, allowed: None });
            return Ok(self.last_seen(&booking.lines));
        }
        match self.ask(&booking).await {
            Err(ReserveError::Store(error)) => self.without(&booking).ok_or(ReserveError::Store(error)),
            answer => answer,
        }
    }

    /// Asks the store. It may hold the booking also when this fails: its settlement tells the store to forget it.
    pub(super) async fn ask(self: &Arc<Self>, booking: &Booking) -> Result<Vec<CounterState>, ReserveError> {
        let id = booking.id;
        let mut failed = None;
        let mut placed_at = self.time.now();
        for _ in 0..ATTEMPTS {
            if let Some(trouble) = &*self.trouble.load() {
                return Err(ReserveError::Store(failed.unwrap_or_else(|| StoreError(trouble.to_string()))));
            }
            let began = Instant::now();
            match self.ask_once(booking, placed_at).await {
                Ok(Said::Held(states)) => {
                    if let Some(here) = self.here().get_mut(&id) {
                        here.sent = Sent::Known;
                    }
                    return Ok(states);
                }
                Ok(Said::Full(shortfalls)) => {
                    if failed.is_some() {
                        // What was sent before may still arrive.
                        self.settle(Settlement { id, charge: Charge::Nothing, entry: None });
                    }
                    self.here().remove(&id);
                    return Err(ReserveError::Exhausted(shortfalls));
                }
                Ok(Said::Ended) => return Err(ReserveError::Store(StoreError("the reservation has ended".to_owned()))),
                // What was sent before may hold the slice that was open then: it is given back there.
                Ok(Said::Moved) if failed.is_some() => break,
                Ok(Said::Moved) => placed_at = self.time.now(),
                Err(error) => {
                    // Silence has been waited for already.
                    let at_once = began.elapsed() < AT_ONCE && failed.is_none();
                    if !at_once {
                        self.answers(Some(&error));
                        return Err(ReserveError::Store(error));
                    }
                    failed = Some(error);
                }
            }
        }
        Err(ReserveError::Store(
            failed.unwrap_or_else(|| StoreError("its clock and the calendar do not agree".to_owned())),
        ))
    }

    async fn ask_once(&self, booking: &Booking, now: SystemTime) -> Result<Said, StoreError> {
        let placed = self.place(&booking.lines, now)?;
        let epoch = self.epoch.load_full().ok_or_else(|| StoreError("it has not answered yet".to_owned()))?;
        let mut script = self.scripts.reserve.prepare_invoke();
        script.key(self.keys.held(&self.gateway)).key(&self.keys.leases).key(&self.keys.counters);
        script.key(self.keys.ended(booking.id)).key(&self.keys.epoch);
        script.arg(self.time.argument()).arg(epoch.as_str()).arg(booking.id.uuid().to_string());
        script.arg(&self.gateway).arg(whole_ms(self.lease)).arg(row(booking, &placed, now));
        let mut windows = Vec::with_capacity(placed.len());
        for (line, own) in booking.lines.iter().zip(&placed) {
            let window = line.schedule.slot(now).map_or(own.slice.span, |slot| slot.window);
            script.key(&own.key).arg(millis(window.start)).arg(millis(window.end)).arg(own.slice.text());
            script.arg(own.amount).arg(countable(line.limit));
            script.arg(u8::from(line.enforcement == Enforcement::Hard)).arg(whole_ms(own.keep(now)));
            windows.push(window);
        }
        // From here on the store may hold it, whatever becomes of the answer.
        self.here().insert(booking.id, Here { placed, sent: Sent::Perhaps, allowed: None });
        let answer: Vec<String> = self.link.ask(&script).await?;
        self.read(&booking.lines, &windows, &answer)
    }

    fn read(&self, lines: &[Line], windows: &[Span], answer: &[String]) -> Result<Said, StoreError> {
        let unreadable = || StoreError("it gave an answer that is none of its script's".to_owned());
        let [word, now, rest @ ..] = answer else { return Err(unreadable()) };
        self.time.learn(now.parse().map_err(|_| unreadable())?);
        match word.as_str() {
            "moved" => return Ok(Said::Moved),
            "ended" => return Ok(Said::Ended),
            "lost" => {
                self.lost.store(true, Ordering::Relaxed);
                return Err(lost());
            }
            "ok" | "full" => {}
            _ => return Err(unreadable()),
        }
        let (chunks, []) = rest.as_chunks::<4>() else { return Err(unreadable()) };
        if chunks.len() != lines.len() || windows.len() != lines.len() {
            return Err(unreadable());
        }
        let (mut states, mut shortfalls) = (Vec::with_capacity(lines.len()), Vec::new());
        for (place, ((line, window), [spent, reserved, eases, fits])) in
            lines.iter().zip(windows).zip(chunks).enumerate()
        {
            // Sums of what stands at the highest can be higher still.
            let amount = |text: &str| text.parse::<u128>().map_err(|_| unreadable());
            let amount = |text: &str| amount(text).map(|amount| u64::try_from(amount).unwrap_or(u64::MAX));
            let end = eases.parse::<i64>().map_or(window.end, instant);
            let span = Span { start: window.start, end };
            let counter = line.counter.clone();
            let state = CounterState { counter, span, spent: amount(spent)?, reserved: amount(reserved)? };
            if fits != "1" {
                shortfalls.push(Shortfall { line: place, state: state.clone() });
            }
            states.push(state);
        }
        match word.as_str() {
            "full" if shortfalls.is_empty() => Err(unreadable()),
            "full" => Ok(Said::Full(shortfalls)),
            _ => Ok(Said::Held(states)),
        }
    }

    /// Lets a call through without the store: always where no limit refuses, otherwise within the allowance.
    fn without(&self, booking: &Booking) -> Option<Vec<CounterState>> {
        let hard = booking.is_under_a_hard_limit();
        // A store that has other counts than it had is not away: nothing says how much is left.
        if hard && self.lost.load(Ordering::Relaxed) {
            return None;
        }
        // What was sent may have arrived: then it is held in the slices of that time.
        let before = self.here().get(&booking.id).map(|here| (here.placed.clone(), here.sent));
        let (placed, sent) = match before {
            Some(before) => before,
            None => (self.place(&booking.lines, self.time.now()).ok()?, Sent::Never),
        };
        let allowed = if hard {
            let cost = nanodollars(booking.held_cost?);
            if !self.allowance.take(cost) {
                return None;
            }
            Some(cost)
        } else {
            None
        };
        self.here().insert(booking.id, Here { placed, sent, allowed });
        let mut states = self.last_seen(&booking.lines);
        if allowed.is_some() {
            // A caller has left what the allowance has, if that is less than what the budget had.
            for (line, state) in booking.lines.iter().zip(&mut states) {
                if line.counter.unit == Unit::Usd {
                    state.spent = state.spent.max(line.limit.saturating_sub(self.allowance.left()));
                }
            }
        }
        Some(states)
    }

    /// Counts as they were seen last.
    fn last_seen(&self, lines: &[Line]) -> Vec<CounterState> {
        let now = self.time.now();
        let seen = self.seen();
        let state = |line: &Line| {
            let window = line.schedule.slot(now).map(|slot| slot.window);
            seen.state(&line.counter, window.unwrap_or(Span { start: now, end: now }))
        };
        lines.iter().map(state).collect()
    }

    fn place(&self, lines: &[Line], now: SystemTime) -> Result<Vec<Placed>, StoreError> {
        lines.iter().map(|line| Placed::of(line, &self.keys, now)).collect()
    }
}

/// What is told of a store that has other counts than those that were known.
pub(super) fn lost() -> StoreError {
    StoreError(
        "it has lost its counts, or has been filled with others: restore its data, or start the gateways again to begin \
         with what it has now"
            .to_owned(),
    )
}

pub(super) fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The window can end between the choice of it and the script, and the connection can have been closed.
const ATTEMPTS: usize = 4;
