//! `tollgate profile` as an operator uses it: the program itself, against the look-alike's control plane.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tollgate::mock::{MockActions, MockBedrock, MockConfig, MockFailure, MockProfile, MockRole, MockService, Running};
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

const ROLE: &str = "arn:aws:iam::210987654321:role/tollgate";
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
        mock.roles = vec![MockRole::new(ROLE, MockConfig::ACCESS_KEY_ID)];
        let aws = MockBedrock::start(mock).await.unwrap();
        let folder = TempDir::new().unwrap();
        let url = aws.url();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstream]\nendpoint = \"{url}\"\nsts_endpoint = \"{url}\"\n\
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
async fn of_a_prompt_it_is_said_what_is_held_for_it() {
    let prompt = "arn:aws:bedrock:us-east-1:123456789012:prompt/PROMPT1234:1";
    let rule = format!(
        "[[exact_arns]]\nname = \"playlist\"\narn = \"{prompt}\"\nsource = \"{SONNET}\"\nprincipals = [\"alice\"]\n\
         most_input_tokens = 2000\nmost_output_tokens = 4096\nvariable_uses = 2"
    );
    let desk = Desk::with(&format!("{RULES}{rule}")).await;
    let said = desk.say(&["explain", "--principal", "alice", "--model", prompt]).await;
    said.has(
        0,
        &["a prompt of Prompt management", "at most 2 times the request and 2000 tokens of input, 4096 of output"],
    );
    let explained = desk.json(&["explain", "--principal", "alice", "--model", prompt]).await;
    let bounds = json!({ "most_input_tokens": 2000, "most_output_tokens": 4096, "variable_uses": 2 });
    assert_eq!(explained["chosen"]["prompt"], bounds, "{explained}");
    desk.say(&["explain", "--principal", "bob", "--model", prompt])
        .await
        .has(0, &["fits only what [[exact_arns]] lists"]);
    desk.say(&["list"]).await.has(0, &["playlist", "[[exact_arns]], a prompt"]);
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

const HAIKU_MODEL: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";

#[tokio::test]
async fn a_profile_is_made_as_a_rule_has_it_once_it_was_agreed_to() {
    let desk = Desk::new().await;
    let create = ["create", "--principal", "alice", "--model", HAIKU_MODEL];
    let said = desk.say(&[&create[..], &["--dry-run"]].concat()).await;
    said.has(
        0,
        &[
            "# by [[vending]] rule 1",
            "+ inference profile \"alice-anthropic-claude-haiku-4-5-20251001-v1-0-",
            "+ account = \"123456789012\"",
            "+ region  = \"us-east-1\"",
            "+ source  = \"us.anthropic.claude-haiku-4-5-20251001-v1:0\"",
            "+ \"UserEmail\"       = \"alice@example.com\"",
            "+ \"tollgate:owner\"  = \"alice\"",
            "Plan: 1 to create, 0 to delete.",
        ],
    );
    desk.say(&create).await.has(1, &["Plan: 1 to create", "nobody can be asked here", "--yes", "--dry-run"]);
    assert!(desk.changes().is_empty() && !desk.file().exists(), "nothing was changed");
    let told = desk.json(&[&create[..], &["--dry-run"]].concat()).await;
    assert_eq!((&told["dry_run"], &told["made"]), (&json!(true), &json!([])));

    let told = desk.json(&[&create[..], &["--yes"]].concat()).await;
    let [(name, made)] = &desk.aws.profiles()[..] else { panic!("{told}") };
    assert_eq!((&told["made"][0]["name"], &told["made"][0]["arn"]), (&json!(name), &json!(made.arn.as_str())));
    assert_eq!(told["plan"]["create"][0]["name"], *name);
    let wanted = [("UserEmail", "alice@example.com"), ("tollgate:owner", "alice"), ("tollgate:source", HAIKU)];
    assert_eq!(made.tags, tags(&wanted));
    // It is known from now on, and there is nothing more to make.
    let listed = desk.json(&["list", "--principal", "alice"]).await;
    assert_eq!(listed[0]["arn"], made.arn.as_str());
    desk.say(&[&create[..], &["--yes"]].concat()).await.has(0, &["is theirs already", "There is nothing to make."]);
    assert_eq!(desk.changes(), ["CreateInferenceProfile"]);

    // What cannot be planned is told before anything is asked.
    for (line, code, why) in [
        (&["create", "--principal", "alice", "--model", "sonnet"][..], 1, "no model's id"),
        (&["create", "--principal", "alice", "--model", "amazon.nova-pro-v1:0", "--yes"], 1, "--source says from what"),
        (&["create", "--principal", "eve", "--model", HAIKU_MODEL], 1, "nor a live key knows eve"),
        (&["create", "--model", HAIKU_MODEL], 2, "--principal"),
        (&["create", "--principal", "alice"], 2, "--model"),
        (&["create", "--principal", "alice", "--model", "x", "--yes", "--dry-run"], 2, "cannot be used with"),
    ] {
        desk.say(line).await.has(code, &[why]);
    }
    assert_eq!(desk.aws.profiles().len(), 1);
}

#[tokio::test]
async fn a_profile_is_made_as_the_command_line_has_it_and_only_where_it_is_somebodys() {
    let desk = Desk::new().await;
    let of_nova = ["create", "--principal", "bob", "--source", "us.amazon.nova-pro-v1:0", "--yes"];
    let said = desk
        .say(&[&of_nova[..], &["--region", "us-west-2", "--name", "bobs own", "--tag", "CostCenter=7"]].concat())
        .await;
    said.has(0, &["# as the command line asks", "+ inference profile \"bobs own\"", "1 made, 0 failed"]);
    let [(name, made)] = &desk.aws.profiles()[..] else { panic!("{said:?}") };
    assert_eq!((name.as_str(), made.arn.region().as_str()), ("bobs own", "us-west-2"));
    assert_eq!((made.tags.value("UserEmail"), made.tags.value("CostCenter")), (Some("bob@example.com"), Some("7")));

    for (more, why) in [
        (&["--region", "eu-west-1"][..], "[[accounts]] has no such account and Region"),
        (&["--account", "999999999999"], "[[accounts]] has no such account and Region"),
        (&["--tag", "UserEmail=alice@example.com"], "no rule of [discovery] would make it theirs"),
        (&["--tag", "CostCenter={Team}"], "take {Team}"),
        (&["--name", "a--b"], "--name takes 1 to 64"),
    ] {
        desk.say(&[&of_nova[..], more].concat()).await.has(1, &[why]);
    }
    desk.say(&[&of_nova[..], &["--region", "us-west-2"]].concat()).await.has(0, &["is theirs already"]);
    // A name that is somebody else's is left alone.
    let taken =
        ["create", "--principal", "alice", "--source", HAIKU, "--region", "us-west-2", "--name", "bobs own", "--yes"];
    desk.say(&taken).await.has(1, &["there already, and its tags do not say", "0 made, 1 failed"]);
    // Of whom a token tells, the command line tells.
    let eve = ["create", "--principal", "eve", "--group", "eng", "--principal-tag", "UserEmail=eve@example.com"];
    let said = desk.say(&[&eve[..], &["--model", HAIKU_MODEL, "--yes"]].concat()).await;
    said.has(0, &["by [[vending]] rule 1", "1 made, 0 failed"]);
    assert_eq!(desk.aws.profiles().len(), 2);
}

#[tokio::test]
async fn everyone_gets_what_they_lack_within_the_rules() {
    let desk = Desk::new().await;
    desk.add("alices", HAIKU, &[("UserEmail", "alice@example.com")]);
    desk.tollgate("key", &["create", "--principal", "dora", "--group", "eng", "--tag", "UserEmail=dora@example.com"])
        .await;
    desk.tollgate("key", &["create", "--principal", "erik", "--group", "eng", "--tag", "Colour=red"]).await;
    desk.tollgate("key", &["create", "--principal", "fred", "--group", "ops", "--tag", "Colour=red"]).await;
    let line = ["create", "--everyone", "--model", HAIKU_MODEL, "--model", SONNET, "--yes"];
    let said = desk.say(&line).await;
    said.has(1, &["Plan: 5 to create, 0 to delete.", "5 made, 0 failed", "fred, ", "no [[vending]] rule is for them"]);
    said.has(1, &["error: erik, anthropic", "{UserEmail}", "2 of the profiles that were asked for could not be made"]);
    assert_eq!(desk.aws.profiles().len(), 6);
    desk.say(&line).await.has(1, &["There is nothing to make."]);
    assert_eq!(desk.aws.profiles().len(), 6);

    // A rule's limit holds for the plan as a whole.
    let few = VENDING.replace("geographies", "per_principal = 1\ngeographies");
    let desk = Desk::with(&format!("{RULES}{few}")).await;
    let said =
        desk.say(&["create", "--principal", "bob", "--model", HAIKU_MODEL, "--model", SONNET, "--dry-run"]).await;
    said.has(1, &["Plan: 1 to create", "1 profiles already"]);
}

#[tokio::test]
async fn what_aws_refuses_to_make_is_told_and_the_rest_is_not_tried() {
    let desk = Desk::new().await;
    let line = ["create", "--everyone", "--model", HAIKU_MODEL, "--yes"];
    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:Create*".to_owned()]));
    let said = desk.say(&line).await;
    said.has(
        1,
        &["IAM does not allow it", "the role needs bedrock:CreateInferenceProfile", "0 made, 1 failed, 1 not tried"],
    );
    desk.aws.set_actions(MockActions::All);
    // Read, and then throttled.
    desk.aws.fail(MockService::Bedrock, MockFailure::Throttled, 2);
    desk.say(&line).await.has(0, &["2 made, 0 failed"]);
    assert_eq!(desk.aws.profiles().len(), 2);
}

#[tokio::test]
async fn only_what_tollgate_has_made_is_deleted_unless_it_is_said_to_be_foreign() {
    let desk = Desk::new().await;
    let owned = [("tollgate:owner", "alice"), ("UserEmail", "alice@example.com")];
    desk.add("alices", HAIKU, &owned);
    desk.add("foreign", HAIKU, &[("UserEmail", "bob@example.com")]);
    desk.add("all-nova", NOVA, &owned);
    desk.aws.add_profile(
        "same",
        &MockProfile { arn: arn("one").parse().unwrap(), source: NOVA.parse().unwrap(), tags: tags(&owned) },
    );
    desk.aws.add_profile(
        "same",
        &MockProfile { arn: arn("two").parse().unwrap(), source: NOVA.parse().unwrap(), tags: tags(&owned) },
    );
    for (line, why) in [
        (&["delete", "foreign", "--yes"][..], "has no tag tollgate:owner: --foreign deletes it"),
        (&["delete", "alices", "foreign", "--yes"], "nothing was deleted"),
        (&["delete", "all-nova", "--yes"], "[[profiles]] lists"),
        (&["delete", "nonesuch", "--yes"], "no profile in [[accounts]] is named nonesuch"),
        (&["delete", "same", "--yes"], "several are named same: name one by its ARN"),
        (&["delete", &arn("none"), "--yes"], "AWS knows no such resource"),
        (&["delete", &arn("none").replace("us-east-1", "eu-west-1"), "--yes"], "[[accounts]] does not have"),
        (&["delete", "alices"], "nobody can be asked here"),
    ] {
        desk.say(line).await.has(1, &[why]);
    }
    desk.say(&["delete"]).await.has(2, &["NAME|ARN"]);
    let said = desk.say(&["delete", "alices", "--dry-run"]).await;
    said.has(
        0,
        &["# made by Tollgate", "- inference profile \"alices\"", "- arn     = ", "Plan: 0 to create, 1 to delete."],
    );
    assert!(desk.changes().is_empty());

    desk.say(&["sync"]).await.has(0, &["5 added"]);
    desk.say(&["delete", "alices", &arn("one"), "--yes"])
        .await
        .has(0, &["Plan: 0 to create, 2 to delete.", "2 deleted, 0 failed"]);
    let told = desk.json(&["delete", "foreign", "--foreign", "--yes"]).await;
    assert_eq!(told["deleted"][0]["arn"], arn("foreign"));
    assert_eq!(desk.aws.profiles().len(), 2);
    desk.say(&["sync"]).await.has(0, &["Nothing has changed."]);
    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:Delete*".to_owned()]));
    let said = desk.say(&["delete", "same", "--yes"]).await;
    said.has(1, &["IAM does not allow it", "the role needs bedrock:DeleteInferenceProfile", "0 deleted, 1 failed"]);
}

#[tokio::test]
async fn an_orphan_is_deleted_only_where_it_is_certain_that_nobody_has_it() {
    let desk = Desk::new().await;
    let of = |owner: &'static str, email: &'static str| [("tollgate:owner", owner), ("UserEmail", email)];
    desk.add("alices", HAIKU, &of("alice", "alice@example.com"));
    desk.add("again", HAIKU, &of("alice", "alice@example.com"));
    desk.add("project", HAIKU, &[&of("alice", "alice@example.com")[..], &[("Team", "apollo")]].concat());
    desk.add("gone", SONNET, &of("eve", "eve@example.com"));
    desk.add("gone-shared", SONNET, &[&of("eve", "eve@example.com")[..], &[("Team", "eng")]].concat());
    desk.add("moved", SONNET, &of("bob", "bob@example.org"));
    desk.add("bare", SONNET, &[("tollgate:owner", "bob")]);
    desk.add("others", SONNET, &[("Colour", "red")]);
    desk.add("strangers", SONNET, &[("UserEmail", "eve@example.com")]);
    let found = desk.json(&["orphans"]).await;
    let told = found.as_array().unwrap().iter().map(|orphan| {
        (orphan["name"].as_str().unwrap(), orphan["what"].as_str().unwrap(), orphan["certain"].as_bool().unwrap())
    });
    let told: Vec<_> = told.collect();
    let wanted = [
        ("again", "duplicate", true),
        ("gone", "owner gone", false),
        ("gone-shared", "owner gone", false),
        ("moved", "nobody's", true),
        ("bare", "nobody's", true),
        ("others", "nobody's", false),
    ];
    assert_eq!(told, wanted);
    desk.say(&["orphans"])
        .await
        .has(0, &["CERTAIN", "deletes the 3 that are certain", "but it is also that of alice, bob"]);
    desk.say(&["orphans", "--yes"]).await.has(1, &["--yes and --dry-run are for --delete"]);
    desk.say(&["orphans", "--delete"]).await.has(1, &["Plan: 0 to create, 3 to delete.", "nobody can be asked here"]);
    desk.say(&["orphans", "--delete", "--dry-run", "--owner-gone", "eve"])
        .await
        .has(0, &["# eve has left", "4 to delete"]);
    assert!(desk.changes().is_empty());

    // While a place cannot be read nothing is deleted.
    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:List*".to_owned()]));
    desk.say(&["orphans", "--delete", "--yes"]).await.has(1, &["could not be read"]);
    desk.aws.set_actions(MockActions::All);
    // Nor while the keys cannot.
    let keys = desk.folder.path().join("tollgate.db");
    std::fs::write(&keys, "no database at all, but a text that is long enough to be looked at".repeat(20)).unwrap();
    desk.say(&["orphans", "--delete", "--yes"]).await.has(1, &["the keys cannot be read"]);
    std::fs::remove_file(&keys).unwrap();

    desk.say(&["orphans", "--delete", "--yes", "--owner-gone", "eve"])
        .await
        .has(0, &["4 deleted, 0 failed", "2 more are kept"]);
    let left: Vec<_> = desk.aws.profiles().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["alices", "project", "gone-shared", "others", "strangers"]);
    desk.say(&["orphans", "--delete", "--yes"]).await.has(0, &["There is nothing to delete."]);
}

