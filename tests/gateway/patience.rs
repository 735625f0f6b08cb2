//! How long a caller may take, and what happens to what they began.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{in_time, raw};
use crate::harness::{Plan, converse, eventually};

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_head_is_closed() {
    for tls in ["", "tls = { local_ca = \"ca\" }"] {
        let scene = Plan::default().server("header_timeout = \"200ms\"").server(tls).open().await;
        for begun in [
            "",
            "POST",
            "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\n",
            "PRI * HTTP/2.0\r\n",
            "\x16\x03\x01",
        ] {
            let answer = raw(scene.data, begun.as_bytes()).await;
            assert!(answer.is_empty() || !answer.starts_with(b"HTTP/1.1 2"), "{begun:?}: {answer:?}");
        }
        eventually("no connection is held", async || {
            scene.sample("tollgate_open_connections").await.filter(|open| *open == 0.0)
        })
        .await;
        assert!(scene.mock.received().is_empty());
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused_in_words_and_bedrock_hears_nothing() {
    let scene = Plan::default().server("body_timeout = \"200ms\"").open().await;
    let head = format!(
        "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
        scene.key("alice")
    );
    let answer = String::from_utf8(raw(scene.data, head.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("x-tollgate-reason: body_timeout") && answer.contains("Send it again."), "{answer}");
    assert!(scene.mock.received().is_empty());
    assert_eq!(scene.bill().await.calls(), 0);
}

#[tokio::test]
async fn who_leaves_while_sending_has_asked_for_nothing() {
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\ntokens = 100000";
    let scene = Plan::default().with(budget).open().await;
    let body = converse("hello");
    let head = format!(
        "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{}",
        scene.key("alice"),
        body.len(),
        &body[..body.len() - 1]
    );
    let mut tcp = TcpStream::connect(scene.data).await.unwrap();
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = in_time(tcp.read_to_end(&mut rest)).await;
    drop(tcp);
    eventually("the connection is gone", async || {
        scene.sample("tollgate_open_connections").await.filter(|open| *open == 0.0)
    })
    .await;
    assert!(scene.mock.received().is_empty());
    let left = scene.sample("tollgate_budget_remaining_tokens{budget=\"daily\",principal=\"alice\"}").await;
    assert_eq!(left, Some(100_000.0));
}
