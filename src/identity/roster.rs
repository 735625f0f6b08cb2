//! Whom tokens have told of: principals that no list has, remembered so that their budgets can be shown.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Principal;

/// The principals that tokens have told of, as they were told of last.
#[derive(Debug, Default)]
pub(super) struct Roster(RwLock<HashMap<String, Arc<Principal>>>);

impl Roster {
    /// Notes a principal down. Whoever is told of as before is the same as before, in the same memory.
    pub(super) fn note(&self, principal: Arc<Principal>) -> Arc<Principal> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match seen.get(principal.name()) {
            Some(known) if **known == *principal => return Arc::clone(known),
            _ => {}
        }
        let room = seen.len() < MOST || seen.contains_key(principal.name());
        drop(seen);
        // Their budgets hold all the same; they are only not shown.
        if room {
            let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
            seen.insert(principal.name().to_owned(), Arc::clone(&principal));
        }
        principal
    }

    /// All of them.
    pub(super) fn seen(&self) -> Vec<Arc<Principal>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }
}

/// Issuers are trusted to name people, and people are not this many.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tags;

    #[test]
    fn whoever_is_noted_is_seen_once_and_as_told_last() {
        let roster = Roster::default();
        let alice = |group: &str| Arc::new(Principal::new("alice", vec![group.to_owned()], Tags::default()));
        roster.note(alice("eng"));
        let ops = roster.note(alice("ops"));
        assert_eq!(roster.seen(), [alice("ops")]);
        assert!(Arc::ptr_eq(&roster.note(alice("ops")), &ops));
        for number in 0..MOST + 10 {
            roster.note(Arc::new(Principal::new(format!("p{number}"), vec![], Tags::default())));
        }
        roster.note(alice("eng"));
        assert_eq!(roster.seen().len(), MOST);
        assert!(roster.seen().contains(&alice("eng")));
    }
}
