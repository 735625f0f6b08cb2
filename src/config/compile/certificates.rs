//! `[[identity.certificates]]`: who the owners of client certificates are.

use super::person;
use crate::config::diagnostics::{Report, Wrong};
use crate::config::schema::Entry;
use crate::identity::Pattern;
use crate::identity::certificates::{CertificateRule, NameKind};

pub(super) fn compile(entry: &Entry<'_>, server: &Entry<'_>, report: &mut Report) -> Vec<CertificateRule> {
    let by_tls = |listener: &Entry<'_>| listener.table("tls").is_present();
    if entry.has("certificates") && !by_tls(server) && !server.tables("listeners").iter().any(by_tls) {
        let wrong = Wrong::new("nobody shows a certificate to a listener without TLS");
        report.warning(&entry.place_of("certificates"), wrong.hint("[server.tls] with client_ca = \"clients-ca.pem\""));
    }
    entry.tables("certificates").iter().filter_map(|entry| rule(entry, report)).collect()
}

fn rule(entry: &Entry<'_>, report: &mut Report) -> Option<CertificateRule> {
    let written: Vec<_> = KINDS.iter().filter(|(key, _)| entry.has(key)).collect();
    let [(key, kind)] = *written.as_slice() else {
        let hint = "one of uri, dns, email and common_name, such as uri = \"spiffe://cluster.local/ns/{ns}/sa/{sa}\"";
        report.error(entry.place(), Wrong::new("it says not by which one name of a certificate").hint(hint));
        return None;
    };
    let pattern = report.read(entry.text(key), person::pattern);
    let names: Vec<_> = pattern.iter().flat_map(Pattern::names).collect();
    let person = person::compile(entry, pattern.as_ref().map(|_| names.as_slice()), report);
    Some(CertificateRule { kind: *kind, person: person?, pattern: pattern? })
}

const KINDS: [(&str, NameKind); 4] =
    [("uri", NameKind::Uri), ("dns", NameKind::Dns), ("email", NameKind::Email), ("common_name", NameKind::CommonName)];
