//! `[admin]`: the operators' side.

use super::{server, values};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::AdminSettings;

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<AdminSettings> {
    let token_file = values::existing(entry, "token_file", around.folder, report);
    let listen = server::listen(entry, report)?;
    if !listen.ip().is_loopback() {
        let wrong = Wrong::new(format!("{listen} is reachable from other machines"));
        let hint = "metrics name every principal and what they spend: let only the monitoring system reach this port";
        report.warning(&entry.place_of("listen"), wrong.hint(hint));
    }
    Some(AdminSettings { listen, token_file })
}
