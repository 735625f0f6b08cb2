//! What the tests of this floor share: a world with a clock that is moved by hand, and calls that cost whole cents.

pub(super) mod calls;
mod counts;
mod endings;
mod estimates;
mod model;
mod races;
mod thresholds;
mod windows;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use jiff::tz::TimeZone;

use super::*;
use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::profiles::price::{CacheLifetime, ModelPrice, Rates};
use crate::types::{Clock, ManualClock, ModelId, Money, Owners, ServiceTier, Tags, TokenPrice, TokenUsage};

/// What a future answers that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the memory store answers at once"),
    }
}

/// A clock, a store and a ledger on them.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    ledger: Ledger,
}

/// 2026-11-21 12:00 UTC.
const NOON: u64 = 1_795_262_400;

impl World {
    fn new(rules: Vec<BudgetRule>) -> Self {
        Self::at(NOON, rules)
    }

    fn at(unix_seconds: u64, rules: Vec<BudgetRule>) -> Self {
        let clock = Arc::new(ManualClock::at_unix_seconds(unix_seconds));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let ledger = ledger(rules, &clock, &store);
        Self { clock, store, ledger }
    }

    fn reserve(&self, who: &str, estimate: &Estimate) -> Result<Reservation, Refused> {
        now(self.ledger.reserve(&principal(who), item("r-1"), estimate))
    }

    /// Spent and reserved of one budget in dollars, in the open window.
    fn count(&self, who: &str, budget: &str) -> (u64, u64) {
        let standings = now(self.ledger.standings([&principal(who)])).unwrap();
        let standing = standings.iter().find(|standing| standing.state.counter.budget.as_ref() == budget).unwrap();
        (standing.state.spent, standing.state.reserved)
    }
}

fn ledger(rules: Vec<BudgetRule>, clock: &Arc<ManualClock>, store: &Arc<MemoryStore>) -> Ledger {
    Ledger::new(rules, Arc::clone(store) as Arc<dyn Store>, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

fn principal(name: &str) -> Principal {
    Principal::new(name, vec!["eng".to_owned()], Tags::default())
}

pub(super) fn item(request_id: &str) -> Item {
    Item {
        request_id: request_id.to_owned().into(),
        operation: Operation::ConverseStream,
        model: Some(model()),
        profile: Some("alice-sonnet".into()),
    }
}

fn model() -> ModelId {
    "us.example.model-v1:0".parse().unwrap()
}

/// A budget of so many dollars for everyone.
fn budget(name: &str, window: Window, dollars: &str) -> BudgetRule {
    BudgetRule {
        name: name.to_owned(),
        owners: Owners::Everyone,
        applies: Applies::Always,
        per: Per::Principal,
        models: Models::All,
        apart: Apart::Together,
        window,
        zone: TimeZone::UTC,
        limits: usd(dollars),
        enforcement: Enforcement::Hard,
        reserve: Reserve::WorstCase,
        caps: Limits::default(),
    }
}

fn usd(dollars: &str) -> Limits {
    Limits { usd: Some(dollars.parse().unwrap()), ..Limits::default() }
}

/// A model whose input is free and whose output costs a dollar per million: 10,000 tokens are a cent.
fn dollar_model() -> Arc<ModelPrice> {
    Arc::new(ModelPrice::new(Rates::new(TokenPrice::ZERO, TokenPrice::per_million("1").unwrap())))
}

/// A call that holds exactly so many cents.
fn cents(cents: u64) -> Estimate {
    let facts = RequestFacts { max_tokens: Some(cents * 10_000), attachments: Attachments::None, ..Default::default() };
    Estimate::model(facts, model(), Some(dollar_model()))
}

/// A call that used exactly so many cents.
fn used(cents: u64) -> Actual {
    let usage = TokenUsage { output: cents * 10_000, ..Default::default() };
    Actual { usage, cost: Some(money(cents)), outcome: Outcome::Complete }
}

fn money(cents: u64) -> Money {
    Money::from_nanos(i64::try_from(nanos(cents)).unwrap())
}

const fn nanos(cents: u64) -> u64 {
    cents * 10_000_000
}

fn exhausted(refused: Result<Reservation, Refused>) -> Exhausted {
    match refused {
        Err(Refused::Exhausted(exhausted)) => *exhausted,
        other => panic!("{other:?}"),
    }
}
