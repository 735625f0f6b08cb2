//! Which headers cross the gateway, and which never do.

use http::{HeaderName, HeaderValue, StatusCode};

use crate::client::{Wire, send};
use crate::harness::{Plan, Scene, claude, converse};
use crate::upstream::{Canned, Then};

/// Headers that a caller can send and that must not reach Bedrock.
const CONSUMED: [(&str, &str); 27] = [
    ("x-amz-date", "20200101T000000Z"),
    ("x-amz-security-token", "caller-token"),
    ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ("x-amz-target", "Something.Else"),
    ("x-amzn-bedrock-save", "1"),
    ("x-amzn-requestid", "caller"),
    ("x-amzn-trace-id", "Root=1"),
    ("x-tollgate-principal", "bob"),
    ("x-tollgate-reason", "none"),
    ("cookie", "session=caller"),
    ("referer", "http://caller.example"),
    ("origin", "http://caller.example"),
    ("x-forwarded-for", "10.0.0.1"),
    ("forwarded", "for=10.0.0.1"),
    ("via", "1.1 caller"),
    ("x-http-method-override", "DELETE"),
    ("x-original-url", "/model/other/invoke"),
    ("x-rewrite-url", "/model/other/invoke"),
    ("accept-encoding", "gzip"),
    ("content-encoding", "gzip"),
    ("amz-sdk-invocation-id", "1"),
    ("amz-sdk-request", "attempt=1"),
    ("anthropic-version", "2023-06-01"),
    ("x-stainless-lang", "js"),
    ("traceparent", "00-1-1-00"),
    ("if-none-match", "*"),
    ("range", "bytes=0-1"),
];

/// Headers that go upstream as the caller sent them.
const FORWARDED: [(&str, &str); 8] = [
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("user-agent", "caller/1.0 (of a test)"),
    ("x-amzn-bedrock-accept", "application/json"),
    ("x-amzn-bedrock-performanceconfig-latency", "standard"),
    ("x-amzn-bedrock-service-tier", "flex"),
    ("x-amzn-bedrock-request-metadata", "{\"team\":\"a\"}"),
    ("anthropic-beta", "one,two"),
];

