//! What operators see: health, metrics, and a log without anything that is nobody's business. The log is that of the real
//! program, run as a process of its own.

use std::fmt::Write as _;
use std::process::Stdio;

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tollgate::identity::keys::KeyFile;
use tollgate::mock::{MockBedrock, MockConfig, MockProfile};
use tollgate::types::Tags;

use crate::client::{Answer, Wire, in_time, send};
use crate::harness::{Plan, SONNET, Scene, arn, claude, converse, eventually, new_key};

#[tokio::test]
async fn every_family_of_metrics_is_there_after_some_calls() {
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\nusd = \"5\"\ntokens = 1000000";
    let scene = Plan::default().with(budget).open().await;
    for (path, prompt) in [
        ("/model/sonnet/converse", "hello"),
        ("/model/sonnet/converse-stream", "hello"),
        ("/model/sonnet/converse-stream", "[[mock:truncate]]"),
        ("/model/sonnet/converse", "[[mock:throttle]]"),
        ("/model/nothing/converse", "hello"),
    ] {
        scene.send(scene.post("alice", path, converse(prompt))).await;
    }
    scene.bill_of(4).await;
    let metrics = scene.metrics().await;
    for family in [
        "requests_total{principal=\"alice\",operation=\"Converse\",model=\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\",outcome=\"ok\"} 1",
        "refusals_total{reason=\"no_such_model\",operation=\"Converse\"} 1",
        "tokens_total{principal=\"alice\",model=\"us.anthropic.claude-sonnet-4-5-20250929-v1:0\",profile=\"alice-sonnet\",kind=\"output\"} 64",
        "cost_usd_total{principal=\"alice\"",
        "request_duration_seconds_count{operation=\"Converse\",outcome=\"ok\"} 1",
        "time_to_first_byte_seconds_count{operation=\"ConverseStream\"} 2",
        "upstream_faults_total{kind=\"ThrottlingException\"} 1",
        "settled_at_reservation_total{reason=\"truncated\"} 1",
        "unmetered_total{kind=",
        "open_connections ",
        "open_streams 0",
        "draining_streams 0",
        "reloads_total{what=\"keys\",result=\"ok\"}",
        "build_info{version=",
        "budget_limit_usd{budget=\"daily\",principal=\"alice\"} 5",
        "budget_remaining_usd{budget=\"daily\",principal=\"alice\"} 4.",
        "budget_remaining_tokens{budget=\"daily\",principal=\"bob\"} 1000000",
        "upstream_connections",
    ] {
        assert!(metrics.contains(&format!("\ntollgate_{family}")), "{family} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_admin_listener_tells_life_and_readiness_and_nothing_of_it_is_on_the_callers_port() {
    let scene = Scene::new().await;
    assert_eq!(scene.page("/livez").await.status, StatusCode::OK);
    assert_eq!(scene.page("/readyz").await.json()["ready"], true);
    assert_eq!(scene.page("/nothing").await.status, StatusCode::NOT_FOUND);
    for path in ["/livez", "/readyz", "/metrics", "/bill"] {
        assert_eq!(scene.send(scene.get("alice", path)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let on_admin =
        send(scene.admin, Wire::Http1, scene.post("alice", "/model/sonnet/converse", converse("hello"))).await;
    assert_eq!(on_admin.status, StatusCode::NOT_FOUND);
}

/// The program itself: `tollgate serve`, with the credentials of the environment it is given.
struct Program {
    child: Child,
    data: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    key: String,
    folder: TempDir,
}

impl Program {
    async fn start(endpoint: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"trace\"\n\
             [upstream]\nendpoint = \"{endpoint}\"\n[identity]\nkeys_file = \"keys.json\"\n[[principals]]\nname = \"alice\"\n"
        );
        write!(
            text,
            "[[profiles]]\nname = \"alice-sonnet\"\narn = \"{}\"\nsource = \"{SONNET}\"\nprincipals = [\"alice\"]\naliases = [\"sonnet\"]\n",
            arn("alice-sonnet")
        )
        .unwrap();
        std::fs::write(folder.path().join("tollgate.toml"), text).unwrap();
        let key = new_key(&KeyFile::new(folder.path().join("keys.json")), "alice", |_| {});
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["serve", "--output", "json", "-c"]).arg(folder.path().join("tollgate.toml"));
        command.env_clear().env("HOME", folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        in_time(BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line)).await.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = |name: &str| told[name].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        let (data, admin) = (address("data"), address("admin"));
        Self { child, data, admin, key: key.expose().to_owned(), folder }
    }

    async fn call(&self, path: &str, key: &str, body: String) -> Answer {
        let request = Request::post(path).header("authorization", format!("Bearer {key}"));
        send(self.data, Wire::Http1, request.body(Full::new(bytes::Bytes::from(body))).unwrap()).await
    }

    async fn page(&self, path: &str) -> Answer {
        send(self.admin, Wire::Http1, Request::get(path).body(Full::<bytes::Bytes>::default()).unwrap()).await
    }

    /// Ends it with SIGTERM, and gives its exit code and its log.
    async fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let mut log = String::new();
        in_time(self.child.stderr.take().unwrap().read_to_string(&mut log)).await.unwrap();
        let code = in_time(self.child.wait()).await.unwrap().code();
        drop(self.folder);
        (code, log)
    }
}

const AWS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", MockConfig::ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", MockConfig::SECRET_ACCESS_KEY)];

