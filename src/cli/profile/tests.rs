//! `tollgate profile` as a shell sees it, without AWS.

use std::fs;

use clap::Parser;
use serde_json::Value;

use super::*;

/// `tollgate profile …` as a program of its own.
#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn parsed(line: &str) -> Result<Arguments, String> {
    let words = ["profile"].into_iter().chain(line.split_whitespace());
    Program::try_parse_from(words).map(|program| program.arguments).map_err(|error| error.to_string())
}

#[test]
fn a_command_line_that_says_two_things_at_once_is_refused() {
    for (line, complaint) in [
        ("create --everyone --model m --name n", "cannot be used with"),
        ("create --everyone --principal alice --model m", "cannot be used with"),
        ("create --principal alice --model m --source s", "cannot be used with"),
        ("create --principal alice", "--model"),
        ("delete a --yes --dry-run", "cannot be used with"),
        ("explain --model m", "--principal"),
        ("delete", "required"),
    ] {
        let told = parsed(line).unwrap_err();
        assert!(told.contains(complaint), "{line}: {told}");
    }
    for line in
        ["create --everyone --model a --model b --dry-run", "orphans --delete --owner-gone eve --yes", "list --live"]
    {
        parsed(line).unwrap();
    }
}

/// Runs a line against a configuration; the file of what was found beside it.
fn said(config: &str, found: &str, line: &str) -> (ExitCode, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.toml");
    fs::write(&path, config).unwrap();
    fs::write(folder.path().join("profiles.json"), found).unwrap();
    let arguments = parsed(&format!("{line} -c {}", path.display())).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = runtime.block_on(run(&arguments, SystemTime::UNIX_EPOCH, &mut streams)).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:8080\"\n[[principals]]\nname = \"alice\"\n[[accounts]]\n\
    account = \"111122223333\"\nregions = [\"us-east-1\"]\n[discovery]\n[[discovery.rules]]\nprofile_tag = \"Owner\"\n\
    name_of = \"principal\"\n";
const FOUND: &str = "{\"version\":1,\"places\":[{\"account\":\"111122223333\",\"region\":\"us-east-1\",\
    \"read_at\":\"2026-11-27T12:00:00Z\",\"profiles\":[{\"arn\":\
    \"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1\",\"name\":\"hers \\u001b[31m\",\
    \"source\":\"us.amazon.nova-lite-v1:0\",\"tags\":[[\"Owner\",\"alice\"]]}]}]}";

#[test]
fn what_was_found_before_is_listed_and_explained_without_asking_aws() {
    let (code, out, err) = said(CONFIG, FOUND, "list");
    assert_eq!(code, ExitCode::Fine, "{err}");
    assert!(out.contains("rule 1: profile tag Owner = principal's name") && out.contains("alice"), "{out}");
    assert!(!out.contains('\u{1b}'), "a name is shown without what a terminal would obey: {out:?}");
    let (_, out, _) = said(CONFIG, FOUND, "explain --principal alice --model amazon.nova-lite-v1:0 --output json");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["chosen"]["fit"], &told["chosen"]["geography"]),
        (&"over the same foundation model".into(), &"us".into())
    );
    assert_eq!(told["chosen"]["endpoint"], "https://bedrock-runtime.us-east-1.amazonaws.com");
    assert!(told["chosen"]["dollars_per_million_tokens"]["input"].is_string(), "{told}");
}

#[test]
fn a_configuration_that_names_no_place_in_aws_says_what_to_add() {
    let config = "[server]\nlisten = \"127.0.0.1:8080\"\n[[principals]]\nname = \"alice\"\n[[profiles]]\nname = \"p\"\n\
        arn = \"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1\"\n\
        source = \"us.amazon.nova-lite-v1:0\"\neveryone = true\n";
    for line in ["sync", "list --live", "create --principal alice --model m.x --yes", "delete p --yes", "orphans"] {
        let (code, out, err) = said(config, "", line);
        assert_eq!((code, out.as_str()), (ExitCode::Faulty, ""), "{line}");
        assert!(err.contains("add [[accounts]], and [discovery]"), "{line}: {err}");
    }
    let (code, out, _) = said(config, "", "explain --principal alice --model p");
    assert!(code == ExitCode::Fine && out.contains("everyone, in [[profiles]]; called exactly so"), "{out}");
}
