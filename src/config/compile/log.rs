//! `[log]`: the log on standard error.

use super::values;
use crate::config::diagnostics::Report;
use crate::config::schema::Entry;
use crate::config::settings::LogSettings;

pub(super) fn compile(entry: &Entry<'_>, report: &mut Report) -> Option<LogSettings> {
    let format = values::choice(entry, "format", report);
    let level = values::choice(entry, "level", report);
    Some(LogSettings { format: format?, level: level? })
}