#[tokio::test]
async fn the_log_has_one_line_a_request_and_no_prompt_completion_or_credential_anywhere() {
    let source = SONNET.parse().unwrap();
    let profile = MockProfile { arn: arn("alice-sonnet").parse().unwrap(), source, tags: Tags::default() };
    let mock =
        MockBedrock::start(MockConfig { profiles: vec![profile], ..MockConfig::local().unwrap() }).await.unwrap();
    let program = Program::start(&mock.url(), &AWS).await;
    let foreign = tollgate::identity::keys::Key::generate().unwrap();
    let secret_prompt = "the-prompt-is-nobodys-business";
    let (key, foreign) = (program.key.clone(), foreign.expose().to_owned());
    let mut shown = String::new();
    let mut calls = 0;
    for (path, key, body, status) in [
        ("/model/sonnet/converse", &key, converse(secret_prompt), 200),
        ("/model/sonnet/converse-stream", &key, converse(secret_prompt), 200),
        ("/model/sonnet/invoke", &key, claude(secret_prompt), 200),
        ("/model/sonnet/invoke", &key, format!("{{\"{secret_prompt}"), 400),
        ("/model/sonnet/converse-stream", &key, converse(&format!("{secret_prompt} [[mock:cut after=3]]")), 200),
        ("/model/sonnet/converse", &key, converse(&format!("{secret_prompt} [[mock:throttle]]")), 429),
        ("/model/sonnet/converse", &foreign, converse(secret_prompt), 401),
        ("/model/elsewhere/converse", &key, converse(secret_prompt), 404),
    ] {
        let answer = program.call(path, key, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {:?}", answer.body);
        calls += 1;
        if status != 200 {
            write!(shown, "{:?} {:?}", answer.headers, answer.body).unwrap();
        }
    }
    eventually("all is settled", async || (program.page("/bill").await.json()["calls"] == 6).then_some(())).await;
    for path in ["/metrics", "/bill", "/readyz"] {
        let page = program.page(path).await;
        assert_eq!(page.status, StatusCode::OK);
        shown += std::str::from_utf8(&page.body).unwrap();
    }
    let (code, log) = program.terminate().await;
    assert_eq!(code, Some(0), "{log}");

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["target"] == "tollgate::access").collect();
    assert_eq!(requests.len(), calls, "{log}");
    let mut ids: Vec<_> = requests.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), calls);
    assert!(requests.iter().any(|line| line["principal"] == "alice" && line["tokens_output"] == 32), "{log}");

    shown += &log;
    let parts = |key: &str| key.rsplit_once('_').unwrap().1.to_owned();
    for (what, text) in [
        ("the prompt", secret_prompt.to_owned()),
        ("the completion", "look-alike of Amazon".to_owned()),
        ("a piece of the completion", "look-alike".to_owned()),
        ("alice's key", parts(&key)),
        ("the foreign key", parts(&foreign)),
        ("the AWS secret", MockConfig::SECRET_ACCESS_KEY.to_owned()),
        ("a signature", "Signature=".to_owned()),
        ("an authorization", "Bearer tg_".to_owned()),
    ] {
        assert!(!shown.contains(&text), "{what} is in what operators or callers see:\n{shown}");
    }
}

#[tokio::test]
async fn without_aws_credentials_it_starts_and_is_not_ready_and_says_why() {
    let program = Program::start("http://127.0.0.1:9", &[]).await;
    let ready = program.page("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = ready.json();
    let check = |name: &str| told["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
    assert_eq!((&check("credentials")["ready"], &check("config")["ready"]), (&Value::from(false), &Value::from(true)));
    assert!(!check("credentials")["detail"].as_str().unwrap().is_empty());
    assert_eq!(program.page("/livez").await.status, StatusCode::OK);
    let answer = program.call("/model/sonnet/converse", &program.key, converse("hello")).await;
    assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "credentials_unavailable"));
    assert_eq!(program.page("/bill").await.json()["calls"], 0, "nothing was sent, so nothing is owed");
    let (code, log) = program.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("no AWS credentials"), "{log}");
}

