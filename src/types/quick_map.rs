//! Maps in which every call looks something up.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map that hashes in a fraction of the standard library's time. Its seed is random, but nobody who sees its timing at length is kept from
/// guessing it: for keys that configuration, operators, issuers of identities and Tollgate itself make, and not for what an unknown caller sends.
pub type QuickMap<K, V> = HashMap<K, V, RandomState>;

/// The set beside [`QuickMap`].
pub type QuickSet<K> = HashSet<K, RandomState>;
