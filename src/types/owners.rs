//! Whom a rule, a profile or a budget is for, and how closely that fits one principal.
//!
//! The order of closeness is the order in which every stage prefers one rule to another: what names the principal, then
//! what names one of their groups (their first group before their second), then what is for everyone. Names are compared
//! byte for byte: `Alice` is not `alice`, and the empty name is nobody's.

/// Whom something is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Every principal.
    Everyone,
    /// The principals and the members of the groups that are listed, and nobody else. Two empty lists are nobody.
    Only {
        /// Principals by name.
        principals: Vec<String>,
        /// Groups by name.
        groups: Vec<String>,
    },
}

impl Owners {
    /// How closely this names a principal with that name and those groups; `None` where it does not. Lower is closer.
    pub fn rank(&self, name: &str, groups: &[String]) -> Option<Rank> {
        match self {
            Self::Everyone => Some(Rank::Everyone),
            Self::Only { principals, .. } if !name.is_empty() && principals.iter().any(|own| own == name) => {
                Some(Rank::Principal)
            }
            Self::Only { groups: owning, .. } => {
                groups.iter().position(|group| !group.is_empty() && owning.contains(group)).map(Rank::Group)
            }
        }
    }
}

/// How closely an owner fits; the closest sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// The principal is named.
    Principal,
    /// A group of theirs is named: the position of that group in the principal's own list.
    Group(usize),
    /// It is for everyone.
    Everyone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_closest_owner_ranks_first() {
        let only = |principals, groups| Owners::Only { principals: words(principals), groups: words(groups) };
        for (owners, name, groups, rank) in [
            (Owners::Everyone, "alice", "eng ops", Some(Rank::Everyone)),
            (only("alice", "eng"), "alice", "eng ops", Some(Rank::Principal)),
            (only("bob", "ops eng"), "alice", "eng ops", Some(Rank::Group(0))),
            (only("bob", "ops"), "alice", "eng ops", Some(Rank::Group(1))),
            (only("bob", "sales"), "alice", "eng ops", None),
            (only("Alice", "Eng"), "alice", "eng ops", None),
            (only("eng", "alice"), "alice", "eng ops", None),
            (only("", ""), "alice", "eng ops", None),
        ] {
            assert_eq!(owners.rank(name, &words(groups)), rank, "{owners:?} for {name} in {groups}");
        }
        assert!(Rank::Principal < Rank::Group(0) && Rank::Group(0) < Rank::Group(1));
        assert!(Rank::Group(usize::MAX) < Rank::Everyone);
    }

    #[test]
    fn the_empty_name_is_nobodys() {
        let owners = Owners::Only { principals: vec![String::new()], groups: vec![String::new()] };
        assert_eq!(owners.rank("", &[String::new()]), None);
    }
}
