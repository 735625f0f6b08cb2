//! Keys as an operator uses them: made by the command, kept in the store, taken away at every gateway on it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tollgate::identity::keys::RootKey;
use tollgate::mock::{MockBedrock, MockConfig, MockProfile, Running};

use crate::client::{Answer, Wire, in_time, send};
use crate::harness::{SONNET, arn, converse, eventually};

/// A folder with a configuration, a look-alike of Bedrock behind it, and the commands of an operator.
struct Desk {
    folder: TempDir,
    _bedrock: Running,
}

/// A gateway in a process of its own.
struct Serving {
    _child: Child,
    data: std::net::SocketAddr,
    admin: std::net::SocketAddr,
}

impl Desk {
    async fn new(store: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut mock = MockConfig::local().unwrap();
        mock.profiles = vec![MockProfile {
            arn: arn("alice-sonnet").parse().unwrap(),
            source: SONNET.parse().unwrap(),
            tags: [].into_iter().collect(),
        }];
        let bedrock = MockBedrock::start(mock).await.unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"admin\"\n[upstream]\n\
             endpoint = \"{}\"\n[identity]\nroot_key_files = [\"root.key\"]\n[[principals]]\nname = \"alice\"\n[[profiles]]\n\
             name = \"alice-sonnet\"\narn = \"{}\"\nsource = \"{SONNET}\"\neveryone = true\naliases = [\"sonnet\"]\n{store}\n",
            bedrock.url(),
            arn("alice-sonnet"),
        );
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tollgate.toml", &text);
        write("root.key", "0123456789abcdef0123456789abcdef\n");
        write("admin", "fedcba9876543210fedcba9876543210\n");
        Self { folder, _bedrock: bedrock }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("tollgate.toml")
    }

    async fn serve(&self) -> Serving {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["serve", "--output", "json", "-c"]).arg(self.config());
        command.env_clear().env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", MockConfig::ACCESS_KEY_ID);
        command.env("AWS_SECRET_ACCESS_KEY", MockConfig::SECRET_ACCESS_KEY);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        in_time(BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line)).await.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = |name: &str| told[name].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Serving { data: address("data"), admin: address("admin"), _child: child }
    }

    /// `tollgate key …`, as JSON.
    async fn key(&self, line: &[&str]) -> Value {
        let (code, out, err) = self.key_with(line, self.config().as_path()).await;
        assert!(code, "{line:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line:?}: {error}: {out}"))
    }

    async fn key_with(&self, line: &[&str], config: &Path) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = command.arg("key").args(line).args(["--output", "json", "-c"]).arg(config).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

impl Serving {
    async fn ask(&self, key: &str) -> Answer {
        let request = Request::post(format!("http://{}/model/sonnet/converse", self.data))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::from(converse("hello")))
            .unwrap();
        send(self.data, Wire::Http1, request).await
    }

    /// Waits until a key is taken, or is not any more; how long that took.
    async fn until(&self, key: &str, status: StatusCode) -> Duration {
        let since = Instant::now();
        eventually("a key is in force", async || (self.ask(key).await.status == status).then_some(())).await;
        since.elapsed()
    }
}

