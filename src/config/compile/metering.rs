//! `[metering]`: reading on after a caller has hung up.

use super::values::{self, Zero};
use crate::config::diagnostics::Report;
use crate::config::schema::Entry;
use crate::config::settings::MeteringSettings;

/// Either may be nothing: then what a caller left behind is settled at the reservation.
pub(super) fn compile(entry: &Entry<'_>, report: &mut Report) -> Option<MeteringSettings> {
    let on_disconnect = values::choice(entry, "on_disconnect", report);
    let drain_streams = values::number(entry, "drain_streams", 0..=100_000, report);
    let drain_timeout = values::span(entry, "drain_timeout", Zero::Allowed, report);
    Some(MeteringSettings {
        on_disconnect: on_disconnect?,
        drain_streams: drain_streams?,
        drain_timeout: drain_timeout?,
    })
}
