//! Every way in which an answer can end: what the caller sees of it, and what stands on the bill.

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tollgate::mock::Ended;

use crate::byte_identity::message;
use crate::client::{Answer, Wire, open, send};
use crate::harness::{Bill, Plan, Scene, claude, converse, eventually};
use crate::upstream::{Canned, Then};

async fn stream(scene: &Scene, wire: Wire, directives: &str) -> Answer {
    let body = converse(&format!("hello [[mock:{directives}]]"));
    send(scene.data, wire, scene.post("alice", "/model/sonnet/converse-stream", body)).await
}

/// The one call on the bill was settled at its reservation, for this reason, at more than nothing.
fn assert_at_reservation(bill: &Bill, reason: &str) {
    assert_eq!(bill.at_reservation(), [reason]);
    let (outcome, input, output, cost) = bill.only();
    assert_eq!((outcome.as_str(), input, output), (reason, 0, 0));
    assert!(cost.nanos() > 0);
}

#[tokio::test]
async fn a_whole_answer_is_billed_at_what_bedrock_counted() {
    for (verb, body) in [
        ("converse", converse("hello")),
        ("converse-stream", converse("hello")),
        ("invoke", claude("hello")),
        ("invoke-with-response-stream", claude("hello")),
    ] {
        let scene = Scene::new().await;
        let answer = scene.send(scene.post("alice", &format!("/model/sonnet/{verb}"), body)).await;
        assert_eq!((answer.status, answer.broke), (StatusCode::OK, None));
        let (outcome, input, output, _) = scene.bill_of(1).await.only();
        assert_eq!((outcome.as_str(), input, output), ("complete", 2, 32), "{verb}");
    }
}

#[tokio::test]
async fn an_answer_handed_over_in_crumbs_is_read_all_the_same() {
    for size in [1, 7, 1_000] {
        let scene = Scene::new().await;
        let answer = stream(&scene, Wire::Http1, &format!("chunk-bytes={size}")).await;
        assert_eq!(answer.events().last().unwrap().0, "metadata");
        assert_eq!(scene.received(1).await[0].sent_bytes, answer.body.len() as u64);
        assert_eq!(scene.bill_of(1).await.only().0, "complete");
    }
}

