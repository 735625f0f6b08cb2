//! Why a call is not paid for.

use std::fmt;
use std::time::SystemTime;

use crate::types::{ModelId, Subject};

use super::store::{StoreError, Unit};
use super::window::{Schedule, Window};

/// Why a call is not paid for. The text is for the caller: it names the budget and says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A budget has too little left.
    #[error(transparent)]
    Exhausted(Box<Exhausted>),
    /// A budget in dollars, and a model whose price nobody has told, at least for the way it is asked for.
    #[error(
        "budget {budget:?} is in dollars and {model} has no price: ask whoever runs Tollgate to add [prices.\"{model}\"], and \
         leave out latency optimisation, which has none, if you ask for it"
    )]
    PriceUnknown {
        /// The budget.
        budget: String,
        /// The row that is missing.
        model: ModelId,
    },
    /// The store does not answer, and what cannot be counted is not allowed.
    #[error("budgets cannot be checked at the moment; try again shortly")]
    Unavailable(#[source] StoreError),
}

/// A budget that has too little left for a call. Where several have, it is the one that resets last: the call cannot be
/// made before that.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhausted {
    /// The budget.
    pub budget: String,
    /// Whose spending it adds up.
    pub subject: Subject,
    /// What it counts.
    pub unit: Unit,
    /// Its limit.
    pub limit: u64,
    /// What is left, with the calls that run taken off.
    pub left: u64,
    /// What is held for calls that run: some of it may come back.
    pub reserved: u64,
    /// What the call needs at most.
    pub needed: u64,
    /// When the next window starts.
    pub resets_at: SystemTime,
    /// The budget's windows.
    pub schedule: Schedule,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |amount| self.unit.show(amount);
        write!(
            f,
            "budget {:?}{} has {} left of {} {}, and this call can cost up to {}; ",
            self.budget,
            match &self.subject {
                Subject::Principal(_) => String::new(),
                Subject::Group(group) => format!(" of the group {group}"),
                Subject::Everyone => ", which is shared,".to_owned(),
            },
            show(self.left),
            show(self.limit),
            self.schedule.window,
            show(self.needed),
        )?;
        let at = self.schedule.show(self.resets_at);
        match self.schedule.window {
            Window::Lifetime => f.write_str("it does not reset.")?,
            Window::Rolling(_) => write!(f, "the oldest of its use leaves the window at {at}.")?,
            Window::Hour | Window::Day | Window::Week(_) | Window::Month => write!(f, "it resets at {at}.")?,
        }
        if self.needed <= self.left.saturating_add(self.reserved) {
            return write!(
                f,
                " {} are held for calls that are still running: wait for them to end.",
                show(self.reserved)
            );
        }
        if self.left > 0 {
            f.write_str(" A lower max_tokens or a shorter prompt may still fit.")?;
        }
        f.write_str(" Ask whoever runs Tollgate to raise it.")
    }
}

impl std::error::Error for Exhausted {}
