//! `tollgate key` as a shell sees it.

use std::fs;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::identity::keys::{KeyRing, RootKey, RootKeys, Standing};

/// `tollgate key …` as a program of its own.
#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_684) // 2026-11-21T12:00:00Z
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

struct Shell {
    folder: tempfile::TempDir,
    principals: Option<Vec<String>>,
    now: SystemTime,
}

impl Shell {
    fn new(principals: Option<&[&str]>) -> Self {
        let principals = principals.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Self { folder: tempfile::tempdir().unwrap(), principals, now: noon() + Duration::from_millis(250) }
    }

    fn keys_file(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    fn run(&self, line: &[&str]) -> (ExitCode, String, String) {
        let arguments = Program::try_parse_from(["key"].iter().chain(line)).unwrap().arguments;
        let (mut out, mut err) = (vec![], vec![]);
        let mut streams = Streams { out: &mut out, err: &mut err };
        let desk = Desk {
            keys: Arc::new(WatchedFile::new(KeyFile::new(self.keys_file()))),
            principals: self.principals.clone(),
            roots: Some(RootKeys::new(vec![RootKey::read(&"root".repeat(8)).unwrap()])),
        };
        let code = runtime().block_on(run(&arguments, &desk, self.now, &mut streams)).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn fine(&self, line: &[&str]) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!(code, ExitCode::Fine, "{line:?}: {err}");
        out
    }

    fn faulty(&self, line: &[&str]) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!((code, out.as_str()), (ExitCode::Faulty, ""), "{line:?}");
        err
    }

    fn json(&self, line: &[&str]) -> Value {
        serde_json::from_str(&self.fine(&[line, &["--output", "json"]].concat())).unwrap()
    }

    fn standing(&self, key: &str) -> Standing {
        let ring = KeyRing::holding(KeyFile::new(self.keys_file()).read().unwrap());
        ring.standing(&PresentedKey::parse(key.as_bytes()).unwrap(), self.now)
    }
}

#[test]
fn a_new_key_alone_is_on_standard_output_and_opens_the_gate() {
    let shell = Shell::new(Some(&["alice"]));
    let (code, out, err) = shell.run(&["create", "--principal", "alice", "--note", "laptop"]);
    assert_eq!(code, ExitCode::Fine);
    let key = out.strip_suffix('\n').unwrap();
    let Standing::Live(held) = shell.standing(key) else { panic!("the key is good") };
    let record = &held.record;
    assert_eq!((record.principal.as_str(), record.note.as_str(), record.expires), ("alice", "laptop", None));
    assert!(err.contains("shown this once") && !err.contains(key), "{err}");
    assert!(!fs::read_to_string(shell.keys_file()).unwrap().contains(key));
}

#[test]
fn scripts_get_the_key_as_json() {
    let shell = Shell::new(None);
    let made = shell.json(&["create", "--principal", "alice", "--expires-in", "30d"]);
    assert!(matches!(shell.standing(made["key"].as_str().unwrap()), Standing::Live(_)));
    assert_eq!(made["principal"], "alice");
    assert_eq!(made["state"], "live");
    assert_eq!(made["created"], "2026-11-21T12:00:00Z", "in whole seconds");
    assert_eq!(made["expires"], "2026-12-21T12:00:00Z");
    assert_eq!(made["revoked"], Value::Null);
}

#[test]
fn an_expiry_is_a_duration_or_a_time_ahead() {
    let shell = Shell::new(None);
    for (option, asked, expires) in [
        ("--expires-in", "90s", "2026-11-21T12:01:30Z"),
        ("--expires-in", "12h", "2026-11-22T00:00:00Z"),
        ("--expires-in", "2 weeks", "2026-12-05T12:00:00Z"),
        ("--expires-in", "3mo", "2027-02-21T12:00:00Z"),
        ("--expires-in", "1y", "2027-11-21T12:00:00Z"),
        ("--expires-in", "P1D", "2026-11-22T12:00:00Z"),
        ("--expires-at", "2027-01-31T00:00:00Z", "2027-01-31T00:00:00Z"),
        ("--expires-at", "2027-01-31T00:00:00+01:00", "2027-01-30T23:00:00Z"),
    ] {
        assert_eq!(shell.json(&["create", "--principal", "a", option, asked])["expires"], expires, "{asked}");
    }
    let before = fs::read(shell.keys_file()).unwrap();
    for (option, asked, part) in [
        ("--expires-in=", "30", "no duration, such as 12h"),
        ("--expires-in=", "soon", "no duration"),
        ("--expires-in=", "99999y", "no duration"),
        ("--expires-in=", "0d", "no time in the future"),
        ("--expires-in=", "-1d", "no time in the future"),
        ("--expires-at=", "2026-11-21T12:00:00Z", "no time in the future"),
        ("--expires-at=", "2027-01-31", "no time with its zone"),
    ] {
        let told = shell.faulty(&["create", "--principal", "a", &format!("{option}{asked}")]);
        assert!(told.contains(part), "{asked}: {told}");
    }
    assert_eq!(fs::read(shell.keys_file()).unwrap(), before, "no key was made");
    let both = ["key", "create", "--principal", "a", "--expires-in", "1d", "--expires-at", "2027-01-31T00:00:00Z"];
    assert!(Program::try_parse_from(both).is_err());
}