#[tokio::test]
async fn a_budget_that_reaches_a_threshold_raises_a_metric_once() {
    let budget = "[[budgets]]\nname = \"two\"\nprincipals = [\"alice\"]\nwindow = \"lifetime\"\nrequests = 2";
    let scene = Plan::default().with(budget).open().await;
    scene.converse("alice", "sonnet", "hello").await;
    eventually("half of it is spent", async || {
        scene.sample("tollgate_budget_thresholds_reached_total{budget=\"two\",percent=\"50\"}").await
    })
    .await;
    let metrics = scene.metrics().await;
    assert!(
        metrics.contains("tollgate_budget_thresholds_reached_total{budget=\"two\",percent=\"50\"} 1\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("percent=\"80\""), "{metrics}");
}

#[tokio::test]
async fn operators_read_how_budgets_stand_and_what_was_used() {
    let budget = "[[budgets]]\nname = \"calls\"\neveryone = true\nper = \"group\"\nwindow = \"day\"\nrequests = 2";
    let scene = Plan::default().with(budget).open().await;
    scene.converse("alice", "sonnet", "hello").await;
    scene.bill_of(1).await;
    let budgets = scene.page("/budgets").await.json();
    let row = budgets.as_array().unwrap().iter().find(|row| row["subject"] == "eng").unwrap();
    assert_eq!((&row["subject_kind"], &row["unit"]), (&"group".into(), &"requests".into()));
    assert_eq!((&row["limit"], &row["spent"], &row["left"]), (&2.into(), &1.into(), &1.into()));
    let usage = scene.page("/usage").await.json();
    assert_eq!((&usage[0]["group"], &usage[0]["principal"]), (&"eng".into(), &"alice".into()));
    assert_eq!((&usage[0]["calls"], &usage[0]["tokens"]["output"]), (&1.into(), &32.into()));
    assert_eq!(scene.page("/usage?since=now").await.status, 400);
}

#[tokio::test]
async fn whoever_has_the_token_changes_budgets_over_http_and_the_history_tells() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (token, store) = (token.display(), folder.path().join("t.db"));
    let budget = format!(
        "[[budgets]]\nname = \"one\"\neveryone = true\nwindow = \"day\"\nrequests = 1\n[store]\nkind = \"embedded\"\npath = \"{}\"",
        store.display()
    );
    let scene = Plan::default().admin(&format!("token_file = \"{token}\"")).with(&budget).open().await;
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::PAYMENT_REQUIRED);
    let post = async |action: &str, body: Value| {
        let request = Request::post(format!("/budgets/{action}"))
            .header("authorization", "Bearer 0123456789abcdef0123456789abcdef")
            .body(Full::from(body.to_string()))
            .unwrap();
        send(scene.admin, Wire::Http1, request).await
    };
    let wrong =
        post("raise", json!({"budget": "one", "principal": "alice", "tokens": 5, "for": "1h", "reason": "x"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.json()["error"], "budget one does not limit tokens");
    let raise = json!({"budget": "one", "principal": "alice", "requests": 1, "for": "1h", "reason": "a release", "by": "carol"});
    let raised = post("raise", raise).await;
    assert_eq!((raised.status, &raised.json()["changes"][0]["amount"]), (StatusCode::OK, &1.into()));
    eventually("the raise is in force", async || {
        (scene.converse("alice", "sonnet", "hello").await.status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(
        post("reset", json!({"budget": "one", "principal": "alice", "reason": "again"})).await.status,
        StatusCode::OK
    );
    eventually("the reset is in force", async || {
        let budgets = scene.page("/budgets").await.json();
        let row = budgets.as_array().unwrap().iter().find(|row| row["subject"] == "alice").unwrap();
        (row["spent"] == 0).then_some(())
    })
    .await;
    let history = scene.page("/budgets/history").await.json();
    let told: Vec<_> = history.as_array().unwrap().iter().map(|row| (&row["effect"], &row["by"])).collect();
    assert_eq!(told, [(&"raise".into(), &"carol".into()), (&"reset".into(), &"admin listener".into())]);
    assert!(history[0]["made"].is_string());
}
