//! Looks from time to time which budgets have reached a threshold, and tells of each: the log and the metrics once, a webhook
//! until it has taken the news.
//!
//! What a webhook has still to be told of stands in the store. A gateway tells what it has seen itself; what another has seen and
//! not told for a minute, because it is gone, any gateway tells. The message has the same id each time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::run::tick;
use crate::budget::{Crossing, Mark, Pending, Standing, Told};
use crate::gateway::Gateway;
use crate::telemetry::Success;
use crate::types::Clock;
use crate::upstream::{Webhook, WebhookError};

/// Who tells of thresholds, and of whose.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) gateway: Arc<Gateway>,
    pub(super) webhook: Option<Webhook>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a gateway remembers of its deliveries.
#[derive(Default)]
struct Deliveries {
    /// What it has seen itself.
    own: HashSet<Mark>,
    /// What has failed: how often, since when, and when it is tried again.
    failed: HashMap<Mark, (u32, SystemTime, SystemTime)>,
    /// The same for a receiver that cannot be reached at all.
    away: (u32, Option<SystemTime>),
}

impl Watch {
    pub(super) async fn run(self, stop: CancellationToken) {
        let (mut ticks, mut told) = (tokio::time::interval(EVERY), Told::default());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut deliveries = Deliveries::default();
        while tick(&mut ticks, &stop).await {
            let (ledger, people) = (&self.gateway.ledger, super::people(&self.gateway));
            match ledger.crossings(people.iter().map(AsRef::as_ref), &mut told, self.webhook.is_some()).await {
                Ok(crossings) => {
                    for crossing in crossings {
                        self.tell(&crossing);
                        if self.webhook.is_some() {
                            deliveries.own.insert(crossing.mark);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "it cannot be told which budgets have reached a threshold"),
            }
            if let Some(webhook) = &self.webhook {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.deliver(webhook, &mut deliveries) => {}
                }
            }
        }
    }

    fn tell(&self, Crossing { mark, standing }: &Crossing) {
        let counter = &mark.counter;
        self.gateway.metrics().threshold_reached(&counter.budget, mark.percent);
        tracing::warn!(
            budget = %counter.budget,
            subject_kind = counter.subject.kind(),
            subject = counter.subject.name(),
            model = counter.model.as_deref().unwrap_or(""),
            percent = mark.percent,
            spent = counter.unit.show(standing.state.spent),
            limit = counter.unit.show(standing.limit),
            "a budget has reached a threshold"
        );
    }

    /// Tells the webhook what it has still to be told. A message that is refused does not hold up the others.
    async fn deliver(&self, webhook: &Webhook, deliveries: &mut Deliveries) {
        let now = self.clock.now();
        if deliveries.away.1.is_some_and(|again| now < again) {
            return;
        }
        let pending = match self.gateway.ledger.pending(super::people(&self.gateway).iter().map(AsRef::as_ref)).await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::warn!(%error, "it cannot be told of which thresholds the webhook has still to be told");
                return;
            }
        };
        let open: HashSet<_> = pending.iter().map(|(pending, _)| &pending.mark).collect();
        deliveries.own.retain(|mark| open.contains(mark));
        deliveries.failed.retain(|mark, _| open.contains(mark));
        let mut posted = 0;
        for (Pending { mark, since }, standing) in pending {
            let now = self.clock.now();
            let foreign = !deliveries.own.contains(&mark);
            if foreign && now.duration_since(since).unwrap_or_default() < TAKEN_OVER {
                continue;
            }
            let (failures, first, again) = deliveries.failed.get(&mark).copied().unwrap_or((0, now, now));
            if now < again {
                continue;
            }
            posted += 1;
            if posted > AT_ONCE {
                return;
            }
            let id = id(&mark);
            let answer = webhook.post(&id, message(&mark, standing.as_ref(), since), now).await;
            self.gateway.metrics().webhook_told(if answer.is_ok() { Success::Ok } else { Success::Failed });
            let now = self.clock.now();
            match answer {
                Ok(()) => deliveries.away = (0, None),
                Err(error) if now.duration_since(first).unwrap_or_default() >= GIVEN_UP => {
                    tracing::error!(%error, id, "the webhook has not taken a message for a day; it is given up");
                }
                Err(error) => {
                    let pause = pause(failures);
                    tracing::warn!(%error, id, "the webhook has not taken a message; it is sent again in {pause:?}");
                    deliveries.failed.insert(mark, (failures.saturating_add(1), first, now + pause));
                    if matches!(error, WebhookError::Refused(_)) {
                        continue;
                    }
                    let away = deliveries.away.0;
                    deliveries.away = (away.saturating_add(1), Some(now + self::pause(away)));
                    return;
                }
            }
            if let Err(error) = self.gateway.ledger.delivered(mark.clone()).await {
                tracing::warn!(%error, id, "the webhook may be sent a message again, under the same id");
                deliveries.failed.insert(mark, (failures.saturating_add(1), first, now + pause(failures)));
                return;
            }
        }
    }
}

/// How long after so many failures, and one more.
fn pause(failures: u32) -> Duration {
    EVERY.saturating_mul(2 << failures.min(5))
}

/// The same for everybody who tells of a threshold.
fn id(mark: &Mark) -> String {
    let counter = &mark.counter;
    let window = Timestamp::try_from(mark.window).unwrap_or_default().as_millisecond();
    let model = counter.model.as_deref().unwrap_or("");
    let words = [&counter.budget, counter.subject.kind(), counter.subject.name(), model, counter.unit.as_str()];
    let named = json!([words, window, mark.percent]).to_string();
    format!("msg_{}", hex::encode(Sha256::digest(named).iter().take(16).copied().collect::<Vec<_>>()))
}

fn message(mark: &Mark, standing: Option<&Standing>, since: SystemTime) -> String {
    let time = |instant| Timestamp::try_from(instant).ok();
    let counter = &mark.counter;
    json!({
        "type": "budget.threshold_reached",
        "timestamp": time(since),
        "data": {
            "budget": counter.budget.as_ref(),
            "subject_kind": counter.subject.kind(),
            "subject": counter.subject.name(),
            "model": counter.model.as_deref(),
            "unit": counter.unit.as_str(),
            "percent": mark.percent,
            "limit": standing.map(|standing| standing.limit),
            "spent": standing.map(|standing| standing.state.spent),
            "reserved": standing.map(|standing| standing.state.reserved),
            "window_start": time(mark.window),
            "window_end": standing.and_then(|standing| time(standing.state.span.end)),
        },
    })
    .to_string()
}

const EVERY: Duration = Duration::from_secs(5);
/// How many messages are sent before budgets are looked at again.
const AT_ONCE: usize = 20;
/// How long a gateway has for what it has seen itself before another tells it.
const TAKEN_OVER: Duration = Duration::from_mins(1);
const GIVEN_UP: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
