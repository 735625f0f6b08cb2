//! The main promise: after hundreds of calls of all kinds from many callers at once, the gateway's bill and the
//! look-alike's own account of what it served are the same, to the token and to the billionth of a dollar.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate::mock::{Billable, Received};
use tollgate::profiles::price::PriceTable;
use tollgate::types::{ModelId, Money, ServiceTier, TokenUsage};

use crate::client::{Wire, open, send};
use crate::harness::{PROFILES, Plan, Scene, arn, eventually};

const CALLERS: u64 = 50;
const CALLS: u64 = 10;

/// How a call is made and how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    /// The caller leaves when the first bytes are there.
    LeavesInTheMiddle,
    /// The caller leaves before the answer begins.
    LeavesAtOnce,
    Faulted(&'static str),
}

/// A small generator: the same calls at every run.
struct Draw(u64);

impl Draw {
    fn of(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most).unwrap()).unwrap()
    }
}

const FAULTS: [&str; 9] = [
    "cut after=4",
    "truncate",
    "garbage after=3",
    "no-counts",
    "exception=modelStreamErrorException after=3",
    "stall after=2",
    "throttle",
    "status=503",
    "guardrail-intervened=output",
];

struct Call {
    who: &'static str,
    path: String,
    body: String,
    wire: Wire,
    fate: Fate,
    tier: Option<&'static str>,
}

fn call(draw: &mut Draw) -> Call {
    let who = ["alice", "bob", "carol"][draw.of(3)];
    let own = match who {
        "alice" => ["sonnet", "nova", "llama", "titan"].as_slice(),
        "bob" => &["haiku", "llama", "titan"],
        _ => &["llama", "titan"],
    };
    let model = own[draw.of(own.len())];
    let verb = ["invoke", "invoke-with-response-stream", "converse", "converse-stream"][draw.of(4)];
    let fate = match draw.of(10) {
        0..=5 => Fate::Whole,
        6 => Fate::LeavesInTheMiddle,
        7 => Fate::LeavesAtOnce,
        _ => Fate::Faulted(FAULTS[draw.of(FAULTS.len())]),
    };
    let tokens = 1 + draw.of(40);
    let directives = match fate {
        Fate::Whole => format!("reply-tokens={tokens}"),
        Fate::LeavesInTheMiddle => format!("reply-tokens={tokens} drip=2"),
        Fate::LeavesAtOnce => format!("reply-tokens={tokens} delay=30"),
        Fate::Faulted(fault) => format!("{fault} reply-tokens={}", tokens + 5),
    };
    let prompt = format!("{} [[mock:{directives}]]", "words ".repeat(draw.of(30)));
    let cached = draw.of(4);
    let tier = match draw.of(8) {
        0 => Some("priority"),
        1 => Some("flex"),
        _ => None,
    };
    let body =
        if verb.starts_with("converse") { converse(&prompt, cached, tier) } else { invoke(model, &prompt, cached) };
    let wire = [Wire::Http1, Wire::Http2][draw.of(2)];
    Call { who, path: format!("/model/{model}/{verb}"), body: body.to_string(), wire, fate, tier }
}

fn converse(prompt: &str, cached: usize, tier: Option<&str>) -> Value {
    let mut body =
        json!({"messages": [{"role": "user", "content": [{"text": prompt}]}], "inferenceConfig": {"maxTokens": 64}});
    let text = "A long and steady preamble.".repeat(1 + cached);
    match cached {
        1 => body["system"] = json!([{"text": text}, {"cachePoint": {"type": "default"}}]),
        2 => body["system"] = json!([{"text": text}, {"cachePoint": {"type": "default", "ttl": "1h"}}]),
        _ => {}
    }
    if let Some(tier) = tier {
        body["serviceTier"] = json!({ "type": tier });
    }
    body
}

fn invoke(model: &str, prompt: &str, cached: usize) -> Value {
    let text = "Another long and steady preamble.".repeat(1 + cached);
    match model {
        "sonnet" | "haiku" => {
            let mark =
                if cached == 2 { json!({"type": "ephemeral", "ttl": "1h"}) } else { json!({"type": "ephemeral"}) };
            let mut system = json!({"type": "text", "text": text});
            if matches!(cached, 1 | 2) {
                system["cache_control"] = mark;
            }
            json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "system": [system],
                   "messages": [{"role": "user", "content": prompt}]})
        }
        "nova" => json!({"schemaVersion": "messages-v1", "inferenceConfig": {"maxTokens": 64},
                         "messages": [{"role": "user", "content": [{"text": prompt}]}]}),
        "llama" => json!({"prompt": prompt, "max_gen_len": 64}),
        _ => json!({"inputText": prompt, "textGenerationConfig": {"maxTokenCount": 64}}),
    }
}

