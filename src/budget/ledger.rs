//! The ledger: which budgets a call falls under, and how much each must hold.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::identity::Principal;
use crate::types::{Clock, Money};

use super::bill::{Bill, Item};
use super::estimate::Estimate;
use super::refusal::{Exhausted, Refused};
use super::reservation::Reservation;
use super::rule::{BudgetRule, Reserve};
use super::store::{
    Charge, CounterId, CounterState, Line, ReservationId, ReserveError, Settlement, Shortfall, Standing, Store,
    StoreError, Unit, dollars, nanodollars,
};

/// The budgets in force and the store that counts them. A new configuration makes a new ledger on the same store; counts
/// go on under the budgets' names.
#[derive(Debug)]
pub struct Ledger {
    rules: Vec<(Arc<str>, BudgetRule)>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// Why budgets cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Two with one name: they would share their counts.
    #[error("two budgets are named {0:?}")]
    DuplicateName(String),
    /// One that limits nothing.
    #[error("budget {0:?} has neither a limit in dollars nor one in tokens")]
    NoLimit(String),
}

impl Ledger {
    /// Puts rules in force.
    pub fn new(rules: Vec<BudgetRule>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, RuleError> {
        let mut names = HashSet::new();
        for rule in &rules {
            if !names.insert(rule.name.as_str()) {
                return Err(RuleError::DuplicateName(rule.name.clone()));
            }
            if rule.limit_usd.is_none() && rule.limit_tokens.is_none() {
                return Err(RuleError::NoLimit(rule.name.clone()));
            }
        }
        let rules = rules.into_iter().map(|rule| (Arc::from(rule.name.as_str()), rule)).collect();
        Ok(Self { rules, store, clock })
    }

    /// Holds what a call can use, under every budget that is for the principal or under none.
    pub async fn reserve(
        &self,
        principal: &Principal,
        item: Item,
        estimate: &Estimate,
    ) -> Result<Reservation, Refused> {
        let lines = self.lines(principal, estimate)?;
        let held_cost = held_cost(&lines, estimate);
        let id = ReservationId::random();
        // Whoever drops this future while the store decides has sent nothing: what is granted then is given back.
        let undecided = Undecided { store: Some(&self.store), id };
        let counts = match self.store.reserve(id, lines.clone()).await {
            Ok(counts) => counts,
            Err(ReserveError::Exhausted(shortfalls)) => {
                undecided.end();
                return Err(refuse(&lines, &shortfalls));
            }
            Err(ReserveError::Store(error)) => return Err(Refused::Unavailable(error)),
        };
        undecided.end();
        let remaining = remaining(lines.iter().zip(&counts).map(|(line, count)| (count, line.limit)));
        let call = (principal.name().to_owned(), item);
        Ok(Reservation::new(Arc::clone(&self.store), id, call, held_cost, remaining))
    }

    /// Where each budget of these principals stands in its open window, in the order of principals and rules. Windows
    /// in which nothing was called yet are there too.
    pub async fn standings<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a Principal>,
    ) -> Result<Vec<Standing>, StoreError> {
        let counts = self.store.counters().await?;
        let counts: HashMap<_, _> =
            counts.into_iter().map(|count| ((count.counter.clone(), count.span), count)).collect();
        let now = self.clock.now();
        let limits = principals.into_iter().flat_map(|principal| self.limits(principal));
        let standings = limits.filter_map(|(rule, counter, limit)| {
            let span = rule.schedule().at(now)?;
            let unused = CounterState { counter: counter.clone(), span, spent: 0, reserved: 0 };
            Some(Standing { state: counts.get(&(counter, span)).cloned().unwrap_or(unused), limit })
        });
        Ok(standings.collect())
    }

    /// What has been settled so far.
    pub async fn bill(&self) -> Result<Bill, StoreError> {
        self.store.bill().await
    }

    /// Every limit that a principal falls under.
    fn limits<'a>(&'a self, principal: &Principal) -> impl Iterator<Item = (&'a BudgetRule, CounterId, u64)> {
        let name: Arc<str> = Arc::from(principal.name());
        let own = |rule: &BudgetRule| rule.owners.rank(principal.name(), principal.groups()).is_some();
        let owned: Vec<_> = self.rules.iter().filter(|(_, rule)| own(rule)).collect();
        owned.into_iter().flat_map(move |(budget, rule)| {
            let usd = rule.limit_usd.map(|limit| (Unit::Usd, nanodollars(limit)));
            let tokens = rule.limit_tokens.map(|limit| (Unit::Tokens, limit));
            let counter = |unit| CounterId { budget: Arc::clone(budget), principal: Arc::clone(&name), unit };
            let limits: Vec<_> =
                usd.into_iter().chain(tokens).map(|(unit, limit)| (rule, counter(unit), limit)).collect();
            limits
        })
    }

    fn lines(&self, principal: &Principal, estimate: &Estimate) -> Result<Vec<Line>, Refused> {
        self.limits(principal)
            .map(|(rule, counter, limit)| {
                let hold = estimate.hold(rule.reserve);
                let amount = match (counter.unit, hold.cost, estimate.unpriced()) {
                    (Unit::Tokens, _, _) => hold.tokens,
                    (Unit::Usd, _, Some(model)) => {
                        return Err(Refused::PriceUnknown { budget: rule.name.clone(), model: model.clone() });
                    }
                    (Unit::Usd, cost, None) => nanodollars(cost.unwrap_or(Money::MAX)),
                };
                Ok(Line { counter, schedule: rule.schedule(), limit, amount })
            })
            .collect()
    }
}

/// Gives back what a store may have granted: to a request that nobody waits for any more, or without being able to say so.
struct Undecided<'a> {
    store: Option<&'a Arc<dyn Store>>,
    id: ReservationId,
}

impl Undecided<'_> {
    fn end(mut self) {
        self.store = None;
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if let Some(store) = self.store {
            store.settle(Settlement { id: self.id, charge: Charge::Nothing, entry: None });
        }
    }
}

/// What the bill shows where the truth stays unknown: the most that a budget holds, or the worst case.
fn held_cost(lines: &[Line], estimate: &Estimate) -> Option<Money> {
    let dearest = lines.iter().filter(|line| line.counter.unit == Unit::Usd).map(|line| line.amount).max();
    dearest.map_or_else(|| estimate.hold(Reserve::WorstCase).cost, |nanos| Some(dollars(nanos)))
}

fn remaining<'a>(counts: impl Iterator<Item = (&'a CounterState, u64)>) -> Option<Money> {
    counts.filter(|(count, _)| count.counter.unit == Unit::Usd).map(|(count, limit)| dollars(count.left(limit))).min()
}

fn refuse(lines: &[Line], shortfalls: &[Shortfall]) -> Refused {
    let last = shortfalls
        .iter()
        .filter_map(|shortfall| lines.get(shortfall.line).map(|line| (line, &shortfall.state)))
        .max_by_key(|(_, state)| state.span.end);
    let Some((line, state)) = last else {
        return Refused::Unavailable(StoreError("a refusal that names no line".to_owned()));
    };
    Refused::Exhausted(Box::new(Exhausted {
        budget: line.counter.budget.as_ref().to_owned(),
        unit: line.counter.unit,
        limit: line.limit,
        left: state.left(line.limit),
        reserved: state.reserved,
        needed: line.amount,
        resets_at: state.span.end,
        schedule: line.schedule.clone(),
    }))
}
