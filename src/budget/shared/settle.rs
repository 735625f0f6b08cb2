//! Settling: never waited for, told until the store has taken it, taken once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Shared;
use super::holding::{Here, Placed, Row, Sent, countable};
use super::link::Unanswered;
use super::reserve::whole_ms;
use crate::budget::bill::{Entry, hour_of};
use crate::budget::store::{Charge, ReservationId, Settlement, StoreError, Unit};
use crate::budget::words::{self, millis, signed};
use crate::types::Money;

/// A settlement on its way to the store.
struct Told {
    id: ReservationId,
    /// Whose row it is.
    gateway: String,
    placed: Vec<Placed>,
    charge: Charge,
    entry: Option<Entry>,
    /// By the hour of which the bill has it.
    at: SystemTime,
    sent: Sent,
    /// For whoever's call it is that is settled by another.
    collected: Collected,
}

/// Who settles a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collected {
    /// The gateway that made it.
    No,
    /// Another one, because its lease has ended.
    OfTheDead,
    /// The gateway that made it and knows nothing of it any more.
    OfItsOwn,
}

impl Shared {
    pub(super) fn settle(self: &Arc<Self>, settlement: Settlement) {
        let Settlement { id, charge, entry } = settlement;
        // It is in one of the two at any time, so that a check of the rows finds it known.
        let first = self.telling_of().insert(id);
        let found = self.here().remove(&id);
        let Some(Here { placed, sent, allowed }) = found else {
            if first {
                self.telling_of().remove(&id);
            }
            return;
        };
        let spent = allowed.map_or(0, |held| charge.of(Unit::Usd, held));
        self.allowance.becomes(allowed.unwrap_or(0), spent);
        if sent == Sent::Never && charge == Charge::Nothing && entry.is_none() {
            self.telling_of().remove(&id);
            return;
        }
        let (gateway, collected) = (self.gateway.clone(), Collected::No);
        let told = Told { id, gateway, placed, charge, entry, at: self.time.now(), sent, collected };
        self.untold.send_modify(|untold| *untold += 1);
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            shared.tell_until_taken(&told).await;
            // While nothing can be reserved there, what was spent here still counts here.
            {
                let mut owed = shared.owed.lock().unwrap_or_else(PoisonError::into_inner);
                if shared.trouble.load().is_none() {
                    drop(owed);
                    shared.allowance.becomes(spent, 0);
                } else {
                    *owed = owed.saturating_add(spent);
                }
            }
            shared.telling_of().remove(&id);
            shared.untold.send_modify(|untold| *untold -= 1);
        });
    }

    fn telling_of(&self) -> MutexGuard<'_, HashSet<ReservationId>> {
        self.telling_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell_until_taken(&self, told: &Told) {
        let Ok(_turn) = self.telling.acquire().await else { return };
        // Since when the store may have taken it.
        let mut sent: Option<Instant> = None;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let long_ago = sent.is_some_and(|sent| sent.elapsed() > REMEMBERED_FOR_SURE);
            let began = Instant::now();
            match self.tell(told, long_ago).await {
                Ok(taken) => {
                    if !taken && told.charge != Charge::Nothing {
                        tracing::warn!(
                            reservation = %told.id.uuid(),
                            "a settlement found its call settled before: by another gateway, or by an answer that was lost"
                        );
                    }
                    return;
                }
                Err(unanswered) => {
                    if unanswered.sent {
                        sent.get_or_insert(began);
                    }
                    self.answers(Some(&unanswered.error));
                    if self.closing.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Tells the store of a settlement; false where it had been settled before.
    async fn tell(&self, told: &Told, long_ago: bool) -> Result<bool, Unanswered> {
        let hour = hour_of(told.at);
        let mut script = self.scripts.settle.prepare_invoke();
        script.key(self.keys.held(&told.gateway)).key(&self.keys.counters).key(self.keys.ended(told.id));
        script.key(&self.keys.hours).key(self.keys.usage(hour)).key(&self.keys.listed).key(&self.keys.listed_in_all);
        script.key(&self.keys.leases);
        script.arg(self.time.argument()).arg(told.id.uuid().to_string());
        script.arg(u8::from(told.sent == Sent::Known)).arg(u8::from(long_ago));
        script
            .arg(u8::from(told.collected == Collected::OfTheDead))
            .arg(whole_ms(told.remembered()))
            .arg(millis(hour))
            .arg(whole_ms(self.retention));
        script.arg(told.entry.as_ref().and_then(|entry| listed(entry, told.at)).unwrap_or_default()).arg(KEPT_LISTED);
        let usage = told.entry.as_ref().map(usage).unwrap_or_default();
        script.arg(usage.len()).arg(&told.gateway);
        for (name, amount) in usage {
            script.arg(name).arg(amount);
        }
        let now = self.time.now();
        for line in &told.placed {
            let charged = countable(told.charge.of(line.unit, line.amount));
            script.key(&line.key).arg(line.slice.text()).arg(line.amount).arg(charged);
            script.arg(whole_ms(line.keep(now)));
        }
        self.link.try_asking::<bool>(&script).await
    }

    /// Settles the calls of a gateway whose lease has ended at their reservation.
    pub(super) async fn collect(&self, gateway: &str) -> Result<(), StoreError> {
        let rows = self.scan(&self.keys.held(gateway)).await?;
        let (calls, cost) = self.settle_rows(gateway, rows, Collected::OfTheDead).await?;
        let mut script = self.scripts.bury.prepare_invoke();
        script.key(&self.keys.leases).key(self.keys.held(gateway)).arg(gateway);
        self.link.ask::<()>(&script).await?;
        if calls > 0 {
            tracing::warn!(
                gateway,
                calls,
                %cost,
                "a gateway has been silent for longer than its lease: its calls are settled at their reservation and listed in /bill"
            );
        }
        Ok(())
    }

    /// Settles rows under this gateway's own name of which it knows nothing: they had been settled, and the store has gone
    /// back to before that.
    pub(super) async fn check_own(&self) -> Result<(), StoreError> {
        let rows = self.scan(&self.keys.held(&self.gateway)).await?;
        let strange: HashMap<ReservationId, (String, String)> = {
            let (here, telling) = (self.here(), self.telling_of());
            let known = |id: &ReservationId| here.contains_key(id) || telling.contains(id);
            let read = rows.into_iter().filter_map(|row| Some((ReservationId::from_uuid(row.0.parse().ok()?), row)));
            read.filter(|(id, _)| !known(id)).collect()
        };
        // What was about to be deleted as this was read is gone the next time.
        let before = {
            let mut before = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *before, strange.keys().copied().collect())
        };
        let again = strange.into_iter().filter(|(id, _)| before.contains(id)).map(|(_, row)| row).collect();
        let (calls, cost) = self.settle_rows(&self.gateway, again, Collected::OfItsOwn).await?;
        if calls > 0 {
            tracing::error!(
                calls,
                %cost,
                "the budget store has gone back to an earlier state: calls that were settled are settled again, at their \
                 reservation, and listed in /bill; what else was counted meanwhile may be lost"
            );
        }
        Ok(())
    }

    /// How many were settled, and at how much.
    async fn settle_rows(
        &self,
        gateway: &str,
        rows: Vec<(String, String)>,
        collected: Collected,
    ) -> Result<(u64, Money), StoreError> {
        let (mut calls, mut cost) = (0_u64, Money::ZERO);
        for (id, text) in rows {
            let (Ok(uuid), Some(row)) = (id.parse(), Row::of_text(&text, &self.keys)) else {
                tracing::error!(gateway, id, "what a gateway left behind cannot be read; it stays as it is");
                continue;
            };
            let Row { made, principal, group, item, held_cost, placed } = row;
            let entry = Some(Entry::crashed(principal, group, item, held_cost));
            let (id, gateway) = (ReservationId::from_uuid(uuid), gateway.to_owned());
            let charge = Charge::AsHeld;
            let told = Told { id, gateway, placed, charge, entry, at: made, sent: Sent::Known, collected };
            // Another gateway may settle the same: the first counts. Where no answer arrives, the next look asks again.
            if self.tell(&told, true).await.map_err(|unanswered| unanswered.error)? {
                calls += 1;
                cost = cost + held_cost.unwrap_or_default();
            }
        }
        Ok((calls, cost))
    }

    /// Waits until the store has been told of everything that is settled by now, at most so long.
    pub(super) async fn told(&self, at_most: Duration) -> bool {
        let mut untold = self.untold.subscribe();
        tokio::time::timeout(at_most, untold.wait_for(|untold| *untold == 0)).await.is_ok()
    }

    pub(super) async fn close(&self) {
        if !self.told(CLOSING).await {
            tracing::error!(
                untold = *self.untold.borrow(),
                "the budget store does not answer: what it holds another gateway, or the next, settles at the reservation; what it \
                 was never told of is lost"
            );
        }
        self.closing.store(true, Ordering::Relaxed);
        self.ended.cancel();
        let mut script = self.scripts.bury.prepare_invoke();
        script.key(&self.keys.leases).key(self.keys.held(&self.gateway)).arg(&self.gateway);
        // What still runs keeps the lease: it ends by itself, and then the others settle what is left.
        let _ = self.link.ask::<()>(&script).await;
        self.tasks.close();
        let _ = tokio::time::timeout(CLOSING, self.tasks.wait()).await;
    }
}

impl Told {
    /// How long the store remembers that it is settled: as long as anything of it can be on its way.
    fn remembered(&self) -> Duration {
        let own = self.collected == Collected::No;
        match self.sent {
            Sent::Known if own => REMEMBERED,
            // What holds nothing and was never sent is told within seconds, or again.
            Sent::Never if self.placed.iter().all(|line| line.amount == 0) => REMEMBERED,
            Sent::Known | Sent::Perhaps | Sent::Never => REMEMBERED_LONG,
        }
    }
}

/// What an entry adds to which fields of an hour.
fn usage(entry: &Entry) -> Vec<(String, i64)> {
    let heading = entry.heading();
    let [principal, model, profile, operation, basis, outcome] = words::heading(&heading);
    let words = json!([entry.group, principal, model, profile, operation, basis, outcome]);
    let cost = entry.cost.unwrap_or_default().nanos();
    let amounts = [
        ("calls", 1),
        ("unpriced", i64::from(entry.cost.is_none())),
        ("input", signed(entry.usage.input)),
        ("output", signed(entry.usage.output)),
        ("cache_read", signed(entry.usage.cache_read)),
        ("cache_write_5m", signed(entry.usage.cache_write_5m)),
        ("cache_write_1h", signed(entry.usage.cache_write_1h)),
        ("nanodollars", cost),
    ];
    amounts
        .into_iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|(what, amount)| (format!("{what} {words}"), amount))
        .collect()
}

/// The line of a call that is settled at its reservation.
fn listed(entry: &Entry, at: SystemTime) -> Option<String> {
    let call = entry.reserved_call()?;
    let row = json!({
        "at_ms": millis(at),
        "request_id": call.request_id,
        "principal": call.principal,
        "reason": call.reason.as_str(),
        "nanodollars": call.cost.map(Money::nanos),
    });
    Some(row.to_string())
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long the end of a gateway waits for the store.
const CLOSING: Duration = Duration::from_secs(10);
/// How long an id is remembered that was held and is settled: longer than a message can be on its way.
const REMEMBERED: Duration = Duration::from_mins(10);
/// A settlement that has been tried for so long may have been taken and forgotten.
const REMEMBERED_FOR_SURE: Duration = Duration::from_mins(5);
/// The same for an id that the store was never seen to hold, or that another gateway has settled: its own may be away for days.
const REMEMBERED_LONG: Duration = Duration::from_hours(7 * 24);
/// How many calls settled at the reservation are kept one by one.
const KEPT_LISTED: usize = 10_000;
