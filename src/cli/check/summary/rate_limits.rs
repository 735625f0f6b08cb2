//! The rate limits of a valid file.

use std::num::NonZeroU64;

use serde::Serialize;

use super::owners;
use crate::config::{Choice, Settings, show_duration};
use crate::types::Models;

#[derive(Debug, Serialize)]
pub(super) struct RateLimit {
    name: String,
    owners: String,
    per: &'static str,
    /// Patterns; none stands for all models.
    models: Vec<String>,
    requests_per_second: Option<NonZeroU64>,
    requests_per_minute: Option<NonZeroU64>,
    tokens_per_minute: Option<NonZeroU64>,
    concurrent: Option<NonZeroU64>,
    max_wait: String,
}

pub(super) const HEADER: [&str; 6] = ["RATE LIMIT", "ALLOWS", "MODELS", "PER", "WAITS", "FOR"];

pub(super) fn of(settings: &Settings) -> Vec<RateLimit> {
    let rows = settings.rate_limits.iter().map(|limit| RateLimit {
        name: limit.name.clone(),
        owners: owners(&limit.owners),
        per: limit.per.word(),
        models: match &limit.models {
            Models::All => Vec::new(),
            Models::Like(patterns) => patterns.clone(),
        },
        requests_per_second: limit.requests_per_second,
        requests_per_minute: limit.requests_per_minute,
        tokens_per_minute: limit.tokens_per_minute,
        concurrent: limit.concurrent,
        max_wait: show_duration(limit.max_wait),
    });
    rows.collect()
}

impl RateLimit {
    /// A row of the table.
    pub(super) fn cells(&self) -> Vec<String> {
        let rates = [
            (self.requests_per_second, "/s"),
            (self.requests_per_minute, "/min"),
            (self.tokens_per_minute, " tokens/min"),
            (self.concurrent, " at a time"),
        ];
        let rates: Vec<_> = rates.into_iter().filter_map(|(most, unit)| Some(format!("{}{unit}", most?))).collect();
        let models = if self.models.is_empty() { "all".to_owned() } else { self.models.join(", ") };
        vec![
            self.name.clone(),
            rates.join(", "),
            models,
            self.per.to_owned(),
            self.max_wait.clone(),
            self.owners.clone(),
        ]
    }
}
