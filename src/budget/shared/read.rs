//! Reading: how counts stand, what was used, what operators changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Shared;
use super::keys::{Kind, Slice, field};
use super::reserve::whole_ms;
use crate::budget::adjustment::{Adjustment, Change, Effect};
use crate::budget::bill::{Bill, BillRow, Heading, LISTED_CALLS, ReservedCall, UsageRow, hour_of, sum_up};
use crate::budget::store::{CounterId, CounterState, StoreError, Unit};
use crate::budget::threshold::{Mark, Pending};
use crate::budget::window::Span;
use crate::budget::words::{self, effect, instant, millis, reason, signed, unsigned};
use crate::types::{Money, Subject, TokenUsage};

/// Counts as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    counts: HashMap<CounterId, Vec<(Slice, Amounts)>>,
    /// By the server's clock, when all that had changed was seen; nothing before the first look.
    until_ms: Option<i64>,
    whole_ms: i64,
    /// How many changes of operators were seen.
    pub(super) changes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    spent: u64,
    reserved: u64,
}

impl Seen {
    /// Every slice that still counts, or in which something is held.
    pub(super) fn states(&self, now: SystemTime) -> Vec<CounterState> {
        let all = self.counts.iter().flat_map(|(counter, slices)| slices.iter().map(move |slice| (counter, slice)));
        let live =
            all.filter(|(_, (slice, amounts))| amounts.reserved > 0 || (slice.span.start <= now && now < slice.leaves));
        let mut states: Vec<_> = live
            .map(|(counter, (slice, amounts))| CounterState {
                counter: counter.clone(),
                span: slice.span,
                spent: amounts.spent,
                reserved: amounts.reserved,
            })
            .collect();
        states.sort_by(|one, other| (&one.counter, one.span).cmp(&(&other.counter, other.span)));
        states
    }

    /// A counter in a window.
    pub(super) fn state(&self, counter: &CounterId, window: Span) -> CounterState {
        let slices = self.counts.get(counter).into_iter().flatten();
        let slices = slices.map(|(slice, amounts)| (slice.span, amounts.spent, amounts.reserved));
        CounterState::in_window(counter.clone(), window, slices)
    }

    fn drop_old(&mut self, now: SystemTime) {
        self.counts.retain(|_, slices| {
            slices.retain(|(slice, amounts)| amounts.reserved > 0 || slice.leaves + OVERLAP > now);
            !slices.is_empty()
        });
    }
}

