//! Budgets, with what each of them can be exceeded by.

use std::sync::Arc;

use serde::Serialize;

use super::owners;
use crate::budget::{self, Attachments, Enforcement, Estimate, Hold, RequestFacts, Unit};
use crate::config::{BudgetSettings, Choice, OnOutage, Reserve, Settings, WindowSettings, assembly, show_duration};
use crate::profiles::price::{CacheLifetime, Pieces};
use crate::types::{Models, Money};

#[derive(Debug, Serialize)]
pub(super) struct Budget {
    name: String,
    owners: String,
    default: bool,
    per: &'static str,
    models: Vec<String>,
    apart: &'static str,
    window: String,
    time_zone: String,
    usd: Option<String>,
    tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    requests: Option<u64>,
    enforcement: &'static str,
    reserve: &'static str,
    /// By how much spending can exceed the limit, in words.
    bound: String,
    #[serde(skip)]
    limits: String,
}

pub(super) fn of(settings: &Settings) -> Vec<Budget> {
    settings.budgets.iter().map(|budget| row(budget, settings)).collect()
}

fn row(budget: &BudgetSettings, settings: &Settings) -> Budget {
    let limits = Unit::ALL.into_iter().filter_map(|unit| Some(unit.show(budget.limits.of(unit)?)));
    Budget {
        name: budget.name.clone(),
        owners: owners(&budget.owners),
        default: budget.default,
        per: budget.per.word(),
        models: match &budget.models {
            Models::All => Vec::new(),
            Models::Like(patterns) => patterns.clone(),
        },
        apart: budget.apart.word(),
        window: match budget.window {
            WindowSettings::Hour => "hour".to_owned(),
            WindowSettings::Day => "day".to_owned(),
            WindowSettings::Week(starts) => format!("week from {}", starts.word()),
            WindowSettings::Month => "month".to_owned(),
            WindowSettings::Rolling(length) => format!("any {}", show_duration(length)),
            WindowSettings::Lifetime => "lifetime".to_owned(),
        },
        time_zone: budget.zone.iana_name().unwrap_or("UTC").to_owned(),
        usd: budget.limits.usd.map(|usd| usd.to_string()),
        tokens: budget.limits.tokens,
        input_tokens: budget.limits.input_tokens,
        output_tokens: budget.limits.output_tokens,
        requests: budget.limits.requests,
        enforcement: budget.enforcement.word(),
        reserve: budget.reserve.word(),
        bound: [Some(bound(budget, settings)), in_an_outage(budget, settings)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; "),
        limits: limits.collect::<Vec<_>>().join(", "),
    }
}

impl Budget {
    pub(super) const HEAD: [&'static str; 6] = ["BUDGET", "LIMITS", "EACH", "HELD", "CAN BE EXCEEDED", "OF"];

    pub(super) fn cells(&self) -> Vec<String> {
        let apart = if self.apart == "together" { String::new() } else { format!(", each {}", self.apart) };
        let whose = match self.per {
            "principal" => format!("each of {}", self.owners),
            "group" => format!("the groups of {}", self.owners),
            _ => format!("{} together", self.owners),
        };
        let default = if self.default { ", without a budget of their own" } else { "" };
        let models = if self.models.is_empty() { String::new() } else { format!(" on {}", self.models.join(", ")) };
        vec![
            self.name.clone(),
            self.limits.clone(),
            format!("{} ({})", self.window, self.time_zone),
            self.reserve.to_owned(),
            self.bound.clone(),
            format!("{whose}{apart}{models}{default}"),
        ]
    }
}

/// What a call can use beyond what is held for it, for the dearest model that the budget counts and the largest request that
/// the server takes.
fn bound(budget: &BudgetSettings, settings: &Settings) -> String {
    if budget.enforcement == Enforcement::Soft {
        return "refuses nothing".to_owned();
    }
    let capped = Unit::ALL.iter().any(|unit| budget.caps.of(*unit).is_some() && budget.limits.of(*unit).is_some());
    if budget.reserve == Reserve::WorstCase && !capped {
        return "never".to_owned();
    }
    let reserve = match budget.reserve {
        Reserve::WorstCase => budget::Reserve::WorstCase,
        Reserve::Expected => budget::Reserve::EXPECTED,
    };
    let prices = assembly::price_table(settings);
    let mut excess: Vec<(Unit, u64)> = Vec::new();
    // What AWS tells later is not known here, as is what is found there.
    let known = settings.profiles.iter().filter_map(|profile| Some((profile.source.as_ref()?, profile)));
    for (source, profile) in known.filter(|(source, _)| budget.models.contain(Some(source))) {
        let price = prices.price(source, profile.arn.region());
        let window = price.as_ref().and_then(|price| price.context_window());
        let body = u64::try_from(settings.server.max_body_bytes).unwrap_or(u64::MAX);
        let facts = |attachments, body_bytes| RequestFacts {
            body_bytes,
            prompt_tokens: profile.prompt.map_or(0, |prompt| prompt.input_tokens),
            max_tokens: profile.prompt.map(|prompt| prompt.output_tokens),
            attachments,
            cache: CacheLifetime::default(),
            tier: None,
            pieces: Pieces::default(),
        };
        // What the model takes bounds the input that can be charged, however long the body is.
        let most = Estimate::model(
            facts(Attachments::None, window.map_or(body, |window| window.min(body))),
            source.clone(),
            price.as_ref().map(Arc::clone),
        );
        let (worst, held) = (most.hold(budget::Reserve::WorstCase), most.hold(reserve));
        for unit in Unit::ALL.into_iter().filter(|unit| budget.limits.of(*unit).is_some()) {
            let (Some(worst), Some(held)) = (amount(&worst, unit), amount(&held, unit)) else { continue };
            let held = budget.caps.of(unit).map_or(held, |cap| held.min(cap));
            let over = worst.saturating_sub(held);
            match excess.iter_mut().find(|(known, _)| *known == unit) {
                Some((_, most)) => *most = over.max(*most),
                None => excess.push((unit, over)),
            }
        }
    }
    let excess = excess.into_iter().filter(|(_, over)| *over > 0).map(|(unit, over)| unit.show(over));
    let excess: Vec<_> = excess.collect();
    if excess.is_empty() { "never".to_owned() } else { format!("by {} a call in flight", excess.join(", ")) }
}

/// What gateways let through while the shared store does not answer.
fn in_an_outage(budget: &BudgetSettings, settings: &Settings) -> Option<String> {
    let redis = settings.store.redis.as_ref().filter(|redis| redis.on_outage == OnOutage::AllowWithin)?;
    let hard = budget.enforcement == Enforcement::Hard;
    redis
        .allow_within_usd
        .filter(|_| hard)
        .map(|allowance| format!("in an outage of the store by {allowance} a gateway"))
}

fn amount(hold: &Hold, unit: Unit) -> Option<u64> {
    match unit {
        Unit::Usd => hold.cost.map(|cost: Money| u64::try_from(cost.nanos()).unwrap_or(0)),
        Unit::Tokens => Some(hold.tokens()),
        Unit::InputTokens => Some(hold.input_tokens),
        Unit::OutputTokens => Some(hold.output_tokens),
        Unit::Requests => Some(hold.requests),
    }
}
