//! Who is let in, and what the others are told.

use http::{HeaderName, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::identity::keys::{AccessKey, Amendment, KeyId, KeyRecord, Proof, Refresh, RootKey};

use crate::client::{Wire, send};
use crate::harness::{Plan, Scene, converse, eventually, new_key};

const PATH: &str = "/model/llama/converse";

#[tokio::test]
async fn a_key_is_taken_as_bearer_token_and_as_api_key() {
    let scene = Scene::new().await;
    let key = scene.key("carol").to_owned();
    for headers in [
        vec![("authorization", format!("Bearer {key}"))],
        vec![("authorization", format!("bearer   {key} "))],
        vec![("x-api-key", key.clone())],
        vec![("authorization", format!("Bearer {key}")), ("x-api-key", key.clone())],
        vec![("authorization", String::new()), ("x-api-key", key.clone())],
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let mut request = scene.post("carol", PATH, converse("hello"));
            request.headers_mut().remove("authorization");
            for (name, value) in &headers {
                request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(send(scene.data, wire, request).await.status, StatusCode::OK, "{headers:?}");
        }
    }
    let bill = scene.bill_of(10).await;
    assert!(bill.rows().iter().all(|row| row["principal"] == "carol"));
}

#[tokio::test]
async fn whoever_is_not_known_gets_a_typed_error_once_and_bedrock_hears_nothing() {
    let scene = Plan::default().identity("failures_per_minute = 0").open().await;
    let hour_ago = Timestamp::now().checked_sub(SignedDuration::from_hours(1)).unwrap();
    let key = scene.key("alice").to_owned();
    let never = tollgate::identity::keys::Key::generate().unwrap();
    let mistyped = key.replace(&key[20..22], if &key[20..22] == "00" { "11" } else { "00" });
    let aws =
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    let incomplete = ("IncompleteSignatureException", "incomplete_signature");
    let bearer = |key: &str| vec![("authorization", format!("Bearer {key}"))];
    let unknown = ("UnrecognizedClientException", "unknown_key");
    let missing = ("MissingAuthenticationTokenException", "missing_credentials");
    let several = ("UnrecognizedClientException", "ambiguous_credentials");
    for (headers, (kind, reason), said) in [
        (vec![], missing, "Missing Authentication Token"),
        (bearer(""), missing, "Missing Authentication Token"),
        (bearer(never.expose()), unknown, "is not known here"),
        (bearer(&mistyped), unknown, "invalid"),
        (bearer(&key[..40]), unknown, "40 characters in place of 65"),
        (bearer("ABSKsomething"), unknown, "Amazon Bedrock API key"),
        (bearer("sk-ant-something"), unknown, "begin with tg_"),
        (vec![("authorization", format!("Basic {key}"))], unknown, "no other scheme"),
        (vec![("authorization", aws.to_owned())], incomplete, "'X-Amz-Date'"),
        (vec![("x-api-key", "a".repeat(20_000))], unknown, "too long"),
        (
            vec![("authorization", format!("Bearer {key}")), ("x-api-key", scene.key("bob").to_owned())],
            several,
            "more than one credential",
        ),
        (vec![("x-api-key", key.clone()), ("x-api-key", key.clone())], several, "more than one credential"),
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let mut request = scene.post("carol", PATH, converse("hello"));
            request.headers_mut().remove("authorization");
            for (name, value) in &headers {
                request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let answer = send(scene.data, wire, request).await;
            assert_eq!(answer.refusal(), (401, kind, reason), "{headers:?}");
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(answer.message().contains(said), "{}", answer.message());
            assert!(!answer.message().contains(&key), "{}", answer.message());
        }
    }
    let late = new_key(&scene.keyfile, "alice", |record| record.expires = Some(hour_ago));
    let answer = eventually("the expired key is read", async || {
        let mut request = scene.post("alice", PATH, converse("hello"));
        request.headers_mut().insert("authorization", format!("Bearer {}", late.expose()).parse().unwrap());
        let answer = scene.send(request).await;
        (answer.refusal().2 != "unknown_key").then_some(answer)
    })
    .await;
    assert_eq!(answer.refusal(), (401, "ExpiredTokenException", "expired_key"));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.message().contains("expired"), "{}", answer.message());
    assert!(scene.mock.received().is_empty());
    assert_eq!(scene.bill().await.calls(), 0);
}

