//! `tollgate profile` as an operator uses it: the program itself, against the look-alike's control plane.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tollgate::mock::{MockActions, MockBedrock, MockConfig, MockFailure, MockProfile, MockService, Running};
use tollgate::types::Tags;

use crate::harness::{HAIKU, NOVA, SONNET, arn};

/// A folder with a configuration, and AWS as it is played.
struct Desk {
    folder: TempDir,
    aws: Running,
}

/// What the program has printed, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts an exit code, and that words stand in the output or among the errors.
    fn has(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(
                self.out.contains(word) || self.err.contains(word),
                "{word:?} is missing: {}\n{}",
                self.out,
                self.err
            );
        }
        self
    }
}

const RULES: &str = "[[discovery.rules]]\nprofile_tag = \"UserEmail\"\nprincipal_tag = \"UserEmail\"\n\
                     [[discovery.rules]]\nprofile_tag = \"Team\"\nname_of = \"group\"\n";
const VENDING: &str = "[[vending]]\ngroups = [\"eng\"]\nmodels = [\"anthropic.claude-*\"]\ngeographies = [\"us\", \"global\"]\n\
                       tags = { UserEmail = \"{UserEmail}\" }\n";

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Desk {
    async fn new() -> Self {
        Self::with(&format!("{RULES}{VENDING}")).await
    }

    async fn with(rest: &str) -> Self {
        let mut mock = MockConfig::local().unwrap();
        mock.other_regions = vec!["us-west-2".parse().unwrap()];
        let aws = MockBedrock::start(mock).await.unwrap();
        let folder = TempDir::new().unwrap();
        let url = aws.url();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstream]\nendpoint = \"{url}\"\n\
             [[principals]]\nname = \"alice\"\ngroups = [\"eng\"]\ntags = {{ UserEmail = \"alice@example.com\" }}\n\
             [[principals]]\nname = \"bob\"\ngroups = [\"eng\"]\ntags = {{ UserEmail = \"bob@example.com\" }}\n\
             [[profiles]]\nname = \"all-nova\"\narn = \"{}\"\nsource = \"{NOVA}\"\neveryone = true\n\
             [[accounts]]\naccount = \"123456789012\"\nregions = [\"us-east-1\", \"us-west-2\"]\n\
             [discovery]\nendpoint = \"{url}\"\n{rest}",
            arn("all-nova"),
        );
        std::fs::write(folder.path().join("tollgate.toml"), text).unwrap();
        Self { folder, aws }
    }

    fn add(&self, name: &str, source: &str, of: &[(&str, &str)]) {
        let profile = MockProfile { arn: arn(name).parse().unwrap(), source: source.parse().unwrap(), tags: tags(of) };
        self.aws.add_profile(name, &profile);
    }

    async fn say(&self, line: &[&str]) -> Said {
        self.tollgate("profile", line).await
    }

    async fn tollgate(&self, command: &str, line: &[&str]) -> Said {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        program.arg(command).args(line).arg("-c").arg(self.folder.path().join("tollgate.toml"));
        program.env_clear().env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        program.env("AWS_ACCESS_KEY_ID", MockConfig::ACCESS_KEY_ID);
        program.env("AWS_SECRET_ACCESS_KEY", MockConfig::SECRET_ACCESS_KEY);
        let Output { status, stdout, stderr } = program.stdin(Stdio::null()).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    async fn json(&self, line: &[&str]) -> Value {
        let line: Vec<_> = line.iter().chain(&["--output", "json"]).copied().collect();
        self.say(&line).await.json()
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("profiles.json")
    }

    /// The operations of the control plane that change something, as AWS has received them.
    fn changes(&self) -> Vec<&'static str> {
        let names = self.aws.received().into_iter().filter_map(|received| received.operation);
        names
            .filter(|name| name.starts_with("Create") || name.starts_with("Delete") || name.starts_with("Tag"))
            .collect()
    }
}

