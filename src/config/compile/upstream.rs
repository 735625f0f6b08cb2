//! `[upstream]`: Bedrock's side.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::UpstreamSettings;
use crate::types::{Geography, Region};
use crate::upstream::{FIPS_REGIONS, Variant};

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<UpstreamSettings> {
    let region = report.read(entry.text("region"), |text| {
        text.parse::<Region>().map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
    });
    let endpoint = report.read(entry.text("endpoint"), endpoint);
    let sts_endpoint = report.read(entry.text("sts_endpoint"), self::endpoint);
    let control_endpoint = report.read(entry.text("control_endpoint"), self::endpoint);
    let variant = variant(entry, report);
    let ca_bundle = values::existing(entry, "ca_bundle", around.folder, report);
    let connect_timeout = values::span(entry, "connect_timeout", Zero::Refused, report);
    let first_byte_timeout = values::span(entry, "first_byte_timeout", Zero::Refused, report);
    let idle_timeout = values::span(entry, "idle_timeout", Zero::Refused, report);
    let pool_idle_timeout = values::span(entry, "pool_idle_timeout", Zero::Refused, report);
    let max_connections = values::number(entry, "max_connections", 1..=100_000, report);
    let aws_profile = report.read(entry.text("aws_profile"), |text| {
        let named = !text.trim().is_empty();
        named.then(|| text.to_owned()).ok_or_else(|| Wrong::new("an empty name").hint("leave the key out instead"))
    });
    let geographies = geographies(entry);
    values::distinct("geography", geographies.iter().cloned(), report);
    let geographies = values::each(geographies, report, geography);
    Some(UpstreamSettings {
        region,
        endpoint,
        sts_endpoint,
        control_endpoint,
        variant,
        ca_bundle,
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        idle_timeout: idle_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        max_connections: max_connections?,
        aws_profile,
        geographies,
    })
}

/// The prefixes as they are written, for `profiles` too, which must not wait for the rest of the section.
pub(super) fn geographies<'a>(entry: &Entry<'a>) -> Vec<Placed<&'a str>> {
    entry.texts("geographies")
}

fn geography(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !plain || text.is_empty() || text.len() > 16 {
        let wrong = Wrong::new(format!("{} is no prefix of a system-defined profile", quoted(text)));
        return Err(wrong.hint("what stands before the first dot, such as \"mx\" for mx.anthropic.…"));
    }
    match Geography::from_prefix(text) {
        Some(_) => Err(Wrong::new(format!("{text} is known anyway")).hint("leave it out")),
        None => Ok(text.to_owned()),
    }
}

/// Which of Bedrock's own endpoints. Beside `endpoint` neither key could mean anything, and whoever wrote them expects FIPS.
fn variant(entry: &Entry<'_>, report: &mut Report) -> Variant {
    let mut flag = |name: &str| {
        let flag = entry.flag(name).filter(|flag| flag.value);
        if let Some(flag) = flag.as_ref().filter(|_| entry.has("endpoint")) {
            let wrong =
                Wrong::new(format!("{name} is about Bedrock's own endpoints, and upstream.endpoint is in their place"));
            report.error(&flag.place, wrong.hint(format!("leave {name} out, and name such an endpoint yourself")));
        }
        flag.is_some()
    };
    Variant { fips: flag("fips"), dual_stack: flag("dual_stack") }
}

/// Regions in which no FIPS endpoint is known: AWS may have made one meanwhile.
pub(super) fn without_fips<'a>(
    file: &Entry<'_>,
    upstream: &UpstreamSettings,
    regions: impl Iterator<Item = &'a Region>,
    report: &mut Report,
) {
    let without: BTreeSet<_> = regions.map(Region::as_str).filter(|region| !FIPS_REGIONS.contains(region)).collect();
    if upstream.variant.fips && !without.is_empty() && !report.has_errors() {
        let without = without.into_iter().collect::<Vec<_>>().join(", ");
        let wrong = Wrong::new(format!("no FIPS endpoint of Bedrock is known in {without}"));
        let hint = format!("calls there may find no host; known are {}", FIPS_REGIONS.join(", "));
        report.warning(&file.table("upstream").place_of("fips"), wrong.hint(hint));
    }
}

/// `https://host[:port]`; `http://` only for this machine, because a signed request carries the prompt and a usable
/// session token in clear.
pub(super) fn endpoint(text: &str) -> Result<http::Uri, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("{}: {what}", quoted(text)));
    let bare = "scheme, host and port only, such as \"https://vpce-0123.bedrock-runtime.us-east-1.vpce.amazonaws.com\"";
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no URL").hint(bare))?;
    if !matches!(scheme, "https" | "http") {
        return Err(wrong("the scheme is neither https nor http").hint(bare));
    }
    // Looked for in the text itself: the URI parser drops a fragment without a word.
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err(Wrong::new("a URL with a user name or password in it")
            .hint("credentials come from the AWS chain, never from a URL"));
    }
    if authority.contains(['/', '?', '#']) {
        return Err(wrong("carries a path, query or fragment").hint(bare));
    }
    let authority: http::uri::Authority =
        authority.parse().map_err(|error| wrong(&format!("no host and port ({error})")).hint(bare))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let ported = authority.as_str().len() > authority.host().len();
    if host.is_empty() || (ported && authority.port_u16().is_none_or(|port| port == 0)) {
        return Err(wrong("no host and port").hint(bare));
    }
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if scheme == "http" && !loopback {
        return Err(wrong("http:// to another machine")
            .hint("prompts and credentials would cross the network in clear: https://"));
    }
    let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    uri.map_err(|error| wrong(&error.to_string()).hint(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        for (text, uri) in [
            ("https://example.com", "https://example.com/"),
            ("https://example.com/", "https://example.com/"),
            ("https://example.com:8443", "https://example.com:8443/"),
            ("http://127.0.0.1:9099", "http://127.0.0.1:9099/"),
            ("http://127.9.9.9:9099", "http://127.9.9.9:9099/"),
            ("http://[::1]:9099", "http://[::1]:9099/"),
            ("http://localhost:9099/", "http://localhost:9099/"),
        ] {
            assert_eq!(endpoint(text).map(|uri| uri.to_string()), Ok(uri.to_owned()), "{text}");
        }
    }

    #[test]
    fn whatever_else_a_url_can_carry_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https:///",
            "https://:443",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:443:443",
            "ftp://example.com",
            "HTTPS://example.com",
            "https://user@example.com",
            "https://user:word@example.com",
            "https://example.com/path",
            "https://example.com//",
            "https://example.com?x=1",
            "https://example.com#x",
            "https://exa mple.com",
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ] {
            assert!(endpoint(text).is_err(), "{text}: {:?}", endpoint(text));
        }
    }
}
