//! Looks from time to time which budgets have reached a threshold, and tells of each once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::tick;
use crate::budget::{Crossing, Told};
use crate::gateway::Gateway;
use crate::identity::Principal;

pub(super) async fn watch(gateway: Arc<Gateway>, principals: Arc<[Principal]>, stop: CancellationToken) {
    let (mut ticks, mut told) = (tokio::time::interval(EVERY), Told::default());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while tick(&mut ticks, &stop).await {
        match gateway.ledger.crossings(principals.iter(), &mut told).await {
            Ok(crossings) => crossings.iter().for_each(|crossing| tell(&gateway, crossing)),
            Err(error) => tracing::warn!(%error, "it cannot be told which budgets have reached a threshold"),
        }
    }
}

fn tell(gateway: &Gateway, Crossing { mark, standing }: &Crossing) {
    let counter = &mark.counter;
    gateway.metrics().threshold_reached(&counter.budget, mark.percent);
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

const EVERY: Duration = Duration::from_secs(5);
