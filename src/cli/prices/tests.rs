//! The commands as a shell sees them.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn shell(line: &[&str]) -> (ExitCode, String, String) {
    let arguments = Program::try_parse_from(["prices"].iter().chain(line)).unwrap().arguments;
    let (mut out, mut err) = (vec![], vec![]);
    let mut streams = Streams { out: &mut out, err: &mut err };
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(498_684);
    let code = run(&arguments, now, &mut streams).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/prices/{name}", env!("CARGO_MANIFEST_DIR"))
}

const CONFIG: &str = r#"
[[principals]]
name = "alice"
[[profiles]]
name = "p"
arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"
source = "amazon.nova-lite-v1:0"
everyone = true
[[budgets]]
name = "daily"
everyone = true
window = "day"
usd = "5"
[price_table]
file = "prices.json"
"#;

#[test]
fn what_is_in_force_is_shown_compared_and_replaced_by_a_file_that_the_configuration_takes() {
    let (code, out, err) = shell(&["show", "--model", "nova-lite", "--region", "us-gov-west-1"]);
    assert_eq!((code, out.lines().count()), (ExitCode::Fine, 2), "{out}");
    assert!(err.contains("taken on 2026-"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    let (table, config) = (folder.path().join("prices.json"), folder.path().join("tollgate.toml"));
    let (table, config) = (table.to_str().unwrap(), config.to_str().unwrap());
    fs::write(config, CONFIG).unwrap();
    let (code, _, err) = shell(&["--config", config, "show"]);
    assert_eq!(code, ExitCode::Faulty);
    assert!(err.contains("prices.json"), "{err}");

    let aws = fixture("aws-bedrock.json");
    let (code, out, err) = shell(&["diff", "--from", &aws]);
    assert_eq!(code, ExitCode::Fine);
    assert!(err.ends_with("1 new, 0 gone, 0 changed.\n") && err.contains("left out: Some Future Model"), "{err}");
    let (_, updated, err) = shell(&["update", "--from", &aws, "--to", table]);
    assert_eq!(out, updated);
    assert!(err.contains("[price_table] file = "), "{err}");
    let (code, out, _) = shell(&["--config", config, "show", "--region", "us-east-1", "--output", "json"]);
    assert_eq!(code, ExitCode::Fine);
    let shown: Value = serde_json::from_str(&out).unwrap();
    let nova = shown["rows"].as_array().unwrap().iter().find(|row| row["model"] == "amazon.nova-lite-v1:0").unwrap();
    assert_eq!(nova["prices"]["input"], "0.066");
    // The same again changes nothing.
    let (_, _, err) = shell(&["--config", config, "diff", "--from", &aws]);
    assert!(err.ends_with("0 new, 0 gone, 0 changed.\n"), "{err}");

    // LiteLLM's list is whole: what it does not have is gone, and then the budget has nothing to count by.
    let litellm = fs::read_to_string(fixture("litellm.json")).unwrap();
    let without =
        litellm.replace("\"amazon.nova-lite-v1:0\"", "\"other\"").replace("\"amazon.nova-2-lite-v1:0\"", "\"another\"");
    fs::write(folder.path().join("litellm.json"), without).unwrap();
    let list = folder.path().join("litellm.json");
    let (code, _, err) = shell(&["update", "--from", list.to_str().unwrap(), "--to", table]);
    assert_eq!(code, ExitCode::Fine, "{err}");
    let (code, _, err) = shell(&["--config", config, "show"]);
    assert_eq!(code, ExitCode::Faulty);
    assert!(err.contains("amazon.nova-lite-v1:0 has no price, and alice has the budget daily"), "{err}");
}

#[test]
fn a_file_that_is_no_list_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (wrong, table) = (folder.path().join("wrong.json"), folder.path().join("prices.json"));
    fs::write(&wrong, "{\"a\": 1}").unwrap();
    for from in [wrong.to_str().unwrap(), "/no/such/file"] {
        let (code, out, err) = shell(&["update", "--from", from, "--to", table.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (ExitCode::Faulty, ""), "{err}");
        assert!(err.starts_with(&format!("error: {from}: ")), "{err}");
    }
    assert!(!table.exists());
    let (code, _, err) = shell(&["update", "--from", &fixture("litellm.json"), "--to", "/no/such/folder/prices.json"]);
    assert_eq!(code, ExitCode::Faulty);
    assert!(err.contains("/no/such/folder/prices.json"), "{err}");
}