#[tokio::test]
async fn exactly_the_allowed_headers_reach_bedrock() {
    let guardrail = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"3\"\nprincipals = [\"alice\"]";
    let scene = Plan::default().with(guardrail).aws(|aws| {
        aws.session_token = None;
    });
    let scene = scene.open().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let mut request = scene.post("alice", "/model/sonnet/invoke", claude("hello"));
        let headers = request.headers_mut();
        for (name, value) in FORWARDED {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        for (name, value) in CONSUMED {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert("x-api-key", scene.key("alice").parse().unwrap());
        headers.insert("x-amzn-bedrock-trace", "ENABLED".parse().unwrap());
        if wire == Wire::Http1 {
            headers.insert("connection", "keep-alive, x-amzn-bedrock-save, te, x-named".parse().unwrap());
            for name in ["keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "trailer", "x-named"] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static("anything"));
            }
            headers.insert("te", HeaderValue::from_static("trailers"));
        }
        let answer = send(scene.data, wire, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }
    for received in scene.received(2).await {
        let mut seen = received.headers.clone();
        seen.sort();
        let at = |name: &str| seen.iter().find(|(own, _)| own == name).unwrap().1.clone();
        let signed = "content-type;host;x-amz-date;x-amzn-bedrock-accept;x-amzn-bedrock-guardrailidentifier;\
                      x-amzn-bedrock-guardrailversion;x-amzn-bedrock-performanceconfig-latency;\
                      x-amzn-bedrock-request-metadata;x-amzn-bedrock-service-tier;x-amzn-bedrock-trace";
        assert!(at("authorization").contains(&format!("SignedHeaders={signed},")), "{}", at("authorization"));
        let mut wanted: Vec<(String, String)> =
            FORWARDED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, value) in [
            ("authorization", at("authorization")),
            ("host", scene.mock.addr().to_string()),
            ("content-length", received.body_bytes.to_string()),
            ("x-amz-date", at("x-amz-date")),
            ("x-amzn-bedrock-guardrailidentifier", "gr1".to_owned()),
            ("x-amzn-bedrock-guardrailversion", "3".to_owned()),
            ("x-amzn-bedrock-trace", "ENABLED".to_owned()),
        ] {
            wanted.push((name.to_owned(), value));
        }
        wanted.sort();
        assert_eq!(seen, wanted);
        assert_ne!(at("x-amz-date"), "20200101T000000Z");
        assert!(at("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"));
    }
}

#[tokio::test]
async fn the_gateways_session_token_goes_along_and_the_callers_does_not() {
    let scene = Plan::default()
        .aws(|aws| aws.session_token = Some(tollgate::types::Secret::new("gateway-token")))
        .mock(|mock| mock.credentials[0].session_token = Some(tollgate::types::Secret::new("gateway-token")))
        .open()
        .await;
    let mut request = scene.post("alice", "/model/sonnet/converse", converse("hello"));
    request.headers_mut().insert("x-amz-security-token", "caller-token".parse().unwrap());
    assert_eq!(scene.send(request).await.status, StatusCode::OK);
    let received = &scene.received(1).await[0];
    let tokens: Vec<_> = received.headers.iter().filter(|(name, _)| name == "x-amz-security-token").collect();
    assert_eq!(tokens, [&("x-amz-security-token".to_owned(), "gateway-token".to_owned())]);
}

#[tokio::test]
async fn a_guardrail_header_of_the_callers_is_not_passed_on_as_it_came() {
    let scene =
        Plan::default().with("[[guardrails]]\nidentifier = \"gr1\"\nversion = \"3\"\neveryone = true").open().await;
    for (identifier, version, status) in [("gr1", "3", 200), ("gr2", "3", 400), ("gr1", "4", 400), ("", "", 200)] {
        let mut request = scene.post("alice", "/model/sonnet/invoke", claude("hello"));
        request.headers_mut().insert("x-amzn-bedrock-guardrailidentifier", identifier.parse().unwrap());
        request.headers_mut().insert("x-amzn-bedrock-guardrailversion", version.parse().unwrap());
        assert_eq!(scene.send(request).await.status.as_u16(), status, "{identifier}:{version}");
    }
    for received in scene.received(2).await {
        let seen = received.guardrail.unwrap();
        assert_eq!((seen.identifier.as_str(), seen.version.as_str()), ("gr1", "3"));
    }
}

#[tokio::test]
async fn headers_that_mean_one_thing_may_not_come_twice() {
    let scene = Scene::new().await;
    for name in [
        "content-type",
        "x-amzn-bedrock-accept",
        "x-amzn-bedrock-performanceconfig-latency",
        "x-amzn-bedrock-service-tier",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-amzn-bedrock-trace",
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let mut request = scene.post("alice", "/model/sonnet/invoke", claude("hello"));
            for value in ["application/json", "text/plain"] {
                request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let answer = send(scene.data, wire, request).await;
            assert_eq!(answer.refusal(), (400, "ValidationException", "invalid_header"), "{name}");
            assert!(answer.message().to_ascii_lowercase().contains(name), "{}", answer.message());
        }
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn of_the_answers_headers_only_those_of_the_connection_stay_behind() {
    let head = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n\
                Proxy-Authenticate: Basic\r\nTE: trailers\r\nTrailer: x-later\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n\
                Date: Tue, 25 Feb 2025 08:56:15 GMT\r\nContent-Type: application/json\r\nx-amzn-RequestId: abc\r\n\
                X-Amzn-Bedrock-Input-Token-Count: 1\r\nX-Amzn-Bedrock-Output-Token-Count: 2\r\nX-New-Header: kept\r\n\
                X-Twice: one\r\nX-Twice: two\r\nContent-Length: 2\r\n\r\n{}";
    let upstream = Canned::start(vec![head.as_bytes().to_vec()], Then::KeepAlive).await;
    let scene = Plan::default().endpoint(upstream.address).open().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/invoke", claude("hello"))).await;
        let mut seen: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        seen.sort_unstable();
        let wanted = [
            ("content-length", "2"),
            ("content-type", "application/json"),
            ("date", "Tue, 25 Feb 2025 08:56:15 GMT"),
            ("x-amzn-bedrock-input-token-count", "1"),
            ("x-amzn-bedrock-output-token-count", "2"),
            ("x-amzn-requestid", "abc"),
            ("x-new-header", "kept"),
            ("x-twice", "one"),
            ("x-twice", "two"),
        ];
        assert_eq!(seen, wanted, "{wire:?}");
        assert_eq!(answer.body, "{}");
    }
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_date() {
    let scene = Scene::new().await;
    for (path, status) in [("/model/sonnet/converse", 200), ("/model/nothing/converse", 404), ("/nowhere", 404)] {
        let answer = scene.send(scene.post("alice", path, converse("hello"))).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36, "{path}");
        let date = jiff::fmt::rfc2822::parse(answer.header("date").unwrap()).unwrap();
        let apart = jiff::Timestamp::now().duration_since(date.timestamp()).abs();
        assert!(apart < jiff::SignedDuration::from_mins(1), "{date}");
    }
    let answer = scene.converse("alice", "sonnet", "hello").await;
    assert_eq!(answer.header("x-amzn-requestid"), Some(scene.received(2).await[1].request_id.as_str()));
}
