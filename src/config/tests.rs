//! The shipped files and the fixtures, read as a person's would be.

mod reports;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::schema::{Key, ROOT, Shape};
use super::*;
use crate::types::{Models, Owners, Per};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// As if the price of every model but those of one made-up maker were shipped.
fn price_known(model: &ModelId, _: &Region) -> bool {
    model.provider() != "newcomer"
}

fn parse(source: &str) -> Result<(Settings, Diagnostics), Diagnostics> {
    let surroundings = Surroundings { folder: Path::new("/etc/tollgate"), price_known: &price_known };
    Settings::parse(source, Path::new("t.toml"), &surroundings)
}

fn settings(source: &str) -> Settings {
    parse(source).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).0
}

/// `line:column: key: message | hint`, the form in which fixtures expect it.
fn lines(found: &[Diagnostic]) -> Vec<String> {
    let line = |found: &Diagnostic| {
        let Position { line, column } = found.position.unwrap();
        let hint = found.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        let key = if found.key.is_empty() { String::new() } else { format!("{}: ", found.key) };
        format!("{line}:{column}: {key}{}{hint}", found.message)
    };
    found.iter().map(line).collect()
}

fn expected(source: &str, marker: &str) -> Vec<String> {
    source.lines().filter_map(|line| line.strip_prefix(marker)).map(str::to_owned).collect()
}

fn fixtures(kind: &str) -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = std::fs::read_dir(repository("tests/fixtures/config").join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (std::fs::read_to_string(&path).unwrap(), path))
        .collect();
    files.sort_by(|a, b| a.1.cmp(&b.1));
    assert!(files.len() >= 3, "the fixtures are gone");
    files
}

#[test]
fn every_error_of_an_invalid_file_is_reported_where_it_stands_with_its_remedy() {
    for (source, path) in fixtures("invalid") {
        let diagnostics = Settings::load(&path, &price_known).expect_err(&path.display().to_string());
        let wanted = expected(&source, "# expect: ");
        assert!(!wanted.is_empty(), "{} expects nothing", path.display());
        assert_eq!(lines(&diagnostics.errors), wanted, "{}", path.display());
    }
}

#[test]
fn a_valid_file_is_read_with_just_the_warnings_it_expects() {
    for (source, path) in fixtures("valid") {
        let (_, diagnostics) =
            Settings::load(&path, &price_known).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(lines(&diagnostics.warnings), expected(&source, "# warn: "), "{}", path.display());
    }
}

#[test]
fn the_smallest_file_is_valid_without_a_warning_and_has_the_documented_defaults() {
    let (settings, diagnostics) = Settings::load(&repository("config/minimal.toml"), &price_known).unwrap();
    assert_eq!(diagnostics.warnings, []);
    let server = &settings.server;
    assert_eq!((server.listen.to_string().as_str(), server.base_path.as_str()), ("127.0.0.1:8080", ""));
    assert_eq!((server.max_body_bytes, server.max_connections), (25_000_000, 10_000));
    assert_eq!(server.tls, TlsSettings::Off);
    assert_eq!(settings.upstream.region.as_ref().unwrap().as_str(), "us-east-1", "the Region of the only profile");
    assert_eq!(settings.upstream.first_byte_timeout, Duration::from_mins(15));
    assert_eq!(settings.identity.keys_file, repository("config/keys.json"));
    assert_eq!(settings.policy.operations.len(), 6);
    assert_eq!((settings.log.format, settings.log.level), (LogFormat::Json, LogLevel::Info));
}

