//! Gateways that are killed while they work, and stores that are: after any number of `kill -9` the bill and the look-alike's
//! account agree, but for the calls that ran at a kill, which are settled at their reservation and listed; and no hard budget is
//! exceeded.
//!
//! `TOLLGATE_CHAOS_ROUNDS` says how often something is killed; `scripts/chaos` plays many rounds.

mod embedded;
mod shared;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tempfile::TempDir;
use tollgate::budget::{Bill, CounterState, ReservedReason, Settled, Unit};
use tollgate::identity::keys::KeyFile;
use tollgate::mock::{Billable, Ended, MockBedrock, MockConfig, MockProfile, Received, Running};
use tollgate::profiles::price::PriceTable;
use tollgate::types::{ModelId, Money, ServiceTier, Tags, TokenUsage};

use crate::client::{Wire, open_on};
use crate::harness::{HAIKU, NOVA, SONNET, arn, converse, eventually, new_key};

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
    async fn new(store: &str) -> Self {
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
             region = \"us-east-1\"\n[identity]\nkeys_file = \"keys.json\"\n[[budgets]]\nname = \"alices\"\nprincipals = [\"alice\"]\nwindow = \"month\"\n\
             usd = \"0.06\"\n[[budgets]]\nname = \"all\"\neveryone = true\nwindow = \"month\"\nusd = \"1000\"\n\
             tokens = 1000000000\n{store}\n",
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
        self.gateway_of("tollgate.toml")
    }

    /// The same, by a configuration of this name.
    fn gateway_of(&self, config: &str) -> (Gateway, SocketAddr) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--output", "json", "--config"])
            .arg(self.path(config))
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

/// What a bill says, by profile: counted, and settled at the reservation.
fn by_profile(bill: &Bill) -> BTreeMap<&str, (Sum, Sum)> {
    let mut sums = BTreeMap::<_, (Sum, Sum)>::new();
    for row in &bill.rows {
        let (counted, listed) = sums.entry(row.heading.profile.as_deref().unwrap()).or_default();
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

/// Holds a bill against the look-alike's account, and the counts against their limits. How many calls were settled at their
/// reservation.
fn agree(bill: &Bill, counters: &[CounterState], received: &[Received]) -> u64 {
    let (account, billed) = (account(received), by_profile(bill));
    let mut crashed = 0;
    for (name, ..) in PROFILES {
        let served = account.get(name).copied().unwrap_or_default();
        let (counted, listed) = billed.get(name).copied().unwrap_or_default();
        let missing = served
            .calls
            .checked_sub(counted.calls)
            .unwrap_or_else(|| panic!("{name}: {counted:?} counted of {served:?}"));
        assert!(missing <= listed.calls, "{name}: {missing} calls are neither counted nor listed: {listed:?}");
        assert!(counted.cost <= served.cost, "{name}: {counted:?} {served:?}");
        // What was held for the calls that ran covers what they cost.
        assert!(served.cost <= counted.cost + listed.cost, "{name}: {counted:?} {listed:?} {served:?}");
        if missing == 0 {
            assert_eq!(counted, served, "{name}");
        }
        crashed += listed.calls;
    }
    assert_eq!(bill.at_reservation.len() as u64 + bill.unlisted, crashed, "each is listed");
    for state in counters {
        assert_eq!(state.reserved, 0, "{state:?}");
        let alices = state.counter.budget.as_ref() == "alices" && state.counter.unit == Unit::Usd;
        assert!(!alices || state.spent <= ALICES, "{state:?}");
    }
    crashed
}

/// Waits until what the look-alike still answers to nobody is on its account.
async fn answered_to_the_end(place: &Place) {
    eventually("the look-alike has ended every answer", async || {
        let received = place.bedrock.received();
        received.iter().all(|call| call.ended != Ended::Open).then_some(())
    })
    .await;
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().unwrap())
}
