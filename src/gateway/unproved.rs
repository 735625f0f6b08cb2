//! How much of a body is held for those who have not proved who they are. A signature is over the body, so a body comes first where one
//! signs; an id of a key is no secret, so without a bound whoever knows one could fill the memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::read_body::BodyLimits;
use crate::identity::Source;

/// The bytes that are held, or may come, of unproved callers.
#[derive(Debug)]
pub struct Unproved {
    most: usize,
    most_of_one: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    by_source: HashMap<Source, usize>,
}

/// Room for a body; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room<'a> {
    unproved: &'a Unproved,
    source: Source,
    bytes: usize,
}

impl Unproved {
    /// Room for eight of the largest bodies, and half of it for any one source.
    pub fn new(limits: BodyLimits) -> Self {
        let most = limits.max_bytes.saturating_mul(8);
        Self { most, most_of_one: most / 2, held: Mutex::default() }
    }

    /// Room for a body of so many bytes; `None` where there is none now.
    pub(super) fn room(&self, source: Source, bytes: usize) -> Option<Room<'_>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.by_source.get(&source).copied().unwrap_or_default();
        let (all, own) = (held.bytes.checked_add(bytes)?, own.checked_add(bytes)?);
        if all > self.most || own > self.most_of_one {
            return None;
        }
        held.bytes = all;
        held.by_source.insert(source, own);
        Some(Room { unproved: self, source, bytes })
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut held = self.unproved.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes = held.bytes.saturating_sub(self.bytes);
        if let Some(own) = held.by_source.get_mut(&self.source) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                held.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is taken, refused and given back.

    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    fn source(text: &str) -> Source {
        Source::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn one_source_has_half_of_the_room_and_all_together_have_the_whole() {
        let unproved = Unproved::new(BodyLimits { max_bytes: 10, timeout: Duration::from_secs(1) });
        let (one, two, three) = (source("192.0.2.1"), source("192.0.2.2"), source("192.0.2.3"));
        let mut rooms: Vec<_> = (0..4).map(|_| unproved.room(one, 10).unwrap()).collect();
        assert!(unproved.room(one, 1).is_none());
        rooms.push(unproved.room(two, 40).unwrap());
        assert!(unproved.room(three, 1).is_none() && unproved.room(three, usize::MAX).is_none());
        drop(rooms.remove(0));
        assert!(unproved.room(two, 1).is_none());
        drop(unproved.room(one, 10).unwrap());
        rooms.push(unproved.room(three, 10).unwrap());
        assert!(unproved.room(one, 1).is_none());
        drop(rooms);
        let held = unproved.held.lock().unwrap();
        assert!(held.bytes == 0 && held.by_source.is_empty(), "{held:?}");
    }
}