#[tokio::test]
async fn a_key_made_or_revoked_while_it_runs_takes_effect() {
    let scene = Scene::new().await;
    assert_eq!(scene.converse("alice", "llama", "hello").await.status, StatusCode::OK);
    scene.keyfile.amend(scene.key_id("alice"), Amendment::Revoke(Timestamp::now())).unwrap();
    let refused = eventually("the revoked key is refused", async || {
        let answer = scene.converse("alice", "llama", "hello").await;
        (answer.status != StatusCode::OK).then_some(answer)
    })
    .await;
    assert_eq!(refused.refusal(), (401, "UnrecognizedClientException", "unknown_key"));
    assert_eq!(scene.converse("bob", "llama", "hello").await.status, StatusCode::OK);

    let new = new_key(&scene.keyfile, "alice", |_| {});
    eventually("the new key is taken", async || {
        let mut request = scene.post("bob", "/model/sonnet/converse", converse("hello"));
        request.headers_mut().insert("authorization", format!("Bearer {}", new.expose()).parse().unwrap());
        (scene.send(request).await.status == StatusCode::OK).then_some(())
    })
    .await;
    // Counted a moment after it is in force.
    eventually("both reloads are counted", async || {
        let reloads = scene.sample("tollgate_reloads_total{what=\"keys\",result=\"ok\"}").await;
        reloads.filter(|count| *count >= 2.0)
    })
    .await;
}

