//! Every fault, over the wire, and what the account says of it.

use super::*;

const STREAM: &str = "invoke-with-response-stream";

async fn faulted(action: &str, directives: &str) -> (Reply, Received) {
    let mock = MockBedrock::start(config()).await.unwrap();
    let prompt = format!("hello [[mock:{directives}]]");
    let body = if action.starts_with("invoke") { claude_body(&prompt) } else { converse_body(&prompt) };
    let reply = call(&mock, &model_path(PROFILE, action), &[], &body).await;
    let received = mock.received().pop().unwrap();
    mock.shutdown().await;
    (reply, received)
}

#[tokio::test]
async fn errors_in_place_of_an_answer_cost_nothing() {
    for (directives, error) in [
        ("throttle", "429 ThrottlingException: Too many requests, please wait before trying again."),
        ("status=503", "503 ServiceUnavailableException: Bedrock is unable to process your request."),
        (
            "status=408",
            "408 ModelTimeoutException: Model has timed out in processing the request. Try your request again.",
        ),
    ] {
        for action in ["invoke", STREAM, "converse", "converse-stream"] {
            let (reply, received) = faulted(action, directives).await;
            assert_eq!(reply.error(), error, "{action}");
            assert_eq!((received.billable, received.usage), (Billable::Nothing, UsageView::default()));
        }
    }
    let (reply, _) = faulted("converse-stream", "exception=modelTimeoutException").await;
    assert_eq!(
        reply.error(),
        "400 ValidationException: [[mock:…]]: ConverseStream has no modelTimeoutException in its stream"
    );
    let (reply, _) = faulted("converse", "exception=modelStreamErrorException").await;
    assert_eq!((reply.status.as_u16(), reply.headers.contains_key("x-amzn-errortype")), (424, true));
}

#[tokio::test]
async fn an_exception_comes_as_a_message_after_those_that_were_asked_for() {
    for (action, after) in [(STREAM, 3), ("converse-stream", 0)] {
        let (reply, received) = faulted(action, &format!("exception=throttlingException after={after}")).await;
        let messages = reply.messages();
        assert_eq!((messages.len(), reply.whole), (after + 1, true));
        let (kind, payload) = &messages[after];
        assert_eq!((kind.as_str(), payload["message"].is_string()), ("throttlingException", true));
        assert_eq!((received.billable, received.ended, received.told), (Billable::Fault, Ended::Fault, None));
        assert_eq!(received.usage.output, 32, "the generation is billed");
    }
}