#[tokio::test]
async fn where_tokens_tell_of_people_an_owner_is_gone_only_when_somebody_says_so() {
    let open = "[identity.aws_login]\naudience = \"gate\"\n[[identity.aws_login.roles]]\n\
                arn = \"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_*/{email}\"\nprincipal = \"{email}\"\n";
    let desk = Desk::with(&format!("{RULES}{VENDING}{open}")).await;
    desk.add("eves", SONNET, &[("tollgate:owner", "eve"), ("UserEmail", "eve@example.com")]);
    desk.add("moved", SONNET, &[("tollgate:owner", "bob"), ("UserEmail", "bob@example.org")]);
    desk.add("bare", SONNET, &[("tollgate:owner", "bob")]);
    let said = desk.say(&["orphans"]).await;
    said.has(
        0,
        &["--owner-gone eve says that they have left", "1 that are certain", "people of tokens and certificates"],
    );
    desk.say(&["orphans", "--delete", "--yes"])
        .await
        .has(0, &["1 deleted, 0 failed", "bare: deleted", "2 more are kept"]);
    let said = desk.say(&["orphans", "--delete", "--yes", "--owner-gone", "bob"]).await;
    said.has(1, &["bob is not gone: the configuration or a live key knows them"]);
    desk.say(&["orphans", "--delete", "--yes", "--owner-gone", "eve"]).await.has(0, &["eves: deleted"]);
    let left: Vec<_> = desk.aws.profiles().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["moved"]);
}

