//! One answer, three ways to the caller: as it stands on the wire, and by hyper in HTTP/1.1 and HTTP/2. Whatever its chunks are and
//! wherever it is cut on its way here, the bytes and the bill are the same.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::byte_identity::message;
use crate::client::{Answer, Wire, send};
use crate::harness::{Plan, Scene, converse};
use crate::strange::{STREAMED, chunk};
use crate::upstream::{Canned, Then};
use crate::wire::Unsized;

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// Its framing ends well, but its last bytes are missing.
    Short,
    /// It has all its messages, and a broken one after them.
    Garbage,
}

#[derive(Clone, Debug)]
struct Case {
    texts: Vec<String>,
    usage: (u32, u32),
    end: End,
    /// Where chunks end in the payload, and pieces on the wire.
    chunks: Vec<prop::sample::Index>,
    pieces: Vec<prop::sample::Index>,
}

fn cases() -> impl Strategy<Value = Case> {
    let texts = prop::collection::vec("[a-z]{0,200}", 0..6);
    let end = prop_oneof![3 => Just(End::Whole), 1 => Just(End::Short), 1 => Just(End::Garbage)];
    let cuts = |most| prop::collection::vec(any::<prop::sample::Index>(), 0..most);
    (texts, (1_u32..9_000, 1_u32..9_000), end, cuts(12), cuts(16))
        .prop_map(|(texts, usage, end, chunks, pieces)| Case { texts, usage, end, chunks, pieces })
}

/// Cuts bytes into parts that are not empty.
fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = at.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

impl Case {
    fn payload(&self) -> Vec<u8> {
        let deltas = self.texts.iter().map(|text| message("contentBlockDelta", &json!({"delta": {"text": text}})));
        let (input, output) = self.usage;
        let usage = json!({"inputTokens": input, "outputTokens": output, "totalTokens": input + output});
        let last = message("metadata", &json!({"usage": usage, "metrics": {}}));
        let mut payload = deltas.chain([last]).collect::<Vec<_>>().concat();
        match self.end {
            End::Whole => {}
            End::Short => payload.truncate(payload.len() - 5),
            End::Garbage => payload.extend([0xAB; 20]),
        }
        payload
    }

    fn on_the_wire(&self) -> Vec<Vec<u8>> {
        let chunks = cut(&self.payload(), &self.chunks).into_iter().flat_map(|data| chunk(&data));
        let wire: Vec<u8> = STREAMED.bytes().chain(chunks).chain(*b"0\r\n\r\n").collect();
        cut(&wire, &self.pieces)
    }
}

/// Lets the pieces of an answer leave one by one, so that most are read one by one.
async fn feed(upstream: &Canned, request: usize, pieces: usize) {
    while upstream.received().len() < request {
        tokio::task::yield_now().await;
    }
    for _ in 1..pieces {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        upstream.go_on(1);
    }
}

async fn ask(scene: &Scene, who: &str) -> Answer {
    let request = scene.post(who, "/model/llama/converse-stream", converse("hello"));
    match who {
        "alice" => send(scene.data, Wire::Http1, request).await,
        // In chunks, which the gateway leaves to hyper.
        "bob" => {
            let chunks = Unsized([Bytes::from(converse("hello"))].into());
            send(scene.data, Wire::Http1, request.map(|_| chunks)).await
        }
        _ => send(scene.data, Wire::Http2, request).await,
    }
}

#[tokio::test]
async fn however_an_answer_is_cut_it_comes_by_every_way_alike_and_costs_the_same() {
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> = (0..60).map(|_| cases().new_tree(&mut runner).unwrap().current()).collect();
    let answers = cases.iter().flat_map(|case| [case.on_the_wire(), case.on_the_wire(), case.on_the_wire()]);
    let upstream = Canned::in_pieces(answers.collect(), Then::KeepAlive).await;
    let scene = Plan::default().endpoint(upstream.address).open().await;
    let mut requests = 0;
    for case in &cases {
        let (payload, pieces) = (case.payload(), case.on_the_wire().len());
        for who in ["alice", "bob", "carol"] {
            requests += 1;
            let (answer, ()) = tokio::join!(ask(&scene, who), feed(&upstream, requests, pieces));
            assert_eq!((answer.status.as_u16(), &answer.broke), (200, &None), "{who}: {case:?}");
            assert!(answer.body == payload, "{who}: {case:?}");
        }
    }
    let bill = scene.bill_of(3 * cases.len() as u64).await;
    let of = |who: &str| {
        let rows = bill.rows().iter().filter(|row| row["principal"] == who);
        let mut rows: Vec<_> = rows
            .map(|row| json!([row["outcome"], row["calls"], row["tokens"], row["cost_nanodollars"]]).to_string())
            .collect();
        rows.sort();
        assert!(!rows.is_empty());
        rows
    };
    assert_eq!((of("alice"), of("alice")), (of("bob"), of("carol")));
    let whole: Vec<_> = cases.iter().filter(|case| case.end == End::Whole).collect();
    let output: u64 = whole.iter().map(|case| u64::from(case.usage.1)).sum();
    let billed = bill.rows().iter().filter(|row| row["principal"] == "alice" && row["outcome"] == "complete");
    let billed: u64 = billed.map(|row| row["tokens"]["output"].as_u64().unwrap()).sum();
    assert_eq!((billed, bill.at_reservation().len()), (output, 3 * (cases.len() - whole.len())));
}