impl Shared {
    /// Takes up the counts that have changed since the last look; now and then, all of them.
    pub(super) async fn refresh(&self, now_ms: i64) -> Result<(), StoreError> {
        let (until, whole) = {
            let seen = self.seen();
            (seen.until_ms, seen.whole_ms)
        };
        let all = until.is_none() || whole + WHOLE_EVERY_MS < now_ms;
        let since = if all { "-inf".to_owned() } else { (until.unwrap_or(0).min(now_ms) - OVERLAP_MS).to_string() };
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&self.keys.counters).arg(since).arg("+inf");
        let changed: Vec<String> = self.link.ask_again(&command).await?;
        for keys in changed.chunks(AT_ONCE) {
            let mut reading = redis::pipe();
            for key in keys {
                reading.hgetall(key);
            }
            let counts: Vec<HashMap<String, String>> = self.link.ask_again(&reading).await?;
            for (key, fields) in keys.iter().zip(counts) {
                self.take_up(key, &fields).await?;
            }
        }
        let mut seen = self.seen();
        seen.until_ms = Some(now_ms);
        if all {
            seen.whole_ms = now_ms;
            // What the store has forgotten is forgotten here.
            let there: HashSet<CounterId> = changed.iter().filter_map(|key| self.keys.counter(key)).collect();
            seen.counts.retain(|counter, _| there.contains(counter));
        }
        seen.drop_old(instant(now_ms));
        Ok(())
    }

    async fn take_up(&self, key: &str, fields: &HashMap<String, String>) -> Result<(), StoreError> {
        let Some(counter) = self.keys.counter(key) else { return Ok(()) };
        let mut slices: BTreeMap<Slice, Amounts> = BTreeMap::new();
        for (slice, kind, amount) in fields.iter().filter_map(|(name, amount)| field(name, amount)) {
            let amounts = slices.entry(slice).or_default();
            match kind {
                Kind::Spent => amounts.spent = amount,
                Kind::Reserved => amounts.reserved = amount,
            }
        }
        if slices.is_empty() {
            self.seen().counts.remove(&counter);
            let mut script = self.scripts.bury.prepare_invoke();
            script.key(&self.keys.counters).key(key).arg(key);
            return self.link.ask::<()>(&script).await;
        }
        self.seen().counts.insert(counter, slices.into_iter().collect());
        Ok(())
    }

    /// Every field of a hash, read in pieces so that nobody else waits for long.
    pub(super) async fn scan(&self, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        let (mut fields, mut cursor) = (BTreeMap::new(), 0_u64);
        loop {
            let mut command = redis::cmd("HSCAN");
            command.arg(key).arg(cursor).arg("COUNT").arg(AT_ONCE);
            let (next, some): (u64, Vec<(String, String)>) = self.link.ask_again(&command).await?;
            // A scan may tell of a field twice.
            fields.extend(some);
            cursor = next;
            if cursor == 0 {
                return Ok(fields.into_iter().collect());
            }
        }
    }

    pub(super) async fn usage(&self, since: SystemTime) -> Result<Vec<UsageRow>, StoreError> {
        self.told(PATIENCE).await;
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&self.keys.hours).arg(millis(hour_of(since))).arg("+inf");
        let hours: Vec<i64> = self.link.ask_again(&command).await?;
        let mut rows = Vec::new();
        for hour in hours.into_iter().map(instant) {
            let fields = self.scan(&self.keys.usage(hour)).await?;
            if fields.is_empty() {
                // Its time of retention is over.
                let (key, name) = (self.keys.usage(hour), millis(hour).to_string());
                let mut script = self.scripts.bury.prepare_invoke();
                script.key(&self.keys.hours).key(key).arg(name);
                self.link.ask::<()>(&script).await?;
            }
            rows.extend(usage_rows(hour, &fields));
        }
        Ok(rows)
    }

    pub(super) async fn bill(&self) -> Result<Bill, StoreError> {
        let usage = self.usage(SystemTime::UNIX_EPOCH).await?;
        let mut reading = redis::pipe();
        reading.lrange(&self.keys.listed, -isize::try_from(LISTED_CALLS).unwrap_or(isize::MAX), -1);
        reading.get(&self.keys.listed_in_all);
        let (listed, all): (Vec<String>, Option<u64>) = self.link.ask_again(&reading).await?;
        let at_reservation: Vec<_> = listed.iter().filter_map(|text| reserved_call(text)).collect();
        let unlisted = all.unwrap_or(0).saturating_sub(at_reservation.len() as u64);
        Ok(Bill { rows: sum_up(usage.iter().map(|usage| &usage.row)), at_reservation, unlisted })
    }

    pub(super) async fn claim(&self, mark: Mark, for_webhook: bool) -> Result<bool, StoreError> {
        let mut script = self.scripts.claim.prepare_invoke();
        script.key(self.keys.told(&mark)).key(&self.keys.pending);
        script.arg(whole_ms(self.retention)).arg(if for_webhook { self.keys.mark(&mark) } else { String::new() });
        script.arg(millis(self.time.now()));
        self.link.ask(&script).await
    }

    pub(super) async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let fields = self.scan(&self.keys.pending).await?;
        let pending = fields.into_iter().filter_map(|(mark, since)| {
            Some(Pending { mark: self.keys.mark_of(&mark)?, since: instant(since.parse().ok()?) })
        });
        Ok(pending.collect())
    }

    pub(super) async fn delivered(&self, mark: Mark) -> Result<(), StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(&self.keys.pending).arg(self.keys.mark(&mark));
        self.link.ask_again(&command).await
    }

    pub(super) async fn change(&self, change: Change, now: SystemTime) -> Result<(), StoreError> {
        let mut script = self.scripts.change.prepare_invoke();
        script.key(&self.keys.changes).key(&self.keys.counters);
        script.arg(self.time.argument()).arg(change_text(&change, now));
        if change.effect == Effect::Reset {
            let mut command = redis::cmd("ZRANGE");
            command.arg(&self.keys.counters).arg(0).arg(-1);
            let keys: Vec<String> = self.link.ask_again(&command).await?;
            let own = |counter: CounterId| counter.budget == change.budget && counter.subject == change.subject;
            for key in keys.iter().filter(|key| self.keys.counter(key).is_some_and(own)) {
                script.key(key);
            }
        }
        // With its id it may be asked for again.
        self.link.ask_again(&script).await
    }

    /// Every change of a budget that an operator made, oldest first.
    pub(super) async fn history(&self) -> Result<Vec<Adjustment>, StoreError> {
        let mut command = redis::cmd("LRANGE");
        command.arg(&self.keys.changes).arg(0).arg(-1);
        let texts: Vec<String> = self.link.ask_again(&command).await?;
        // What a later Tollgate would understand is left to it.
        Ok(texts.iter().enumerate().filter_map(|(place, text)| adjustment(place, text)).collect())
    }
}

