//! Thresholds: half of a limit, four fifths, nineteen twentieths. Each is told once in a window, by whichever gateway on a store
//! sees it first, however often gateways start.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::store::{CounterId, Standing};
use super::window::{Schedule, Window};

/// The thresholds, in per cent of what is spent of a limit.
pub const THRESHOLDS: [u8; 3] = [50, 80, 95];

/// A threshold of a count in one window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Which count.
    pub counter: CounterId,
    /// Where the window begins. Time is cut into pieces of its length for one that moves, and each is told of once in a piece.
    pub window: SystemTime,
    /// Which threshold.
    pub percent: u8,
}

/// A threshold that has been reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which.
    pub mark: Mark,
    /// How the count stands.
    pub standing: Standing,
}

/// A threshold that has been told of, and of which a webhook has not taken the news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub mark: Mark,
    /// Since when.
    pub since: SystemTime,
}

/// What has been told already, so that the store is asked once.
#[derive(Debug, Default)]
pub struct Told(HashMap<CounterId, (SystemTime, u8)>);

impl Told {
    /// The thresholds that a count has reached and of which nothing is known here.
    pub(super) fn news(&mut self, standing: &Standing, schedule: &Schedule, now: SystemTime) -> Vec<Crossing> {
        let counter = &standing.state.counter;
        let moves = matches!(schedule.window, Window::Rolling(_));
        let window = match schedule.window {
            Window::Rolling(length) => period(now, length),
            Window::Hour | Window::Day | Window::Week(_) | Window::Month | Window::Lifetime => {
                standing.state.span.start
            }
        };
        let reached = |percent: u8| {
            let (spent, limit) = (u128::from(standing.state.spent), u128::from(standing.limit));
            limit > 0 && spent * 100 >= limit * u128::from(percent)
        };
        let highest = THRESHOLDS.into_iter().filter(|percent| reached(*percent)).max();
        // In a window that moves, what is above a threshold stays told of until it has fallen below it.
        let known = self.0.get(counter).filter(|(told, _)| moves || *told == window).map_or(0, |(_, percent)| *percent);
        match highest {
            Some(highest) => _ = self.0.insert(counter.clone(), (window, highest)),
            None => _ = self.0.remove(counter),
        }
        let news = THRESHOLDS.into_iter().filter(|percent| *percent > known && reached(*percent));
        let crossing = |percent| {
            let mark = Mark { counter: counter.clone(), window, percent };
            Crossing { mark, standing: standing.clone() }
        };
        news.map(crossing).collect()
    }

    /// Asks again the next time, because the store could not tell.
    pub(super) fn forget(&mut self, counter: &CounterId) {
        self.0.remove(counter);
    }
}

fn period(now: SystemTime, length: Duration) -> SystemTime {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    SystemTime::UNIX_EPOCH + Duration::from_secs(since - since % length.as_secs().max(1))
}
