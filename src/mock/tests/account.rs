//! What the account says.

use super::*;

#[tokio::test]
async fn the_account_is_what_the_answers_told() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let mut told = UsageView::default();
    for prompt in ["one", "two and more", "three [[mock:reply-tokens=7]]", "four [[mock:reply-tokens=500]]"] {
        let reply = call(&mock, &model_path(PROFILE, "invoke"), &[], &claude_body(prompt)).await;
        let count = |name: &str| reply.headers[name].to_str().unwrap().parse::<u64>().unwrap();
        told.input += count("x-amzn-bedrock-input-token-count");
        told.output += count("x-amzn-bedrock-output-token-count");
        let usage = &reply.json()["usage"];
        assert_eq!(usage["input_tokens"], count("x-amzn-bedrock-input-token-count"));
        assert_eq!(usage["output_tokens"], count("x-amzn-bedrock-output-token-count"));
        assert_eq!(reply.json()["stop_reason"], if prompt.contains("500") { "max_tokens" } else { "end_turn" });
    }
    assert_eq!(told.output, 32 + 32 + 7 + 100);
    let spent = mock.account().by_profile[PROFILE];
    assert_eq!((spent.complete_calls, spent.complete, spent.faulted_calls), (4, told, 0));
}

#[tokio::test]
async fn the_second_call_reads_the_prompt_cache_that_the_first_one_wrote() {
    let mock = MockBedrock::start(config()).await.unwrap();
    let body = serde_json::json!({
        "max_tokens": 5,
        "system": [{"type": "text", "text": "x".repeat(400), "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "y".repeat(40), "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "why?"}
        ]}]
    });
    let path = model_path(PROFILE, "invoke-with-response-stream");
    let usage = |reply: &Reply| reply.messages()[0].1["message"]["usage"].clone();
    let first = usage(&call(&mock, &path, &[], &body.to_string()).await);
    assert_eq!(
        first["cache_creation"],
        serde_json::json!({"ephemeral_1h_input_tokens": 100, "ephemeral_5m_input_tokens": 10})
    );
    assert_eq!((&first["input_tokens"], &first["cache_read_input_tokens"]), (&1.into(), &0.into()));
    let second = usage(&call(&mock, &path, &[], &body.to_string()).await);
    assert_eq!((&second["cache_creation_input_tokens"], &second["cache_read_input_tokens"]), (&0.into(), &110.into()));
    let spent = mock.account().by_profile[PROFILE].complete;
    let wanted = UsageView { input: 2, output: 10, cache_read: 110, cache_write_5m: 10, cache_write_1h: 100 };
    assert_eq!(spent, wanted);
    mock.reset();
    assert_eq!(usage(&call(&mock, &path, &[], &body.to_string()).await), first, "a reset empties the cache");
}

#[tokio::test]
async fn a_client_that_hangs_up_is_billed_in_full() {
    let pacing = Pacing { chunk_interval: std::time::Duration::from_hours(1), ..Pacing::default() };
    let mock = MockBedrock::start(MockConfig { pacing, ..config() }).await.unwrap();
    let url = format!("{}{}", mock.url(), model_path(PROFILE, "invoke-with-response-stream"));
    let (mut parts, body) = signed(&url, &[], &claude_body("hello"), SystemTime::now()).into_parts();
    parts.headers.insert("host", parts.uri.authority().unwrap().as_str().parse().unwrap());
    parts.uri = parts.uri.path().parse().unwrap();
    let stream = TcpStream::connect(mock.addr()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut response = sender.send_request(Request::from_parts(parts, Full::<Bytes>::from(body))).await.unwrap();
    assert!(response.frame().await.unwrap().is_ok());
    assert_eq!(mock.account().by_profile[PROFILE].complete.output, 32, "billed while the answer is still open");
    assert_eq!(mock.received()[0].ended, Ended::Open);
    driver.abort();
    drop(response);
    while mock.received()[0].ended == Ended::Open {
        tokio::task::yield_now().await;
    }
    let received = &mock.received()[0];
    assert_eq!((received.ended, received.told, received.usage.output), (Ended::ClientGone, None, 32));
}

#[tokio::test]
async fn what_was_received_is_told_without_the_signature() {
    let mock = MockBedrock::start(MockConfig { kept_requests: 2, ..config() }).await.unwrap();
    for prompt in ["a", "b", "c"] {
        call(&mock, &model_path(PROFILE, "converse"), &[("x-test", prompt)], &converse_body(prompt)).await;
    }
    let list: Value = {
        let request = Request::get(format!("{}/_mock/requests", mock.url())).body(String::new()).unwrap();
        send(mock.addr(), request).await.json()
    };
    let ids: Vec<u64> = list.as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [2, 3], "the ring is bounded");
    assert_eq!((&list[1]["subject"], &list[1]["status"]), (&PROFILE.into(), &200.into()));
    assert_eq!(list[1]["path"], model_path(PROFILE, "converse"));
    assert!(!list.to_string().contains("Signature=0") && list.to_string().contains("Signature=…"));
    assert_eq!(mock.body(3).unwrap(), converse_body("c"));
    assert_eq!(mock.account().requests, 3, "the account is not");
    let request = Request::delete(format!("{}/_mock/requests", mock.url())).body(String::new()).unwrap();
    assert_eq!(send(mock.addr(), request).await.status, 204);
    assert_eq!((mock.received().len(), mock.account()), (0, Totals::default()));
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_spoken_over_plain_tcp() {
    use hyper_util::rt::TokioExecutor;
    let mock = MockBedrock::start(config()).await.unwrap();
    let url = format!("{}{}", mock.url(), model_path(PROFILE, "converse-stream"));
    let (parts, body) = signed(&url, &[], &converse_body("hello"), SystemTime::now()).into_parts();
    let stream = TokioIo::new(TcpStream::connect(mock.addr()).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(parts, Full::<Bytes>::from(body))).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(decoded(&body).unwrap().last().unwrap().0, "metadata");
    assert_eq!(mock.received()[0].version, "HTTP/2.0");
    driver.abort();
}
