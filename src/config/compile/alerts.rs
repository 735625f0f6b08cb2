//! `[alerts]`: who is told when a budget reaches a threshold.

use std::net::IpAddr;

use super::values;
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
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
    let url = report.read(entry.text("webhook"), url);
    if !entry.has("secret_file") {
        let hint =
            "a file with the line that `echo \"whsec_$(openssl rand -base64 32)\"` prints; the receiver needs it too";
        report.error(&entry.place_of("webhook"), Wrong::new("a webhook without `secret_file`").hint(hint));
    }
    Some(AlertSettings { webhook: Some(WebhookSettings { url: url?, secret_file: secret_file?, ca_bundle }) })
}

/// `https`, or `http` on this machine.
pub(super) fn url(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("{}: {what}", quoted(text)));
    let hint = "such as \"https://hooks.example.com/tollgate\"";
    // Before anything is quoted: it may be a password.
    if text.contains('@') {
        return Err(Wrong::new("a URL with a user name or password in it").hint("messages are signed: secret_file"));
    }
    let uri: http::Uri = text.parse().map_err(|_| wrong("no URL").hint(hint))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("no URL").hint(hint));
    };
    if !matches!(scheme, "https" | "http") {
        return Err(wrong("the scheme is neither https nor http").hint(hint));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if scheme == "http" && !loopback {
        let hint = "names of principals and what they spend would cross the network in clear: https://";
        return Err(wrong("http:// to another machine").hint(hint));
    }
    Ok(text.to_owned())
}