/// The reference with the keys behind these markers taken out of their comments.
fn uncommented(source: &str, markers: &[&str]) -> String {
    let uncomment = |line: &str| {
        let rest = markers.iter().find_map(|marker| line.strip_prefix(marker));
        let plain = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
        let is_key = |rest: &&str| rest.split_once(" = ").is_some_and(|(key, _)| plain(key));
        rest.filter(is_key).unwrap_or(line).to_owned()
    };
    source.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_is_valid_and_its_commented_defaults_are_the_real_ones() {
    let path = repository("config/tollgate.toml");
    let source = std::fs::read_to_string(&path).unwrap();
    let (as_shipped, diagnostics) = Settings::load(&path, &price_known).unwrap();
    assert_eq!(diagnostics.warnings, []);

    let spelled_out = uncommented(&source, &["#"]);
    assert!(spelled_out.contains("\nlisten = ") && spelled_out.contains("\n#e.g. "));
    let surroundings = Surroundings { folder: &repository("config"), price_known: &price_known };
    let (spelled_out, _) =
        Settings::parse(&spelled_out, &path, &surroundings).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(as_shipped, spelled_out);
}

#[test]
fn the_examples_of_the_reference_are_valid_too() {
    let source = std::fs::read_to_string(repository("config/tollgate.toml")).unwrap();
    // The two ways to a certificate exclude one another.
    let source = uncommented(&source, &["#e.g. ", "#"]).replace("\nlocal_ca = ", "\n#");
    let settings = settings(&source);
    assert!(matches!(settings.server.tls, TlsSettings::Files { .. }));
    assert_eq!(settings.upstream.ca_bundle.unwrap(), Path::new("/etc/tollgate/company-ca.pem"));
}

/// Every key of the list with the path of its table, `[]` for the element of an array and `*` for a free name.
fn keys(path: &str, keys: &'static [Key], into: &mut BTreeSet<String>) {
    for key in keys {
        let own = format!("{path}{}", key.name);
        match key.shape {
            Shape::Table(below) => self::keys(&format!("{own}."), below, into),
            Shape::Tables(below) => self::keys(&format!("{own}[]."), below, into),
            Shape::Named(below) => self::keys(&format!("{own}.*."), below, into),
            Shape::Text | Shape::Span | Shape::Dollars | Shape::Integer | Shape::Flag | Shape::Texts | Shape::Pairs => {
                into.insert(own);
            }
        }
    }
}

#[test]
fn every_key_stands_in_the_reference_below_its_own_header() {
    let source = std::fs::read_to_string(repository("config/tollgate.toml")).unwrap();
    let mut found = BTreeSet::new();
    let mut header = String::new();
    for line in uncommented(&source, &["#e.g. ", "#"]).lines() {
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
            header = format!("{name}[].");
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            header = match name.split_once(".\"") {
                Some((table, _)) => format!("{table}.*."),
                None => format!("{name}."),
            };
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.insert(format!("{header}{key}"));
        }
    }
    let mut known = BTreeSet::new();
    keys("", ROOT, &mut known);
    assert_eq!(known, found);
}

/// One value other than the default for every key.
const EVERY_KEY: &str = r#"
[server]
listen = "[::1]:1"
base_path = "/a/b/"
max_body_bytes = 2
header_timeout = "3s"
body_timeout = "4s"
drain_timeout = "0s"
max_connections = 6
tls = { certificate = "/c.pem", key = "k.pem" }
[admin]
listen = "127.0.0.1:7"
[upstream]
region = "eu-west-1"
endpoint = "http://localhost:8"
ca_bundle = "b.pem"
connect_timeout = "9s"
first_byte_timeout = "10s"
idle_timeout = "11s"
pool_idle_timeout = "12s"
max_connections = 13
aws_profile = "p"
[identity]
keys_file = "/k.json"
[[principals]]
name = "n"
groups = ["g"]
tags = { K = "v" }
[[profiles]]
name = "pr"
arn = "arn:aws:bedrock:eu-west-1:012345678901:application-inference-profile/id"
source = "eu.newcomer.model-v1:0"
principals = ["n"]
groups = ["g"]
everyone = false
aliases = ["word", "newcomer.other-v1:0"]
[policy]
operations = ["Converse"]
[[guardrails]]
identifier = "gid"
version = "14"
mode = "require"
asynchronous = "force-sync"
selective = "allow"
everyone = true
[[budgets]]
name = "b"
groups = ["g"]
window = "month"
time_zone = "Europe/Berlin"
usd = "15.5"
tokens = 16
reserve = "expected"
[[rate_limits]]
name = "r"
principals = ["n"]
groups = ["g"]
everyone = false
per = "group"
models = ["newcomer.*", "newcomer.model-v1:0"]
requests_per_second = 18
requests_per_minute = 19
tokens_per_minute = 20
concurrent = 21
max_wait = "22s"
[prices."eu.newcomer.model-v1:0"]
input = "1"
output = "2"
cache_read = "3"
cache_write_5m = "4"
cache_write_1h = "5"
max_input = 6
max_output = 7
[metering]
drain_streams = 0
drain_timeout = "17s"
[store]
kind = "memory"
path = "/s.db"
durability = "power"
retention = "48h"
[log]
format = "text"
level = "trace"
"#;

