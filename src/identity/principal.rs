//! The principal: IAM's word for whoever makes a call, with what policies and budgets need to know of them.

use crate::types::Tags;

/// Who is asking. Only the identity stage makes one for a request; configuration makes the list of those there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    groups: Vec<String>,
    tags: Tags,
}

impl Principal {
    /// A principal as configuration describes it.
    pub fn new(name: impl Into<String>, groups: Vec<String>, tags: Tags) -> Self {
        Self { name: name.into(), groups, tags }
    }

    /// The name, unique among principals; it labels metrics, logs and the ledger.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The groups the principal belongs to, in the order configured.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Whether the principal belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// IAM's principal tags, such as `UserEmail`.
    pub const fn tags(&self) -> &Tags {
        &self.tags
    }
}
