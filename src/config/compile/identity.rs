//! `[identity]`: how callers prove who they are.

use super::values;
use crate::config::Surroundings;
use crate::config::diagnostics::Report;
use crate::config::schema::Entry;
use crate::config::settings::IdentitySettings;

/// The file need not be there: `tollgate key create` makes it.
pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<IdentitySettings> {
    Some(IdentitySettings { keys_file: values::path(entry, "keys_file", around.folder, report)? })
}