#[test]
fn every_key_is_honoured() {
    let price = |dollars: i64| crate::types::TokenPrice::from_nanos_per_million(dollars * 1_000_000_000);
    let only = |principals: &[&str], groups: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Owners::Only { principals: owned(principals), groups: owned(groups) }
    };
    let wanted = Settings {
        server: ServerSettings {
            listen: "[::1]:1".parse().unwrap(),
            base_path: "/a/b".to_owned(),
            max_body_bytes: 2,
            header_timeout: Duration::from_secs(3),
            body_timeout: Duration::from_secs(4),
            drain_timeout: Duration::ZERO,
            max_connections: 6,
            tls: TlsSettings::Files { certificate: "/c.pem".into(), key: "/etc/tollgate/k.pem".into() },
        },
        admin: AdminSettings { listen: "127.0.0.1:7".parse().unwrap() },
        upstream: UpstreamSettings {
            region: Some("eu-west-1".parse().unwrap()),
            endpoint: Some("http://localhost:8/".parse().unwrap()),
            ca_bundle: Some("/etc/tollgate/b.pem".into()),
            connect_timeout: Duration::from_secs(9),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(11),
            pool_idle_timeout: Duration::from_secs(12),
            max_connections: 13,
            aws_profile: Some("p".to_owned()),
        },
        identity: IdentitySettings { keys_file: "/k.json".into() },
        principals: vec![crate::identity::Principal::new(
            "n",
            vec!["g".to_owned()],
            [("K".to_owned(), "v".to_owned())].into_iter().collect(),
        )],
        profiles: vec![ProfileSettings {
            name: "pr".to_owned(),
            arn: "arn:aws:bedrock:eu-west-1:012345678901:application-inference-profile/id".parse().unwrap(),
            source: "eu.newcomer.model-v1:0".parse().unwrap(),
            owners: only(&["n"], &["g"]),
            aliases: vec!["word".to_owned(), "newcomer.other-v1:0".to_owned()],
        }],
        policy: PolicySettings { operations: vec![crate::bedrock::Operation::Converse] },
        guardrails: vec![GuardrailSettings {
            identifier: "gid".to_owned(),
            version: "14".to_owned(),
            mode: GuardrailMode::Require,
            asynchronous: Asynchronous::ForceSync,
            selective: Selective::Allow,
            owners: Owners::Everyone,
        }],
        budgets: vec![BudgetSettings {
            name: "b".to_owned(),
            owners: only(&[], &["g"]),
            window: Window::Month,
            zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
            usd: Some(crate::types::Money::from_nanos(15_500_000_000)),
            tokens: Some(16),
            reserve: Reserve::Expected,
        }],
        rate_limits: vec![RateLimitSettings {
            name: "r".to_owned(),
            owners: only(&["n"], &["g"]),
            per: Per::Group,
            models: Models::Like(vec!["newcomer.*".to_owned(), "newcomer.model-v1:0".to_owned()]),
            requests_per_second: NonZeroU64::new(18),
            requests_per_minute: NonZeroU64::new(19),
            tokens_per_minute: NonZeroU64::new(20),
            concurrent: NonZeroU64::new(21),
            max_wait: Duration::from_secs(22),
        }],
        prices: vec![PriceSettings {
            model: "eu.newcomer.model-v1:0".parse().unwrap(),
            input: price(1),
            output: price(2),
            cache_read: Some(price(3)),
            cache_write_5m: Some(price(4)),
            cache_write_1h: Some(price(5)),
            max_input: Some(6),
            max_output: Some(7),
        }],
        metering: MeteringSettings { drain_streams: 0, drain_timeout: Duration::from_secs(17) },
        store: StoreSettings {
            kind: StoreKind::Memory,
            path: "/s.db".into(),
            durability: Durability::Power,
            retention: Duration::from_hours(48),
        },
        log: LogSettings { format: LogFormat::Text, level: LogLevel::Trace },
    };
    assert_eq!(settings(EVERY_KEY), wanted);
}

#[test]
fn a_local_ca_is_a_folder_beside_the_file() {
    let source = EVERY_KEY.replace("certificate = \"/c.pem\", key = \"k.pem\"", "local_ca = \"ca\"");
    assert_eq!(settings(&source).server.tls, TlsSettings::LocalCa { dir: "/etc/tollgate/ca".into() });
}

proptest! {
    /// Whatever is done to a file, the reader answers; and what it refuses, it gives a reason for.
    #[test]
    fn a_mangled_file_is_refused_with_reasons_or_read(at in 0..EVERY_KEY.len(), cut in 0_usize..40, put in "\\PC{0,6}") {
        let start = EVERY_KEY.floor_char_boundary(at);
        let end = EVERY_KEY.floor_char_boundary((at + cut).min(EVERY_KEY.len()));
        let mangled = format!("{}{put}{}", &EVERY_KEY[..start], &EVERY_KEY[end..]);
        if let Err(found) = parse(&mangled) {
            prop_assert!(!found.errors.is_empty());
            prop_assert!(found.errors.iter().all(|error| !error.message.contains("please report")), "{}", found);
        }
    }
}
