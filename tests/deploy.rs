//! What is shipped for running Tollgate elsewhere, held against Tollgate itself: the metric names of dashboard, alerts and
//! documents, and the configuration that the Helm chart writes (`scripts/check-deploy` renders it).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{StatusCode, Version};
use serde_json::Value;
use tollgate::bedrock::Operation;
use tollgate::budget::{Outcome, ReservedReason, Subject, Unit};
use tollgate::cli::price_known;
use tollgate::config::{Settings, Surroundings};
use tollgate::identity::Principal;
use tollgate::telemetry::{
    BudgetReading, Client, Conclusion, DirectoryReading, Downstream, Ended, FaultName, Forwarded, Guardrail, Metrics,
    ModelLabel, ProfileLabel, Record, RefusalReason, SessionReading, Settlement, Sources,
};
use tollgate::types::{Tags, TokenUsage};

/// Every metric with the labels it has.
type Families = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_board_and_the_alerts_use_metrics_and_labels_that_there_are() {
    let families = families();
    for file in ["deploy/grafana/cost.json", "deploy/prometheus/alerts.yaml"] {
        // In JSON the quotes of a selector are escaped.
        let text = read(file).replace("\\\"", "\"");
        let uses = metrics_in(&text);
        assert!(uses.len() > 10, "{file} names hardly any metric");
        for (name, selector) in uses {
            let labels = families.get(&name).unwrap_or_else(|| panic!("{file}: there is no metric {name}"));
            for (label, _) in matchers(&selector) {
                assert!(labels.contains(&label), "{file}: {name} has no label {label}, it has {labels:?}");
            }
        }
    }
}