#[tokio::test]
async fn a_cut_comes_after_whole_messages_and_before_the_counts() {
    for (after, left) in [(4, 4), (100_000, 37)] {
        let (reply, received) = faulted(STREAM, &format!("cut after={after}")).await;
        assert_eq!((reply.whole, reply.messages().len()), (false, left));
        assert_eq!((received.billable, received.ended, received.told), (Billable::Fault, Ended::Fault, None));
    }
    let (reply, received) = faulted("converse", "cut").await;
    assert!(!reply.whole && received.billable == Billable::Fault);
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly_in_the_middle_of_its_last_message() {
    let (reply, received) = faulted("converse-stream", "truncate").await;
    assert_eq!((reply.whole, decoded(&reply.body)), (true, Err("truncated".to_owned())));
    assert_eq!((received.billable, received.told), (Billable::Fault, None));
}

#[tokio::test]
async fn garbage_is_a_message_with_a_wrong_checksum() {
    let (reply, _) = faulted("converse-stream", "garbage after=1").await;
    let error = decoded(&reply.body).unwrap_err();
    assert!(error.contains("checksum"), "{error}");
}

#[tokio::test]
async fn an_answer_without_counts_tells_none_anywhere() {
    for action in ["invoke", STREAM, "converse", "converse-stream"] {
        let (reply, received) = faulted(action, "no-counts").await;
        assert!(reply.whole && reply.status == 200);
        assert!(!reply.headers.keys().any(|name| name.as_str().ends_with("token-count")), "{action}");
        let text = if action.ends_with("stream") {
            format!("{:?}", reply.messages())
        } else {
            String::from_utf8(reply.body.to_vec()).unwrap()
        };
        for word in ["okens\"", "okenCount", "_tokens"] {
            assert!(!text.contains(word), "{action}: {text}");
        }
        assert_eq!((received.billable, received.ended, received.told), (Billable::Fault, Ended::Complete, None));
    }
}

#[tokio::test]
async fn small_pieces_carry_the_same_messages() {
    let (whole, _) = faulted("converse-stream", "reply-tokens=9").await;
    let (pieces, received) = faulted("converse-stream", "reply-tokens=9 chunk-bytes=7").await;
    let prompts_differ =
        |messages: Vec<(String, Value)>| messages.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(prompts_differ(pieces.messages()), prompts_differ(whole.messages()));
    assert_eq!(received.billable, Billable::Complete);
}

#[tokio::test]
async fn a_stall_sends_nothing_more_and_keeps_the_connection() {
    use std::fmt::Write as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mock = MockBedrock::start(config()).await.unwrap();
    let url = format!("{}{}", mock.url(), model_path(PROFILE, "converse-stream"));
    let (head, body) = signed(&url, &[], &converse_body("[[mock:stall after=1]]"), SystemTime::now()).into_parts();
    let mut text =
        format!("POST {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", head.uri.path(), mock.addr(), body.len());
    for (name, value) in &head.headers {
        write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    let mut stream = TcpStream::connect(mock.addr()).await.unwrap();
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
    let mut read = BytesMut::new();
    while memchr::memmem::find(&read, b"messageStart").is_none() {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    let more = tokio::time::timeout(std::time::Duration::from_millis(100), stream.read_buf(&mut read)).await;
    assert!(more.map_or(true, |read| read.unwrap() > 0), "still open");
    drop(stream);
    while mock.received()[0].ended == Ended::Open {
        tokio::task::yield_now().await;
    }
    assert_eq!((mock.received()[0].ended, mock.received()[0].billable), (Ended::Fault, Billable::Fault));
}

#[tokio::test]
async fn queued_faults_hit_the_next_calls_and_no_more() {
    let mock = MockBedrock::start(config()).await.unwrap();
    mock.queue("status=500", 1).unwrap();
    let order = |body: &str| Request::post(format!("{}/_mock/faults", mock.url())).body(body.to_owned()).unwrap();
    let queued = send(mock.addr(), order(r#"{"directives":"throttle","times":2}"#)).await;
    assert_eq!(queued.json(), serde_json::json!(["status=500", "throttle", "throttle"]));
    let refused = send(mock.addr(), order(r#"{"directives":"throtle"}"#)).await;
    assert_eq!(refused.json()["error"], "[[mock:…]]: \"throtle\" is no directive");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(call(&mock, &model_path(PROFILE, "converse"), &[], &converse_body("hi")).await.status.as_u16());
    }
    assert_eq!(statuses, [500, 429, 429, 200]);
}

#[tokio::test]
async fn a_directive_that_is_misspelt_is_a_validation_error() {
    let (reply, _) = faulted("converse", "trottle").await;
    assert_eq!(reply.error(), "400 ValidationException: [[mock:…]]: \"trottle\" is no directive");
}

const GUARDRAIL: [(&str, &str); 3] = [
    ("x-amzn-bedrock-guardrailidentifier", "gr1"),
    ("x-amzn-bedrock-guardrailversion", "1"),
    ("x-amzn-bedrock-trace", "ENABLED"),
];

#[tokio::test]
async fn a_blocked_input_costs_guardrail_units_only() {
    let titan = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/titan";
    let profiles = vec![profile(titan, "amazon.titan-text-express-v1"), profile(PROFILE, CLAUDE)];
    let mock = MockBedrock::start(MockConfig { profiles, ..config() }).await.unwrap();
    let body = r#"{"inputText":"what about [[mock:guardrail-intervened]]"}"#;
    let reply = call(&mock, &model_path(titan, STREAM), &GUARDRAIL, body).await;
    let messages = reply.messages();
    assert_eq!(messages.len(), 1);
    let chunk = &messages[0].1;
    assert_eq!(chunk["amazon-bedrock-guardrailAction"], "INTERVENED");
    assert_eq!((&chunk["totalOutputTextTokenCount"], &chunk["inputTextTokenCount"]), (&3.0.into(), &6.0.into()));
    assert!(chunk.get("amazon-bedrock-invocationMetrics").is_none());
    let usage = &chunk["amazon-bedrock-trace"]["guardrail"]["input"]["gr1"]["invocationMetrics"]["usage"];
    assert_eq!(usage["contentPolicyUnits"], 1);

    let converse = serde_json::json!({
        "messages": [{"role": "user", "content": [{"text": "[[mock:guardrail-intervened]]"}]}],
        "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "1", "trace": "enabled"}
    });
    let reply = call(&mock, &model_path(PROFILE, "converse"), &[], &converse.to_string()).await.json();
    assert_eq!((&reply["stopReason"], &reply["usage"]["totalTokens"]), (&"guardrail_intervened".into(), &0.into()));
    for received in mock.received() {
        assert_eq!((received.billable, received.usage), (Billable::GuardrailOnly, UsageView::default()));
        assert_eq!(received.guardrail_units.topic_policy, 1);
    }
    assert_eq!(mock.account().by_profile[PROFILE].guardrail_only_calls, 1);
}

#[tokio::test]
async fn a_masked_output_is_billed_in_full_and_says_so_in_its_trace() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let body = claude_body("[[mock:guardrail-intervened=output]]");
    for action in ["invoke", STREAM] {
        let reply = call(&mock, &model_path(PROFILE, action), &GUARDRAIL, &body).await;
        let last = if action == STREAM { reply.messages().pop().unwrap().1 } else { reply.json() };
        assert_eq!(last["amazon-bedrock-guardrailAction"], "INTERVENED");
        let trace = &last["amazon-bedrock-trace"]["guardrail"];
        assert_eq!(trace["actionReason"], "No action.\nGuardrail masked.");
        assert_eq!(trace["outputs"][0]["gr1"]["invocationMetrics"]["usage"]["wordPolicyUnits"], 1);
        let text = String::from_utf8_lossy(&reply.body).into_owned() + &format!("{last}");
        assert!(action == STREAM || text.contains("{NAME}"));
        let received = mock.received().pop().unwrap();
        assert_eq!((received.billable, received.usage.output), (Billable::Complete, 32));
        assert_eq!(received.guardrail_units.content_policy, 2, "one unit in, one out");
    }
}

#[tokio::test]
async fn applying_a_guardrail_tells_its_units() {
    let mock = MockBedrock::start(config()).await.unwrap();
    for (text, action) in [("fine", "NONE"), ("[[mock:guardrail-intervened]]", "GUARDRAIL_INTERVENED")] {
        let body = serde_json::json!({"source": "INPUT", "content": [{"text": {"text": text}}]}).to_string();
        let reply = call(&mock, "/guardrail/gr1/version/DRAFT/apply", &[], &body).await.json();
        assert_eq!((&reply["action"], &reply["usage"]["contentPolicyUnits"]), (&action.into(), &1.into()));
    }
}