#[tokio::test]
async fn a_sync_says_what_has_changed_and_a_list_whose_everything_is() {
    let desk = Desk::new().await;
    desk.say(&["list"]).await.has(0, &["all-nova", "everyone", "not all of AWS has been read yet"]);
    desk.add("alices", SONNET, &[("UserEmail", "alice@example.com")]);
    desk.add("engs", HAIKU, &[("Team", "eng")]);
    desk.add("strangers", HAIKU, &[("UserEmail", "eve@example.com")]);
    desk.add("bare", HAIKU, &[("Colour", "red")]);
    desk.add("odd", SONNET, &[("tollgate:source", "what?"), ("UserEmail", "alice@example.com")]);
    let said = desk.say(&["sync"]).await;
    said.has(0, &["+ alices", "+ odd (unknown)", "5 added, 0 gone, 0 changed.", "4 profiles, and 1 of unknown source"]);
    desk.say(&["sync"]).await.has(0, &["Nothing has changed."]);

    let listed = desk.json(&["list"]).await;
    let row = |name: &str| listed.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(listed.as_array().unwrap().len(), 6);
    assert_eq!((&row("alices")["whose"], &row("engs")["whose"]), (&json!(["alice"]), &json!(["alice", "bob"])));
    assert_eq!(row("engs")["by"], "rule 2: profile tag Team = group's name");
    assert_eq!((&row("strangers")["whose"], &row("bare")["by"]), (&json!([]), &Value::Null));
    assert!(row("bare")["remedy"].as_str().unwrap().contains("UserEmail, Team"));
    assert!(row("odd")["source"].is_null() && row("odd")["remedy"].as_str().unwrap().contains("tollgate:source"));
    let said = desk.say(&["list"]).await;
    said.has(0, &["nobody known", "note: odd is nobody's: say what it was made from: aws bedrock tag-resource"]);
    let of_bob = desk.json(&["list", "--principal", "bob"]).await;
    let names: Vec<_> = of_bob.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["engs", "all-nova"], "the closest first");
    desk.say(&["list", "--principal", "eve"]).await.has(1, &["nor a live key knows eve", "key create"]);

    desk.aws.retag_profile(&arn("engs").parse().unwrap(), &tags(&[("Team", "ops")]));
    desk.aws.remove_profile(&arn("bare").parse().unwrap());
    let kept = std::fs::read(desk.file()).unwrap();
    let live = desk.json(&["list", "--live", "--principal", "bob"]).await;
    assert_eq!(live.as_array().unwrap().len(), 1, "{live}");
    assert_eq!(std::fs::read(desk.file()).unwrap(), kept, "looking writes nothing down");
    let said = desk.say(&["sync"]).await;
    said.has(0, &["- bare", "~ engs", "Team: \"eng\" -> \"ops\"", "0 added, 1 gone, 1 changed."]);
    assert!(desk.changes().is_empty(), "reading changes nothing in AWS");
}

