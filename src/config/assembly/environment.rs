//! Secrets that the settings have in environment variables: one that is missing is an error that names it, and never what it holds.

use super::{AssemblyError, failed};
use crate::types::Secret;

/// A secret alone in a variable.
pub(super) fn secret(name: &str, key: &'static str) -> Result<Secret, AssemblyError> {
    std::env::var(name).map(|text| Secret::new(text.trim())).map_err(|error| {
        let why = match error {
            std::env::VarError::NotPresent => "is not set",
            std::env::VarError::NotUnicode(_) => "is not UTF-8",
        };
        failed(key)(format!("the environment variable {name} {why}"))
    })
}
