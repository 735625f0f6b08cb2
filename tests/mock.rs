//! The look-alike as the AWS SDK for Rust sees it: over plain HTTP/1.1, and over TLS, where it speaks HTTP/2.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and the SDK's enums are open"
)]

use std::sync::Arc;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_bedrockruntime::error::ProvideErrorMetadata as _;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::error::ResponseStreamError;
use aws_sdk_bedrockruntime::types::{
    CachePointBlock, CachePointType, ContentBlock, ConversationRole, ConverseStreamOutput, ConverseTokensRequest,
    CountTokensInput, GuardrailAction, GuardrailContentBlock, GuardrailContentSource, GuardrailTextBlock,
    InferenceConfiguration, InvokeModelTokensRequest, Message, ResponseStream, SystemContentBlock,
};
use aws_smithy_http_client::tls;
use tollgate::mock::{Billable, Ended, MockBedrock, MockConfig, MockProfile, Running, UsageView};
use tollgate::types::Tags;

const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
const BASE: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

fn config() -> MockConfig {
    let source = format!("us.{BASE}").parse().unwrap();
    let profile = MockProfile { arn: PROFILE.parse().unwrap(), source, tags: Tags::default() };
    MockConfig { profiles: vec![profile], ..MockConfig::local().unwrap() }
}

fn sdk(running: &Running) -> aws_sdk_bedrockruntime::config::Builder {
    let keys = Credentials::new(MockConfig::ACCESS_KEY_ID, MockConfig::SECRET_ACCESS_KEY, None, None, "test");
    aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(keys)
        .retry_config(RetryConfig::disabled())
        .endpoint_url(running.url())
}

async fn plain() -> (Running, Client) {
    let running = MockBedrock::start(config()).await.unwrap();
    let client = Client::from_conf(sdk(&running).build());
    (running, client)
}

fn body(prompt: &str) -> Blob {
    let body = serde_json::json!({"max_tokens": 64, "messages": [{"role": "user", "content": prompt}]});
    Blob::new(body.to_string())
}

fn message(prompt: &str) -> Message {
    let content = ContentBlock::Text(prompt.to_owned());
    Message::builder().role(ConversationRole::User).content(content).build().unwrap()
}

/// Invokes with a stream and gives the JSON of every chunk, or the error that ended it.
async fn invoke_stream(client: &Client, prompt: &str) -> (Vec<serde_json::Value>, Option<&'static str>) {
    let call = client.invoke_model_with_response_stream().model_id(PROFILE).body(body(prompt));
    let mut stream = call.send().await.unwrap().body;
    let mut chunks = Vec::new();
    loop {
        match stream.recv().await {
            Ok(Some(ResponseStream::Chunk(part))) => {
                chunks.push(serde_json::from_slice(part.bytes().unwrap().as_ref()).unwrap());
            }
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => return (chunks, None),
            Err(error) => {
                let modelled =
                    error.as_service_error().is_some_and(ResponseStreamError::is_model_stream_error_exception);
                return (chunks, Some(if modelled { "modelStreamErrorException" } else { "connection" }));
            }
        }
    }
}

#[tokio::test]
async fn invoke_model_answers_and_tells_its_counts() {
    let (running, client) = plain().await;
    let output = client.invoke_model().model_id(PROFILE).body(body("hello")).content_type("application/json");
    let output = output.send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(output.body().as_ref()).unwrap();
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(answer["usage"]["output_tokens"], 32);
    let spent = running.account().by_profile[PROFILE].complete;
    assert_eq!(spent, UsageView { input: 2, output: 32, ..UsageView::default() });
    running.shutdown().await;
}

