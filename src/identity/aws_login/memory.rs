//! What is remembered of tokens, each until its own time, and never more than so many.

use std::collections::HashMap;
use std::mem;

/// A token's SHA-256.
pub(super) type Hash = [u8; 32];

/// Two halves: once the young one is full it becomes the old one, and what was old is forgotten. What is asked for again moves
/// to the young one, so that what is in use stays. Nothing is ever searched for room.
#[derive(Debug)]
pub(super) struct Memory<T> {
    young: HashMap<Hash, (T, i64)>,
    old: HashMap<Hash, (T, i64)>,
    half: usize,
}

impl<T: Clone> Memory<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: most / 2 }
    }

    /// What is remembered of a token, if it still counts in this second.
    pub(super) fn get(&mut self, hash: &Hash, now: i64) -> Option<T> {
        if let Some((told, until)) = self.old.remove(hash)
            && now < until
        {
            self.insert(*hash, told, until);
        }
        let (told, until) = self.young.get(hash)?;
        (now < *until).then(|| told.clone())
    }

    /// Remembers something of a token, until that second.
    pub(super) fn insert(&mut self, hash: Hash, told: T, until: i64) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash, (told, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> Hash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn it_counts_until_its_time() {
        let mut memory = Memory::new(10);
        memory.insert(hash(1), "a", 5);
        assert_eq!(
            (memory.get(&hash(1), 4), memory.get(&hash(1), 5), memory.get(&hash(2), 4)),
            (Some("a"), None, None)
        );
        memory.insert(hash(1), "b", 9);
        assert_eq!(memory.get(&hash(1), 8), Some("b"));
    }

    #[test]
    fn it_is_bounded_and_what_is_in_use_stays() {
        let mut memory = Memory::new(100);
        memory.insert(hash(0), 0, 10);
        for number in 1..10_000 {
            memory.insert(hash(number), number, 10);
            assert_eq!(memory.get(&hash(0), 1), Some(0), "{number}");
            assert!(memory.young.len() + memory.old.len() <= 100);
        }
        assert_eq!((memory.get(&hash(9_999), 1), memory.get(&hash(9_960), 1)), (Some(9_999), Some(9_960)));
        assert_eq!(memory.get(&hash(9_000), 1), None);
    }
}
