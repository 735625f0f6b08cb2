//! Gateways that are killed while they work: after any number of `kill -9` the bill and the look-alike's account agree, but
//! for the calls that ran at a kill, which are settled at their reservation and listed; and no hard budget is exceeded.
//!
//! `TOLLGATE_CHAOS_ROUNDS` says how many gateways are killed; `scripts/chaos` plays many.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tempfile::TempDir;
use tollgate::budget::{ReservedReason, Settled, StoreFile, Unit};
use tollgate::identity::keys::KeyFile;
use tollgate::mock::{Billable, MockBedrock, MockConfig, MockProfile, Received, Running};
use tollgate::profiles::price::PriceTable;
use tollgate::types::{ModelId, Money, ServiceTier, Tags, TokenUsage};

use crate::client::{Wire, open_on};
use crate::harness::{HAIKU, NOVA, SONNET, arn, converse, eventually, new_key};

const CALLERS: u64 = 24;
/// Name, owner, source. Each has one owner, so that a profile's account is a principal's.
const PROFILES: [(&str, &str, &str); 3] =
    [("alice-sonnet", "alice", SONNET), ("bob-haiku", "bob", HAIKU), ("carol-nova", "carol", NOVA)];
/// Alice's budget ends in the middle of the run, the others' never does. Nano-dollars.
const ALICES: u64 = 60_000_000;

/// A folder with a configuration, keys and the store, and the look-alike that outlives every gateway.
struct Place {
    folder: TempDir,
    bedrock: Running,
    keys: BTreeMap<&'static str, String>,
}

impl Place {
    async fn new() -> Self {
        let profiles = PROFILES.map(|(name, _, source)| MockProfile {
            arn: arn(name).parse().unwrap(),
            source: source.parse().unwrap(),
            tags: Tags::default(),
        });
        let bedrock = MockBedrock::start(MockConfig {
            profiles: profiles.to_vec(),
            kept_requests: usize::MAX,
            ..MockConfig::local().unwrap()
        })
        .await
        .unwrap();
        let folder = TempDir::new().unwrap();
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstream]\nendpoint = \"{}\"\n\
             region = \"us-east-1\"\n[[budgets]]\nname = \"alices\"\nprincipals = [\"alice\"]\nwindow = \"month\"\n\
             usd = \"0.06\"\n[[budgets]]\nname = \"all\"\neveryone = true\nwindow = \"month\"\nusd = \"1000\"\n\
             tokens = 1000000000\n",
            bedrock.url()
        );
        for (name, owner, source) in PROFILES {
            let arn = arn(name);
            writeln!(
                text,
                "[[principals]]\nname = \"{owner}\"\n[[profiles]]\nname = \"{name}\"\narn = \"{arn}\"\n\
                 source = \"{source}\"\nprincipals = [\"{owner}\"]\naliases = [\"mine\"]"
            )
            .unwrap();
        }
        std::fs::write(folder.path().join("tollgate.toml"), text).unwrap();
        let file = KeyFile::new(folder.path().join("keys.json"));
        let keys = PROFILES.map(|(_, owner, _)| (owner, new_key(&file, owner, |_| {}).expose().to_owned())).into();
        Self { folder, bedrock, keys }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A gateway of its own process, and where it listens.
    fn gateway(&self) -> (Gateway, SocketAddr) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--output", "json", "--config"])
            .arg(self.path("tollgate.toml"))
            .env("AWS_ACCESS_KEY_ID", MockConfig::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", MockConfig::SECRET_ACCESS_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = told["data"].as_str().unwrap().strip_prefix("http://").unwrap().trim_end_matches('/');
        (Gateway(child), address.parse().unwrap())
    }
}

/// Dies with the test.
struct Gateway(Child);

