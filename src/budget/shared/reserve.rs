//! Reserving: one script, asked again where a window has just ended or where the connection broke.

use std::time::{Duration, Instant, SystemTime};

use super::Shared;
use super::holding::{Here, Placed, countable, row};
use super::link::AT_ONCE;
use crate::budget::store::{
    Booking, CounterState, Enforcement, Line, ReserveError, Shortfall, StoreError, Unit, nanodollars,
};
use crate::budget::window::Span;
use crate::budget::words::{instant, millis};
use crate::types::Money;

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
    pub(super) async fn reserve(&self, booking: Booking) -> Result<Vec<CounterState>, ReserveError> {
        let id = booking.id;
        if self.here().get(&id).is_some_and(|here| here.known || here.allowed.is_some()) {
            return Ok(self.last_seen(&booking.lines));
        }
        let holds = booking.lines.iter().any(|line| line.amount > 0);
        if !holds && booking.held_cost == Some(Money::ZERO) {
            // What holds nothing would be settled at nothing: the store need not know.
            let placed = self.place(&booking.lines, self.time.now()).map_err(ReserveError::Store)?;
            self.here().insert(id, Here { placed, known: false, allowed: None });
            return Ok(self.last_seen(&booking.lines));
        }
        let error = match self.ask(&booking).await {
            Ok(states) => return Ok(states),
            Err(ReserveError::Exhausted(shortfalls)) => {
                self.here().remove(&id);
                return Err(ReserveError::Exhausted(shortfalls));
            }
            Err(ReserveError::Store(error)) => error,
        };
        self.without(&booking).ok_or(ReserveError::Store(error))
    }

    /// Asks the store. It may hold the booking also when this fails: its settlement tells the store to forget it.
    pub(super) async fn ask(&self, booking: &Booking) -> Result<Vec<CounterState>, ReserveError> {
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            if let Some(trouble) = &*self.trouble.load() {
                return Err(ReserveError::Store(failed.unwrap_or_else(|| StoreError(trouble.to_string()))));
            }
            let began = Instant::now();
            match self.ask_once(booking).await {
                Ok(Said::Held(states)) => {
                    if let Some(here) = self.here().get_mut(&booking.id) {
                        here.known = true;
                    }
                    return Ok(states);
                }
                Ok(Said::Full(shortfalls)) => return Err(ReserveError::Exhausted(shortfalls)),
                Ok(Said::Ended) => return Err(ReserveError::Store(StoreError("the reservation has ended".to_owned()))),
                Ok(Said::Moved) => failed = Some(StoreError("its clock and the calendar do not agree".to_owned())),
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
        let error = failed.unwrap_or_else(|| StoreError("it gave no answer".to_owned()));
        self.answers(Some(&error));
        Err(ReserveError::Store(error))
    }

    async fn ask_once(&self, booking: &Booking) -> Result<Said, StoreError> {
        let now = self.time.now();
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
        self.here().insert(booking.id, Here { placed, known: false, allowed: None });
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
            "lost" => return Err(lost()),
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
            let amount = |text: &str| text.parse::<u64>().map_err(|_| unreadable());
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
        let hard = booking.lines.iter().any(|line| line.amount > 0 && line.enforcement == Enforcement::Hard);
        let allowed = if hard {
            let cost = nanodollars(booking.held_cost?);
            if !self.allowance.take(cost) {
                return None;
            }
            Some(cost)
        } else {
            None
        };
        let Ok(placed) = self.place(&booking.lines, self.time.now()) else {
            self.allowance.becomes(allowed.unwrap_or(0), 0);
            return None;
        };
        self.here().insert(booking.id, Here { placed, known: false, allowed });
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
