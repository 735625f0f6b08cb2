//! `tollgate budget` as a shell sees it, on the file of a store.

use std::fs;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::budget::{Durability, EmbeddedOptions, EmbeddedStore};
use crate::types::{Clock, ManualClock};

/// `tollgate budget …` as a program of its own.
#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

const NOON: u64 = 1_795_262_400;

const CONFIG: &str = r#"
[[principals]]
name = "alice"
[[principals]]
name = "bob"
[[profiles]]
name = "p"
arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"
source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
everyone = true
[[budgets]]
name = "daily"
everyone = true
window = "day"
usd = "5"
[[budgets]]
name = "alices"
principals = ["alice"]
window = "month"
tokens = 1000
"#;

struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tollgate.toml"), CONFIG).unwrap();
        Self { folder }
    }

    fn store(&self) -> EmbeddedStore {
        let options = EmbeddedOptions {
            path: self.folder.path().join("tollgate.db"),
            durability: Durability::Process,
            retention: Duration::from_hours(24),
        };
        let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(ManualClock::at_unix_seconds(NOON));
        EmbeddedStore::open(&options, clock).unwrap().0
    }

    async fn run(&self, line: &str) -> (ExitCode, String, String) {
        let config = self.folder.path().join("tollgate.toml");
        let line = line.split(' ').map(str::to_owned);
        let line = ["budget".to_owned(), "--config".to_owned(), config.display().to_string()].into_iter().chain(line);
        let arguments = Program::try_parse_from(line).unwrap().arguments;
        let (mut out, mut err) = (vec![], vec![]);
        let mut streams = Streams { out: &mut out, err: &mut err };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOON);
        let code = run(&arguments, now, &mut streams).await.unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    async fn limit(&self, who: &str, budget: &str) -> u64 {
        let (code, out, err) = self.run(&format!("show --principal {who} --budget {budget} --output json")).await;
        assert_eq!(code, ExitCode::Fine, "{err}");
        let rows: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 1, "{out}");
        rows[0]["limit"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn limits_are_shown_set_raised_and_given_back_and_the_history_says_by_whom_and_why() {
    let shell = Shell::new();
    let (code, _, err) = shell.run("show").await;
    assert_eq!(code, ExitCode::Faulty);
    assert!(err.contains("tollgate.db is not there"), "{err}");
    drop(shell.store());
    let (_, out, _) = shell.run("show").await;
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(out.contains("$5.00") && out.contains("2026-11-22 00:00"), "{out}");

    let (code, out, err) = shell.run("raise --budget daily --principal alice --usd 2.50 --for 8h --reason demo").await;
    assert_eq!((code, err.as_str()), (ExitCode::Fine, "Noted; in force when the gateway starts.\n"));
    assert!(out.contains("raise") && out.contains("$2.50") && out.contains("2026-11-21T20:00:00Z"), "{out}");
    assert_eq!(shell.limit("alice", "daily").await, 7_500_000_000);
    assert_eq!(shell.limit("bob", "daily").await, 5_000_000_000);

    let store = shell.store();
    let (_, _, err) = shell.run("set --budget daily --principal alice --usd 1 --reason demo").await;
    assert_eq!(err, "Noted; gateways that run have it in force within two seconds.\n");
    assert_eq!(shell.limit("alice", "daily").await, 3_500_000_000);
    shell.run("set --budget daily --principal alice --configured --reason demo").await;
    assert_eq!(shell.limit("alice", "daily").await, 5_000_000_000);
    drop(store);

    let (_, out, _) = shell.run("history --output json").await;
    let history: Value = serde_json::from_str(&out).unwrap();
    let effects: Vec<_> = history.as_array().unwrap().iter().map(|row| row["effect"].as_str().unwrap()).collect();
    assert_eq!(effects, ["raise", "limit", "configured"]);
    assert_eq!(history[0]["reason"], "demo");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let shell = Shell::new();
    drop(shell.store());
    for (line, wanted) in [
        ("show --principal nobody", "lists nobody of that name"),
        ("show --budget nothing", "it has daily, alices"),
        ("reset --budget daily --reason x", "Give --principal NAME"),
        ("reset --budget alices --principal bob --reason x", "it has --principal alice"),
        ("reset --budget daily --everyone --reason x", "it has --principal alice, --principal bob"),
        ("set --budget daily --principal bob --reason x", "how much?"),
        ("set --budget daily --principal bob --tokens 5 --reason x", "does not limit tokens"),
        ("set --budget daily --principal bob --usd 5 --configured --reason x", "takes no amount"),
        ("set --budget daily --principal bob --usd -5 --reason x", "--usd -5"),
        ("raise --budget daily --principal bob --usd 1 --for soon --reason x", "--for soon"),
        ("raise --budget daily --principal bob --usd 1 --until 2026-11-21T11:00:00Z --reason x", "ended already"),
    ] {
        let line = line.replace("--usd -5", "--usd=-5");
        let (code, out, err) = shell.run(&line).await;
        assert_eq!((code, out.as_str()), (ExitCode::Faulty, ""), "{line}: {err}");
        assert!(err.contains(wanted), "{line}: {err}");
    }
    let (_, out, _) = shell.run("history").await;
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[tokio::test]
async fn whoever_comes_with_a_token_is_listed_nowhere_and_has_a_count_all_the_same() {
    let shell = Shell::new();
    let issuer = "[[identity.oidc]]\nissuer = \"https://i.example.com\"\naudiences = [\"t\"]\nprincipal = \"{email}\"\ngroups = [\"{dept}\"]\n";
    let budgets = "[[budgets]]\nname = \"teams\"\ngroups = [\"eng\"]\nper = \"group\"\nwindow = \"day\"\nusd = \"50\"\n\
                   [[budgets]]\nname = \"eng\"\ngroups = [\"eng\"]\nwindow = \"day\"\nusd = \"2\"\n";
    fs::write(shell.folder.path().join("tollgate.toml"), format!("{CONFIG}{budgets}{issuer}")).unwrap();
    drop(shell.store());
    for line in [
        "raise --budget daily --principal carol@example.com --usd 2 --for 1h --reason x",
        "set --budget eng --principal carol@example.com --usd 2 --reason x",
        "reset --budget teams --group eng --reason x",
    ] {
        let (code, _, err) = shell.run(line).await;
        assert_eq!(code, ExitCode::Fine, "{line}: {err}");
    }
    assert_eq!(shell.limit("carol@example.com", "daily").await, 7_000_000_000);
    for line in [
        "reset --budget alices --principal carol@example.com --reason x",
        "reset --budget teams --group ops --reason x",
        "reset --budget daily --group eng --reason x",
        "reset --budget daily --everyone --reason x",
        "reset --budget teams --principal alice --reason x",
    ] {
        let (code, _, err) = shell.run(line).await;
        assert_eq!(code, ExitCode::Faulty, "{line}");
        assert!(err.contains("has no count of its own for"), "{line}: {err}");
    }
}