#[test]
fn a_key_for_someone_who_is_not_configured_is_refused() {
    let shell = Shell::new(Some(&["alice", "bob"]));
    let told = shell.faulty(&["create", "--principal", "alcie"]);
    assert!(told.contains("no principal `alcie`") && told.contains("alice, bob"), "{told}");
    assert!(Shell::new(Some(&[])).faulty(&["create", "--principal", "a"]).contains("none yet"));
    let many: Vec<_> = (0..30).map(|n| format!("p{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(Shell::new(Some(&many)).faulty(&["create", "--principal", "a"]).contains("p9 and 20 more"));
    for bad in ["", "a\u{1b}[31m"] {
        assert!(Shell::new(None).faulty(&["create", "--principal", bad]).contains("--principal"));
    }
    assert!(shell.faulty(&["create", "--principal", "bob", "--note", "a\nb"]).contains("--note"));
    assert!(shell.faulty(&["create", "--principal", "bob", "--note", &"x".repeat(201)]).contains("--note"));
    assert!(!shell.keys_file().exists());
}

#[test]
fn keys_are_listed_with_their_state_and_without_themselves() {
    let mut shell = Shell::new(None);
    let (_, nothing, hint) = shell.run(&["list"]);
    assert!(nothing.is_empty() && hint.contains("key create"), "{hint}");
    assert_eq!(shell.json(&["list"]), Value::Array(vec![]));
    let make = |principal: &str, more: &[&str]| {
        shell.json(&[&["create", "--principal", principal], more].concat())["id"].as_str().unwrap().to_owned()
    };
    let ids = [
        make("alice", &["--note", "laptop"]),
        make("bob", &["--expires-in", "1h"]),
        make("carol", &[]),
        make("dave", &[]),
    ];
    shell.fine(&["revoke", &ids[2]]);
    shell.now += Duration::from_hours(2);
    shell.principals = Some(["alice", "bob", "carol"].map(str::to_owned).to_vec());

    let rows = shell.json(&["list"]);
    let rows = rows.as_array().unwrap();
    let column = |name: &str| rows.iter().map(|row| row[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(column("id"), ids);
    assert_eq!(column("state"), ["live", "expired", "revoked", "no-such-principal"]);
    assert_eq!(column("revoked"), ["-", "-", "2026-11-21T12:00:00Z", "-"]);
    assert!(rows.iter().all(|row| row.get("key").is_none() && row.get("hash").is_none()));

    let table = shell.fine(&["list"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5);
    for (line, parts) in lines.iter().zip([
        ["ID", "PRINCIPAL", "STATE", "EXPIRES"],
        [&ids[0], "alice", "live", "laptop"],
        [&ids[1], "bob", "expired", "2026-11-21T13:00:00Z"],
        [&ids[2], "carol", "revoked", "never"],
        [&ids[3], "dave", "no such principal", "never"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line} has not all of {parts:?}");
    }
}

#[test]
fn a_key_is_revoked_by_its_id_or_by_itself_and_only_once() {
    let mut shell = Shell::new(None);
    let form: [fn(&str) -> String; 3] =
        [|key| key[3..15].to_owned(), |key| key[..15].to_owned(), |key| format!(" {key}\n")];
    for form in form {
        let key = shell.fine(&["create", "--principal", "alice"]).trim().to_owned();
        let told = shell.fine(&["revoke", &form(&key)]);
        assert!(told.contains("is revoked") && told.contains("alice") && !told.contains(&key), "{told}");
        assert!(matches!(shell.standing(&key), Standing::Revoked { .. }));
        shell.now += Duration::from_hours(1);
        let again = shell.fine(&["revoke", &form(&key)]);
        assert!(again.contains("was revoked since 2026-11-21T"), "{again}");
        assert!(shell.json(&["revoke", &form(&key)])["state"] == "revoked");
    }
    assert!(shell.faulty(&["revoke", "aaaaaaaaaaaa"]).contains("`tollgate key list` shows"));
    assert!(shell.faulty(&["revoke", "alice"]).contains("twelve letters and digits"));
}

#[test]
fn a_keys_file_that_cannot_be_used_is_named_with_a_remedy() {
    let shell = Shell::new(None);
    fs::write(shell.keys_file(), "{}").unwrap();
    for line in [&["list"][..], &["create", "--principal", "a"], &["revoke", "aaaaaaaaaaaa"]] {
        let told = shell.faulty(line);
        assert!(told.contains("keys.json is malformed") && told.contains("restore it"), "{told}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let shell = Shell::new(None);
    shell.fine(&["create", "--principal", "alice"]);
    let text = fs::read_to_string(shell.keys_file()).unwrap().replace("alice", "al\\u001b[31mice");
    fs::write(shell.keys_file(), text).unwrap();
    assert!(!shell.fine(&["list"]).contains('\u{1b}'));
}
