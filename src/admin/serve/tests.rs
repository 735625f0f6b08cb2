//! The admin listener over a real socket.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::admin::{ChangeError, Changing, Check, State};
use crate::telemetry::{Metrics, Sources};
use crate::types::Secret;

struct Admin {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn start() -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&ready);
    let sources = AdminSources {
        metrics: Arc::new(Metrics::new(Sources::default())),
        readiness: Arc::new(move || {
            let credentials = if asked.load(Ordering::Relaxed) {
                State::Ready
            } else {
                State::Waiting("no provider answered; aws_secret_access_key=hunter2".to_owned())
            };
            vec![Check { name: "config", state: State::Ready }, Check { name: "credentials", state: credentials }]
        }),
        budgets: Arc::new(|| Box::pin(async { Err("the store is away".to_owned()) })),
        history: Arc::new(|| Box::pin(async { Ok(json!([])) })),
        keys: Arc::new(|| Box::pin(async { Ok(json!([])) })),
        changing: Some(Changing {
            token: Secret::new("a token".to_owned()),
            change: Arc::new(|action, body| {
                Box::pin(async move {
                    match body.as_ref() {
                        b"" => Err(ChangeError::Asked("how much?".to_owned())),
                        b"down" => Err(ChangeError::Store("the store is away".to_owned())),
                        body => Ok(json!({ "action": action, "body": String::from_utf8_lossy(body) })),
                    }
                })
            }),
        }),
        usage: Arc::new(|since| {
            let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            Box::pin(async move { Ok(json!(since)) })
        }),
        bill: Arc::new(|| Box::pin(async { Ok(json!([{ "principal": "alice", "cost_usd": "0.25" }])) })),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(serve(listener, sources, stop.clone()));
    Admin { address, ready, stop, running }
}

impl Admin {
    /// Sends one request and reads until the server closes: status, head and body.
    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_scrape_reads_openmetrics() {
    let admin = start().await;
    let (status, head, body) = admin.ask("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(body.starts_with("# HELP tollgate_") && body.ends_with("# EOF\n"));
    admin.stop().await;
}

#[tokio::test]
async fn readiness_names_what_it_waits_for_and_no_secret() {
    let admin = start().await;
    let (status, _, body) = admin.ask("GET", "/readyz").await;
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()["ready"].clone()), (200, json!(true)));
    admin.ready.store(false, Ordering::Relaxed);
    let (status, _, body) = admin.ask("GET", "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "ready": false, "checks": [
            { "name": "config", "ready": true },
            { "name": "credentials", "ready": false, "detail": "no provider answered; aws_secret_access_key=[redacted]" },
        ]})
    );
    assert_eq!(admin.ask("GET", "/livez").await.0, 200, "what is not ready is alive all the same");
    admin.stop().await;
}

#[tokio::test]
async fn the_bill_is_json() {
    let admin = start().await;
    let (status, head, body) = admin.ask("GET", "/bill?by=model").await;
    assert!(status == 200 && head.contains("content-type: application/json"));
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()[0]["principal"], "alice");
    admin.stop().await;
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_reading_is_refused() {
    let admin = start().await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/bill", 405),
        ("HEAD", "/livez", 200),
    ] {
        let (answered, head, body) = admin.ask(method, path).await;
        assert_eq!(answered, status, "{method} {path}");
        assert_eq!(head.contains("allow: get, head"), status == 405, "{method} {path}");
        assert!(method != "HEAD" || body.is_empty());
    }
    admin.stop().await;
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_takes_no_new_ones() {
    let admin = start().await;
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let address = admin.address;
    admin.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn usage_takes_a_time_and_what_a_store_cannot_tell_is_unavailable() {
    let admin = start().await;
    for (path, status, wanted) in [
        ("/budgets", 503, r#"{"error":"the store is away"}"#),
        ("/usage?since=1970-01-01T00:01:00Z", 200, "60"),
        ("/usage?since=yesterday", 400, "such as since="),
        ("/usage?until=1", 400, "the one parameter"),
        ("/usage?since", 400, "the one parameter"),
    ] {
        let (answered, _, body) = admin.ask("GET", path).await;
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(wanted), "{path}: {body}");
    }
    let (status, _, body) = admin.ask("GET", "/usage").await;
    assert_eq!(status, 200);
    assert!(body.parse::<u64>().unwrap() > 1_700_000_000);
    admin.stop().await;
}

#[tokio::test]
async fn budgets_are_changed_by_whoever_has_the_token_and_by_nobody_else() {
    let admin = start().await;
    let ask = async |path: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), body.to_owned())
    };
    let token = "authorization: Bearer a token\r\n";
    for headers in
        ["", "authorization: Bearer another\r\n", "authorization: Basic a token\r\n", "authorization: Bearer \r\n"]
    {
        let (status, body) = ask("/budgets/set", headers, "{}").await;
        assert_eq!(status, 401, "{headers}: {body}");
    }
    let (status, body) = ask("/budgets/raise", token, "{}").await;
    assert_eq!((status, body.as_str()), (200, r#"{"action":"budgets/raise","body":"{}"}"#));
    assert_eq!(ask("/budgets/reset", token, "").await.0, 400);
    assert_eq!(ask("/budgets/reset", token, "down").await.0, 503);
    assert_eq!(ask("/budgets/set", token, &"x".repeat(70_000)).await.0, 413);
    assert_eq!(ask("/budgets/history", token, "{}").await.0, 405);
    assert_eq!(ask("/budgets/other", token, "{}").await.0, 404);
    assert_eq!(admin.ask("GET", "/budgets/set").await.0, 404);
    assert_eq!(admin.ask("GET", "/budgets/history").await.0, 200);
}
