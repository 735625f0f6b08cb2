//! The series that one principal, model and profile are counted in. They are looked for once, and not by all their labels at the end of
//! every request.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{RequestLabels, SpendLabels, TokenLabels};
use crate::telemetry::labels::{OperationLabel, Outcome, TokenKind};
use crate::types::{Money, QuickMap, TokenUsage};

/// See the module.
#[derive(Debug)]
pub(in crate::telemetry) struct Series {
    labels: SpendLabels,
    requests: RwLock<Vec<((OperationLabel, Outcome), Counter)>>,
    tokens: [OnceLock<Counter>; 5],
    cost: OnceLock<Counter<f64, AtomicU64>>,
}

/// All series that there are, as many as there are label values.
#[derive(Debug, Default)]
pub(super) struct AllSeries(RwLock<QuickMap<SpendLabels, Arc<Series>>>);

impl AllSeries {
    pub(super) fn of(&self, labels: &SpendLabels) -> Arc<Series> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(labels).map(Arc::clone);
        known.unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(labels.clone()).or_insert_with(|| Arc::new(Series::new(labels.clone()))))
        })
    }
}

impl Series {
    fn new(labels: SpendLabels) -> Self {
        Self { labels, requests: RwLock::default(), tokens: Default::default(), cost: OnceLock::new() }
    }

    pub(super) fn request(&self, family: &Family<RequestLabels, Counter>, operation: OperationLabel, outcome: Outcome) {
        let key = (operation, outcome);
        let known = |counters: &[((OperationLabel, Outcome), Counter)]| {
            counters.iter().find(|(own, _)| *own == key).map(|(_, counter)| counter.inc()).is_some()
        };
        if known(&self.requests.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut counters = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        if !known(&counters) {
            let SpendLabels { principal, model, .. } = self.labels.clone();
            let counter = family.get_or_create(&RequestLabels { principal, operation, model, outcome }).clone();
            counter.inc();
            counters.push((key, counter));
        }
    }

    pub(super) fn used(&self, family: &Family<TokenLabels, Counter>, usage: &TokenUsage) {
        let counts = [
            (TokenKind::Input, usage.input),
            (TokenKind::Output, usage.output),
            (TokenKind::CacheRead, usage.cache_read),
            (TokenKind::CacheWrite5m, usage.cache_write_5m),
            (TokenKind::CacheWrite1h, usage.cache_write_1h),
        ];
        for (counter, (kind, count)) in self.tokens.iter().zip(counts) {
            // A kind that never occurred makes no series.
            if count > 0 {
                let spend = || self.labels.clone();
                let make = || family.get_or_create(&TokenLabels { spend: spend(), kind }).clone();
                counter.get_or_init(make).inc_by(count);
            }
        }
    }

    pub(super) fn spent(&self, family: &Family<SpendLabels, Counter<f64, AtomicU64>>, cost: Money) {
        let counter = self.cost.get_or_init(|| family.get_or_create(&self.labels).clone());
        // A counter must not fall, and no settlement is negative.
        counter.inc_by(cost.max(Money::ZERO).as_dollars_f64());
    }
}
