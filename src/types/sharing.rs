//! Which calls a limit counts together: of whom, and on which models. Budgets and rate limits ask the same.

use std::sync::Arc;

use super::model::ModelId;
use super::owners::Owners;

/// Whose calls are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// Each principal has a count of their own.
    #[default]
    Principal,
    /// Members of a group share one. Who is in several of the rule's groups counts in each.
    Group,
    /// All whom the rule is for share one.
    Everyone,
}

impl Per {
    /// Every count of a rule with these owners that a call of a principal counts in.
    pub fn subjects(self, owners: &Owners, name: &Arc<str>, groups: &[String]) -> Vec<Subject> {
        let principal = || Subject::Principal(Arc::clone(name));
        match self {
            Self::Principal => vec![principal()],
            Self::Everyone => vec![Subject::Everyone],
            Self::Group => {
                let counts = |group: &&String| match owners {
                    Owners::Everyone => true,
                    Owners::Only { groups, .. } => groups.contains(group),
                };
                let mut shared: Vec<_> = groups.iter().filter(counts).map(|group| Arc::from(group.as_str())).collect();
                shared.sort_unstable();
                shared.dedup();
                // Who is in none of the groups must not go uncounted.
                if shared.is_empty() { vec![principal()] } else { shared.into_iter().map(Subject::Group).collect() }
            }
        }
    }
}

/// Whose calls a count adds up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// One principal's.
    Principal(Arc<str>),
    /// That of all members of a group together.
    Group(Arc<str>),
    /// That of all whom the rule is for together.
    Everyone,
}

impl Subject {
    /// `principal`, `group` or `everyone`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Principal(_) => "principal",
            Self::Group(_) => "group",
            Self::Everyone => "everyone",
        }
    }

    /// The name of the principal or the group; empty for everyone.
    pub fn name(&self) -> &str {
        match self {
            Self::Principal(name) | Self::Group(name) => name,
            Self::Everyone => "",
        }
    }

    /// The subject of a kind and a name, as [`Subject::kind`] and [`Subject::name`] tell them.
    pub fn of(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "principal" => Some(Self::Principal(Arc::from(name))),
            "group" => Some(Self::Group(Arc::from(name))),
            "everyone" => Some(Self::Everyone),
            _ => None,
        }
    }
}

/// Models by patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Models {
    /// Every model, and calls without one.
    #[default]
    All,
    /// Those whose foundation-model id one of the patterns fits; `*` stands for anything.
    Like(Vec<String>),
}

impl Models {
    /// Whether a call of this model, or of none, counts.
    pub fn contain(&self, model: Option<&ModelId>) -> bool {
        match (self, model) {
            (Self::All, _) => true,
            (Self::Like(_), None) => false,
            (Self::Like(patterns), Some(model)) => {
                let base = model.base();
                patterns.iter().any(|pattern| fits(pattern, base.as_str()))
            }
        }
    }
}

/// Whether a pattern with `*` fits a text, in time proportional to both.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    while let Some((part, more)) = rest.split_once('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        (text, rest) = (after, more);
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, whether) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("*", "", true),
            ("a.*", "a.b", true),
            ("a.*", "b.a.b", false),
            ("*opus*", "anthropic.claude-opus-4-5", true),
            ("*opus*", "anthropic.claude-sonnet-4-5", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, text), whether, "{pattern} {text}");
        }
    }
}