#[tokio::test]
async fn another_account_is_asked_under_the_role_that_it_has_for_the_gateway() {
    let account =
        format!("[[accounts]]\naccount = \"210987654321\"\nregions = [\"us-east-1\"]\nrole_arn = \"{ROLE}\"\n");
    let desk = Desk::with(&format!("{RULES}{VENDING}{account}")).await;
    let line = ["create", "--principal", "alice", "--model", HAIKU_MODEL, "--account", "210987654321", "--yes"];
    let said = desk.say(&line).await;
    said.has(0, &["+ account = \"210987654321\"", "1 made, 0 failed"]);
    let [(name, made)] = &desk.aws.profiles()[..] else { panic!("{said:?}") };
    assert_eq!(made.arn.account().as_str(), "210987654321");
    desk.aws.fail(MockService::Sts, MockFailure::Outage, u32::MAX);
    desk.say(&["delete", made.arn.as_str(), "--yes"]).await.has(1, &["nothing was deleted", "try again"]);
    desk.aws.recover();
    desk.say(&["delete", name, "--yes"]).await.has(0, &["1 deleted, 0 failed"]);
    assert!(desk.aws.profiles().is_empty());
}

#[tokio::test]
async fn what_policy_would_refuse_is_neither_promised_nor_made() {
    let desk = Desk::with(&format!("{RULES}{VENDING}\n[policy]\ndeny_global = true\n")).await;
    let global = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
    let said = desk.say(&["explain", "--principal", "alice", "--model", global]).await;
    said.has(0, &["Not so: [policy] refuses calls through it", "region_denied"]);
    let told = desk.json(&["explain", "--principal", "alice", "--model", global]).await;
    assert!(told["would_make"]["region_denied"].is_string(), "{told}");
    desk.say(&["create", "--principal", "alice", "--model", global, "--yes"]).await.has(1, &["[policy] refuses calls"]);
    assert!(desk.changes().is_empty());
}