#[tokio::test]
async fn invoke_model_streams_claudes_events_in_order() {
    let (running, client) = plain().await;
    let (chunks, error) = invoke_stream(&client, "hello [[mock:reply-tokens=3]]").await;
    let kinds: Vec<&str> = chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect();
    let delta = "content_block_delta";
    let wanted = [
        "message_start",
        "content_block_start",
        "ping",
        delta,
        delta,
        delta,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!((kinds.as_slice(), error), (&wanted[..], None));
    let metrics = &chunks[8]["amazon-bedrock-invocationMetrics"];
    assert_eq!((&metrics["inputTokenCount"], &metrics["outputTokenCount"]), (&8.into(), &3.into()));
    let received = &running.received()[0];
    assert_eq!((received.billable, received.ended), (Billable::Complete, Ended::Complete));
    assert_eq!(received.told, Some(UsageView { input: 8, output: 3, ..UsageView::default() }));
}

#[tokio::test]
async fn converse_answers_with_its_limit_and_its_tier() {
    let (running, client) = plain().await;
    let limit = InferenceConfiguration::builder().max_tokens(5).build();
    let system = SystemContentBlock::Text("You are brief.".to_owned());
    let point = CachePointBlock::builder().r#type(CachePointType::Default).build().unwrap();
    let call = client.converse().model_id(PROFILE).messages(message("hello")).inference_config(limit);
    let call = call.system(system).system(SystemContentBlock::CachePoint(point));
    let output = call.send().await.unwrap();
    assert_eq!(output.stop_reason().as_str(), "max_tokens");
    let usage = output.usage().unwrap();
    assert_eq!((usage.input_tokens(), usage.output_tokens(), usage.cache_write_input_tokens()), (1, 5, Some(4)));
    assert_eq!(usage.cache_details().len(), 1);
    let text = output.output().unwrap().as_message().unwrap().content()[0].as_text().unwrap();
    assert_eq!(text.split(' ').count(), 5);
    assert_eq!(running.account().by_profile[PROFILE].complete.cache_write_5m, 4);
}

#[tokio::test]
async fn converse_stream_ends_with_its_metadata() {
    let (_running, client) = plain().await;
    let mut stream = client.converse_stream().model_id(PROFILE).messages(message("hello")).send().await.unwrap().stream;
    let (mut text, mut usage, mut stop) = (String::new(), None, None);
    while let Some(event) = stream.recv().await.unwrap() {
        match event {
            ConverseStreamOutput::ContentBlockDelta(delta) => {
                text.push_str(delta.delta().unwrap().as_text().unwrap());
            }
            ConverseStreamOutput::MessageStop(event) => stop = Some(event.stop_reason().as_str().to_owned()),
            ConverseStreamOutput::Metadata(event) => usage = event.usage().cloned(),
            _ => {}
        }
    }
    assert_eq!((text.split(' ').count(), stop.as_deref()), (32, Some("end_turn")));
    assert_eq!(usage.unwrap().total_tokens(), 34);
}

#[tokio::test]
async fn count_tokens_agrees_with_what_the_call_is_billed() {
    let (_running, client) = plain().await;
    let converse = ConverseTokensRequest::builder().messages(message("count me in")).build();
    let invoke = InvokeModelTokensRequest::builder().body(body("count me in")).build().unwrap();
    for input in [CountTokensInput::Converse(converse), CountTokensInput::InvokeModel(invoke)] {
        let output = client.count_tokens().model_id(BASE).input(input).send().await.unwrap();
        assert_eq!(output.input_tokens(), 3);
    }
}

#[tokio::test]
async fn apply_guardrail_intervenes_when_asked_to() {
    let (_running, client) = plain().await;
    for (text, action) in
        [("fine", GuardrailAction::None), ("[[mock:guardrail-intervened]]", GuardrailAction::GuardrailIntervened)]
    {
        let block = GuardrailTextBlock::builder().text(text).build().unwrap();
        let call = client.apply_guardrail().guardrail_identifier("gr1").guardrail_version("DRAFT");
        let call = call.source(GuardrailContentSource::Input).content(GuardrailContentBlock::Text(block));
        let output = call.send().await.unwrap();
        assert_eq!((output.action(), output.usage().unwrap().topic_policy_units()), (&action, 1));
    }
}

#[tokio::test]
async fn faults_are_the_sdks_own_errors() {
    let (_running, client) = plain().await;
    let call = client.converse().model_id(PROFILE).messages(message("[[mock:throttle]]"));
    let error = call.send().await.unwrap_err().into_service_error();
    assert!(error.is_throttling_exception(), "{error:?}");
    let call = client.converse().model_id(BASE).messages(message("hello"));
    let error = call.send().await.unwrap_err().into_service_error();
    assert!(error.is_access_denied_exception() && error.message().unwrap().contains("no identity-based policy"));

    let (chunks, error) = invoke_stream(&client, "[[mock:exception=modelStreamErrorException after=4]]").await;
    assert_eq!((chunks.len(), error), (4, Some("modelStreamErrorException")));
    let (chunks, error) = invoke_stream(&client, "[[mock:cut after=5]]").await;
    assert_eq!((chunks.len(), error), (5, Some("connection")));
    let (_, error) = invoke_stream(&client, "[[mock:garbage]]").await;
    assert!(error.is_some());
}

#[tokio::test]
async fn over_tls_the_same_calls_go_over_http2() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let running = MockBedrock::start(MockConfig { tls: Some(Arc::new(server)), ..config() }).await.unwrap();
    let roots = tls::TrustStore::empty().with_pem_certificate(made.cert.pem().into_bytes());
    let context = tls::TlsContext::builder().with_trust_store(roots).build().unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(context)
        .build_https();
    let client = Client::from_conf(sdk(&running).http_client(http).build());
    let (chunks, error) = invoke_stream(&client, "hello").await;
    assert_eq!((chunks.len(), error), (32 + 6, None));
    let (chunks, error) = invoke_stream(&client, "[[mock:cut after=5]]").await;
    assert_eq!((chunks.len(), error), (5, Some("connection")));
    assert!(running.received().iter().all(|received| received.version == "HTTP/2.0"));
}