#[tokio::test]
async fn an_exception_within_the_stream_is_passed_on_and_settled_at_the_reservation() {
    for wire in [Wire::Http1, Wire::Http2] {
        let scene = Scene::new().await;
        let answer = stream(&scene, wire, "exception=throttlingException after=4").await;
        assert_eq!((answer.status, &answer.broke), (StatusCode::OK, &None));
        let events = answer.events();
        assert_eq!((events.len(), events[4].0.as_str()), (5, "throttlingException"));
        assert_at_reservation(&scene.bill_of(1).await, "exception");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_between_messages_ends_with_an_exception_that_every_sdk_raises() {
    for wire in [Wire::Http1, Wire::Http2] {
        let scene = Scene::new().await;
        let answer = stream(&scene, wire, "cut after=5").await;
        assert_eq!((answer.status, &answer.broke), (StatusCode::OK, &None), "the end is clean");
        let events = answer.events();
        assert_eq!((events.len(), events[5].0.as_str()), (6, "serviceUnavailableException"));
        let payload: serde_json::Value = serde_json::from_slice(&events[5].1).unwrap();
        assert!(payload["message"].as_str().unwrap().contains("Tollgate lost the connection to Bedrock"), "{payload}");
        assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_inside_a_message_is_cut() {
    let whole = message("messageStart", &json!({"role": "assistant"}));
    let half = message("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "secret"}}));
    let sent = [&whole[..], &half[..20]].concat();
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [format!("{head}{:x}\r\n", sent.len()).as_bytes(), &sent, b"\r\n"].concat();
    for wire in [Wire::Http1, Wire::Http2] {
        let upstream = Canned::start(vec![chunk.clone()], Then::Close).await;
        let scene = Plan::default().endpoint(upstream.address).open().await;
        let answer = stream(&scene, wire, "").await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &sent[..]));
        assert!(answer.broke.is_some(), "the caller must see that something is missing");
        assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_given_up_after_the_idle_timeout() {
    for wire in [Wire::Http1, Wire::Http2] {
        let scene = Plan::default().upstream("idle_timeout = \"300ms\"").open().await;
        let answer = stream(&scene, wire, "stall after=3").await;
        assert_eq!(answer.broke, None);
        let events = answer.events();
        assert_eq!((events.len(), events[3].0.as_str()), (4, "serviceUnavailableException"));
        assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");
        eventually("the connection upstream is closed", async || {
            (scene.mock.received()[0].ended == Ended::Fault).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_passed_on_and_settled_at_the_reservation() {
    for (directive, reason) in [("truncate", "truncated"), ("garbage after=3", "malformed"), ("no-counts", "no_counts")]
    {
        for (verb, body) in
            [("converse-stream", converse as fn(&str) -> String), ("invoke-with-response-stream", claude)]
        {
            let scene = Scene::new().await;
            let request = scene.post("alice", &format!("/model/sonnet/{verb}"), body(&format!("[[mock:{directive}]]")));
            let answer = scene.send(request).await;
            assert_eq!((answer.status, &answer.broke), (StatusCode::OK, &None), "{directive}");
            assert_eq!(scene.received(1).await[0].sent_bytes, answer.body.len() as u64, "no byte is added or lost");
            assert_at_reservation(&scene.bill_of(1).await, reason);
            let unmetered =
                scene.sample(&format!("tollgate_settled_at_reservation_total{{reason=\"{reason}\"}}")).await;
            assert_eq!(unmetered, Some(1.0), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_cut_and_settled_by_the_headers_or_at_the_reservation() {
    for wire in [Wire::Http1, Wire::Http2] {
        let scene = Scene::new().await;
        let body = converse("hello [[mock:cut]]");
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse", body)).await;
        assert!(answer.broke.is_some());
        assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");

        // The counts of InvokeModel stand in its headers, which were there.
        let scene = Scene::new().await;
        let body = claude("hello [[mock:cut]]");
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/invoke", body)).await;
        assert!(answer.broke.is_some());
        assert_eq!(scene.bill_of(1).await.only().2, 32);
    }
}

#[tokio::test]
async fn bedrocks_own_errors_pass_through_and_cost_nothing() {
    for (directive, status, kind) in [
        ("throttle", 429, "ThrottlingException"),
        ("status=503", 503, "ServiceUnavailableException"),
        ("status=500", 500, "InternalServerException"),
        ("status=408", 408, "ModelTimeoutException"),
        ("status=400", 400, "ValidationException"),
        ("status=424", 424, "ModelStreamErrorException"),
    ] {
        let scene = Scene::new().await;
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = stream(&scene, wire, directive).await;
            assert_eq!(answer.status.as_u16(), status);
            let theirs = "http://internal.amazon.com/coral/com.amazon.bedrock/";
            assert_eq!(answer.header("x-amzn-errortype"), Some(format!("{kind}:{theirs}").as_str()));
            assert_eq!(answer.header("x-tollgate-reason"), None, "it is Bedrock's, not Tollgate's");
            assert_eq!(answer.header("x-should-retry"), None);
        }
        let (outcome, input, output, cost) = scene.bill_of(2).await.only();
        assert_eq!((outcome.as_str(), input, output, cost.nanos()), ("fault", 0, 0, 0));
        assert_eq!(scene.received(2).await.len(), 2, "no request is sent twice");
    }
}

#[tokio::test]
async fn where_bedrock_cannot_be_reached_the_caller_is_told_and_pays_nothing() {
    // A port that is taken and not listened on: it refuses every connection for as long as the test holds it.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let scene = Plan::default().endpoint(address).open().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = stream(&scene, wire, "").await;
        assert_eq!(answer.refusal(), (503, "ServiceUnavailableException", "upstream_connect"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.message().contains("127.0.0.1"), "{}", answer.message());
    }
    assert_eq!(scene.bill().await.calls(), 0);
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up_and_settled_at_the_reservation() {
    let scene = Plan::default().upstream("first_byte_timeout = \"200ms\"").open().await;
    let answer = stream(&scene, Wire::Http1, "delay=600000").await;
    assert_eq!(answer.refusal(), (504, "ServiceUnavailableException", "upstream_timeout"));
    assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");
    assert_eq!(scene.received(1).await.len(), 1, "no request is sent twice");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_no_reason_to_ask_again() {
    for bytes in ["", "HTTP/1.1 200", "this is not HTTP\r\n\r\n"] {
        let upstream = Canned::start(vec![bytes.as_bytes().to_vec()], Then::Close).await;
        let scene = Plan::default().endpoint(upstream.address).open().await;
        let answer = stream(&scene, Wire::Http1, "").await;
        assert_eq!(answer.refusal(), (502, "ServiceUnavailableException", "upstream_reset"), "{bytes:?}");
        assert_at_reservation(&scene.bill_of(1).await, "upstream_lost");
        assert_eq!(upstream.received().len(), 1);
    }
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_pays_for_the_whole_answer() {
    for wire in [Wire::Http1, Wire::Http2] {
        for (verb, body) in
            [("converse-stream", converse as fn(&str) -> String), ("invoke-with-response-stream", claude)]
        {
            let scene = Scene::new().await;
            let body = body("hello [[mock:drip=10]]");
            let mut response =
                open(scene.data, wire, scene.post("alice", &format!("/model/sonnet/{verb}"), body)).await;
            let first = response.body_mut().frame().await.unwrap().unwrap();
            assert!(first.data_ref().is_some_and(|data| !data.is_empty()));
            drop(response);
            let (outcome, _, output, _) = scene.bill_of(1).await.only();
            assert_eq!((outcome.as_str(), output), ("drained", 32), "{wire:?}");
            assert_eq!(scene.mock.received()[0].ended, Ended::Complete, "it was read to its end");
            let open = scene.sample("tollgate_open_streams").await;
            let draining = scene.sample("tollgate_draining_streams").await;
            assert_eq!((open, draining), (Some(0.0), Some(0.0)));
        }
    }
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_begins_pays_for_it_all_the_same() {
    for verb in ["converse", "converse-stream"] {
        let scene = Scene::new().await;
        let (key, body) = (scene.key("alice"), converse("hello [[mock:delay=200]]"));
        let request = format!(
            "POST /model/sonnet/{verb} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut tcp = TcpStream::connect(scene.data).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        scene.received(1).await;
        drop(tcp);
        let (outcome, input, output, _) = scene.bill_of(1).await.only();
        assert_eq!(output, 32, "{verb}");
        assert_eq!((outcome.as_str(), input > 0), ("drained", true), "{verb}");
    }
}

#[tokio::test]
async fn who_stops_reading_pays_for_the_whole_answer_and_holds_nothing() {
    let scene = Plan::default().upstream("idle_timeout = \"500ms\"").open().await;
    let body = converse("hello [[mock:reply-tokens=60000]]").replace("64", "60000");
    let request = format!(
        "POST /model/sonnet/converse-stream HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        scene.key("alice"),
        body.len()
    );
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut tcp = socket.connect(scene.data).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let (outcome, _, output, _) = scene.bill_of(1).await.only();
    assert_eq!((outcome.as_str(), output), ("drained", 60_000));
    assert_eq!(scene.sample("tollgate_open_streams").await, Some(0.0));
    drop(tcp);
}

#[tokio::test]
async fn what_is_not_read_on_is_settled_at_the_reservation() {
    for (metering, reason) in [
        ("drain_streams = 0", "drain_refused"),
        ("drain_timeout = \"100ms\"", "drain_timed_out"),
        ("on_disconnect = \"cancel\"", "cancelled"),
    ] {
        let scene = Plan::default().with(&format!("[metering]\n{metering}")).open().await;
        let body = converse("hello [[mock:stall after=2]]");
        let mut response =
            open(scene.data, Wire::Http1, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
        response.body_mut().frame().await.unwrap().unwrap();
        drop(response);
        assert_at_reservation(&scene.bill_of(1).await, reason);
        eventually("the connection upstream is closed", async || {
            (scene.mock.received()[0].ended == Ended::Fault).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_long_answer_comes_whole() {
    let scene = Scene::new().await;
    let body = converse("hello [[mock:reply-tokens=60000]]").replace("64", "60000");
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse-stream", body.clone())).await;
        assert_eq!(answer.broke, None);
        assert_eq!(scene.mock.received().last().unwrap().sent_bytes, answer.body.len() as u64);
        let (kind, payload) = answer.events().pop().unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((kind.as_str(), &payload["usage"]["outputTokens"]), ("metadata", &json!(60_000)));
    }
    assert_eq!(scene.bill_of(2).await.only().2, 120_000);
}
