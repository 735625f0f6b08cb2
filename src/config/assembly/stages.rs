//! Settings as the stages' own values, and the stages' state as operators see it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::AssemblyError;
use crate::budget::{self, BudgetRule, CounterState, Ledger};
use crate::config::settings::{
    Asynchronous, BudgetSettings, GuardrailMode, GuardrailSettings, OnDisconnect, PolicySettings, PriceSettings,
    ProfileSettings, RateLimitSettings, Reserve, Selective, WindowSettings,
};
use crate::gateway;
use crate::guardrail::{self, GuardrailRule, Guardrails};
use crate::identity::Principal;
use crate::limits::{RateLimit, Rates};
use crate::policy::{Policies, PolicyRule};
use crate::profiles::price::{self, ModelPrice, PriceTable};
use crate::profiles::{Grant, Listing, Profile, Unsourced};
use crate::telemetry::BudgetReading;
use crate::types::{Owners, Region, TokenPrice};

pub(super) fn prices(table: PriceTable, overrides: &[PriceSettings]) -> PriceTable {
    overrides.iter().fold(table, |table, own| {
        let usual = price::Rates::new(own.input, own.output);
        let rates = price::Rates {
            cache_read: own.cache_read.unwrap_or(usual.cache_read),
            cache_write_5m: own.cache_write_5m.unwrap_or(usual.cache_write_5m),
            cache_write_1h: own.cache_write_1h.unwrap_or(usual.cache_write_1h),
            ..usual
        };
        // AWS charges three quarters more for the priority tier and half for flex; flex is not taken to be cheaper here.
        let dearer = |price: TokenPrice| price.scaled(7, FOUR);
        let priority = price::Rates {
            input: dearer(rates.input),
            output: dearer(rates.output),
            cache_read: dearer(rates.cache_read),
            cache_write_5m: dearer(rates.cache_write_5m),
            cache_write_1h: dearer(rates.cache_write_1h),
        };
        let optimized = own.latency_optimized.map(|(input, output)| price::Rates::new(input, output));
        let price_of = ModelPrice::new(rates)
            .with_latency_optimized(optimized)
            .with_pieces(own.pieces)
            .with_tiers(Some(rates), Some(priority))
            .with_limits(own.max_input, own.max_output);
        table.with_override(own.model.clone(), price_of)
    })
}

pub(super) fn budget(settings: &BudgetSettings) -> BudgetRule {
    BudgetRule {
        name: settings.name.clone(),
        owners: settings.owners.clone(),
        applies: if settings.default { budget::Applies::WithoutOther } else { budget::Applies::Always },
        per: settings.per,
        models: settings.models.clone(),
        apart: settings.apart,
        window: match settings.window {
            WindowSettings::Hour => budget::Window::Hour,
            WindowSettings::Day => budget::Window::Day,
            WindowSettings::Week(starts) => budget::Window::Week(starts),
            WindowSettings::Month => budget::Window::Month,
            WindowSettings::Rolling(length) => budget::Window::Rolling(length),
            WindowSettings::Lifetime => budget::Window::Lifetime,
        },
        zone: settings.zone.clone(),
        limits: settings.limits,
        enforcement: settings.enforcement,
        caps: settings.caps,
        reserve: match settings.reserve {
            Reserve::WorstCase => budget::Reserve::WorstCase,
            Reserve::Expected => budget::Reserve::EXPECTED,
        },
    }
}

pub(super) fn rate_limit(settings: &RateLimitSettings) -> RateLimit {
    RateLimit {
        name: settings.name.clone(),
        owners: settings.owners.clone(),
        per: settings.per,
        models: settings.models.clone(),
        rates: Rates {
            requests_per_second: settings.requests_per_second,
            requests_per_minute: settings.requests_per_minute,
            tokens_per_minute: settings.tokens_per_minute,
            concurrent: settings.concurrent,
        },
        max_wait: settings.max_wait,
    }
}

/// A profile as it is listed; `None` where nobody owns it, of which the configuration has warned.
pub(super) fn listing(settings: &ProfileSettings) -> Option<Listing> {
    let owned = match &settings.owners {
        Owners::Everyone => true,
        Owners::Only { principals, groups } => !(principals.is_empty() && groups.is_empty()),
    };
    let (name, arn) = (settings.name.clone(), settings.arn.clone());
    let (owners, aliases) = (settings.owners.clone(), settings.aliases.clone());
    owned.then(|| match &settings.source {
        Some(source) => {
            let profile = Profile::new(name, arn, source.clone());
            let profile = match settings.prompt {
                Some(bounds) => profile.of_prompt(bounds),
                None => profile,
            };
            Listing::from(Grant { profile, owners, reach: settings.reach, aliases })
        }
        None => Listing::Unsourced(Arc::new(Unsourced { name, arn, owners, aliases })),
    })
}

/// `home` is the Region of calls that name no profile.
pub(super) fn policies(settings: &PolicySettings, home: &Region) -> Result<Policies, AssemblyError> {
    let rule = PolicyRule { owners: Owners::Everyone, operations: settings.operations.clone() };
    let policies = Policies::new(vec![rule]).map_err(super::failed("policy.operations"))?;
    Ok(policies.within(settings.residency.clone().with_home(home.clone())))
}

pub(super) fn guardrails(settings: &[GuardrailSettings]) -> Result<Guardrails, AssemblyError> {
    let rules = settings.iter().map(|settings| GuardrailRule {
        owners: settings.owners.clone(),
        identifier: settings.identifier.clone(),
        version: settings.version.clone(),
        mode: match settings.mode {
            GuardrailMode::Inject => guardrail::Mode::Inject,
            GuardrailMode::Require => guardrail::Mode::Require,
        },
        asynchronous: match settings.asynchronous {
            Asynchronous::Refuse => guardrail::Asynchronous::Refuse,
            Asynchronous::ForceSync => guardrail::Asynchronous::ForceSync,
        },
        selective: match settings.selective {
            Selective::Refuse => guardrail::Selective::Refuse,
            Selective::Allow => guardrail::Selective::Allow,
        },
    });
    Guardrails::new(rules.collect()).map_err(super::failed("guardrails"))
}

pub(super) const fn on_disconnect(settings: OnDisconnect) -> gateway::OnDisconnect {
    match settings {
        OnDisconnect::Drain => gateway::OnDisconnect::Drain,
        OnDisconnect::Cancel => gateway::OnDisconnect::Cancel,
    }
}

/// Where every budget stands, for the gauges.
pub(super) fn budget_readings(ledger: &Ledger, principals: &[Arc<Principal>]) -> Vec<BudgetReading> {
    let Some(Ok(standings)) = at_once(ledger.standings(principals.iter().map(AsRef::as_ref))) else {
        return Vec::new();
    };
    let readings = standings.into_iter().map(|standing| {
        let CounterState { counter, spent, reserved, .. } = standing.state;
        BudgetReading {
            budget: counter.budget.to_string(),
            subject: counter.subject,
            model: counter.model.map(|model| model.to_string()),
            unit: counter.unit,
            limit: standing.limit,
            spent,
            reserved,
        }
    });
    readings.collect()
}

/// What a future answers without waiting: a scrape must not wait for a store.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

const FOUR: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
