//! The ledger: which budgets a call falls under, and how much each must hold.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::identity::Principal;
use crate::types::{Clock, ModelId, Money};

use super::adjustment::{Adjustment, Change};
use super::bill::{Bill, Item, UsageRow};
use super::estimate::Estimate;
use super::refusal::{Exhausted, Refused};
use super::reservation::{Caller, Reservation};
use super::rule::{Apart, Applies, BudgetRule, Reserve};
use super::store::{
    Booking, Charge, CounterId, CounterState, Enforcement, Health, Line, ReservationId, ReserveError, Settlement,
    Shortfall, Standing, Store, StoreError, Unit, dollars,
};
use super::threshold::{Crossing, Mark, Pending, Told};

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
    #[error("budget {0:?} limits nothing")]
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
            if rule.limits.is_empty() {
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
        let lines = self.lines(principal, item.model.as_ref(), estimate)?;
        let held_cost = held_cost(&lines, estimate);
        let id = ReservationId::random();
        let (name, group) = (Arc::clone(principal.shared_name()), Arc::clone(principal.first_group()));
        let caller = Caller { principal: Arc::clone(&name), group: Arc::clone(&group), item: item.clone() };
        // Whoever drops this future while the store decides has sent nothing: what is granted then is given back.
        let undecided = Undecided { store: Some(&self.store), id };
        let booking = Booking { id, principal: name, group, item, held_cost, lines: lines.clone() };
        let counts = match self.store.reserve(booking).await {
            Ok(counts) => counts,
            Err(ReserveError::Exhausted(shortfalls)) => {
                undecided.end();
                return Err(refuse(&lines, &shortfalls));
            }
            Err(ReserveError::Store(error)) => return Err(Refused::Unavailable(error)),
        };
        undecided.end();
        let remaining = remaining(lines.iter().zip(&counts));
        Ok(Reservation::new(Arc::clone(&self.store), id, caller, held_cost, remaining))
    }

    /// Where each budget of these principals stands in its open window, in the order of principals and rules; a count that
    /// several share is there once. Windows in which nothing was called yet are there too, but not the counts of models
    /// that were not called yet.
    pub async fn standings<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a Principal>,
    ) -> Result<Vec<Standing>, StoreError> {
        let mut slices: HashMap<CounterId, Vec<CounterState>> = HashMap::new();
        for state in self.store.counters().await? {
            slices.entry(state.counter.clone()).or_default().push(state);
        }
        let mut models: HashMap<&str, BTreeSet<Option<Arc<str>>>> = HashMap::new();
        for counter in slices.keys() {
            if let Some((name, _)) = self.rules.iter().find(|(name, _)| *name == counter.budget) {
                models.entry(name.as_ref()).or_default().insert(counter.model.clone());
            }
        }
        let (adjustments, now) = (self.store.adjustments(), self.clock.now());
        let (mut standings, mut seen) = (Vec::new(), HashSet::new());
        for principal in principals {
            for (budget, rule) in self.rules_for(principal) {
                let Some(window) = rule.schedule().slot(now).map(|slot| slot.window) else { continue };
                let parts = match rule.apart {
                    Apart::Together => BTreeSet::from([None]),
                    Apart::Model | Apart::Family => models.get(budget.as_ref()).cloned().unwrap_or_default(),
                };
                for (part, unit) in parts.iter().flat_map(|part| Unit::ALL.map(|unit| (part, unit))) {
                    let Some(limit) = rule.limits.of(unit) else { continue };
                    for subject in rule.subjects(principal.shared_name(), principal.groups()) {
                        let counter = CounterId { budget: Arc::clone(budget), subject, model: part.clone(), unit };
                        let own = slices.get(&counter).map(Vec::as_slice).unwrap_or_default();
                        if seen.insert(counter.clone()) && (part.is_none() || !own.is_empty()) {
                            let limit = adjustments.as_ref().map_or(limit, |made| made.limit(&counter, limit, now));
                            let slices = own.iter().map(|slice| (slice.span, slice.spent, slice.reserved));
                            standings.push(Standing { state: CounterState::in_window(counter, window, slices), limit });
                        }
                    }
                }
            }
        }
        Ok(standings)
    }

    /// The thresholds that counts of these principals have reached and that nobody has been told of.
    pub async fn crossings<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a Principal>,
        told: &mut Told,
        for_webhook: bool,
    ) -> Result<Vec<Crossing>, StoreError> {
        let (now, mut crossings) = (self.clock.now(), Vec::new());
        for standing in self.standings(principals).await? {
            let named = |(name, _): &&(Arc<str>, BudgetRule)| *name == standing.state.counter.budget;
            let Some((_, rule)) = self.rules.iter().find(named) else { continue };
            for crossing in told.news(&standing, &rule.schedule(), now) {
                match self.store.claim(crossing.mark.clone(), for_webhook).await {
                    Ok(true) => crossings.push(crossing),
                    Ok(false) => {}
                    // What has been claimed is told of; the rest is asked for the next time.
                    Err(error) => {
                        told.forget(&crossing.mark.counter);
                        return if crossings.is_empty() { Err(error) } else { Ok(crossings) };
                    }
                }
            }
        }
        Ok(crossings)
    }

    /// The thresholds of which a webhook has still to be told, with how their counts stand now; a count whose window is over
    /// stands nowhere.
    pub async fn pending<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a Principal>,
    ) -> Result<Vec<(Pending, Option<Standing>)>, StoreError> {
        let pending = self.store.pending().await?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let standings = self.standings(principals).await?;
        let standing = |pending: &Pending| {
            standings.iter().find(|standing| standing.state.counter == pending.mark.counter).cloned()
        };
        Ok(pending.into_iter().map(|pending| (pending.clone(), standing(&pending))).collect())
    }

    /// Notes that a webhook has been told of a threshold.
    pub async fn delivered(&self, mark: Mark) -> Result<(), StoreError> {
        self.store.delivered(mark).await
    }

    /// Writes changes of budgets down; they are in force within two seconds.
    pub async fn change(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let all = changes.len();
        for (made, change) in changes.into_iter().enumerate() {
            let written = self.store.change(change, self.clock.now()).await;
            written.map_err(|error| StoreError(format!("{made} of {all} changes were made: {}", error.0)))?;
        }
        Ok(())
    }

    /// Every change of a budget that was made, oldest first.
    pub async fn history(&self) -> Result<Vec<Adjustment>, StoreError> {
        self.store.history().await
    }

    /// The budgets in force.
    pub fn rules(&self) -> Vec<BudgetRule> {
        self.rules.iter().map(|(_, rule)| rule.clone()).collect()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// What has been settled so far.
    pub async fn bill(&self) -> Result<Bill, StoreError> {
        self.store.bill().await
    }

    /// What has been settled since an instant, by the hour.
    pub async fn usage(&self, since: SystemTime) -> Result<Vec<UsageRow>, StoreError> {
        self.store.usage(since).await
    }

    /// Lets the store write down what is still on its way. For the very end, when nothing is reserved any more.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// Every rule that is for a principal.
    fn rules_for(&self, principal: &Principal) -> Vec<&(Arc<str>, BudgetRule)> {
        let mut rules: Vec<_> = self.rules.iter().filter(|(_, rule)| rule.is_for(principal)).collect();
        if rules.iter().any(|(_, rule)| rule.applies == Applies::Always) {
            rules.retain(|(_, rule)| rule.applies == Applies::Always);
        }
        rules
    }

    fn lines(&self, principal: &Principal, model: Option<&ModelId>, estimate: &Estimate) -> Result<Vec<Line>, Refused> {
        let mut lines = Vec::new();
        let (adjustments, now) = (self.store.adjustments(), self.clock.now());
        for (budget, rule) in self.rules_for(principal) {
            if !rule.models.contain(model) {
                continue;
            }
            let hold = estimate.hold(rule.reserve);
            let subjects = rule.subjects(principal.shared_name(), principal.groups());
            for unit in Unit::ALL {
                let Some(limit) = rule.limits.of(unit) else { continue };
                let amount = match (hold.of(unit), estimate.unpriced(), rule.enforcement) {
                    (Some(amount), ..) => amount,
                    // What has no price cannot be added up, and a budget that refuses nothing does not refuse that.
                    (None, _, Enforcement::Soft) => 0,
                    (None, Some(model), Enforcement::Hard) => {
                        return Err(Refused::PriceUnknown { budget: rule.name.clone(), model: model.clone() });
                    }
                    (None, None, Enforcement::Hard) => u64::MAX,
                };
                let amount = rule.caps.of(unit).map_or(amount, |cap| amount.min(cap));
                for subject in &subjects {
                    let (budget, subject) = (Arc::clone(budget), subject.clone());
                    let counter = CounterId { budget, subject, model: rule.part(model), unit };
                    let limit = adjustments.as_ref().map_or(limit, |changed| changed.limit(&counter, limit, now));
                    let (schedule, enforcement) = (rule.schedule(), rule.enforcement);
                    lines.push(Line { counter, schedule, limit, amount, enforcement });
                }
            }
        }
        Ok(lines)
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

fn remaining<'a>(counts: impl Iterator<Item = (&'a Line, &'a CounterState)>) -> Option<Money> {
    let hard = counts.filter(|(line, _)| line.counter.unit == Unit::Usd && line.enforcement == Enforcement::Hard);
    hard.map(|(line, count)| dollars(count.left(line.limit))).min()
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
        subject: line.counter.subject.clone(),
        unit: line.counter.unit,
        limit: line.limit,
        left: state.left(line.limit),
        reserved: state.reserved,
        needed: line.amount,
        resets_at: state.span.end,
        schedule: line.schedule.clone(),
    }))
}
