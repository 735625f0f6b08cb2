//! Who waits for room: a line for each principal, and the lines take turns.
//!
//! Within a line the oldest call is first, also where it has been waiting at another gate meanwhile.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

/// The lines of a gate.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Principals with a line, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    lines: HashMap<Arc<str>, BTreeMap<u64, Arc<Notify>>>,
    len: usize,
}

impl Queue {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether this call is next, or would be if it stood in the queue.
    pub(super) fn is_turn_of(&self, principal: &str, call: u64) -> bool {
        let Some(next) = self.turns.front() else { return true };
        let oldest = self.lines.get(next).and_then(|line| line.first_key_value()).map(|(oldest, _)| *oldest);
        next.as_ref() == principal && oldest.is_none_or(|oldest| call <= oldest)
    }

    pub(super) fn join(&mut self, principal: &Arc<str>, call: u64, bell: Arc<Notify>) {
        if !self.lines.contains_key(principal) {
            self.turns.push_back(Arc::clone(principal));
        }
        if self.lines.entry(Arc::clone(principal)).or_default().insert(call, bell).is_none() {
            self.len += 1;
        }
    }

    /// Takes a call out, and wakes whoever is next then.
    pub(super) fn leave(&mut self, principal: &str, call: u64) {
        if let Some(line) = self.lines.get_mut(principal) {
            if line.remove(&call).is_some() {
                self.len -= 1;
            }
            if line.is_empty() {
                self.lines.remove(principal);
                self.turns.retain(|name| name.as_ref() != principal);
            }
        }
        self.wake();
    }

    /// A call of this principal has gone through: if it was their turn, it is the next one's.
    pub(super) fn served(&mut self, principal: &str) {
        if self.turns.front().is_some_and(|next| next.as_ref() == principal) {
            self.turns.rotate_left(1);
            self.wake();
        }
    }

    /// Tells the call that is next to look for room.
    pub(super) fn wake(&self) {
        let line = self.turns.front().and_then(|next| self.lines.get(next));
        if let Some((_, bell)) = line.and_then(BTreeMap::first_key_value) {
            bell.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(queue: &mut Queue, calls: &[(&Arc<str>, u64)]) -> Vec<u64> {
        let mut order = Vec::new();
        while queue.len() > 0 {
            let (principal, call) =
                *calls.iter().find(|(who, call)| !order.contains(call) && queue.is_turn_of(who, *call)).unwrap();
            order.push(call);
            queue.served(principal);
            queue.leave(principal, call);
        }
        order
    }

    #[test]
    fn lines_take_turns_and_each_is_served_in_order() {
        let (alice, bob, carol): (Arc<str>, Arc<str>, Arc<str>) = ("alice".into(), "bob".into(), "carol".into());
        let mut queue = Queue::default();
        let calls = [(&alice, 1), (&alice, 2), (&alice, 3), (&bob, 4), (&carol, 5), (&bob, 6)];
        for (principal, call) in calls {
            queue.join(principal, call, Arc::default());
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(names(&mut queue, &calls), [1, 4, 5, 2, 6, 3]);
        assert!(queue.turns.is_empty() && queue.lines.is_empty());
    }

    #[test]
    fn who_comes_back_stands_before_who_came_later() {
        let alice: Arc<str> = "alice".into();
        let mut queue = Queue::default();
        queue.join(&alice, 2, Arc::default());
        assert!(queue.is_turn_of("alice", 1) && !queue.is_turn_of("alice", 3) && !queue.is_turn_of("bob", 1));
        queue.join(&alice, 1, Arc::default());
        queue.leave("alice", 1);
        assert!(queue.is_turn_of("alice", 2));
        queue.leave("alice", 2);
        assert!(queue.is_turn_of("bob", 3), "an empty queue is anybody's");
    }
}