/// The whole life of keys at two gateways on one store, or at one that is started twice.
async fn lives_as_an_operator_wants(desk: &Desk, two: bool) {
    let made = desk.key(&["create", "--principal", "alice", "--note", "laptop"]).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let first = desk.serve().await;
    assert_eq!(first.ask(key).await.status, StatusCode::OK, "a key that was made before the start");
    let second = if two { Some(desk.serve().await) } else { None };

    // Somebody whom the configuration does not list, made while the gateways run.
    let dora =
        desk.key(&["create", "--principal", "dora", "--group", "eng", "--tag", "UserEmail=dora@example.com"]).await;
    let dora_key = dora["key"].as_str().unwrap();
    for gateway in std::iter::once(&first).chain(&second) {
        gateway.until(dora_key, StatusCode::OK).await;
    }
    // Two keys are live during a rotation.
    let rotated = desk.key(&["rotate", id, "--overlap", "1h"]).await;
    assert_eq!(rotated["replaces"], id);
    let new_key = rotated["key"].as_str().unwrap();
    first.until(new_key, StatusCode::OK).await;
    assert_eq!(first.ask(key).await.status, StatusCode::OK);
    let shown = desk.key(&["show", id]).await;
    assert!(shown["expires"].is_string() && shown["state"] == "live", "{shown}");

    // Taken away by the command, and at once by the gateway that is asked itself.
    desk.key(&["revoke", dora["id"].as_str().unwrap()]).await;
    for gateway in std::iter::once(&first).chain(&second) {
        let took = gateway.until(dora_key, StatusCode::UNAUTHORIZED).await;
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    let revoke = Request::post("/keys/revoke")
        .header("authorization", "Bearer fedcba9876543210fedcba9876543210")
        .body(Full::from(json!({ "id": rotated["id"] }).to_string()))
        .unwrap();
    let told = send(first.admin, Wire::Http1, revoke).await;
    assert_eq!((told.status, &told.json()["principal"]), (StatusCode::OK, &"alice".into()));
    assert_eq!(first.ask(new_key).await.refusal(), (401, "UnrecognizedClientException", "unknown_key"), "at once");
    if let Some(second) = &second {
        second.until(new_key, StatusCode::UNAUTHORIZED).await;
    }
    let listed = send(first.admin, Wire::Http1, Request::get("/keys").body(Full::from("")).unwrap()).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert!(!listed.to_string().contains("tg_"), "{listed}");
    drop((first, second));

    // All of it is there after a start, and after a move to another store.
    let again = desk.serve().await;
    assert_eq!(again.ask(key).await.status, StatusCode::OK);
    assert_eq!(again.ask(dora_key).await.refusal().2, "unknown_key");
    let exported = desk.key(&["export"]).await;
    let elsewhere = Desk::new("[store]\nkind = \"memory\"").await;
    let file = elsewhere.folder.path().join("export.json");
    std::fs::write(&file, exported.to_string()).unwrap();
    assert_eq!(elsewhere.key(&["import", file.to_str().unwrap()]).await, json!({ "imported": 3 }));
    assert_eq!(elsewhere.serve().await.ask(key).await.status, StatusCode::OK);
    let (done, _, told) = elsewhere.key_with(&["import", file.to_str().unwrap()], &elsewhere.config()).await;
    assert!(!done && told.contains("twice"), "{told}");
}

#[tokio::test]
async fn keys_in_the_embedded_store_live_as_an_operator_wants() {
    lives_as_an_operator_wants(&Desk::new("").await, false).await;
}

#[tokio::test]
async fn keys_in_a_shared_store_live_so_at_every_gateway() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("r.sock");
    let mut redis = Command::new("redis-server");
    redis.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).stdout(Stdio::null()).kill_on_drop(true);
    let _running = redis.spawn().unwrap();
    eventually("the server listens", async || socket.exists().then_some(())).await;
    let store = format!("[store]\nkind = \"redis\"\n[store.redis]\nurls = [\"unix://{}\"]", socket.display());
    lives_as_an_operator_wants(&Desk::new(&store).await, true).await;
}

#[tokio::test]
async fn an_access_key_is_rotated_like_any_other_and_a_root_key_that_is_gone_takes_its_keys_with_it() {
    let desk = Desk::new("").await;
    let created = desk.key(&["create", "--sigv4", "--principal", "alice"]).await;
    let access = created["access_key_id"].as_str().unwrap();
    assert!(access.starts_with("TGAK") && created["secret_access_key"].as_str().unwrap().starts_with("tgs_"));
    let rotated = desk.key(&["rotate", access]).await;
    assert_eq!((&rotated["kind"], &rotated["replaces"]), (&"sigv4".into(), &created["id"]));
    assert_ne!(rotated["secret_access_key"], created["secret_access_key"]);
    let file = desk.folder.path().join("root.key");
    let root = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["key", "root", "--out"]).arg(&file).output().await.unwrap()
    };
    let kept = std::fs::read(&file).unwrap();
    let told = root().await;
    assert!(!told.status.success() && std::fs::read(&file).unwrap() == kept, "none is written over");
    std::fs::remove_file(&file).unwrap();
    let told = root().await;
    let made = std::fs::metadata(&file).unwrap();
    assert!(told.status.success() && told.stdout.is_empty() && made.len() == 65, "{told:?}");
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.key(&["show", access]).await["state"], "no-root-key");
    let stored = std::fs::read(desk.folder.path().join("tollgate.db")).unwrap();
    let secret = created["secret_access_key"].as_str().unwrap();
    assert!(memchr::memmem::find(&stored, &secret.as_bytes()[4..30]).is_none(), "the store holds no secret");
}

