//! How long AWS takes to show everywhere what was changed somewhere: by counted calls, never by time.

use std::collections::BTreeMap;

/// For how long a change is not seen by one kind of call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MockDelay {
    /// It is seen at once.
    #[default]
    None,
    /// The next so many calls of that kind that would show it do not. Each page of a list is a call.
    Calls(u32),
    /// Until `Running::settle`.
    UntilSettled,
}

impl MockDelay {
    /// Whether the change is still unseen by the call that asks, which is counted.
    fn hides(&mut self) -> bool {
        match self {
            Self::None | Self::Calls(0) => false,
            Self::Calls(left) => {
                *left -= 1;
                true
            }
            Self::UntilSettled => true,
        }
    }
}

/// For how long a change made through the control plane is not seen, by kind of call: a profile that was created is unknown,
/// one that was deleted is still there, one that was tagged has its old tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MockPropagation {
    /// By model calls.
    pub runtime: MockDelay,
    /// By calls that name the profile: `GetInferenceProfile`, `ListTagsForResource`, `TagResource`, `UntagResource`,
    /// `DeleteInferenceProfile`.
    pub reads: MockDelay,
    /// By `ListInferenceProfiles`.
    pub lists: MockDelay,
    /// By the Resource Groups Tagging API.
    pub tagging: MockDelay,
}

/// A kind of call that may see changes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Runtime,
    Reads,
    Lists,
    Tagging,
}

/// A profile's tags; a profile that is not there has none to show.
pub(super) type Sight = Option<BTreeMap<String, String>>;

/// What each kind of call sees instead of the truth.
#[derive(Clone, Debug, Default)]
pub(super) struct Lags {
    runtime: Option<Lag>,
    reads: Option<Lag>,
    lists: Option<Lag>,
    tagging: Option<Lag>,
}

#[derive(Clone, Debug)]
struct Lag {
    before: Sight,
    delay: MockDelay,
}

impl Lags {
    /// Notes a change. Whoever has not yet seen the last one goes on seeing what was before that.
    pub(super) fn note(&mut self, before: &Sight, propagation: MockPropagation) {
        let MockPropagation { runtime, reads, lists, tagging } = propagation;
        for (lag, delay) in [
            (&mut self.runtime, runtime),
            (&mut self.reads, reads),
            (&mut self.lists, lists),
            (&mut self.tagging, tagging),
        ] {
            match lag {
                _ if delay == MockDelay::None => *lag = None,
                Some(lag) => lag.delay = delay,
                None => *lag = Some(Lag { before: before.clone(), delay }),
            }
        }
    }

    /// What a call sees, where that is not the truth.
    pub(super) fn stale(&mut self, view: View) -> Option<Sight> {
        let lag = match view {
            View::Runtime => &mut self.runtime,
            View::Reads => &mut self.reads,
            View::Lists => &mut self.lists,
            View::Tagging => &mut self.tagging,
        };
        if lag.as_mut().is_some_and(|lag| lag.delay.hides()) {
            return lag.as_ref().map(|lag| lag.before.clone());
        }
        *lag = None;
        None
    }
}
