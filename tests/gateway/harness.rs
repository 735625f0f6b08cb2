//! A gateway and the look-alike behind it, each test its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tollgate::config::assembly::{AwsIdentity, assemble};
use tollgate::config::{Settings, Surroundings};
use tollgate::gateway::Gateway;
use tollgate::identity::keys::{Key, KeyFile, KeyRecord};
use tollgate::mock::{MockBedrock, MockConfig, MockProfile, Received, Running};
use tollgate::sigv4::AwsCredentials;
use tollgate::types::{Clock, Money, Secret, SystemClock, Tags};

use crate::client::{Answer, Wire, send};

pub(crate) const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
pub(crate) const HAIKU: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
pub(crate) const NOVA: &str = "us.amazon.nova-lite-v1:0";

/// Name, owner as the configuration writes it, source.
pub(crate) const PROFILES: [(&str, &str, &str); 5] = [
    ("alice-sonnet", "principals = [\"alice\"]\naliases = [\"sonnet\"]", SONNET),
    ("bob-haiku", "principals = [\"bob\"]\naliases = [\"haiku\"]", HAIKU),
    ("eng-nova", "groups = [\"eng\"]\naliases = [\"nova\"]", NOVA),
    ("all-llama", "everyone = true\naliases = [\"llama\"]", "us.meta.llama3-3-70b-instruct-v1:0"),
    ("all-titan", "everyone = true\naliases = [\"titan\"]", "amazon.titan-text-express-v1"),
];

/// The ARN of a profile of [`PROFILES`].
pub(crate) fn arn(profile: &str) -> String {
    let id = profile.replace('-', "");
    format!("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/{id}")
}

/// What a scene is made of.
pub(crate) struct Plan {
    listen: String,
    server: String,
    admin: String,
    identity: String,
    upstream: String,
    rest: String,
    profiles: String,
    endpoint: Option<SocketAddr>,
    mock: MockConfig,
    aws: AwsCredentials,
    clock: Arc<dyn Clock>,
    folder: Option<TempDir>,
    replaced: Option<(String, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        let profiles = PROFILES.map(|(name, _, source)| MockProfile {
            arn: arn(name).parse().unwrap(),
            source: source.parse().unwrap(),
            tags: Tags::default(),
        });
        let mut written = String::new();
        for (name, owner, source) in PROFILES {
            let arn = arn(name);
            writeln!(written, "[[profiles]]\nname = \"{name}\"\narn = \"{arn}\"\nsource = \"{source}\"\n{owner}")
                .unwrap();
        }
        Self {
            listen: "127.0.0.1:0".to_owned(),
            server: String::new(),
            admin: String::new(),
            identity: String::new(),
            upstream: String::new(),
            rest: String::new(),
            profiles: written,
            endpoint: None,
            mock: MockConfig { profiles: profiles.to_vec(), ..MockConfig::local().unwrap() },
            aws: AwsCredentials {
                access_key_id: MockConfig::ACCESS_KEY_ID.to_owned(),
                secret_access_key: Secret::new(MockConfig::SECRET_ACCESS_KEY),
                session_token: None,
            },
            clock: Arc::new(SystemClock),
            folder: None,
            replaced: None,
        }
    }
}

