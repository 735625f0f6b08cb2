//! The end: open streams run on, new connections are refused, and patience is bounded.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Wire, collect, in_time, open, read_until};
use crate::harness::{Plan, Scene, converse, eventually};

async fn streaming(scene: &Scene, wire: Wire, directives: &str) -> http::Response<hyper::body::Incoming> {
    let body = converse(&format!("hello [[mock:{directives}]]"));
    let mut response = open(scene.data, wire, scene.post("alice", "/model/sonnet/converse-stream", body)).await;
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert!(first.is_data());
    response
}

#[tokio::test]
async fn an_open_stream_runs_to_its_end_while_new_connections_are_refused() {
    for wire in [Wire::Http1, Wire::Http2] {
        let mut scene = Scene::new().await;
        let response = streaming(&scene, wire, "drip=20").await;
        scene.stop.cancel();
        eventually("it is not ready any more", async || {
            let page = scene.page("/readyz").await;
            (page.status.as_u16() == 503).then_some(())
        })
        .await;
        eventually("new connections are refused", async || TcpStream::connect(scene.data).await.err()).await;
        assert!(!scene.running.is_finished());
        let answer = collect(response).await;
        // The first message was read above.
        assert_eq!((answer.broke.as_deref(), answer.events().last().unwrap().0.as_str()), (None, "metadata"));
        in_time(&mut scene.running).await.unwrap();
        assert!(scene.mock.received()[0].told.is_some());
    }
}

#[tokio::test]
async fn what_is_still_read_on_for_somebody_who_left_is_waited_for() {
    let mut scene = Scene::new().await;
    drop(streaming(&scene, Wire::Http1, "drip=10").await);
    eventually("it is drained", async || scene.sample("tollgate_draining_streams").await.filter(|open| *open > 0.0))
        .await;
    scene.stop.cancel();
    in_time(&mut scene.running).await.unwrap();
    let bill = scene.gateway.ledger.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.at_reservation.len()), (1, 0));
    assert_eq!(bill.rows[0].usage.output, 32);
}

#[tokio::test]
async fn a_call_whose_caller_left_before_the_answer_began_is_waited_for() {
    let mut scene = Scene::new().await;
    let request = scene.post("alice", "/model/sonnet/converse-stream", converse("hello [[mock:delay=300]]"));
    let asking = tokio::spawn(open(scene.data, Wire::Http1, request));
    scene.received(1).await;
    asking.abort();
    eventually("the connection is gone", async || {
        scene.sample("tollgate_open_connections").await.filter(|open| *open == 0.0)
    })
    .await;
    scene.stop.cancel();
    in_time(&mut scene.running).await.unwrap();
    let bill = scene.gateway.ledger.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.at_reservation.len()), (1, 0));
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_when_patience_does() {
    for wire in [Wire::Http1, Wire::Http2] {
        let mut scene = Plan::default().server("drain_timeout = \"200ms\"").open().await;
        let response = streaming(&scene, wire, "stall after=3").await;
        scene.stop.cancel();
        let answer = in_time(collect(response)).await;
        assert!(answer.broke.is_some());
        // Waited for once for the caller and once for the counts.
        tokio::time::timeout(Duration::from_secs(30), &mut scene.running).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let mut scene = Scene::new().await;
    let idle = TcpStream::connect(scene.data).await.unwrap();
    eventually("it is open", async || scene.sample("tollgate_open_connections").await.filter(|open| *open > 0.0)).await;
    scene.stop.cancel();
    in_time(&mut scene.running).await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn what_has_begun_of_a_request_is_heard_to_its_end_and_answered_and_then_the_connection_closes() {
    let mut scene = Scene::new().await;
    let body = converse("hello");
    let head = format!(
        "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        scene.key("alice"),
        body.len()
    );
    let request = head.clone() + &body;
    // Half a head, half a body, and after a whole request half of another.
    let cuts = [(request.clone(), 9), (request.clone(), head.len() + 5), (request.repeat(2), request.len() + 9)];
    let mut open = Vec::new();
    for (sent, cut) in &cuts {
        let mut tcp = TcpStream::connect(scene.data).await.unwrap();
        tcp.write_all(&sent.as_bytes()[..*cut]).await.unwrap();
        if *cut > request.len() {
            read_until(&mut tcp, |seen| seen.ends_with(b"}")).await;
        }
        open.push(tcp);
    }
    eventually("they are open", async || scene.sample("tollgate_open_connections").await.filter(|open| *open >= 3.0))
        .await;
    // What was sent is on this machine: it has come once a call that was made later has been answered.
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status.as_u16(), 200);
    scene.stop.cancel();
    eventually("new connections are refused", async || TcpStream::connect(scene.data).await.err()).await;
    for (mut tcp, (sent, cut)) in open.into_iter().zip(&cuts) {
        tcp.write_all(&sent.as_bytes()[*cut..]).await.unwrap();
        let mut answer = Vec::new();
        in_time(tcp.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with('}'), "{answer}");
    }
    in_time(&mut scene.running).await.unwrap();
    let bill = scene.gateway.ledger.bill().await.unwrap();
    assert_eq!((bill.calls(), bill.at_reservation.len()), (5, 0));
}