#[tokio::test]
async fn whoever_only_looks_makes_no_store_and_an_expiring_key_is_followed_by_one_that_expires() {
    let desk = Desk::new("").await;
    let store = desk.folder.path().join("tollgate.db");
    let before = std::fs::read_dir(desk.folder.path()).unwrap().count();
    assert_eq!(desk.key(&["list"]).await, json!([]));
    assert_eq!(desk.key(&["export"]).await["keys"], json!([]));
    for line in [&["show", "aaaaaaaaaaaa"], &["revoke", "aaaaaaaaaaaa"], &["rotate", "aaaaaaaaaaaa"]] {
        let (fine, _, told) = desk.key_with(line, &desk.config()).await;
        assert!(!fine && told.contains("there is no key aaaaaaaaaaaa in"), "{told}");
    }
    assert_eq!(std::fs::read_dir(desk.folder.path()).unwrap().count(), before, "nothing was made");

    let time = |key: &Value, name: &str| key[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lifetime = |key: &Value| time(key, "expires").duration_since(time(key, "created"));
    let month = desk.key(&["create", "--principal", "alice", "--expires-in", "30d"]).await;
    assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
    let next = desk.key(&["rotate", month["id"].as_str().unwrap()]).await;
    assert_eq!(lifetime(&next), jiff::SignedDuration::from_hours(30 * 24));
    let asked = desk.key(&["rotate", next["id"].as_str().unwrap(), "--expires-in", "1d"]).await;
    assert_eq!(lifetime(&asked), jiff::SignedDuration::from_hours(24));
    let eternal = desk.key(&["create", "--principal", "alice"]).await;
    assert_eq!(desk.key(&["rotate", eternal["id"].as_str().unwrap()]).await["expires"], Value::Null);
}

#[tokio::test]
async fn a_root_key_from_the_environment_is_as_good_as_one_from_a_file() {
    const OLD: &str = "0123456789abcdef0123456789abcdef";
    let desk = Desk::new("").await;
    let text = std::fs::read_to_string(desk.config()).unwrap();
    let of_file = desk.key(&["create", "--sigv4", "--principal", "alice"]).await;
    let of_variable =
        text.replace("root_key_files = [\"root.key\"]", "root_key_env = [\"NEW_ROOT_KEY\", \"OLD_ROOT_KEY\"]");
    std::fs::write(desk.config(), of_variable).unwrap();
    let key = async |variables: &[(&str, &str)], line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("key").args(line).args(["--output", "json", "-c"]).arg(desk.config());
        let told = command.envs(variables.iter().copied()).output().await.unwrap();
        (told.status.success(), String::from_utf8([told.stdout, told.stderr].concat()).unwrap())
    };
    let create: &[&str] = &["create", "--sigv4", "--principal", "alice"];
    for (variables, told) in [
        (&[("OLD_ROOT_KEY", OLD)][..], "identity.root_key_env: the environment variable NEW_ROOT_KEY is not set"),
        (
            &[("OLD_ROOT_KEY", OLD), ("NEW_ROOT_KEY", "of-few-letters")],
            "identity.root_key_env: NEW_ROOT_KEY: a root key is",
        ),
    ] {
        let (done, said) = key(variables, create).await;
        assert!(!done && said.contains(told) && !said.contains("few-letters"), "{said}");
    }
    let new = "fedcba9876543210fedcba9876543210";
    let both = [("NEW_ROOT_KEY", new), ("OLD_ROOT_KEY", OLD)];
    let (done, made) = key(&both, create).await;
    assert!(done, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let secret_of = |root: &str, made: &Value| {
        let id = made["id"].as_str().unwrap().parse().unwrap();
        RootKey::read(root).unwrap().access_key(id).secret_access_key.expose().to_owned()
    };
    assert_eq!(made["secret_access_key"], secret_of(new, &made).as_str(), "the first is the newest");
    assert_eq!(of_file["secret_access_key"], secret_of(OLD, &of_file).as_str());
    // The file's own key is live under the same root key, and dead without it.
    let id = of_file["access_key_id"].as_str().unwrap();
    for (root, state) in [(OLD, "live"), ("another root key, of thirty-two characters", "no-root-key")] {
        let (done, shown) = key(&[("NEW_ROOT_KEY", new), ("OLD_ROOT_KEY", root)], &["show", id]).await;
        let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert!(done && shown["state"] == state, "{shown}");
    }
}
