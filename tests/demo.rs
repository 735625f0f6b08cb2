//! The main job, as a newcomer starts it: `tollgate demo`, with everything in one process and nothing but this machine.

use std::process::Command;

#[test]
fn the_demo_shows_streamed_answers_the_bill_and_both_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let played = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["demo", "--then", "exit", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8(played.stdout).unwrap();
    assert!(played.status.success(), "{shown}\n{}", String::from_utf8_lossy(&played.stderr));
    // One call of each kind goes through its caller's own profile, with the guardrail that nobody sent.
    for (who, operation, profile) in [
        ("ada", "ConverseStream", "adasonnet"),
        ("ada", "Converse", "adahaiku"),
        ("grace", "Converse", "gracenova"),
        ("linus", "InvokeModelWithResponseStream", "linussonnet"),
    ] {
        let seen = shown.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.starts_with(&[who, operation]) && words.get(3..5) == Some(&[profile, "gr4demo0001a:1"])
        });
        assert!(seen, "{who} {operation} {profile} is not in\n{shown}");
    }
    for part in [
        "refused: 403 AccessDeniedException",
        "refused: 402 ServiceQuotaExceededException",
        "Budget \"linus-daily\" has",
        "is not one that you may call through",
        "AWS_BEARER_TOKEN_BEDROCK=tg_",
        "CLAUDE_CODE_USE_BEDROCK=1",
        "import boto3",
        "Cline",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    // The bill: four calls were made, and the two that were refused are not among them.
    let total = shown.lines().find(|line| line.trim_start().starts_with("total")).unwrap();
    assert_eq!(total.split_whitespace().nth(1), Some("4"), "{total}");
}
