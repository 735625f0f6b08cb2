//! `[store]` and `[store.redis]`: where counts and the bill are kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::{OnOutage, RedisSettings, StoreKind, StoreSettings, Topology};
use crate::types::Money;

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<StoreSettings> {
    let kind = values::choice(entry, "kind", report);
    let path = values::path(entry, "path", around.folder, report);
    let durability = values::choice(entry, "durability", report);
    let retention = values::span(entry, "retention", Zero::Refused, report);
    if retention.is_some_and(|kept| kept < SHORTEST) {
        let hint = "\"400d\" keeps more than a year for the cost report; at least \"1d\"";
        report.error(entry.place(), Wrong::new("`retention` is shorter than a day").hint(hint));
    }
    let table = entry.table("redis");
    let redis = match kind {
        Some(StoreKind::Redis) if !entry.has("redis") => {
            let wrong = Wrong::new("`kind = \"redis\"` without a [store.redis] table");
            let hint = "say where it is: [store.redis] with urls = [\"redis://127.0.0.1:6379/0\"]";
            report.error(&entry.place_of("kind"), wrong.hint(hint));
            return None;
        }
        Some(StoreKind::Redis) => Some(redis(&table, around, report)?),
        Some(StoreKind::Embedded | StoreKind::Memory) if table.has("urls") => {
            let wrong = Wrong::new("is not used").hint("set kind = \"redis\" in [store], or leave the table out");
            report.warning(table.place(), wrong);
            redis(&table, around, report);
            None
        }
        Some(StoreKind::Embedded | StoreKind::Memory) | None => None,
    };
    Some(StoreSettings { kind: kind?, path: path?, durability: durability?, retention: retention?, redis })
}

fn redis(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<RedisSettings> {
    let topology = values::choice(entry, "topology", report);
    let urls = urls(entry, topology, report);
    let master = entry.text("sentinel_master").map(|master| master.value.to_owned());
    match (topology, &master) {
        (Some(Topology::Sentinel), None) => {
            let hint = "the name under which the Sentinels know the master: sentinel_master = \"mymaster\"";
            report.error(&entry.place_of("topology"), Wrong::new("Sentinels without `sentinel_master`").hint(hint));
        }
        (Some(Topology::Single | Topology::Cluster), Some(_)) => {
            let hint = "set topology = \"sentinel\", or leave it out";
            report.error(&entry.place_of("sentinel_master"), Wrong::new("only Sentinels know masters").hint(hint));
        }
        _ => {}
    }
    let namespace = report.read(entry.text("namespace"), values::name);
    let waits = "from \"10ms\" to \"10s\": every call that can cost something waits for the store once";
    let timeout = values::span_within(entry, "timeout", &TIMEOUTS, waits, report);
    let renewed = "from \"3s\" to \"1h\": it is renewed every second";
    let lease = values::span_within(entry, "lease", &LEASES, renewed, report);
    let on_outage = values::choice(entry, "on_outage", report);
    let allow_within_usd = values::dollars(entry, "allow_within_usd", report);
    if allow_within_usd.is_some_and(|allowance| allowance <= Money::ZERO) {
        let wrong = Wrong::new("an allowance of nothing").hint("set on_outage = \"deny\" instead");
        report.error(&entry.place_of("allow_within_usd"), wrong);
    }
    match (on_outage, entry.has("allow_within_usd")) {
        (Some(OnOutage::AllowWithin), false) => {
            let wrong = Wrong::new("`allow_within` without an allowance");
            let hint =
                "how much each gateway may let through while the store does not answer: allow_within_usd = \"5\"";
            report.error(&entry.place_of("on_outage"), wrong.hint(hint));
        }
        (Some(OnOutage::Deny), true) => {
            let wrong = Wrong::new("is not used").hint("set on_outage = \"allow_within\", or leave it out");
            report.warning(&entry.place_of("allow_within_usd"), wrong);
        }
        _ => {}
    }
    Some(RedisSettings {
        urls: urls?,
        topology: topology?,
        sentinel_master: master,
        user: entry.text("user").map(|user| user.value.to_owned()),
        password_file: values::existing(entry, "password_file", around.folder, report),
        ca_bundle: values::existing(entry, "ca_bundle", around.folder, report),
        namespace: namespace?,
        timeout: timeout?,
        lease: lease?,
        on_outage: on_outage?,
        allow_within_usd,
    })
}

fn urls(entry: &Entry<'_>, topology: Option<Topology>, report: &mut Report) -> Option<Vec<String>> {
    let written = entry.texts("urls");
    let many = written.len();
    if many == 0 {
        let hint = "urls = [\"redis://127.0.0.1:6379/0\"], or \"rediss://…\" for TLS";
        report.error(&entry.place_of("urls"), Wrong::new("no `urls`").hint(hint));
        return None;
    }
    for url in &written {
        if let Some(wrong) = clear(url.value) {
            report.warning(&url.place, wrong);
        }
    }
    if many > 1 && topology == Some(Topology::Single) {
        let hint = "set topology = \"sentinel\" or \"cluster\", or name one server";
        report.error(&entry.place_of("urls"), Wrong::new("several servers, and topology = \"single\"").hint(hint));
    }
    let read = values::each(written, report, url);
    (read.len() == many).then_some(read)
}

/// An address, without anything secret in it.
fn url(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new(format!("{} is no address of a server", quoted(text)));
    let forms = "redis://host:6379/0, rediss://host:6379/0 for TLS, or unix:///path/of/its.sock";
    // Before anything is quoted: it may be a password.
    if text.contains('@') {
        let wrong = Wrong::new("an address with a user or a password in it");
        return Err(wrong.hint("set user, and password_file with the name of a file that holds the password"));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong().hint(forms))?;
    if !matches!(scheme, "redis" | "rediss" | "unix") || rest.is_empty() {
        return Err(wrong().hint(forms));
    }
    if redis::IntoConnectionInfo::into_connection_info(text).is_err() {
        return Err(wrong().hint(forms));
    }
    Ok(text.to_owned())
}

/// What is worth a warning: counts and names of principals that cross a network in clear.
fn clear(url: &str) -> Option<Wrong> {
    let host = url.strip_prefix("redis://")?;
    let local = ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own));
    let wrong = || {
        Wrong::new(format!("{} is spoken to without TLS", quoted(url)))
            .hint("the password and the names of principals cross the network in clear: use rediss://")
    };
    (!local && !url.contains('@')).then(wrong)
}

const SHORTEST: Duration = Duration::from_hours(24);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
const LEASES: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_hours(1);
