//! Files that the settings name and that are read at the start: what cannot be read is an error that names the file.

use std::path::{Path, PathBuf};

use super::{AssemblyError, failed};
use crate::types::Secret;

/// A file, if one is named.
pub(super) fn read(path: Option<&PathBuf>, key: &'static str) -> Result<Option<Vec<u8>>, AssemblyError> {
    path.map(|path| std::fs::read(path).map_err(|error| unreadable(path, &error, key))).transpose()
}

/// A secret alone in a file. An editor leaves a line end behind it, which is none of it.
pub(super) fn secret(path: &Path, key: &'static str) -> Result<Secret, AssemblyError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error, key))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn unreadable(path: &Path, error: &std::io::Error, key: &'static str) -> AssemblyError {
    failed(key)(format!("{} cannot be read: {error}", path.display()))
}
