//! `[server]`, `[server.tls]` and `[[server.listeners]]`: the callers' side.

use std::net::SocketAddr;

use super::principals::Roster;
use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{ClientCertificates, Listen, ListenerSettings, Presence, ServerSettings, TlsSettings};
use crate::config::suggest;

pub(super) fn compile(
    entry: &Entry<'_>,
    around: &Surroundings<'_>,
    roster: &Roster<'_>,
    report: &mut Report,
) -> Option<ServerSettings> {
    let further = entry.tables("listeners");
    let each = std::iter::once(entry).chain(&further);
    let listeners: Vec<_> = each.map(|entry| listener(entry, around, roster, report)).collect();
    let base_path = report.read(entry.text("base_path"), base_path);
    let max_body_bytes = values::number(entry, "max_body_bytes", 1..=LARGEST_BODY_BYTES, report);
    let header_timeout = values::span(entry, "header_timeout", Zero::Refused, report);
    let body_timeout = values::span(entry, "body_timeout", Zero::Refused, report);
    let drain_timeout = values::span(entry, "drain_timeout", Zero::Allowed, report);
    let max_connections = values::number(entry, "max_connections", 1..=1_000_000, report);
    if max_connections.is_some_and(|most: usize| most < listeners.len()) {
        let wrong = Wrong::new(format!("fewer than the {} listeners", listeners.len()));
        report.error(&entry.place_of("max_connections"), wrong.hint("each of them keeps room for its next connection"));
        return None;
    }
    Some(ServerSettings {
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        base_path: base_path?,
        max_body_bytes: max_body_bytes?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        drain_timeout: drain_timeout?,
        max_connections: max_connections?,
    })
}

/// One place where callers connect: `[server]` itself, or one of `[[server.listeners]]`.
fn listener(
    entry: &Entry<'_>,
    around: &Surroundings<'_>,
    roster: &Roster<'_>,
    report: &mut Report,
) -> Option<ListenerSettings> {
    let listen = caller_listen(entry, around, report);
    let principal = principal(entry, listen.as_ref(), roster, report);
    let tls = tls(&entry.table("tls"), entry.has("tls"), around, report);
    let clients = clients(&entry.table("tls"), around, report);
    if let (Some(Listen::Tcp(listen)), Some(TlsSettings::Off)) = (&listen, &tls)
        && !listen.ip().is_loopback()
    {
        let wrong = Wrong::new(format!("{listen} is reachable from other machines without TLS"));
        let hint = "keys, prompts and answers would cross the network in clear: give it tls, such as [server.tls], or end TLS right before Tollgate";
        report.warning(&entry.place_of("listen"), wrong.hint(hint));
    }
    if let (Some(Listen::Unix(_)), Some(TlsSettings::Files { .. } | TlsSettings::LocalCa { .. })) = (&listen, &tls) {
        let wrong = Wrong::new("TLS on a Unix socket");
        report.error(entry.table("tls").place(), wrong.hint("leave it out: nobody else can listen in"));
    }
    Some(ListenerSettings { listen: listen?, principal: principal?, tls: tls?, clients: clients? })
}