#[tokio::test]
async fn what_is_explained_is_every_step_to_the_profile_or_what_to_do_without_one() {
    let desk = Desk::new().await;
    desk.add("alices", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", &[("UserEmail", "alice@example.com")]);
    desk.add("engs", SONNET, &[("Team", "eng")]);
    desk.say(&["sync"]).await.has(0, &[]);

    let said = desk.say(&["explain", "--principal", "alice", "--model", SONNET]).await;
    said.has(
        0,
        &[
            "known by the configuration",
            "system-defined profile: geography us",
            "rule 1: profile tag UserEmail = principal tag UserEmail, which is \"alice@example.com\"",
            "over the same foundation model: alices",
            "not looked at any more",
            "any commercial Region (global)",
            "per million tokens of input",
        ],
    );
    let told = desk.json(&["explain", "--principal", "alice", "--model", SONNET]).await;
    assert_eq!((&told["chosen"]["name"], &told["chosen"]["arn"]), (&json!("alices"), &json!(arn("alices"))));
    assert_eq!(told["chosen"]["endpoint"], desk.aws.url());
    let looked: Vec<_> =
        told["steps"].as_array().unwrap().iter().map(|step| step["looked_at"].as_bool().unwrap()).collect();
    assert_eq!(looked, [true, true, false, false, false]);

    // Bob's is the group's; what there is none of would be made.
    let bob = desk.json(&["explain", "--principal", "bob", "--model", SONNET]).await;
    assert_eq!((&bob["chosen"]["name"], &bob["would_make"]), (&json!("engs"), &Value::Null));
    let said =
        desk.say(&["explain", "--principal", "bob", "--model", "anthropic.claude-haiku-4-5-20251001-v1:0"]).await;
    said.has(
        0,
        &["None of them fits", "[[vending]] rule 1 has one made", "profile create --principal bob --model anth"],
    );
    let haiku = desk.json(&["explain", "--principal", "bob", "--model", HAIKU]).await;
    assert_eq!(haiku["would_make"]["source"], HAIKU);
    assert_eq!(haiku["would_make"]["tags"]["UserEmail"], "bob@example.com");

    // Whom a token describes is told of on the command line.
    let eve = ["explain", "--principal", "eve", "--model", SONNET];
    desk.say(&eve)
        .await
        .has(0, &["nor a live key knows eve", "You have no inference profile for the model", "No [[vending]] rule"]);
    let told = desk.json(&[&eve[..], &["--group", "eng", "--tag", "UserEmail=eve@example.com"]].concat()).await;
    assert_eq!((&told["chosen"]["name"], &told["known_by"]), (&json!("engs"), &json!("the command line")));
    let said = desk.say(&["explain", "--principal", "bob", "--model", &arn("alices")]).await;
    said.has(0, &["not one that you may call through", "make it somebody else's: UserEmail = alice@example.com"]);
    let said = desk.say(&["explain", "--principal", "alice", "--group", "ops", "--model", "x"]).await;
    said.has(1, &["the configuration lists alice"]);
    desk.say(&["explain", "--principal", "alice"]).await.has(2, &["--model"]);

    // What AWS says now, and not what was known.
    desk.aws.remove_profile(&arn("alices").parse().unwrap());
    let live = desk.json(&["explain", "--live", "--principal", "alice", "--model", SONNET]).await;
    assert_eq!(live["chosen"]["name"], "engs");
}

#[tokio::test]
async fn a_key_makes_its_owner_known() {
    let desk = Desk::new().await;
    desk.add("engs", SONNET, &[("Team", "eng")]);
    let made = ["create", "--principal", "dora", "--group", "eng", "--tag", "UserEmail=dora@example.com"];
    desk.tollgate("key", &made).await.has(0, &[]);
    let told = desk.json(&["explain", "--live", "--principal", "dora", "--model", SONNET]).await;
    assert_eq!((&told["chosen"]["name"], &told["known_by"]), (&json!("engs"), &json!("a key")));
    let listed = desk.json(&["list", "--live", "--principal", "dora"]).await;
    assert_eq!(listed[0]["name"], "engs", "{listed}");
}

#[tokio::test]
async fn what_iam_denies_and_what_is_throttled_is_told_with_what_to_do_and_keeps_what_was_known() {
    let desk = Desk::new().await;
    desk.add("engs", SONNET, &[("Team", "eng")]);
    desk.say(&["sync"]).await.has(0, &["1 added"]);
    let kept = desk.json(&["list"]).await;

    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:List*".to_owned()]));
    for line in [&["sync"][..], &["list", "--live"], &["explain", "--live", "--principal", "bob", "--model", SONNET]] {
        let said = desk.say(line).await;
        said.has(
            1,
            &["123456789012 in us-east-1 could not be read", "IAM does not allow it", "the role needs bedrock:Lis"],
        );
    }
    assert_eq!(desk.json(&["list"]).await, kept);
    desk.aws.set_actions(MockActions::AllBut(vec!["tag:GetResources".to_owned()]));
    desk.say(&["sync"]).await.has(0, &["Nothing has changed."]);
    desk.aws.set_actions(MockActions::All);

    desk.aws.fail(MockService::Bedrock, MockFailure::Throttled, 3);
    desk.say(&["sync"]).await.has(0, &["Nothing has changed."]);
    let kept = desk.json(&["list"]).await;
    desk.aws.fail(MockService::Bedrock, MockFailure::Throttled, u32::MAX);
    desk.say(&["sync"])
        .await
        .has(1, &["asked too often", "try later", "Reading AWS: 0 profiles listed so far, after 1 s"]);
    desk.aws.recover();
    assert_eq!(desk.json(&["list"]).await, kept);

    std::fs::write(desk.file(), "{").unwrap();
    desk.say(&["list"]).await.has(0, &["cannot be read", "`tollgate profile sync` writes it anew"]);
    desk.say(&["sync"]).await.has(0, &["+ engs"]);
    let lone = Desk::with("").await;
    lone.say(&["sync"]).await.has(1, &["no rule says whose the profiles are"]);
}
