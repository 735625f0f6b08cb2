//! A whole gateway before an upstream that answers as it is told: what callers who never read can hold, and for how long.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::Surroundings;
use crate::identity::keys::{Key, KeyFile, KeyRecord};
use crate::types::{Secret, SystemClock};

struct Running {
    data: SocketAddr,
    gateway: Arc<Gateway>,
    key: Key,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    _folder: TempDir,
}

/// A gateway for alice with these lines in `[server]` and `[upstream]`, before an upstream that gives every request `answer`
/// and then keeps the connection open.
async fn start(server: &str, upstream: &str, answer: Vec<u8>) -> Running {
    let bedrock = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstream]\n\
         endpoint = \"http://{}\"\n{upstream}\n[identity]\nkeys_file = \"keys.json\"\n[[principals]]\nname = \"alice\"\n[[profiles]]\nname = \"nova\"\n\
         arn = \"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/nova\"\n\
         source = \"us.amazon.nova-lite-v1:0\"\nprincipals = [\"alice\"]\n",
        bedrock.local_addr().unwrap()
    );
    tokio::spawn(async move {
        while let Ok((tcp, _)) = bedrock.accept().await {
            tokio::spawn(answer_each(tcp, answer.clone()));
        }
    });
    let folder = TempDir::new().unwrap();
    let key = Key::generate().unwrap();
    let record = KeyRecord::of(&key, "alice", jiff::Timestamp::now());
    KeyFile::new(folder.path().join("keys.json")).add(vec![record]).unwrap();
    let around = Surroundings { folder: folder.path(), price_known: &|_, _| true };
    let (settings, _) = Settings::parse(&text, Path::new("tollgate.toml"), &around).unwrap();
    let aws = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: Secret::new("secret"),
        session_token: None,
    };
    let assembled = assemble(&settings, AwsIdentity::Fixed(aws), Arc::new(SystemClock)).await.unwrap();
    let bound = assembled.bind().await.unwrap();
    let (data, gateway, stop) = (bound.data_address().unwrap(), Arc::clone(bound.gateway()), CancellationToken::new());
    let ended = tokio::spawn(bound.run(stop.clone()));
    Running { data, gateway, key, stop, ended, _folder: folder }
}

async fn answer_each(mut tcp: TcpStream, answer: Vec<u8>) {
    let mut seen = Vec::new();
    while tcp.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
        if seen.ends_with(CALL) {
            seen.clear();
            // A gateway that has been stopped does not take it.
            let _ = tcp.write_all(&answer).await;
        }
    }
}

const CALL: &[u8] = b"{\"messages\":[]}";

impl Running {
    /// Makes a call and reads the first byte of its answer, no more.
    async fn call(&self) -> TcpStream {
        let mut tcp = TcpStream::connect(self.data).await.unwrap();
        let (key, length) = (self.key.expose(), CALL.len());
        let head = format!(
            "POST /model/nova/converse HTTP/1.1\r\nhost: h\r\nx-api-key: {key}\r\ncontent-length: {length}\r\n\r\n"
        );
        tcp.write_all(&[head.as_bytes(), CALL].concat()).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'H');
        tcp
    }

    /// How the only call was settled, once it was.
    async fn settled(&self) -> String {
        loop {
            let bill: Value = pages::bill(&self.gateway.ledger).await.unwrap();
            if let Some(outcome) = bill["rows"][0]["outcome"].as_str() {
                return outcome.to_owned();
            }
            tokio::task::yield_now().await;
        }
    }
}

/// An answer whose text is so long that it fits into no buffer on the way.
fn long_answer() -> Vec<u8> {
    let text = "x".repeat(32 << 20);
    let body = format!("{{\"text\":\"{text}\",\"usage\":{{\"inputTokens\":1,\"outputTokens\":2,\"totalTokens\":3}}}}");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    (head + &body).into_bytes()
}

#[tokio::test]
async fn a_caller_who_stops_reading_holds_neither_connection_nor_reservation() {
    let upstream = "idle_timeout = \"200ms\"\nmax_connections = 1";
    let running = start("", upstream, long_answer()).await;
    let unread = running.call().await;
    assert_eq!(running.settled().await, "drained");
    // The only connection to Bedrock is free for another.
    drop(running.call().await);
    drop(unread);
}

#[tokio::test]
async fn a_server_stops_in_time_although_every_slot_is_held() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{".to_vec();
    let mut running = start("max_connections = 1\ndrain_timeout = \"50ms\"", "", answer).await;
    let stuck = running.call().await;
    running.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), &mut running.ended).await.expect("it stops").unwrap();
    // Its caller was cut off, and nobody waits for the rest of the answer.
    assert_eq!(running.settled().await, "shutdown");
    drop(stuck);
}

#[tokio::test]
async fn a_listener_of_somebody_who_is_not_listed_is_not_opened() {
    let text = "[upstream]\nregion = \"us-east-1\"\n[store]\nkind = \"memory\"\n[server]\nprincipal = \"alice\"\n[[principals]]\nname = \"alice\"\n\
                [[profiles]]\nname = \"nova\"\narn = \"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/nova\"\n\
                source = \"us.amazon.nova-lite-v1:0\"\neveryone = true\n";
    let folder = TempDir::new().unwrap();
    let around = Surroundings { folder: folder.path(), price_known: &|_, _| true };
    let (mut settings, _) = Settings::parse(text, Path::new("tollgate.toml"), &around).unwrap();
    settings.server.listeners[0].principal = Some("alcie".to_owned());
    let aws = AwsCredentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: Secret::new("secret"),
        session_token: None,
    };
    let refused = assemble(&settings, AwsIdentity::Fixed(aws), Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(refused.to_string(), "server.principal: there is no principal alcie: list it under [[principals]]");
}
