//! The keys of a store, and the texts in them.
//!
//! Every key begins with one hash tag, so that a cluster keeps a whole store in one slot: a script sees all counts of a call
//! at one instant. Stores of different namespaces share nothing and can live on different shards.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `{tollgate:NS}:count:[budget, kind, subject, model, unit]` | hash | `start:end:leaves:s` spent and `…:r` reserved in a slice, times in ms |
//! | `{tollgate:NS}:counters` | sorted set | the keys of counts, by when they last changed |
//! | `{tollgate:NS}:held:GATEWAY` | hash | a row for each call that runs at a gateway, by its id |
//! | `{tollgate:NS}:leases` | sorted set | gateways, by when their lease ends |
//! | `{tollgate:NS}:ended:ID` | string | an id that must not be reserved or settled any more |
//! | `{tollgate:NS}:usage:HOUR` | hash | `what [heading]` and how much of it, for an hour |
//! | `{tollgate:NS}:hours` | sorted set | the hours for which there is usage |
//! | `{tollgate:NS}:at_reservation`, `…:total` | list, integer | calls settled at the reservation, one by one, and how many there were |
//! | `{tollgate:NS}:told:[…]` | string | a threshold that has been told of |
//! | `{tollgate:NS}:pending` | hash | thresholds of which a webhook has still to be told, and since when |
//! | `{tollgate:NS}:changes` | list | what operators changed |
//! | `{tollgate:NS}:keys` | hash | callers' keys: a record as JSON, by its id |
//! | `{tollgate:NS}:keys:used` | hash | when a caller's key was last taken, in seconds, by its id |
//! | `{tollgate:NS}:keys:changed` | integer | how often callers' keys were changed |
//! | `{tollgate:NS}:epoch` | string | names these counts; other ones after a loss of data |

use std::time::SystemTime;

use serde_json::json;

use crate::budget::store::{CounterId, ReservationId};
use crate::budget::threshold::Mark;
use crate::budget::window::Span;
use crate::budget::words::{counter, instant, millis, unsigned};

/// The names of one store's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    tag: String,
    pub(super) counters: String,
    pub(super) leases: String,
    pub(super) hours: String,
    pub(super) listed: String,
    pub(super) listed_in_all: String,
    pub(super) changes: String,
    pub(super) epoch: String,
    pub(super) pending: String,
    pub(super) callers: String,
    pub(super) callers_used: String,
    pub(super) callers_changed: String,
}

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        let tag = format!("{{tollgate:{namespace}}}");
        let named = |name: &str| format!("{tag}:{name}");
        Self {
            counters: named("counters"),
            leases: named("leases"),
            hours: named("hours"),
            listed: named("at_reservation"),
            listed_in_all: named("at_reservation:total"),
            changes: named("changes"),
            epoch: named("epoch"),
            pending: named("pending"),
            callers: named("keys"),
            callers_used: named("keys:used"),
            callers_changed: named("keys:changed"),
            tag,
        }
    }

    pub(super) fn count(&self, counter: &CounterId) -> String {
        let CounterId { budget, subject, model, unit } = counter;
        let words =
            json!([budget.as_ref(), subject.kind(), subject.name(), model.as_deref().unwrap_or(""), unit.as_str()]);
        format!("{}:count:{words}", self.tag)
    }

    /// The counter of a key.
    pub(super) fn counter(&self, key: &str) -> Option<CounterId> {
        let words = key.strip_prefix(self.tag.as_str())?.strip_prefix(":count:")?;
        let words: [String; 5] = serde_json::from_str(words).ok()?;
        let [budget, kind, subject, model, unit] = &words;
        counter(budget, kind, subject, model, unit)
    }

    pub(super) fn held(&self, gateway: &str) -> String {
        format!("{}:held:{gateway}", self.tag)
    }

    pub(super) fn ended(&self, id: ReservationId) -> String {
        format!("{}:ended:{}", self.tag, id.uuid())
    }

    pub(super) fn usage(&self, hour: SystemTime) -> String {
        format!("{}:usage:{}", self.tag, millis(hour))
    }

    pub(super) fn told(&self, mark: &Mark) -> String {
        format!("{}:told:{}", self.tag, self.mark(mark))
    }

    /// A threshold as a text.
    pub(super) fn mark(&self, mark: &Mark) -> String {
        json!([millis(mark.window), mark.percent, self.count(&mark.counter)]).to_string()
    }

    pub(super) fn mark_of(&self, text: &str) -> Option<Mark> {
        let (window, percent, key): (i64, u8, String) = serde_json::from_str(text).ok()?;
        Some(Mark { counter: self.counter(&key)?, window: instant(window), percent })
    }
}

/// A slice of time, as it stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slice {
    pub(super) span: Span,
    /// When it no longer counts.
    pub(super) leaves: SystemTime,
}

impl Slice {
    pub(super) fn text(self) -> String {
        format!("{}:{}:{}", millis(self.span.start), millis(self.span.end), millis(self.leaves))
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        let mut times = text.split(':').map(|time| time.parse::<i64>().ok().map(instant));
        let (start, end, leaves) = (times.next()??, times.next()??, times.next()??);
        times.next().is_none().then_some(Self { span: Span { start, end }, leaves })
    }
}

/// What is spent (`s`) or reserved (`r`) in a slice, by the field and its amount.
pub(super) fn field(name: &str, amount: &str) -> Option<(Slice, Kind, u64)> {
    let (slice, kind) = name.rsplit_once(':')?;
    let kind = match kind {
        "s" => Kind::Spent,
        "r" => Kind::Reserved,
        _ => return None,
    };
    Some((Slice::of_text(slice)?, kind, unsigned(amount.parse().ok()?)))
}

/// Which of the two numbers of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Spent,
    Reserved,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::budget::store::Unit;
    use crate::types::Subject;

    #[test]
    fn counters_and_slices_are_read_as_they_were_written() {
        let keys = Keys::new("team-a");
        for subject in [Subject::Principal("al\"ice:1".into()), Subject::Group("eng".into()), Subject::Everyone] {
            for (unit, model) in [(Unit::Usd, None), (Unit::InputTokens, Some("us.anthropic.x-v1:0".into()))] {
                let counter = CounterId { budget: "daily".into(), subject: subject.clone(), model, unit };
                assert_eq!(keys.counter(&keys.count(&counter)), Some(counter.clone()));
                assert_eq!(Keys::new("team-b").counter(&keys.count(&counter)), None);
            }
        }
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let slice = Slice { span: Span { start: at(60), end: at(120) }, leaves: at(253_402_207_200) };
        assert_eq!(slice.text(), "60000:120000:253402207200000");
        assert_eq!(field(&format!("{}:r", slice.text()), "7"), Some((slice, Kind::Reserved, 7)));
        for wrong in ["", "s", "1:2:s", "1:2:3:4:s", "1:2:3:x", "a:2:3:s"] {
            assert_eq!(field(wrong, "7"), None, "{wrong}");
        }
    }
}