impl Plan {
    /// Adds lines to `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server += lines;
        self.server.push('\n');
        self
    }

    /// Callers connect to a Unix socket; [`Scene::data`] leads nowhere then.
    pub(crate) fn socket(mut self, path: &Path) -> Self {
        self.listen = format!("unix:{}", path.display());
        self
    }

    /// Adds lines to `[admin]`.
    pub(crate) fn admin(mut self, lines: &str) -> Self {
        self.admin += lines;
        self.admin.push('\n');
        self
    }

    /// Adds lines to `[identity]`.
    pub(crate) fn identity(mut self, lines: &str) -> Self {
        self.identity += lines;
        self.identity.push('\n');
        self
    }

    /// Adds lines to `[upstream]`.
    pub(crate) fn upstream(mut self, lines: &str) -> Self {
        self.upstream += lines;
        self.upstream.push('\n');
        self
    }

    /// Adds whole tables.
    pub(crate) fn with(mut self, tables: &str) -> Self {
        self.rest += tables;
        self.rest.push('\n');
        self
    }

    /// Adds a profile that the look-alike does not know.
    pub(crate) fn profile(mut self, table: &str) -> Self {
        self.profiles += table;
        self.profiles.push('\n');
        self
    }

    /// Only these profiles, for an upstream that is not the look-alike.
    pub(crate) fn profiles(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.profiles);
        self
    }

    /// Sends calls here in place of the look-alike.
    pub(crate) fn endpoint(mut self, address: SocketAddr) -> Self {
        self.endpoint = Some(address);
        self
    }

    pub(crate) fn mock(mut self, change: impl FnOnce(&mut MockConfig)) -> Self {
        change(&mut self.mock);
        self
    }

    pub(crate) fn aws(mut self, change: impl FnOnce(&mut AwsCredentials)) -> Self {
        change(&mut self.aws);
        self
    }

    /// Puts another text for one everywhere in the configuration.
    pub(crate) fn tagged(mut self, text: &str, other: &str) -> Self {
        self.replaced = Some((text.to_owned(), other.to_owned()));
        self
    }

    /// Keeps its files here, and what an earlier gateway left there.
    pub(crate) fn folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    pub(crate) fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) async fn open(self) -> Scene {
        let Self {
            listen,
            server,
            admin,
            identity,
            upstream: more,
            rest,
            profiles,
            endpoint,
            mock,
            aws,
            clock,
            folder,
            replaced,
        } = self;
        let mock = MockBedrock::start(mock).await.unwrap();
        let folder = folder.unwrap_or_else(|| TempDir::new().unwrap());
        let upstream = endpoint.map_or_else(|| mock.url(), |address| format!("http://{address}"));
        let text = format!(
            "[server]\nlisten = \"{listen}\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n{admin}\n\
             [upstream]\nendpoint = \"{upstream}\"\nregion = \"us-east-1\"\n{more}\n\
             [identity]\nkeys_file = \"keys.json\"\n{identity}\n{PRINCIPALS}\n{profiles}\n{rest}\n"
        );
        let text = text.replace("MOCK_URL", &upstream);
        let text = replaced.map_or(text.clone(), |(own, other)| text.replace(&own, &other));
        let keyfile = KeyFile::new(folder.path().join("keys.json"));
        let keys = ["alice", "bob", "carol"].map(|name| (name, new_key(&keyfile, name, |_| {}))).into();
        let around = Surroundings { folder: folder.path(), price_known: &tollgate::cli::price_known };
        let (settings, _) =
            Settings::parse(&text, Path::new("tollgate.toml"), &around).unwrap_or_else(|e| panic!("{e}"));
        let assembled = Box::pin(assemble(&settings, AwsIdentity::Fixed(aws), clock)).await.unwrap();
        let bound = assembled.bind().await.unwrap();
        let stop = CancellationToken::new();
        Scene {
            mock,
            data: bound.data_address().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 1))),
            admin: bound.admin_address().unwrap(),
            listeners: bound.callers().to_vec(),
            ca: bound.ca_certificate().map(Path::to_owned),
            gateway: Arc::clone(bound.gateway()),
            running: tokio::spawn(bound.run(stop.clone())),
            stop,
            keyfile,
            keys,
            folder,
        }
    }
}

const PRINCIPALS: &str = r#"
[[principals]]
name = "alice"
groups = ["eng"]
tags = { UserEmail = "alice@example.com" }
[[principals]]
name = "bob"
[[principals]]
name = "carol"
"#;

/// Makes a key as `tollgate key create` does.
pub(crate) fn new_key(file: &KeyFile, principal: &str, change: impl FnOnce(&mut KeyRecord)) -> Key {
    let key = Key::generate().unwrap();
    let mut record = KeyRecord::of(&key, principal, jiff::Timestamp::now());
    change(&mut record);
    file.add(vec![record]).unwrap();
    key
}

/// A gateway that serves, the look-alike behind it, and three callers' keys.
pub(crate) struct Scene {
    pub(crate) mock: Running,
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) listeners: Vec<tollgate::config::assembly::Open>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
    pub(crate) keyfile: KeyFile,
    keys: BTreeMap<&'static str, Key>,
    pub(crate) folder: TempDir,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
        self.running.abort();
    }
}

pub(crate) type Body = Full<bytes::Bytes>;

impl Scene {
    pub(crate) async fn new() -> Self {
        Plan::default().open().await
    }

