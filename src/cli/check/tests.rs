//! The command run on the files of the repository, and its command line.

use std::path::Path;

use clap::{Args, FromArgMatches};
use serde_json::Value;

use super::*;
use crate::types::{ModelId, Region};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn price_known(_: &ModelId, _: &Region) -> bool {
    true
}

/// Runs the command: its exit code, standard output and standard error.
fn check(config: &str, output: Output) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = Arguments { config: repository(config), output };
    let code = run(&arguments, &price_known, &mut Streams { out: &mut out, err: &mut err }).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn a_valid_file_is_summed_up_and_ends_with_zero() {
    let (code, out, err) = check("config/tollgate.toml", Output::Table);
    assert_eq!((code, err.as_str()), (ExitCode::Fine, ""));
    for line in [
        "callers    https://127.0.0.1:8080 (local CA in ",
        "callers    https://127.0.0.1:8443 (local CA in ",
        "operators  http://127.0.0.1:9090",
        "identity   keys, tokens of https://company.okta.com/oauth2/default, AWS roles for ",
        "upstream   bedrock-runtime of the profile's Region; without a profile: us-east-1; credentials: the standard AWS chain",
        "operations InvokeModel, InvokeModelWithResponseStream, Converse, ConverseStream, CountTokens, ApplyGuardrail",
        "regions    any; global profiles: by Region",
        "prices     built in",
    ] {
        assert!(
            out.lines()
                .any(|printed| printed.starts_with("counts     ") && printed.contains("tollgate.db, of this gateway"))
        );
        assert!(out.lines().any(|printed| printed.starts_with(line)), "{line}\n{out}");
    }
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = out.lines().map(cells).collect();
    for row in [
        "alice eng alice-sonnet sonnet us.anthropic.claude-sonnet-4-5-20250929-v1:0 us-east-1",
        "bob shared-haiku us.anthropic.claude-haiku-4-5-20251001-v1:0 us-east-1",
        "abc123def456 1 inject refuse refuse group eng",
        "daily $5.00, 1000000 tokens day (UTC) worst-case never each of everyone",
        "burst 10/s, 20 at a time all principal 0s everyone",
    ] {
        assert!(rows.contains(&cells(row)), "{row}\n{out}");
    }
    assert!(out.ends_with("tollgate.toml is valid\n"), "{out}");
}

#[test]
fn warnings_are_printed_apart_and_do_not_change_the_exit_code() {
    let (code, out, err) = check("tests/fixtures/config/valid/warnings.toml", Output::Table);
    assert_eq!(code, ExitCode::Fine);
    assert!(err.contains("warnings.toml:15:1: warning: principals[1]: bob has no profile"), "{err}");
    assert!(out.ends_with("warnings.toml is valid, 12 warnings\n"), "{out}");
}

#[test]
fn an_invalid_file_ends_with_one_and_every_error() {
    let (code, out, err) = check("tests/fixtures/config/invalid/empty-lists.toml", Output::Table);
    assert_eq!((code, out.as_str()), (ExitCode::Faulty, ""));
    for line in ["empty-lists.toml:3:12: profiles: empty", "empty-lists.toml cannot be used: 1 error, 1 warning"] {
        assert!(err.lines().any(|printed| printed.ends_with(line)), "{line}\n{err}");
    }
}

#[test]
fn the_json_form_is_one_value_with_places_and_the_summary() {
    let (code, out, err) = check("tests/fixtures/config/invalid/empty-lists.toml", Output::Json);
    assert_eq!((code, err.as_str()), (ExitCode::Faulty, ""));
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&verdict["valid"], &verdict["summary"]), (&Value::Bool(false), &Value::Null));
    let error = &verdict["errors"][0];
    assert_eq!((&error["line"], &error["column"], &error["key"]), (&3.into(), &12.into(), &"profiles".into()));

    let (code, out, _) = check("config/tollgate.toml", Output::Json);
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &verdict["valid"], &verdict["errors"]),
        (ExitCode::Fine, &Value::Bool(true), &Value::Array(vec![]))
    );
    assert_eq!(verdict["summary"]["access"][0]["profile"]["name"], "alice-sonnet");
    assert_eq!(verdict["summary"]["budgets"][0]["usd"], "$5.00");
    assert_eq!(verdict["summary"]["rate_limits"][0]["concurrent"], 20);

    let (_, out, _) = check("tests/fixtures/config/absent.toml", Output::Json);
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdict["errors"][0].get("line"), None, "a file that cannot be read has no lines");
}

#[test]
fn the_command_line_names_a_file_and_a_form() {
    let parse = |words: &[&str]| {
        let command = Arguments::augment_args(clap::Command::new("check"));
        let matches = command.try_get_matches_from(std::iter::once(&"check").chain(words))?;
        Arguments::from_arg_matches(&matches)
    };
    let arguments = parse(&["-c", "x.toml", "--output", "json"]).unwrap();
    assert_eq!(arguments, Arguments { config: "x.toml".into(), output: Output::Json });
    assert!(parse(&["--output", "yaml"]).is_err());
    assert_eq!([ExitCode::Fine, ExitCode::Faulty, ExitCode::Usage].map(u8::from), [0, 1, 2]);
}