#[tokio::test]
async fn a_keys_file_that_breaks_leaves_the_old_keys_in_force() {
    let scene = Scene::new().await;
    std::fs::write(scene.keyfile.path(), "{ not a keys file").unwrap();
    eventually("the broken file is noticed", async || {
        let failed = scene.sample("tollgate_reloads_total{what=\"keys\",result=\"failed\"}").await;
        failed.filter(|count| *count > 0.0)
    })
    .await;
    assert_eq!(scene.converse("alice", "llama", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_key_of_somebody_who_is_no_principal_opens_nothing() {
    let scene = Scene::new().await;
    let key = new_key(&scene.keyfile, "dave", |_| {});
    let bob = new_key(&scene.keyfile, "bob", |_| {});
    // Once the later key is taken, the earlier one has been read too.
    let ask = async |key: &str| {
        let mut request = scene.post("bob", PATH, converse("hello"));
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        scene.send(request).await
    };
    eventually("bob's new key", async || (ask(bob.expose()).await.status == StatusCode::OK).then_some(())).await;
    assert_eq!(ask(key.expose()).await.refusal(), (401, "UnrecognizedClientException", "unknown_key"));
}

/// A request signed with an access key that the gateway has issued, as an AWS SDK signs it.
fn signed(scene: &Scene, key: &AccessKey, path: &str, body: &str) -> http::Request<String> {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let credentials =
        aws_credential_types::Credentials::new(&key.access_key_id, key.secret_access_key.expose(), None, None, "test");
    let identity = credentials.into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("bedrock")
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let mut request = http::Request::post(format!("http://{}{path}", scene.data)).body(body.to_owned()).unwrap();
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let headers = [("content-type", "application/json")];
    let url = request.uri().to_string();
    let signable =
        SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// A scene with a root key, and an access key of alice's.
pub(crate) async fn signing(plan: Plan, lines: &str) -> (Scene, AccessKey) {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("root.key");
    std::fs::write(&file, ROOT).unwrap();
    let lines = format!("root_key_files = [\"{}\"]\n{lines}", file.display());
    let scene = plan.identity(&lines).open().await;
    let key = access_key(&scene, |_| {}).await;
    (scene, key)
}

/// An access key of alice's at a gateway that [`signing`] has opened.
pub(crate) async fn access_key(scene: &Scene, change: impl FnOnce(&mut KeyRecord)) -> AccessKey {
    let (id, root) = (KeyId::generate().unwrap(), RootKey::read(ROOT).unwrap());
    let mut record = KeyRecord::new(id, Proof::SigV4(root.id()), "alice", Timestamp::now());
    change(&mut record);
    scene.keyfile.add(vec![record]).unwrap();
    scene.gateway.identity.keys().refresh().await.unwrap_reloaded();
    root.access_key(id)
}

const ROOT: &str = "0123456789abcdef0123456789abcdef";

trait Reloaded {
    fn unwrap_reloaded(self);
}

impl Reloaded for Refresh {
    fn unwrap_reloaded(self) {
        assert!(matches!(self, Self::Reloaded { .. }), "{self:?}");
    }
}

#[tokio::test]
async fn a_signature_opens_the_gate_and_nothing_of_it_reaches_bedrock() {
    let (scene, key) = signing(Plan::default(), "").await;
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, signed(&scene, &key, "/model/sonnet/converse", &converse("hello"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{wire:?}: {}", answer.message());
    }
    let bill = scene.bill_of(2).await;
    assert!(bill.rows().iter().all(|row| row["principal"] == "alice"));
    for received in scene.received(2).await {
        let sent = format!("{:?}", received.headers);
        assert!(!sent.contains(&key.access_key_id), "{sent}");
    }
}

#[tokio::test]
async fn a_body_that_a_guardrail_was_written_into_is_signed_as_it_is_then() {
    let owed = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"3\"\neveryone = true";
    let (scene, key) = signing(Plan::default().with(owed), "").await;
    let answer =
        send(scene.data, Wire::Http1, signed(&scene, &key, "/model/sonnet/converse", &converse("hello"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    let received = scene.received(1).await;
    assert_eq!(received[0].guardrail.as_ref().unwrap().identifier, "gr1");
    assert!(received[0].body_bytes > converse("hello").len(), "it was written into the body");
}

#[tokio::test]
async fn signed_requests_whose_bodies_do_not_come_are_failures_of_that_key_at_that_address() {
    let (scene, key) = signing(Plan::default(), "failures_per_minute = 3").await;
    let good = || signed(&scene, &key, "/model/sonnet/converse", &converse("hello"));
    for _ in 0..4 {
        let (head, body) = good().into_parts();
        let path = head.uri.path();
        let lines = head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        let (lines, length) = (lines.collect::<String>(), body.len() + 1);
        let text =
            format!("POST {path} HTTP/1.1\r\nhost: {}\r\n{lines}content-length: {length}\r\n\r\n{body}", scene.data);
        let mut connection = tokio::net::TcpStream::connect(scene.data).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
    }
    let refused = eventually("the failures are counted", async || {
        let answer = send(scene.data, Wire::Http1, good()).await;
        (answer.status != StatusCode::OK).then_some(answer)
    });
    assert_eq!(refused.await.refusal(), (429, "ThrottlingException", "too_many_failures"));
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_was_changed_after_it_was_signed_is_refused_and_bedrock_hears_nothing() {
    let (scene, key) = signing(Plan::default(), "").await;
    let good = || signed(&scene, &key, "/model/sonnet/converse", &converse("hello"));
    let mut body = good();
    *body.body_mut() = converse("other");
    let mut header = good();
    header.headers_mut().insert("content-type", "text/json".parse().unwrap());
    let mut path = good();
    *path.uri_mut() = path.uri().to_string().replace("sonnet", "llama").parse().unwrap();
    for request in [body, header, path] {
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = send(scene.data, wire, request.clone()).await;
            assert_eq!(answer.refusal(), (401, "InvalidSignatureException", "invalid_signature"));
            assert!(answer.message().starts_with("The request signature we calculated does not match"));
        }
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn who_fails_too_often_is_told_so_and_whoever_has_a_key_there_is_not_shut_out() {
    let scene = Plan::default().identity("failures_per_minute = 3").open().await;
    let wrong = tollgate::identity::keys::Key::generate().unwrap();
    for time in 0..5 {
        let mut request = scene.post("alice", "/model/sonnet/converse", converse("hello"));
        request.headers_mut().insert("authorization", format!("Bearer {}", wrong.expose()).parse().unwrap());
        let answer = send(scene.data, Wire::Http1, request).await;
        if time < 3 {
            assert_eq!(answer.refusal().2, "unknown_key");
        } else {
            assert_eq!(answer.refusal(), (429, "ThrottlingException", "too_many_failures"));
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        }
    }
    assert_eq!(scene.converse("alice", "sonnet", "hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_listener_of_ones_own_takes_whoever_connects_for_its_principal() {
    let scene = Plan::default().server("principal = \"alice\"").open().await;
    for headers in
        [vec![], vec![("authorization", "Bearer whatever")], vec![("x-api-key", "a"), ("authorization", "b")]]
    {
        let mut request = scene.post("carol", "/model/sonnet/converse", converse("hello"));
        request.headers_mut().remove("authorization");
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
        }
        assert_eq!(send(scene.data, Wire::Http1, request).await.status, StatusCode::OK);
    }
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("sec-fetch-site", "cross-site"),
        ("via", "1.1 nginx"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("host", "evil.example.com"),
        ("host", "localhost.evil.example.com:8080"),
    ] {
        let mut request = scene.post("alice", "/model/sonnet/converse", converse("hello"));
        request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        let answer = send(scene.data, Wire::Http1, request).await;
        assert_eq!(answer.refusal(), (403, "AccessDeniedException", "passed_on"), "{name}");
        assert!(answer.message().contains("trusts the programs of this machine"), "{}", answer.message());
    }
    let bill = scene.bill_of(3).await;
    assert!(bill.rows().iter().all(|row| row["principal"] == "alice"));
    for received in scene.received(3).await {
        assert!(!format!("{:?}", received.headers).contains("whatever"));
    }
}