    /// A caller's key.
    pub(crate) fn key(&self, name: &str) -> &str {
        self.keys[name].expose()
    }

    pub(crate) fn key_id(&self, name: &str) -> tollgate::identity::keys::KeyId {
        self.keys[name].id()
    }

    /// A POST with a caller's key.
    pub(crate) fn post(&self, who: &str, path: &str, body: impl Into<bytes::Bytes>) -> Request<Body> {
        let request = Request::post(path).header("authorization", format!("Bearer {}", self.key(who)));
        request.header("content-type", "application/json").body(Full::new(body.into())).unwrap()
    }

    /// A GET with a caller's key.
    pub(crate) fn get(&self, who: &str, path: &str) -> Request<Body> {
        let request = Request::get(path).header("authorization", format!("Bearer {}", self.key(who)));
        request.body(Full::default()).unwrap()
    }

    /// Sends over HTTP/1.1 and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.data, Wire::Http1, request).await
    }

    /// A Converse call of alice's, whole.
    pub(crate) async fn converse(&self, who: &str, model: &str, prompt: &str) -> Answer {
        self.send(self.post(who, &format!("/model/{model}/converse"), converse(prompt))).await
    }

    /// A page of the admin listener.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        send(self.admin, Wire::Http1, Request::get(path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn bill(&self) -> Bill {
        let page = self.page("/bill").await;
        assert_eq!(page.status, StatusCode::OK);
        Bill(page.json())
    }

    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(self.page("/metrics").await.body.to_vec()).unwrap()
    }

    /// The bill once so many calls are on it.
    pub(crate) async fn bill_of(&self, calls: u64) -> Bill {
        eventually(&format!("{calls} calls on the bill"), async || {
            let bill = self.bill().await;
            let there = bill.calls();
            assert!(there <= calls, "{there} calls on the bill in place of {calls}: {}", bill.0);
            (there == calls).then_some(bill)
        })
        .await
    }

    /// The requests that Bedrock received, once there are so many.
    pub(crate) async fn received(&self, requests: usize) -> Vec<Received> {
        eventually(&format!("{requests} requests upstream"), async || {
            let received = self.mock.received();
            assert!(received.len() <= requests, "{} requests upstream in place of {requests}", received.len());
            (received.len() == requests).then_some(received)
        })
        .await
    }

    /// The value of a sample, such as `tollgate_open_streams`, with its labels if it has any.
    pub(crate) async fn sample(&self, name: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}

/// Asks until the answer is there; a minute is long enough for a busy machine.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), asking).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// A Converse body that asks for up to 64 tokens.
pub(crate) fn converse(prompt: &str) -> String {
    json!({"messages": [{"role": "user", "content": [{"text": prompt}]}], "inferenceConfig": {"maxTokens": 64}})
        .to_string()
}

/// An InvokeModel body of Claude's that asks for up to 64 tokens.
pub(crate) fn claude(prompt: &str) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": messages}).to_string()
}

/// The bill as the admin listener gives it.
pub(crate) struct Bill(pub(crate) Value);

impl Bill {
    pub(crate) fn calls(&self) -> u64 {
        self.0["calls"].as_u64().unwrap()
    }

    pub(crate) fn cost(&self) -> Money {
        Money::from_nanos(self.0["cost_nanodollars"].as_i64().unwrap())
    }

    pub(crate) fn rows(&self) -> &Vec<Value> {
        self.0["rows"].as_array().unwrap()
    }

    /// The only row: how it was settled, input and output tokens, and its cost.
    pub(crate) fn only(&self) -> (String, u64, u64, Money) {
        let [row] = self.rows().as_slice() else { panic!("not one row: {}", self.0) };
        let count = |kind: &str| row["tokens"][kind].as_u64().unwrap();
        let cost = Money::from_nanos(row["cost_nanodollars"].as_i64().unwrap());
        (row["outcome"].as_str().unwrap().to_owned(), count("input"), count("output"), cost)
    }

    /// The reasons of the calls that were settled at their reservation.
    pub(crate) fn at_reservation(&self) -> Vec<&str> {
        let listed = self.0["settled_at_reservation"].as_array().unwrap();
        listed.iter().map(|call| call["reason"].as_str().unwrap()).collect()
    }
}
