//! The principal: IAM's word for whoever makes a call, with what policies and budgets need to know of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::types::Tags;

/// Who is asking. Only the identity stage makes one for a request; configuration makes the list of those there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    groups: Vec<String>,
    first_group: Arc<str>,
    tags: Tags,
}

impl Principal {
    /// A principal as configuration describes it.
    pub fn new(name: impl Into<Arc<str>>, groups: Vec<String>, tags: Tags) -> Self {
        let first_group = groups.first().map(String::as_str).unwrap_or_default().into();
        Self { name: name.into(), groups, first_group, tags }
    }

    /// The name, unique among principals; it labels metrics, logs and the ledger.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, to be kept.
    pub const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// The groups the principal belongs to, in the order configured.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The first of the groups; empty where there is none.
    pub const fn first_group(&self) -> &Arc<str> {
        &self.first_group
    }

    /// IAM's principal tags, such as `UserEmail`.
    pub const fn tags(&self) -> &Tags {
        &self.tags
    }
}

/// The principals there are, by name.
#[derive(Clone, Debug, Default)]
pub struct Principals(HashMap<String, Arc<Principal>>);

impl Principals {
    /// Collects principals; each name once, and each fit to stand in a log line and in a metric.
    pub fn new(principals: impl IntoIterator<Item = Principal>) -> Result<Self, PrincipalsError> {
        let mut by_name = HashMap::new();
        for principal in principals {
            let name = principal.name().to_owned();
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
                return Err(PrincipalsError::Name { name: name.escape_default().take(MAX_NAME_BYTES).collect() });
            }
            if by_name.insert(name.clone(), Arc::new(principal)).is_some() {
                return Err(PrincipalsError::Twice { name });
            }
        }
        Ok(Self(by_name))
    }

    /// The principal with this name, compared byte for byte.
    pub fn named(&self, name: &str) -> Option<&Arc<Principal>> {
        self.0.get(name)
    }

    /// Every principal, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.0.values()
    }
}

/// Why principals cannot be collected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalsError {
    /// Two have the same name.
    #[error("two principals are named `{name}`: a name says whose budget is used, so give each its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// A name that nothing can be labelled with.
    #[error("`{name}` cannot name a principal: 1 to 128 bytes without control characters")]
    Name {
        /// The name, escaped and cut.
        name: String,
    },
}

/// IAM's own limit on a principal's name is 64; emails and SPIFFE ids are longer.
const MAX_NAME_BYTES: usize = 128;
