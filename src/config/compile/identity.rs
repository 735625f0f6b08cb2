//! `[identity]`: how callers prove who they are.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::{aws_login, certificates, oidc, values};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::IdentitySettings;
use crate::types::Region;

/// A keys file need not be there: `tollgate key create` makes it.
pub(super) fn compile(
    entry: &Entry<'_>,
    tls: &Entry<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Option<IdentitySettings> {
    let keys_file = values::path(entry, "keys_file", around.folder, report);
    if entry.has("keys_file") && keys_file.is_none() {
        return None;
    }
    let failures = values::number::<u32>(entry, "failures_per_minute", 0..=1_000_000, report);
    let root_key_files = values::existing_each(entry, "root_key_files", around.folder, report);
    if root_key_files.len() > MOST_ROOTS {
        let wrong = Wrong::new("more than two root keys");
        let hint = "the one that new access keys are made of, and the one that is being replaced";
        report.error(&entry.place_of("root_key_files"), wrong.hint(hint));
    }
    let regions = values::each(entry.texts("regions"), report, |text| {
        text.parse::<Region>().map_err(|_| Wrong::new(format!("{} is no Region", quoted(text))))
    });
    let trusted_proxies = values::each(entry.texts("trusted_proxies"), report, network);
    let oidc = oidc::compile(entry, around, report);
    let aws_login = entry.has("aws_login").then(|| aws_login::compile(&entry.table("aws_login"), around, report));
    let certificates = certificates::compile(entry, tls, report);
    let aws_login = match aws_login {
        Some(compiled) => Some(compiled?),
        None => None,
    };
    Some(IdentitySettings {
        keys_file,
        root_key_files,
        regions,
        failures_per_minute: NonZeroU32::new(failures?),
        trusted_proxies,
        oidc,
        aws_login,
        certificates,
    })
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, Wrong> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network =
        parsed.map_err(|_| Wrong::new(format!("{} is no network", quoted(text))).hint("such as \"10.0.0.0/8\""))?;
    if network.prefix_len() == 0 {
        let hint = "everybody could say that they come from elsewhere: name your proxies alone";
        return Err(Wrong::new(format!("{} is the whole of the network", quoted(text))).hint(hint));
    }
    Ok(network.trunc())
}

const MOST_ROOTS: usize = 2;
