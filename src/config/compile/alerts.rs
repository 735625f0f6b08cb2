//! `[alerts]`: who is told when a budget reaches a threshold.

use super::values;
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::config::settings::{AlertSettings, WebhookSettings};

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<AlertSettings> {
    let secret_file = values::existing(entry, "secret_file", around.folder, report);
    let ca_bundle = values::existing(entry, "ca_bundle", around.folder, report);
    if !entry.has("webhook") {
        if entry.has("secret_file") || entry.has("ca_bundle") {
            let wrong = Wrong::new("says how to reach a webhook, and there is none");
            report.warning(entry.place(), wrong.hint("add webhook = \"https://…\""));
        }
        return Some(AlertSettings { webhook: None });
    }
    let url = report.read(entry.text("webhook"), |text| {
        let clear = "names of principals and what they spend would cross the network in clear: https://";
        values::url(text, "https://hooks.example.com/tollgate", "messages are signed: secret_file", clear)
    });
    if !entry.has("secret_file") {
        let hint =
            "a file with the line that `echo \"whsec_$(openssl rand -base64 32)\"` prints; the receiver needs it too";
        report.error(&entry.place_of("webhook"), Wrong::new("a webhook without `secret_file`").hint(hint));
    }
    Some(AlertSettings { webhook: Some(WebhookSettings { url: url?, secret_file: secret_file?, ca_bundle }) })
}