impl Gateway {
    /// `kill -9`.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM: it drains and ends well.
    fn stop(&mut self) {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// A call as far as it gets: the gateway may be killed at any point of it. What it was answered, if it was.
async fn call(address: SocketAddr, key: &str, number: u64) -> Option<u16> {
    let verb = ["converse", "converse-stream"][usize::from(number.is_multiple_of(2))];
    let directives = ["reply-tokens=30", "reply-tokens=20 drip=2", "reply-tokens=9 delay=10"];
    let prompt = format!("hello [[mock:{}]]", directives[usize::try_from(number % 3).unwrap()]);
    let request = Request::post(format!("/model/mine/{verb}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::from(converse(&prompt)))
        .unwrap();
    let wire = [Wire::Http1, Wire::Http2][usize::from(number.is_multiple_of(5))];
    let io = tokio::net::TcpStream::connect(address).await.ok()?;
    let response = open_on(io, wire, &address.to_string(), request).await.ok()?;
    let status = response.status().as_u16();
    if number.is_multiple_of(7) {
        return Some(status); // The caller leaves in the middle.
    }
    response.into_body().collect().await.ok().map(|_| status)
}

/// Lets many callers call until one gateway has answered `answers` times, and kills it.
async fn round(place: &Place, number: u64, answers: usize) -> usize {
    let (mut gateway, address) = place.gateway();
    let (over, answered, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (_, owner, _) = PROFILES[usize::try_from(caller % 3).unwrap()];
            let key = place.keys[owner].clone();
            let (over, answered, refused) = (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut next = caller + number;
                while !over.load(Ordering::Relaxed) {
                    match call(address, &key, next).await {
                        Some(200) => answered.fetch_add(1, Ordering::Relaxed),
                        Some(402) => refused.fetch_add(1, Ordering::Relaxed),
                        Some(other) => panic!("{other}"),
                        None => 0,
                    };
                    next += 1;
                }
            })
        })
        .collect();
    eventually("so many answers", async || (answered.load(Ordering::Relaxed) >= answers).then_some(())).await;
    gateway.kill();
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    refused.load(Ordering::Relaxed)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    calls: u64,
    usage: TokenUsage,
    cost: Money,
}

impl Sum {
    fn add(&mut self, calls: u64, usage: TokenUsage, cost: Money) {
        *self = Self { calls: self.calls + calls, usage: self.usage + usage, cost: self.cost + cost };
    }
}

/// What the look-alike would bill, by profile.
fn account(received: &[Received]) -> BTreeMap<&'static str, Sum> {
    let (prices, region) = (PriceTable::shipped(), "us-east-1".parse().unwrap());
    let mut sums = BTreeMap::<_, Sum>::new();
    for call in received.iter().filter(|call| call.billable != Billable::Nothing) {
        let (name, _, source) =
            PROFILES.into_iter().find(|(name, ..)| call.billed_to.as_deref() == Some(&arn(name))).unwrap();
        let price = prices.price(&source.parse::<ModelId>().unwrap(), &region).unwrap();
        let usage = TokenUsage::from(call.usage);
        sums.entry(name).or_default().add(1, usage, price.cost(&usage, ServiceTier::Default));
    }
    sums
}

/// What the store says, by profile: counted, and settled at the reservation.
fn bill(store: &Path) -> BTreeMap<String, (Sum, Sum)> {
    let file = StoreFile::open(store).unwrap();
    let mut sums = BTreeMap::<_, (Sum, Sum)>::new();
    for row in file.bill().unwrap().rows {
        let (counted, listed) = sums.entry(row.heading.profile.clone().unwrap()).or_default();
        match row.heading.settled {
            Settled::Counted(_) => counted.add(row.calls, row.usage, row.cost),
            Settled::AtReservation(reason) => {
                assert_eq!(reason, ReservedReason::Crashed);
                listed.add(row.calls, row.usage, row.cost);
            }
        }
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_exceed_no_budget() {
    let rounds = std::env::var("TOLLGATE_CHAOS_ROUNDS").map_or(3, |rounds| rounds.parse::<u64>().unwrap());
    let place = Place::new().await;
    let mut refused = 0;
    for number in 0..rounds {
        let answers = 20 + usize::try_from(number * 37 % 50).unwrap();
        refused += round(&place, number, answers).await;
    }
    // What the look-alike still answers to nobody has to be on its account.
    eventually("the look-alike has ended every answer", async || {
        let received = place.bedrock.received();
        received.iter().all(|call| call.ended != tollgate::mock::Ended::Open).then_some(())
    })
    .await;
    let (mut last, _) = place.gateway();
    last.stop();

    let store = place.path("tollgate.db");
    let (account, bill) = (account(&place.bedrock.received()), bill(&store));
    let mut crashed = 0;
    for (name, ..) in PROFILES {
        let served = account.get(name).copied().unwrap_or_default();
        let (counted, listed) = bill.get(name).copied().unwrap_or_default();
        let missing = served.calls.checked_sub(counted.calls).expect("no call is counted that was not served");
        assert!(missing <= listed.calls, "{name}: {missing} calls are neither counted nor listed: {listed:?}");
        assert!(counted.cost <= served.cost, "{name}: {counted:?} {served:?}");
        // What was held for the calls that ran covers what they cost.
        assert!(served.cost <= counted.cost + listed.cost, "{name}: {counted:?} {listed:?} {served:?}");
        if missing == 0 {
            assert_eq!(counted, served, "{name}");
        }
        crashed += listed.calls;
    }
    let file = StoreFile::open(&store).unwrap();
    let all = file.bill().unwrap();
    assert_eq!(all.at_reservation.len() as u64 + all.unlisted, crashed, "each is listed");
    assert!(crashed > 0, "no call ran at any kill: the run proves nothing");
    assert!(refused > 0, "alice's budget was never exhausted: the run proves nothing");
    for state in file.counters().unwrap() {
        assert_eq!(state.reserved, 0, "{state:?}");
        let alices = state.counter.budget.as_ref() == "alices" && state.counter.unit == Unit::Usd;
        assert!(!alices || state.spent <= ALICES, "{state:?}");
    }
    println!("{rounds} kills, {} calls, {crashed} settled at their reservation, {refused} refused", all.calls());
}
