//! The shipped files and the fixtures, read as a person's would be.

mod every_key;
mod reports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::schema::{Key, ROOT, Shape};
use super::*;
use every_key::EVERY_KEY;

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
    assert_eq!((server.listeners[0].listen.to_string().as_str(), server.base_path.as_str()), ("127.0.0.1:8080", ""));
    assert_eq!((server.max_body_bytes, server.max_connections), (25_000_000, 10_000));
    assert_eq!(server.listeners[0].tls, TlsSettings::Off);
    assert_eq!(settings.upstream.region.as_ref().unwrap().as_str(), "us-east-1", "the Region of the only profile");
    assert_eq!(settings.upstream.first_byte_timeout, Duration::from_mins(15));
    assert_eq!(settings.identity.keys_file, None);
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
    // The two ways to a certificate exclude one another, one server has no Sentinels, and a rule is on a tag or a name.
    let source = uncommented(&source, &["#e.g. ", "#"]);
    let source =
        source.replace("\nlocal_ca = ", "\n#").replace("\nsentinel_master = ", "\n#").replace("\nname_of = ", "\n#");
    let settings = settings(&source);
    assert!(matches!(settings.server.listeners[0].tls, TlsSettings::Files { .. }));
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
        // A table in a table of an array.
        if line == "[server.listeners.tls]" {
            header = "server.listeners[].tls.".to_owned();
        } else if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
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

#[test]
fn a_local_ca_is_a_folder_beside_the_file() {
    let source = EVERY_KEY.replace("certificate = \"/c.pem\"\nkey = \"k.pem\"", "local_ca = \"ca\"");
    assert_eq!(settings(&source).server.listeners[0].tls, TlsSettings::LocalCa { dir: "/etc/tollgate/ca".into() });
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
