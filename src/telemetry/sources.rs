//! Numbers that are asked for at scrape time because another floor keeps them: what is left of each budget, and the
//! state of the connection pool.
//!
//! The floors that keep them know nothing of metrics; whoever starts the gateway hands over a closure.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::types::Money;

/// Where the numbers come from. [`Sources::default`] has none: no budgets, no connections.
pub struct Sources {
    /// Every budget of every principal that has one.
    pub budgets: Box<dyn Fn() -> Vec<BudgetReading> + Send + Sync>,
    /// The pool of connections to Bedrock.
    pub upstream: Box<dyn Fn() -> UpstreamReading + Send + Sync>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { budgets: Box::new(Vec::new), upstream: Box::new(UpstreamReading::default) }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(…)")
    }
}

/// A limit and what is left of it in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level<T> {
    /// The limit.
    pub limit: T,
    /// What is neither spent nor reserved.
    pub remaining: T,
}

/// One budget as it stands for one principal. The names come from configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetReading {
    /// The budget's name.
    pub budget: String,
    /// The principal's name.
    pub principal: String,
    /// Its limit in money, if it has one.
    pub usd: Option<Level<Money>>,
    /// Its limit in tokens, if it has one.
    pub tokens: Option<Level<u64>>,
}

/// The pool of connections to Bedrock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamReading {
    /// Connections that are open now.
    pub open: u64,
    /// Connections opened since the start.
    pub opened: u64,
    /// Requests that found an open connection since the start.
    pub reused: u64,
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let budgets = (self.budgets)();
        let mut family = |name, help, value: &dyn Fn(&BudgetReading) -> Option<f64>| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for budget in &budgets {
                let labels = [("budget", budget.budget.as_str()), ("principal", budget.principal.as_str())];
                if let Some(value) = value(budget) {
                    family.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
            Ok(())
        };
        family("budget_limit_usd", "Limit of a budget in its window, in dollars.", &|budget| {
            Some(budget.usd?.limit.as_dollars_f64())
        })?;
        family("budget_remaining_usd", "What is neither spent nor reserved of a budget, in dollars.", &|budget| {
            Some(budget.usd?.remaining.as_dollars_f64())
        })?;
        family("budget_limit_tokens", "Limit of a budget in its window, in tokens.", &|budget| {
            Some(approximate(budget.tokens?.limit))
        })?;
        family("budget_remaining_tokens", "What is neither spent nor reserved of a budget, in tokens.", &|budget| {
            Some(approximate(budget.tokens?.remaining))
        })?;
        self.encode_upstream(&mut encoder)
    }
}

impl Sources {
    fn encode_upstream(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let UpstreamReading { open, opened, reused } = (self.upstream)();
        encoder
            .encode_descriptor(
                "upstream_connections",
                "Connections to Bedrock that are open.",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&open)?;
        for (name, help, count) in [
            ("upstream_connections_opened", "Connections to Bedrock that were opened.", opened),
            ("upstream_connections_reused", "Requests that found an open connection to Bedrock.", reused),
        ] {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; tokens above 2⁵³ do not occur")]
const fn approximate(tokens: u64) -> f64 {
    tokens as f64
}