/// Where callers connect: an address, or `unix:` and a path.
fn caller_listen(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<Listen> {
    let path = entry.text("listen").and_then(|text| text.value.strip_prefix("unix:"));
    match path {
        None => listen(entry, report).map(Listen::Tcp),
        Some(path) if path.is_empty() || path.len() > LONGEST_SOCKET_PATH => {
            let wrong = Wrong::new("no path of a Unix socket");
            let hint = format!("\"unix:/run/tollgate/tollgate.sock\", of {LONGEST_SOCKET_PATH} bytes at most");
            report.error(&entry.place_of("listen"), wrong.hint(hint));
            None
        }
        Some(path) => Some(Listen::Unix(around.folder.join(path))),
    }
}

/// Whoever can connect is this principal: only where nobody from elsewhere can. `None` means that an error has been reported.
#[expect(clippy::option_option, reason = "nothing read, and nothing there to read")]
fn principal(
    entry: &Entry<'_>,
    listen: Option<&Listen>,
    roster: &Roster<'_>,
    report: &mut Report,
) -> Option<Option<String>> {
    let Some(text) = entry.text("principal") else { return (!entry.has("principal")).then_some(None) };
    if listen.is_some_and(|listen| !listen.is_local()) {
        let wrong = Wrong::new("everybody who can reach this address would be this principal");
        let hint = "a listener without credentials is on loopback, such as \"127.0.0.1:8080\", or on a Unix socket";
        report.error(&text.place, wrong.hint(hint));
        return None;
    }
    // Whoever tokens tell of is not known here: a listener's principal is always a listed one.
    if !roster.principals.contains(text.value) {
        let known = suggest::did_you_mean(text.value, roster.principals.iter().copied());
        let wrong = Wrong::new(format!("there is no principal {}", quoted(text.value)));
        report.error(&text.place, wrong.hint(known.unwrap_or_else(|| "one of [[principals]]".to_owned())));
        return None;
    }
    Some(Some(text.value.to_owned()))
}

/// An address to listen on.
pub(super) fn listen(entry: &Entry<'_>, report: &mut Report) -> Option<SocketAddr> {
    report.read(entry.text("listen"), |text| {
        text.parse().map_err(|_| {
            let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
            let hint = match (text.rsplit_once(':').map(|(host, _)| host), port) {
                (Some("localhost"), Some(port)) => format!("write the address: \"127.0.0.1:{port}\""),
                (Some("" | "*"), Some(port)) => {
                    format!("for every interface write \"0.0.0.0:{port}\" or \"[::]:{port}\"")
                }
                (None, Some(port)) => format!("with the address before it: \"127.0.0.1:{port}\""),
                _ => "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
            };
            Wrong::new(format!("{} is no address to listen on", quoted(text))).hint(hint)
        })
    })
}

/// `/` and `""` are no prefix; otherwise plain segments, each after a slash. A slash at the end is dropped.
fn base_path(text: &str) -> Result<String, Wrong> {
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() {
        return Ok(String::new());
    }
    let wrong = || Wrong::new(format!("{} is no base path", quoted(text)));
    let Some(segments) = path.strip_prefix('/') else {
        return Err(wrong().hint(format!("it starts with a slash: {}", quoted(&format!("/{path}")))));
    };
    let plain = |segment: &str| {
        let unreserved = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        unreserved && !matches!(segment, "" | "." | "..")
    };
    if segments.split('/').all(plain) {
        return Ok(path.to_owned());
    }
    // Nothing that a client or a proxy might encode or normalise in a way of its own: the path is part of what callers sign.
    Err(wrong().hint("segments of ASCII letters, digits and - . _ ~, such as \"/bedrock\""))
}

fn tls(entry: &Entry<'_>, written: bool, around: &Surroundings<'_>, report: &mut Report) -> Option<TlsSettings> {
    if !entry.is_present() {
        // Written in the wrong shape is reported already, and must not count as switched off.
        return (!written).then_some(TlsSettings::Off);
    }
    let both = "either certificate and key, or local_ca";
    let has = |name| entry.has(name);
    let local_ca = values::path(entry, "local_ca", around.folder, report);
    let certificate = values::existing(entry, "certificate", around.folder, report);
    let key = values::existing(entry, "key", around.folder, report);
    match (has("certificate"), has("key"), has("local_ca")) {
        (true, true, false) => Some(TlsSettings::Files { certificate: certificate?, key: key? }),
        (false, false, true) => Some(TlsSettings::LocalCa { dir: local_ca? }),
        (_, _, true) => {
            report.error(&entry.place_of("local_ca"), Wrong::new("stands beside a certificate or key").hint(both));
            None
        }
        (certificate, key, false) => {
            let wrong = match (certificate, key) {
                (true, _) => Wrong::new("certificate without its key"),
                (_, true) => Wrong::new("key without its certificate"),
                _ => Wrong::new("empty"),
            };
            report.error(entry.place(), wrong.hint(both));
            None
        }
    }
}

/// What fits into a socket's address.
const LONGEST_SOCKET_PATH: usize = 100;

/// Certificates of callers. `None` means that an error has been reported.
#[expect(clippy::option_option, reason = "nothing read, and nothing there to read")]
fn clients(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<Option<ClientCertificates>> {
    let ca = values::existing(entry, "client_ca", around.folder, report);
    let crl = values::existing(entry, "client_crl", around.folder, report);
    let presence = values::choice(entry, "client_certificates", report);
    if !entry.has("client_ca") {
        let required = (presence == Some(Presence::Required)).then_some("client_certificates");
        for key in required.into_iter().chain(entry.has("client_crl").then_some("client_crl")) {
            let wrong = Wrong::new("no certificate of a caller is taken without client_ca");
            report.error(&entry.place_of(key), wrong.hint("client_ca = \"clients-ca.pem\""));
        }
        return Some(None);
    }
    Some(Some(ClientCertificates { ca: ca?, crl, presence: presence? }))
}

/// A body is held in memory until it has been read: a gigabyte is a slip of the pen.
const LARGEST_BODY_BYTES: i64 = 1_000_000_000;
