//! The place of a call that was let in.

use std::sync::Arc;
use std::time::Duration;

use super::door::{Key, State};
use super::gate::Charge;

/// A call that was let in under every limit that applies to it. Dropped before [`Admitted::sent`], it gives back all that
/// was taken; after it, only its place among the concurrent calls.
#[must_use = "dropped, it gives its place back"]
#[derive(Debug)]
pub struct Admitted {
    /// `None` where no limit applies.
    state: Option<Arc<State>>,
    places: Vec<Place>,
    charge: Charge,
    waited: Duration,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: Key,
    /// Tokens taken.
    pub(super) taken: u64,
}

impl Admitted {
    pub(super) const fn unlimited() -> Self {
        Self { state: None, places: Vec::new(), charge: Charge::Nothing, waited: Duration::ZERO }
    }

    pub(super) const fn new(state: Arc<State>, places: Vec<Place>, waited: Duration) -> Self {
        Self { state: Some(state), places, charge: Charge::Nothing, waited }
    }

    /// How long the call waited for room.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// The call goes to Bedrock: from here on what was taken counts as used, unless [`Admitted::settle`] knows better.
    pub const fn sent(&mut self) {
        self.charge = Charge::AsTaken;
    }

    /// The call has ended, and used so many tokens.
    pub fn settle(mut self, tokens: u64) {
        self.charge = Charge::Tokens(tokens);
    }

    /// Nothing of the call has reached Bedrock after all.
    pub fn release(mut self) {
        self.charge = Charge::Nothing;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.exit(&self.places, self.charge);
        }
    }
}