/// Makes a call.
async fn make(scene: &Scene, call: Call) {
    let Call { who, path, body, wire, fate, tier } = call;
    let mut request = scene.post(who, &path, body);
    if let (Some(tier), true) = (tier, path.contains("/invoke")) {
        request.headers_mut().insert("x-amzn-bedrock-service-tier", tier.parse().unwrap());
    }
    match fate {
        Fate::Whole => {
            let answer = send(scene.data, wire, request).await;
            assert_eq!((answer.status.as_u16(), &answer.broke), (200, &None), "{path}: {:?}", answer.body);
        }
        Fate::Faulted(_) => drop(send(scene.data, wire, request).await),
        Fate::LeavesInTheMiddle => {
            let mut response = open(scene.data, wire, request).await;
            response.body_mut().frame().await.unwrap().unwrap();
        }
        Fate::LeavesAtOnce => {
            let data = scene.data;
            let asking = tokio::spawn(async move { drop(open(data, wire, request).await) });
            // Whether it has reached Bedrock by now or never will: bill and account agree either way.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            asking.abort();
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    calls: u64,
    usage: TokenUsage,
    cost: Money,
}

impl Sum {
    fn add(&mut self, calls: u64, usage: TokenUsage, cost: Money) {
        self.calls += calls;
        self.usage = self.usage + usage;
        self.cost = self.cost + cost;
    }
}

/// What the look-alike served and told, priced by the shipped table.
fn served(received: &[Received]) -> BTreeMap<&'static str, Sum> {
    let prices = PriceTable::shipped();
    let region = "us-east-1".parse().unwrap();
    let mut sums = BTreeMap::<_, Sum>::new();
    for call in received.iter().filter(|call| is_settled_by_counts(call)) {
        let (name, _, source) =
            PROFILES.into_iter().find(|(name, ..)| call.billed_to.as_deref() == Some(&arn(name))).unwrap();
        let price = prices.price(&source.parse::<ModelId>().unwrap(), &region).unwrap();
        let tier = call.tier.map_or(ServiceTier::Default, |name| ServiceTier::from_name(name).unwrap());
        let usage = TokenUsage::from(call.usage);
        sums.entry(name).or_default().add(1, usage, price.cost(&usage, tier));
    }
    sums
}

/// Whether the answer, or its head, told what is billed.
fn is_settled_by_counts(call: &Received) -> bool {
    match call.billable {
        Billable::Complete => true,
        // The counts of InvokeModel stand in its headers, however the body ends.
        Billable::Fault => call.operation == Some("InvokeModel") && call.told.is_some(),
        Billable::Nothing | Billable::GuardrailOnly => false,
    }
}

fn billed(rows: &[Value]) -> BTreeMap<&'static str, Sum> {
    let mut sums = BTreeMap::<_, Sum>::new();
    for row in rows.iter().filter(|row| row["settled"] == "counted" && row["outcome"] != "fault") {
        let (name, ..) = PROFILES.into_iter().find(|(name, ..)| row["profile"] == *name).unwrap();
        let count = |kind: &str| row["tokens"][kind].as_u64().unwrap();
        let usage = TokenUsage {
            input: count("input"),
            output: count("output"),
            cache_read: count("cache_read"),
            cache_write_5m: count("cache_write_5m"),
            cache_write_1h: count("cache_write_1h"),
        };
        let cost = Money::from_nanos(row["cost_nanodollars"].as_i64().unwrap());
        sums.entry(name).or_default().add(row["calls"].as_u64().unwrap(), usage, cost);
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_five_hundred_mixed_calls_bill_and_account_are_the_same() {
    let budget = "[[budgets]]\nname = \"all\"\neveryone = true\nwindow = \"month\"\nusd = \"10000\"";
    let scene = Arc::new(Plan::default().upstream("idle_timeout = \"3s\"").with(budget).open().await);
    let callers: Vec<_> = (1..=CALLERS)
        .map(|caller| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let mut draw = Draw(caller * 0x9E37_79B9);
                for _ in 0..CALLS {
                    make(&scene, call(&mut draw)).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    // Every connection is closed, so nothing new can arrive; what is open upstream runs to its end.
    let (bill, received) = eventually("every call is settled", async || {
        let connections = scene.sample("tollgate_open_connections").await?;
        let (bill, received) = (scene.bill().await, scene.mock.received());
        (connections == 0.0 && bill.calls() == received.len() as u64).then_some((bill, received))
    })
    .await;

    assert_eq!(billed(bill.rows()), served(&received));

    // What the account says was served without telling its cost, and nothing else, is settled at the reservation, call by call.
    let hidden: Vec<_> =
        received.iter().filter(|call| call.billable == Billable::Fault && !is_settled_by_counts(call)).collect();
    let listed = bill.0["settled_at_reservation"].as_array().unwrap();
    assert_eq!(listed.len(), hidden.len(), "{listed:?}");
    assert_eq!(bill.0["settled_at_reservation_unlisted"], 0);
    assert!(listed.iter().all(|call| call["cost_nanodollars"].as_i64().unwrap() > 0), "none is settled at zero");

    // What Bedrock refused is on the bill, free.
    let refused = received.iter().filter(|call| call.status != 200).count();
    let faults = bill.rows().iter().filter(|row| row["outcome"] == "fault");
    let free: u64 = faults.map(|row| row["calls"].as_u64().unwrap()).sum();
    assert_eq!(free, refused as u64);

    // The run was as mixed as it should be, and no call was made twice.
    let outcomes: Vec<_> = bill.rows().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    for outcome in ["complete", "drained", "fault", "truncated", "malformed", "no_counts", "exception", "upstream_lost"]
    {
        assert!(outcomes.contains(&outcome), "no {outcome}");
    }
    let all = CALLERS * CALLS;
    assert!((all * 9 / 10..=all).contains(&bill.calls()), "{} calls", bill.calls());
    for kind in ["cache_read", "cache_write_5m", "cache_write_1h"] {
        assert!(bill.rows().iter().any(|row| row["tokens"][kind].as_u64() > Some(0)), "no {kind}");
    }
    eventually("no stream is open any more", async || {
        let metrics = scene.metrics().await;
        let none = |gauge: &str| metrics.contains(&format!("\ntollgate_{gauge} 0\n"));
        (none("open_streams") && none("draining_streams")).then_some(())
    })
    .await;
}