#[test]
fn the_alerts_name_reasons_and_kinds_that_there_are() {
    let reasons: BTreeSet<&str> = RefusalReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let settled: BTreeSet<&str> = ReservedReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let faults: BTreeSet<&str> = FaultName::ALL.iter().map(|name| name.as_str()).collect();
    let mut checked = 0;
    for (name, selector) in metrics_in(&read("deploy/prometheus/alerts.yaml")) {
        for (label, value) in matchers(&selector) {
            let known: Box<dyn Fn(&str) -> bool> = match (name.as_str(), label.as_str()) {
                ("tollgate_refusals_total", "reason") => Box::new(|word| reasons.contains(word)),
                ("tollgate_settled_at_reservation_total", "reason") => Box::new(|word| settled.contains(word)),
                ("tollgate_upstream_faults_total", "kind") => Box::new(|word| {
                    faults.contains(word) || ["connect", "timeout", "reset", "truncated"].contains(&word)
                }),
                _ => continue,
            };
            for word in alternatives(&value) {
                assert!(known(&word), "{name}{{{label}}}: there is no {word}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} words were found");
}

#[test]
fn the_documents_list_every_metric_and_no_other() {
    let families = families();
    for file in ["README.md", "CHANGELOG.md"] {
        let text = read(file);
        let named: BTreeSet<String> = metrics_in(&text).into_iter().map(|(name, _)| name).collect();
        let there: BTreeSet<String> = families.keys().filter(|name| is_listed(name)).cloned().collect();
        let (missing, invented) = (there.difference(&named), named.difference(&there));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "{file} does not name them");
        assert_eq!(invented.collect::<Vec<_>>(), Vec::<&String>::new(), "{file} names them, and there are none");
    }
}

#[test]
fn the_readme_says_what_to_do_about_every_refusal() {
    let text = read("README.md");
    let missing: Vec<_> = RefusalReason::ALL.iter().filter(|reason| !text.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_the_chart_renders_is_a_valid_configuration() {
    let rendered = files("tests/fixtures/helm/rendered");
    assert!(rendered.len() >= 4, "the rendered configurations are gone");
    for path in rendered {
        let text = fs::read_to_string(&path).unwrap();
        let (settings, found) = parse(&text, &path);
        // The files that it names are in a pod, not here, and a pod's listener is open to other machines on purpose.
        let unexpected: Vec<String> = found
            .into_iter()
            .filter(|line| !line.contains("/etc/tollgate/") && !line.contains("/run/tollgate-"))
            .collect();
        let unexpected: Vec<_> =
            unexpected.iter().filter(|line| !line.contains("is reachable from other machines")).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", path.display());
        if let Some(settings) = settings {
            let identity = &settings.identity;
            match &identity.keys_file {
                Some(path) => assert_eq!(path, Path::new("/etc/tollgate/keys/keys.json")),
                None => assert!(
                    settings.server.listeners[0].principal.is_some() || !identity.oidc.is_empty(),
                    "nobody could call"
                ),
            }
            assert!(!settings.admin.listen.ip().is_loopback(), "the kubelet could not probe it");
        }
    }
}

#[test]
fn the_toml_in_the_readme_is_a_valid_configuration() {
    let text = read("README.md");
    let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "the README shows no configuration");
    for block in blocks {
        // A part is shown for itself; the rest is that of the smallest configuration.
        let whole = block.contains("[[principals]]");
        let text = if whole { block.to_owned() } else { format!("{}\n{block}", read("config/minimal.toml")) };
        let (settings, found) = parse(&text, Path::new("README.md"));
        // Secrets stand on the machine that serves.
        let found: Vec<_> = found.iter().filter(|line| !line.contains("/run/secrets/")).collect();
        assert!(settings.is_some() && found.is_empty(), "{block}\n{found:?}");
    }
}

#[test]
fn the_chart_and_the_unit_give_a_drain_the_time_it_may_take() {
    // The unit knows no other drain timeout than the default; both listeners' drains may take that long, one after the other.
    let (settings, _) = parse(&read("config/minimal.toml"), Path::new("config/minimal.toml"));
    let drain = settings.expect("config/minimal.toml is valid").server.drain_timeout;
    let unit = read("deploy/systemd/tollgate.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("TimeoutStopSec is set");
    let stop = tollgate::config::parse_duration(&stop.replace("min", "m")).unwrap();
    assert!(stop > drain * 2, "systemd kills after {stop:?}, a drain may take twice {drain:?}");
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("helm/tollgate/Chart.yaml", format!("appVersion: \"{version}\"")),
        ("helm/tollgate/values.yaml", format!("  tag: \"{version}\"")),
    ] {
        assert!(read(file).lines().any(|own| own == line), "{file} does not say {line}");
    }
}

#[test]
fn policies_and_the_board_are_json() {
    for path in files("deploy/iam").into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let policy: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            for key in ["Sid", "Effect", "Action", "Resource"] {
                assert!(!statement[key].is_null(), "{}: a statement has no {key}", path.display());
            }
        }
    }
    let gateway = read("deploy/iam/gateway-policy.json");
    for operation in Operation::ALL.iter().filter(|operation| operation.forwarded().is_some()) {
        assert!(gateway.contains(&format!("\"{}\"", operation.iam_action())), "{operation} is not allowed");
    }
    let board: Value = serde_json::from_str(&read("deploy/grafana/cost.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels share ids");
    assert_eq!(board["uid"], "tollgate-cost");
}

/// Every metric there is, from a scrape of a gateway to which everything has happened once.
fn families() -> Families {
    let metrics = Arc::new(Metrics::new(Sources {
        budgets: Box::new(|| {
            let subjects = [Subject::Principal("alice".into()), Subject::Group("eng".into()), Subject::Everyone];
            let counts = subjects.iter().flat_map(|subject| Unit::ALL.map(|unit| (subject, unit)));
            let readings = counts.map(|(subject, unit)| BudgetReading {
                budget: "daily".to_owned(),
                subject: subject.clone(),
                model: Some("example.model".to_owned()),
                unit,
                limit: 100,
                spent: 1,
                reserved: 1,
            });
            readings.collect()
        }),
        directory: Box::new(|| {
            vec![DirectoryReading {
                account: "111122223333".to_owned(),
                region: "us-east-1".to_owned(),
                profiles: 1.0,
                undetermined: 0.0,
                age_seconds: 1.0,
                quota: Some(1.0),
            }]
        }),
        unsourced: Box::new(|| 1),
        sessions: Box::new(|| {
            let asked = vec![("ok", 2), ("denied", 1)];
            vec![SessionReading { account: "111122223333".to_owned(), sessions: 4, asked }]
        }),
        ..Sources::default()
    }));
    let record = || {
        let client = Client { http_version: Version::HTTP_11, user_agent: None };
        let mut record = Record::begin(Arc::clone(&metrics), "request-1", client);
        record.asks(Operation::Converse, None);
        record.is_from(&Principal::new("alice", Vec::new(), Tags::default()));
        let source = "us.amazon.nova-lite-v1:0".parse().unwrap();
        record.goes_through(ProfileLabel::configured(&"alice-nova".into()), ModelLabel::of_profile(&source));
        record.sent(1);
        record
    };
    record().finish(&Conclusion::Refused { status: StatusCode::FORBIDDEN, reason: RefusalReason::ModelUnmapped });
    record().finish(&Conclusion::Forwarded(Forwarded {
        status: StatusCode::OK,
        upstream_request_id: None,
        ending: Ended::Complete,
        downstream: Downstream::Stayed,
        usage: Some(TokenUsage { input: 1, output: 1, ..TokenUsage::default() }),
        tier: None,
        settlement: Settlement::Metered("0.01".parse().unwrap()),
        guardrail: Guardrail::Intervened,
    }));
    metrics.threshold_reached("daily", 80);
    let mut families = Families::new();
    for line in metrics.encode().lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let selector =
            line[end..].strip_prefix('{').and_then(|rest| rest.rsplit_once('}')).map_or("", |(inner, _)| inner);
        let labels = families.entry(line[..end].to_owned()).or_default();
        labels.extend(matchers(selector).into_iter().map(|(label, _)| label));
    }
    assert!(families.len() > 20, "the scrape is empty");
    families
}

/// Whether a document names a metric by itself: a histogram is named by its `_bucket` series.
fn is_listed(name: &str) -> bool {
    !["_sum", "_count"].iter().any(|end| name.ends_with(end))
}

/// Every metric that a text names, with what stands in braces after it.
fn metrics_in(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("tollgate_") {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text[..at].ends_with(word) {
            continue;
        }
        let rest = &text[at..];
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let selector =
            rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inner, _)| inner);
        found.push((rest[..end].to_owned(), selector.to_owned()));
    }
    found
}