fn change_text(change: &Change, now: SystemTime) -> String {
    let (unit, amount) = change.effect.amount().map_or((None, None), |(unit, amount)| (Some(unit), Some(amount)));
    json!({
        "id": Uuid::new_v4().to_string(),
        "made_ms": millis(now),
        "budget": change.budget.as_ref(),
        "subject_kind": change.subject.kind(),
        "subject": change.subject.name(),
        "effect": change.effect.word(),
        "unit": unit.map(Unit::as_str),
        "amount": amount.map(signed),
        "until_ms": change.effect.until().map(millis),
        "by": change.by,
        "reason": change.reason,
    })
    .to_string()
}

fn adjustment(place: usize, text: &str) -> Option<Adjustment> {
    let row: Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| row.get(key).and_then(Value::as_str);
    let number = |key: &str| row.get(key).and_then(Value::as_i64);
    let change = Change {
        budget: word("budget")?.into(),
        subject: Subject::of(word("subject_kind")?, word("subject")?)?,
        effect: effect(
            word("effect")?,
            word("unit").and_then(Unit::from_word),
            number("amount").map(unsigned),
            number("until_ms").map(instant),
        )?,
        by: word("by")?.to_owned(),
        reason: word("reason")?.to_owned(),
    };
    Some(Adjustment { sequence: place as u64 + 1, made: instant(number("made_ms")?), change })
}

/// The rows of an hour.
fn usage_rows(hour: SystemTime, fields: &[(String, String)]) -> Vec<UsageRow> {
    let mut rows: BTreeMap<(Arc<str>, Heading), BillRow> = BTreeMap::new();
    for (name, amount) in fields {
        let Some((what, told)) = name.split_once(' ') else { continue };
        let (Ok((group, principal, model, profile, operation, basis, outcome)), Ok(amount)) =
            (serde_json::from_str(told), amount.parse::<i64>())
        else {
            continue;
        };
        let group: Arc<str> = group;
        let heading = words::heading_of([principal, model, profile, operation, basis, outcome]);
        let row = rows.entry((group, heading)).or_insert_with_key(|(_, heading)| BillRow::empty(heading.clone()));
        add(row, what, amount);
    }
    rows.into_iter().map(|((group, _), row)| UsageRow { hour, group, row }).collect()
}

fn add(row: &mut BillRow, what: &str, amount: i64) {
    let TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h } = &mut row.usage;
    let number = match what {
        "nanodollars" => {
            row.cost = Money::from_nanos(amount);
            return;
        }
        "calls" => &mut row.calls,
        "unpriced" => &mut row.unpriced,
        "input" => input,
        "output" => output,
        "cache_read" => cache_read,
        "cache_write_5m" => cache_write_5m,
        "cache_write_1h" => cache_write_1h,
        _ => return,
    };
    *number = unsigned(amount);
}

fn reserved_call(text: &str) -> Option<ReservedCall> {
    let row: Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| row.get(key).and_then(Value::as_str);
    Some(ReservedCall {
        request_id: word("request_id")?.into(),
        principal: word("principal")?.into(),
        reason: reason(word("reason")?),
        cost: row.get("nanodollars").and_then(Value::as_i64).map(Money::from_nanos),
    })
}

/// How many keys or fields are read in one go.
const AT_ONCE: usize = 500;
/// Looks overlap by this, because a change is dated before it is visible.
const OVERLAP_MS: i64 = 1_000;
const WHOLE_EVERY_MS: i64 = 3_600_000;
const OVERLAP: Duration = Duration::from_hours(1);
/// How long the bill waits for what is on its way to the store.
const PATIENCE: Duration = Duration::from_secs(2);
