//! `[identity]`: how callers prove who they are.

use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;

use ipnet::IpNet;

use super::{aws_login, certificates, oidc, values};
use crate::config::Surroundings;
use crate::config::diagnostics::{Place, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::IdentitySettings;
use crate::identity::Template;
use crate::types::Region;

/// A keys file need not be there: `tollgate key create` makes it.
pub(super) fn compile(
    entry: &Entry<'_>,
    server: &Entry<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Option<IdentitySettings> {
    let keys_file = values::path(entry, "keys_file", around.folder, report);
    if entry.has("keys_file") && keys_file.is_none() {
        return None;
    }
    let failures = values::number::<u32>(entry, "failures_per_minute", 0..=1_000_000, report);
    let root_key_files = values::existing_each(entry, "root_key_files", around.folder, report);
    for text in entry.texts("root_key_files") {
        let mode = fs::metadata(around.folder.join(text.value)).map_or(0, |found| found.permissions().mode());
        if mode & 0o077 != 0 {
            let wrong = Wrong::new(format!("{} is readable by others than its owner", quoted(text.value)));
            let hint = "whoever reads it can make the secret of every access key: chmod 600, as the gateway's own user";
            report.warning(&text.place, wrong.hint(hint));
        }
    }
    let root_key_env = values::each(entry.texts("root_key_env"), report, environment_variable);
    if root_key_files.len() + root_key_env.len() > MOST_ROOTS {
        let wrong = Wrong::new("more than two root keys");
        let hint = "the one that new access keys are made of, and the one that is being replaced";
        let last = if root_key_env.is_empty() { "root_key_files" } else { "root_key_env" };
        report.error(&entry.place_of(last), wrong.hint(hint));
    }
    let regions = values::each(entry.texts("regions"), report, |text| {
        text.parse::<Region>().map_err(|_| Wrong::new(format!("{} is no Region", quoted(text))))
    });
    let trusted_proxies = values::each(entry.texts("trusted_proxies"), report, network);
    let oidc = oidc::compile(entry, around, report);
    let aws_login = entry.has("aws_login").then(|| aws_login::compile(&entry.table("aws_login"), around, report));
    let certificates = certificates::compile(entry, server, report);
    same_people(entry, report);
    let aws_login = match aws_login {
        Some(compiled) => Some(compiled?),
        None => None,
    };
    Some(IdentitySettings {
        keys_file,
        root_key_files,
        root_key_env,
        regions,
        failures_per_minute: NonZeroU32::new(failures?),
        trusted_proxies,
        oidc,
        aws_login,
        certificates,
    })
}

/// Two sources whose names go as they are: the same name from either is one principal. The same field of both is the ordinary
/// case, such as the address of people in one company.
fn same_people(entry: &Entry<'_>, report: &mut Report) {
    let sources =
        [entry.tables("oidc"), entry.table("aws_login").tables("roles"), entry.tables("certificates")].concat();
    let mut seen: Vec<(String, Place)> = Vec::new();
    for text in sources.iter().filter_map(|source| source.text("principal")) {
        let template = Template::parse(text.value).ok();
        let Some(field) = template.as_ref().and_then(Template::bare) else { continue };
        if let Some((other, place)) = seen.iter().find(|(other, _)| other != field) {
            let line = report.line(place);
            let wrong =
                Wrong::new(format!("the same name here and of {{{other}}} on line {line} would be the same principal"));
            let hint = format!("put something before it that tells them apart, such as \"{field}:{{{field}}}\"");
            report.warning(&text.place, wrong.hint(hint));
        }
        seen.push((field.to_owned(), text.place));
    }
}

/// The name of an environment variable, and not what it holds: a secret that stands in the file is told of, and not shown.
fn environment_variable(text: &str) -> Result<String, Wrong> {
    let of_a_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if text.bytes().all(of_a_name) && !text.is_empty() && !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let hint = "capitals, digits and _, such as \"TOLLGATE_ROOT_KEY\": the root key itself stands in that variable";
    Err(Wrong::new("no name of an environment variable").hint(hint))
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