#[tokio::test]
async fn what_the_configuration_does_not_say_is_asked_of_aws_where_that_is_wanted() {
    let hers = format!("[[profiles]]\nname = \"hers\"\narn = \"{}\"\nprincipals = [\"alice\"]\n", arn("hers"));
    let desk = Desk::with(&format!("{RULES}{VENDING}{hers}")).await;
    desk.add("hers", SONNET, &[("tollgate:source", SONNET)]);
    desk.tollgate("check", &[]).await.has(0, &["asked of AWS"]);
    desk.say(&["list"]).await.has(0, &["unknown", "nobody can call through hers", "`--live` asks now"]);
    let explain = ["explain", "--principal", "alice", "--model", SONNET];
    desk.say(&explain).await.has(0, &["may be hers, of unknown source", "profile_pending", "`--live` asks now"]);
    let explained = desk.json(&explain).await;
    assert_eq!((&explained["chosen"], &explained["would_make"]), (&Value::Null, &Value::Null), "{explained}");
    assert_eq!(explained["steps"][0]["awaited"], json!("hers"));
    let asked = |scene: &Running| {
        scene.received().iter().filter(|received| received.operation == Some("GetInferenceProfile")).count()
    };
    assert_eq!(asked(&desk.aws), 0);
    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:GetInferenceProfile".to_owned()]));
    let elsewhere = ["create", "--principal", "alice", "--model", HAIKU, "--dry-run"];
    desk.aws.retag_profile(&arn("hers").parse().unwrap(), &tags(&[("tollgate:source", NOVA)]));
    desk.say(&elsewhere).await.has(1, &["it may be hers, of which is not known what it was made from"]);
    desk.aws.set_actions(MockActions::All);
    desk.aws.retag_profile(&arn("hers").parse().unwrap(), &tags(&[("tollgate:source", SONNET)]));
    let before = asked(&desk.aws);
    let live: Vec<_> = explain.iter().chain(&["--live"]).copied().collect();
    let explained = desk.json(&live).await;
    assert_eq!((&explained["chosen"]["name"], &explained["chosen"]["source"]), (&json!("hers"), &json!(SONNET)));
    assert_eq!(asked(&desk.aws), before + 1);

    // AWS contradicts itself.
    desk.aws.retag_profile(&arn("hers").parse().unwrap(), &tags(&[("tollgate:source", NOVA)]));
    desk.say(&["list", "--live"]).await.has(0, &["nobody can call through hers", "cannot be true", "with source"]);

    // Without [discovery], and with AWS away.
    let path = desk.folder.path().join("tollgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let url = desk.aws.url();
    let text = text.split("[[accounts]]").next().unwrap();
    let text = text.replace("[upstream]\n", &format!("[upstream]\ncontrol_endpoint = \"{url}\"\n"));
    std::fs::write(&path, text + &hers).unwrap();
    desk.aws.retag_profile(&arn("hers").parse().unwrap(), &tags(&[]));
    desk.say(&live).await.has(0, &["hers", SONNET]);
    desk.aws.set_actions(MockActions::AllBut(vec!["bedrock:GetInferenceProfile".to_owned()]));
    desk.say(&["list", "--live"]).await.has(0, &["the role needs bedrock:GetInferenceProfile"]);
}

#[tokio::test]
async fn sync_tells_how_much_room_awss_quota_leaves() {
    let desk = Desk::new().await;
    desk.say(&["sync"]).await.has(0, &["123456789012 in us-east-1: AWS's quota lets there be 1000, and 1000 more."]);
    let synced = desk.json(&["sync"]).await;
    let quotas: Vec<_> = synced["places"].as_array().unwrap().iter().map(|place| place["quota"].clone()).collect();
    assert_eq!(quotas, [json!(1_000), Value::Null], "only where profiles are made");
    desk.aws.set_actions(MockActions::AllBut(vec!["servicequotas:*".to_owned()]));
    desk.say(&["sync"]).await.has(0, &["is not known, and not looked at", "servicequotas:ListServiceQuotas"]);
}
