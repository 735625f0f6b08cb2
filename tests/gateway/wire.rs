//! What is spoken with callers: protocols, paths, operations, sizes.

use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{self, Wire, collect, events, open_on, raw, read_until, send};
use crate::h2_frames::post_then_goaway;
use crate::harness::{Plan, Scene, arn, claude, converse};

#[tokio::test]
async fn one_port_speaks_http1_and_http2_with_prior_knowledge() {
    let scene = Scene::new().await;
    for (wire, version) in [(Wire::Http1, Version::HTTP_11), (Wire::Http2, Version::HTTP_2)] {
        let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse", converse("hello"))).await;
        assert_eq!((answer.status, answer.version), (StatusCode::OK, version));
        assert_eq!(answer.json()["stopReason"], "end_turn");
    }
    assert!(scene.received(2).await.iter().all(|received| received.version == "HTTP/1.1"));
}

#[tokio::test]
async fn a_port_with_tls_speaks_both_protocols_by_alpn_and_plain_text_with_this_machine() {
    let scene = Plan::default().server("tls = { local_ca = \"ca\" }").open().await;
    let ca = scene.ca.clone().unwrap();
    for (offered, agreed, wire) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice()), Wire::Http2),
        (&[b"http/1.1"], Some(b"http/1.1"), Wire::Http1),
        (&[], None, Wire::Http1),
    ] {
        let tls = client::tls(scene.data, &ca, offered).await;
        assert_eq!(tls.get_ref().1.alpn_protocol(), agreed);
        let request = scene.post("alice", "/model/sonnet/converse-stream", converse("hello"));
        let answer = collect(open_on(tls, wire, "localhost", request).await.unwrap()).await;
        assert_eq!((answer.status, answer.broke.as_deref()), (StatusCode::OK, None));
        assert_eq!(answer.events().last().unwrap().0, "metadata");
    }
    for wire in [Wire::Http1, Wire::Http2] {
        let plain = send(scene.data, wire, scene.post("alice", "/model/sonnet/converse", converse("hello"))).await;
        assert_eq!(plain.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_stream_runs_to_its_end_after_the_client_said_goaway() {
    let scene = Scene::new().await;
    let bearer = format!("Bearer {}", scene.key("alice"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    // Slow enough that the head is out long before the end.
    let prompt = claude("hello [[mock:drip=5]]");
    let path = "/model/sonnet/invoke-with-response-stream";
    let body = post_then_goaway(scene.data, path, &headers, prompt.as_bytes()).await.unwrap();
    let events = events(&body);
    assert_eq!(events.len(), 32 + 6);
    let received = &scene.received(1).await[0];
    assert_eq!(received.sent_bytes, body.len() as u64);
    assert_eq!(scene.bill_of(1).await.only().0, "complete");
}

#[tokio::test]
async fn a_base_path_stands_before_everything() {
    let scene = Plan::default().server("base_path = \"/bedrock/v1\"").open().await;
    for (path, status) in [
        ("/bedrock/v1/model/sonnet/converse", 200),
        ("/model/sonnet/converse", 404),
        ("/bedrock/v1model/sonnet/converse", 404),
        ("/bedrock/model/sonnet/converse", 404),
        ("/bedrock/v1//model/sonnet/converse", 400),
        ("/bedrock/v1/bedrock/v1/model/sonnet/converse", 404),
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = send(scene.data, wire, scene.post("alice", path, converse("hello"))).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
        }
    }
    let listed = scene.send(scene.get("alice", "/bedrock/v1/inference-profiles")).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(scene.received(2).await[0].path, model_path(&arn("alice-sonnet"), "converse"));
}

/// A path as AWS SDKs write it.
fn model_path(model: &str, verb: &str) -> String {
    format!("/model/{}/{verb}", model.replace(':', "%3A").replace('/', "%2F"))
}

#[tokio::test]
async fn all_six_operations_are_forwarded() {
    let guardrail = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"1\"\neveryone = true";
    let scene = Plan::default().with(guardrail).open().await;
    let counted = r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}"#;
    let applied = r#"{"source":"INPUT","content":[{"text":{"text":"hello"}}]}"#;
    let sonnet = arn("alice-sonnet");
    let cases = [
        ("/model/sonnet/invoke", claude("hello"), "InvokeModel", model_path(&sonnet, "invoke")),
        (
            "/model/sonnet/invoke-with-response-stream",
            claude("hello"),
            "InvokeModelWithResponseStream",
            model_path(&sonnet, "invoke-with-response-stream"),
        ),
        ("/model/sonnet/converse", converse("hello"), "Converse", model_path(&sonnet, "converse")),
        ("/model/sonnet/converse-stream", converse("hello"), "ConverseStream", model_path(&sonnet, "converse-stream")),
        (
            "/model/sonnet/count-tokens",
            counted.to_owned(),
            "CountTokens",
            model_path("anthropic.claude-sonnet-4-5-20250929-v1:0", "count-tokens"),
        ),
        (
            "/guardrail/gr1/version/1/apply",
            applied.to_owned(),
            "ApplyGuardrail",
            "/guardrail/gr1/version/1/apply".to_owned(),
        ),
    ];
    for (path, body, ..) in &cases {
        let answer = scene.send(scene.post("alice", path, body.clone())).await;
        assert_eq!((answer.status, answer.broke.as_deref()), (StatusCode::OK, None), "{path}: {:?}", answer.body);
        assert!(answer.header("x-tollgate-reason").is_none());
    }
    let received = scene.received(cases.len()).await;
    for (received, (_, _, operation, path)) in received.iter().zip(&cases) {
        assert_eq!((received.operation, &received.path), (Some(*operation), path));
    }
    let rows = scene.bill_of(6).await;
    let billed: Vec<_> = rows.rows().iter().map(|row| row["operation"].as_str().unwrap()).collect();
    for (_, _, operation, _) in &cases {
        assert!(billed.contains(operation), "{operation} is not on the bill");
    }
}

#[tokio::test]
async fn every_other_operation_is_refused_by_its_name() {
    let scene = Scene::new().await;
    for (method, path, name) in [
        ("POST", "/model/sonnet/invoke-with-bidirectional-stream", "InvokeModelWithBidirectionalStream"),
        ("POST", "/guardrail-checks/invoke", "InvokeGuardrailChecks"),
        ("POST", "/async-invoke", "StartAsyncInvoke"),
        ("GET", "/async-invoke", "ListAsyncInvokes"),
        ("GET", "/async-invoke/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aasync-invoke%2Fabc", "GetAsyncInvoke"),
        ("POST", "/openai/v1/chat/completions", "OpenAiApi"),
    ] {
        for wire in [Wire::Http1, Wire::Http2] {
            let mut request = scene.post("alice", path, "{}");
            *request.method_mut() = method.parse().unwrap();
            let answer = send(scene.data, wire, request).await;
            assert_eq!(answer.refusal(), (404, "UnknownOperationException", "operation_refused"), "{path}");
            assert!(answer.message().contains(name), "{}", answer.message());
        }
    }
    for path in ["/", "/v1/messages", "/model/sonnet", "/model/sonnet/Invoke", "/model/sonnet/invoke/"] {
        let answer = scene.send(scene.post("alice", path, "{}")).await;
        assert_eq!(answer.refusal(), (404, "UnknownOperationException", "unknown_operation"), "{path}");
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn the_control_planes_reads_are_answered_from_the_callers_own_map() {
    let scene = Scene::new().await;
    let listed = |answer: &client::Answer| -> Vec<String> {
        let summaries = answer.json()["inferenceProfileSummaries"].as_array().unwrap().clone();
        summaries.iter().map(|summary| summary["inferenceProfileArn"].as_str().unwrap().to_owned()).collect()
    };
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, scene.get("bob", "/inference-profiles?type=APPLICATION")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let mut arns = listed(&answer);
        arns.sort();
        assert_eq!(arns, [arn("all-llama"), arn("all-titan"), arn("bob-haiku")]);
    }
    let system =
        scene.send(scene.get("bob", "/inference-profiles?typeEquals=SYSTEM_DEFINED&type=SYSTEM_DEFINED")).await;
    assert!(listed(&system).iter().all(|arn| arn.contains(":inference-profile/us.")), "{:?}", system.body);
    let own = format!("/inference-profiles/{}", arn("bob-haiku").replace(':', "%3A").replace('/', "%2F"));
    let described = scene.send(scene.get("bob", &own)).await;
    assert_eq!(described.json()["inferenceProfileArn"], arn("bob-haiku"));
    let model = described.json()["models"][0]["modelArn"].as_str().unwrap().to_owned();
    assert!(model.ends_with(":foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"), "{model}");
    let of_alice = scene.send(scene.get("alice", &own)).await;
    assert_eq!(of_alice.refusal(), (404, "ResourceNotFoundException", "no_such_model"));
    let unknown = scene.send(scene.get("bob", "/inference-profiles?type=NONE")).await;
    assert_eq!(unknown.refusal(), (400, "ValidationException", "invalid_query"));
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn the_models_behind_the_callers_own_profiles_are_told_and_no_others() {
    let scene = Scene::new().await;
    let haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
    let ids = |answer: &client::Answer| -> Vec<String> {
        let summaries = answer.json()["modelSummaries"].as_array().unwrap().clone();
        summaries.iter().map(|summary| summary["modelId"].as_str().unwrap().to_owned()).collect()
    };
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, scene.get("bob", "/foundation-models")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/json")));
        assert!(answer.header("x-amzn-requestid").is_some());
        assert_eq!(ids(&answer), [haiku, "meta.llama3-3-70b-instruct-v1:0", "amazon.titan-text-express-v1"]);
    }
    let by_maker = scene.send(scene.get("bob", "/foundation-models?byProvider=Anthropic&byOutputModality=TEXT")).await;
    assert_eq!(ids(&by_maker), [haiku]);
    // What is listed can be called by the name under which it is listed.
    assert_eq!(scene.converse("bob", haiku, "hello").await.status, StatusCode::OK);
    let arn = format!("/foundation-models/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2F{haiku}");
    for path in [format!("/foundation-models/{haiku}"), arn] {
        let answer = scene.send(scene.get("bob", &path)).await;
        assert_eq!(answer.json()["modelDetails"]["modelId"], haiku);
        let of_alice = scene.send(scene.get("alice", &path)).await;
        assert_eq!(of_alice.refusal(), (404, "ResourceNotFoundException", "no_such_model"));
    }
    let unknown = scene.send(scene.get("bob", "/foundation-models?byOutputModality=SMELL")).await;
    assert_eq!(unknown.refusal(), (400, "ValidationException", "invalid_query"));
    let nobody = Request::get("/foundation-models").body(Full::default()).unwrap();
    assert_eq!(scene.send(nobody).await.refusal().0, 401);
    assert_eq!(scene.received(1).await.len(), 1);
}

#[tokio::test]
async fn names_are_one_whether_raw_or_encoded() {
    let scene = Scene::new().await;
    let own = arn("alice-sonnet");
    let paths = [
        format!("/model/{own}/converse"),
        model_path(&own, "converse"),
        format!("/model/{}/converse", own.replace(':', "%3a").replace('/', "%2f")),
        format!("/model/{}/converse", own.replace('/', "%2F")),
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse".to_owned(),
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse".to_owned(),
    ];
    for path in &paths {
        for wire in [Wire::Http1, Wire::Http2] {
            let answer = send(scene.data, wire, scene.post("alice", path, converse("hello"))).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        }
    }
    let received = scene.received(paths.len() * 2).await;
    assert!(received.iter().all(|received| received.path == model_path(&own, "converse")));
}

#[tokio::test]
async fn paths_that_could_be_read_in_two_ways_are_refused_as_they_stand_on_the_wire() {
    let scene = Scene::new().await;
    let key = scene.key("alice");
    let long = format!("/model/{}/converse", "a".repeat(2_049));
    for path in [
        "/model/sonnet/../sonnet/converse",
        "/model/./converse",
        "/model/../model/sonnet/converse",
        "/./model/sonnet/converse",
        "/model//sonnet/converse",
        "//model/sonnet/converse",
        "/model/%2e%2e/converse",
        "/model/%2E/converse",
        "/model/sonnet%2F..%2Fsonnet/converse",
        "/model/sonnet%252Fx/converse",
        "/model/sonnet%253A0/converse",
        "/model/sonnet%00/converse",
        "/model/sonnet%0d%0aX:y/converse",
        "/model/sonnet%/converse",
        "/model/sonnet%3/converse",
        "/model/sonnet;x=1/converse",
        "/model/sonnet@1/converse",
        "/model/s%6Fnnet/converse",
        "/model/sonnet/converse?x=1",
        long.as_str(),
    ] {
        let body = converse("hello");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = String::from_utf8(raw(scene.data, request.as_bytes()).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.contains("x-amzn-errortype: ValidationException"), "{path}: {answer}");
        assert!(answer.contains("x-tollgate-reason: invalid_path"), "{path}: {answer}");
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn a_body_of_bedrocks_limit_passes_and_one_byte_more_is_refused_in_words() {
    let scene = Scene::new().await;
    let shell = claude("").len();
    for (bytes, status) in [(25_000_000, 200), (25_000_001, 413)] {
        for wire in [Wire::Http1, Wire::Http2] {
            let body = claude(&"a".repeat(bytes - shell));
            assert_eq!(body.len(), bytes);
            let answer = send(scene.data, wire, scene.post("alice", "/model/sonnet/invoke", body)).await;
            assert_eq!(answer.status.as_u16(), status, "{bytes} bytes by {wire:?}");
            if status == 413 {
                assert_eq!(answer.refusal(), (413, "ValidationException", "body_too_large"));
                assert!(answer.message().contains("25000000 bytes"), "{}", answer.message());
            }
        }
    }
    let received = scene.received(2).await;
    assert!(received.iter().all(|received| received.body_bytes == 25_000_000));
}

#[tokio::test]
async fn a_body_without_a_length_that_grows_too_long_is_refused_in_words() {
    let scene = Plan::default().server("max_body_bytes = 1000").open().await;
    let chunks = Unsized([bytes::Bytes::from(vec![b'a'; 600]), bytes::Bytes::from(vec![b'a'; 600])].into());
    let (parts, _) = scene.post("alice", "/model/sonnet/invoke", "").into_parts();
    let answer = send(scene.data, Wire::Http1, Request::from_parts(parts, chunks)).await;
    assert_eq!(answer.refusal(), (413, "ValidationException", "body_too_large"));
    assert!(answer.message().contains("1000 bytes"));
    assert!(scene.mock.received().is_empty());
}

/// A body of these pieces, its length unsaid.
pub(crate) struct Unsized(pub(crate) std::collections::VecDeque<bytes::Bytes>);

impl http_body::Body for Unsized {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.pop_front().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body_is_sent() {
    let scene = Scene::new().await;
    let (key, body) = (scene.key("alice"), converse("hello"));
    let head = format!(
        "POST /model/sonnet/converse HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         expect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut tcp = TcpStream::connect(scene.data).await.unwrap();
    tcp.write_all(head.as_bytes()).await.unwrap();
    let first = read_until(&mut tcp, |seen| seen.ends_with(b"\r\n\r\n")).await;
    assert_eq!(first, b"HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(body.as_bytes()).await.unwrap();
    let answer = read_until(&mut tcp, |seen| memchr::memmem::find(seen, b"stopReason").is_some()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let received = &scene.received(1).await[0];
    assert!(received.headers.iter().all(|(name, _)| name != "expect"));
    assert_eq!(scene.mock.body(received.id).unwrap(), body);
}

#[tokio::test]
async fn who_is_refused_is_not_asked_for_a_body() {
    let scene = Scene::new().await;
    let key = scene.key("bob");
    for (credential, path, status) in [
        ("Bearer tg_nothing", "/model/sonnet/converse", "401 Unauthorized"),
        (format!("Bearer {key}").as_str(), "/model/amazon.nova-pro-v1:0/converse", "403 Forbidden"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {credential}\r\n\
             expect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
        );
        let mut tcp = TcpStream::connect(scene.data).await.unwrap();
        tcp.write_all(head.as_bytes()).await.unwrap();
        let answer = read_until(&mut tcp, |seen| seen.ends_with(b"}")).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(!answer.contains("100 Continue"), "{answer}");
    }
    assert!(scene.mock.received().is_empty());
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call_after_a_refusal() {
    let scene = Scene::new().await;
    let tcp = TcpStream::connect(scene.data).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, driver) = hyper::client::conn::http1::handshake::<_, Full<bytes::Bytes>>(io).await.unwrap();
    tokio::spawn(driver);
    for (model, status) in [("sonnet", 200), ("nothing", 404), ("sonnet", 200)] {
        let mut request = scene.post("alice", &format!("/model/{model}/converse"), converse("hello"));
        request.headers_mut().insert("host", "gateway".parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        response.into_body().collect().await.unwrap();
        sender.ready().await.unwrap();
    }
}