/// The matchers of a selector: `a="x",b=~"y"` → `(a, x)`, `(b, y)`.
fn matchers(selector: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = selector;
    while let Some((label, after)) = rest.split_once('"') {
        let Some((value, next)) = after.split_once('"') else { break };
        let label = label.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        found.push((label.to_owned(), value.to_owned()));
        rest = next;
    }
    found
}

/// The words that a simple regular expression stands for: `(exception:)?(A|B)Exception` → `AException`, `BException`.
fn alternatives(pattern: &str) -> Vec<String> {
    let pattern = pattern.replace("(exception:)?", "");
    match (pattern.find('('), pattern.find(')')) {
        (Some(open), Some(close)) => pattern[open + 1..close]
            .split('|')
            .map(|word| format!("{}{word}{}", &pattern[..open], &pattern[close + 1..]))
            .collect(),
        _ => pattern.split('|').map(str::to_owned).collect(),
    }
}

/// The settings, if they are valid, and every complaint about them.
fn parse(text: &str, path: &Path) -> (Option<Settings>, Vec<String>) {
    let around = Surroundings { folder: Path::new(env!("CARGO_MANIFEST_DIR")), price_known: &price_known };
    let (settings, diagnostics) = match Settings::parse(text, path, &around) {
        Ok((settings, diagnostics)) => (Some(settings), diagnostics),
        Err(diagnostics) => (None, diagnostics),
    };
    let complaints = diagnostics.errors.iter().chain(&diagnostics.warnings);
    (settings, complaints.map(|complaint| format!("{complaint:?}")).collect())
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// `docs/settlement.md` has a row for every word that the bill uses, and every row names a test that is there.
#[test]
fn the_page_on_settlement_has_every_ending_and_its_test() {
    let page = read("docs/settlement.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| the call"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let words: BTreeSet<&str> = rows.iter().map(|row| row[1].trim_matches('`')).filter(|word| *word != "—").collect();
    let counted = Outcome::ALL.into_iter().map(Outcome::as_str);
    let known: BTreeSet<&str> = counted.chain(ReservedReason::ALL.into_iter().map(ReservedReason::as_str)).collect();
    assert_eq!(words, known);
    let folders = ["tests/gateway", "src/budget/tests", "src/budget/embedded"];
    let sources: String =
        folders.iter().flat_map(|folder| files(folder)).filter_map(|path| fs::read_to_string(path).ok()).collect();
    for row in rows {
        let test = row[4].trim_matches('`');
        assert!(sources.contains(&format!("fn {test}()")), "there is no test {test}");
    }
}
