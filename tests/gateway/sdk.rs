//! The AWS SDK for Rust, unmodified, with a key of the gateway's as its bearer token, or signing with an access key: over http, and over https with the local
//! authority, where it speaks HTTP/2.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{
    BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents, Token,
};
use aws_sdk_bedrockruntime::error::{BoxError, ProvideErrorMetadata};
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseStreamOutput, ConverseTokensRequest, CountTokensInput,
    GuardrailContentBlock, GuardrailContentSource, GuardrailTextBlock, InferenceConfiguration, Message, ResponseStream,
    TokenUsage,
};
use aws_smithy_http_client::tls;
use tollgate::types::ManualClock;

use crate::harness::{Plan, SONNET, Scene, arn, claude};

const GUARDRAIL: &str = "[[guardrails]]\nidentifier = \"gr1\"\nversion = \"1\"\nprincipals = [\"alice\"]";

fn client(scene: &Scene, key: &str) -> Client {
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .bearer_token(Token::new(key, None));
    over(scene, config)
}

/// The SDK, signing with an access key.
fn signing_client(scene: &Scene, id: &str, secret: &str) -> Client {
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"));
    over(scene, config)
}

fn over(scene: &Scene, config: aws_sdk_bedrockruntime::config::Builder) -> Client {
    // As it comes: up to three attempts.
    let config = config.retry_config(RetryConfig::standard());
    let config = match &scene.ca {
        None => config.endpoint_url(format!("http://{}", scene.data)),
        Some(ca) => {
            let roots = tls::TrustStore::empty().with_pem_certificate(std::fs::read(ca).unwrap());
            let context = tls::TlsContext::builder().with_trust_store(roots).build().unwrap();
            let http = aws_smithy_http_client::Builder::new()
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
                .tls_context(context)
                .build_https();
            config.http_client(http).endpoint_url(format!("https://localhost:{}", scene.data.port()))
        }
    };
    Client::from_conf(config.build())
}

/// The same gateway over http and over https.
async fn scenes(tables: &str) -> [Scene; 2] {
    let plain = Plan::default().with(tables).open().await;
    let secure = Plan::default().with(tables).server("tls = { local_ca = \"ca\" }").open().await;
    [plain, secure]
}

fn message(prompt: &str) -> Message {
    let content = ContentBlock::Text(prompt.to_owned());
    Message::builder().role(ConversationRole::User).content(content).build().unwrap()
}

fn limit() -> InferenceConfiguration {
    InferenceConfiguration::builder().max_tokens(64).build()
}

#[tokio::test]
async fn all_six_operations_work_unchanged() {
    for scene in scenes(GUARDRAIL).await {
        let sdk = client(&scene, scene.key("alice"));
        let answer =
            sdk.converse().model_id(SONNET).messages(message("hello")).inference_config(limit()).send().await.unwrap();
        assert_eq!((answer.stop_reason().as_str(), answer.usage().unwrap().output_tokens()), ("end_turn", 32));

        let call = sdk.converse_stream().model_id("sonnet").messages(message("hello")).inference_config(limit());
        let mut stream = call.send().await.unwrap().stream;
        let mut told = None;
        while let Some(event) = stream.recv().await.unwrap() {
            if let ConverseStreamOutput::Metadata(metadata) = event {
                told = metadata.usage().map(TokenUsage::output_tokens);
            }
        }
        assert_eq!(told, Some(32));

        let body = Blob::new(claude("hello"));
        let call = sdk.invoke_model().model_id(arn("alice-sonnet")).content_type("application/json").body(body.clone());
        let answer: serde_json::Value = serde_json::from_slice(call.send().await.unwrap().body().as_ref()).unwrap();
        assert_eq!(answer["usage"]["output_tokens"], 32);

        let call = sdk.invoke_model_with_response_stream().model_id("us.anthropic.claude-sonnet-4-5-20250929-v1:0");
        let mut stream = call.content_type("application/json").body(body).send().await.unwrap().body;
        let mut chunks = 0;
        while let Some(event) = stream.recv().await.unwrap() {
            assert!(matches!(event, ResponseStream::Chunk(_)), "{event:?}");
            chunks += 1;
        }
        assert_eq!(chunks, 32 + 6);

        let counted = CountTokensInput::Converse(ConverseTokensRequest::builder().messages(message("hello")).build());
        assert_eq!(sdk.count_tokens().model_id("sonnet").input(counted).send().await.unwrap().input_tokens(), 2);

        let text = GuardrailTextBlock::builder().text("hello").build().unwrap();
        let call = sdk.apply_guardrail().guardrail_identifier("gr1").guardrail_version("1");
        let call = call.source(GuardrailContentSource::Input).content(GuardrailContentBlock::Text(text));
        assert_eq!(call.send().await.unwrap().usage().unwrap().topic_policy_units(), 1);

        assert_eq!(scene.bill_of(6).await.at_reservation(), [""; 0]);
        let received = scene.received(6).await;
        assert!(received.iter().all(|received| received.status == 200));
    }
}

/// How many requests of callers the gateway has ended, whatever their operation and outcome.
async fn requests(scene: &Scene) -> f64 {
    let metrics = scene.metrics().await;
    let samples = metrics.lines().filter(|line| line.starts_with("tollgate_requests_total{"));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn a_refusal_is_the_sdks_own_exception_with_the_text_readable_and_one_attempt() {
    let tables = "[[budgets]]\nname = \"tiny\"\nprincipals = [\"bob\"]\nwindow = \"day\"\nusd = \"0.000001\"";
    for scene in scenes(tables).await {
        let foreign = arn("bob-haiku");
        let nobody = "tg_nobody";
        for (who, model, code, text) in [
            ("alice", foreign.as_str(), "AccessDeniedException", "You don't have access to the model"),
            ("alice", "us.amazon.nova-pro-v1:0", "AccessDeniedException", "You don't have access to the model"),
            ("alice", "nonsense", "ResourceNotFoundException", "nonsense"),
            ("bob", "haiku", "ServiceQuotaExceededException", "Budget \"tiny\" has"),
            ("nobody", "sonnet", "UnrecognizedClientException", "invalid"),
        ] {
            let key = if who == "nobody" { nobody } else { scene.key(who) };
            let sdk = client(&scene, key);
            let before = requests(&scene).await;
            let error = sdk.converse().model_id(model).messages(message("hello")).send().await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{error:?}");
            assert!(error.message().unwrap().contains(text), "{error:?}");
            let error = error.into_service_error();
            match code {
                "AccessDeniedException" => assert!(error.is_access_denied_exception()),
                "ResourceNotFoundException" => assert!(error.is_resource_not_found_exception()),
                _ => {}
            }
            let error = sdk.converse_stream().model_id(model).messages(message("hello")).send().await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{error:?}");
            let body = Blob::new(claude("hello"));
            let error = sdk.invoke_model().model_id(model).body(body).send().await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{error:?}");
            if code == "ServiceQuotaExceededException" {
                assert!(error.into_service_error().is_service_quota_exceeded_exception());
            }
            #[expect(clippy::float_cmp, reason = "counts of a few")]
            let once = requests(&scene).await - before == 3.0;
            assert!(once, "{code} was tried again");
        }
        assert!(scene.mock.received().is_empty());
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_never_a_short_answer() {
    for scene in scenes("").await {
        let sdk = client(&scene, scene.key("alice"));
        for (directives, modelled) in [
            ("cut after=4", true),
            ("exception=modelStreamErrorException after=4", true),
            ("garbage after=4", false),
            ("truncate", false),
        ] {
            let prompt = format!("hello [[mock:{directives}]]");
            let call = sdk.converse_stream().model_id("sonnet").messages(message(&prompt)).inference_config(limit());
            let mut stream = call.send().await.unwrap().stream;
            let error = loop {
                match stream.recv().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{directives}: taken for a whole answer"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.as_service_error().is_some(), modelled, "{directives}: {error:?}");
        }
        assert_eq!(scene.bill_of(4).await.at_reservation().len(), 4);
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_by_the_sdk_and_succeeds() {
    for scene in scenes("").await {
        scene.mock.queue("throttle", 2).unwrap();
        let sdk = client(&scene, scene.key("alice"));
        let answer =
            sdk.converse().model_id("sonnet").messages(message("hello")).inference_config(limit()).send().await;
        assert_eq!(answer.unwrap().usage().unwrap().output_tokens(), 32);
        let statuses: Vec<_> = scene.received(3).await.iter().map(|received| received.status).collect();
        assert_eq!(statuses, [429, 429, 200]);
        assert_eq!(scene.bill_of(3).await.at_reservation(), [""; 0]);
    }
}

#[tokio::test]
async fn a_client_that_signs_is_served_and_told_what_is_wrong_with_its_signature() {
    let secure = Plan::default().server("tls = { local_ca = \"ca\" }");
    for plan in [Plan::default(), secure] {
        let (scene, key) = crate::identity::signing(plan, "").await;
        let (id, secret) = (key.access_key_id.as_str(), key.secret_access_key.expose());
        let ask = async |id: &str, secret: &str| {
            let client = signing_client(&scene, id, secret);
            client.converse().model_id("sonnet").messages(message("hello")).send().await
        };
        let answer = ask(id, secret).await.unwrap();
        assert!(answer.usage().is_some());
        let stream = signing_client(&scene, id, secret).converse_stream().model_id("sonnet");
        let mut stream = stream.messages(message("hello")).send().await.unwrap().stream;
        while stream.recv().await.unwrap().is_some() {}
        scene.bill_of(2).await;

        let last = if secret.ends_with('A') { 'B' } else { 'A' };
        let other = format!("{}{last}", &secret[..secret.len() - 1]);
        for (id, secret, name, words) in [
            (id, other.as_str(), "InvalidSignatureException", "does not match"),
            ("TGAKAAAAAAAAAAAAAAAA", secret, "UnrecognizedClientException", "invalid"),
        ] {
            let error = ask(id, secret).await.unwrap_err();
            assert_eq!(error.code(), Some(name), "{error:?}");
            assert!(error.message().unwrap().contains(words), "{error:?}");
        }
        scene.bill_of(2).await;
    }
}

#[tokio::test]
async fn a_client_that_signs_by_a_wrong_clock_is_told_so() {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    for (clock, words) in [(now - 3_600, "Signature not yet current"), (now + 3_600, "Signature expired")] {
        let plan = Plan::default().clock(std::sync::Arc::new(ManualClock::at_unix_seconds(clock)));
        let (scene, key) = crate::identity::signing(plan, "").await;
        let client = signing_client(&scene, &key.access_key_id, key.secret_access_key.expose());
        let error = client.converse().model_id("sonnet").messages(message("hello")).send().await.unwrap_err();
        assert_eq!(error.code(), Some("InvalidSignatureException"), "{error:?}");
        assert!(error.message().unwrap().contains(words), "{error:?}");
        assert!(scene.mock.received().is_empty());
    }
}

/// Something on the way, after the signature.
#[derive(Debug)]
enum OnTheWay {
    Body,
    Header,
}

impl Intercept for OnTheWay {
    fn name(&self) -> &'static str {
        "OnTheWay"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        match self {
            Self::Body => {
                let sent = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
                *request.body_mut() = sent.replace("hello", "hullo").into();
            }
            Self::Header => {
                request.headers_mut().insert("content-type", "application/jsom");
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_client_that_signs_is_told_of_what_was_changed_on_the_way_and_of_a_key_that_has_expired() {
    let secure = Plan::default().server("tls = { local_ca = \"ca\" }");
    for plan in [Plan::default(), secure] {
        let (scene, key) = crate::identity::signing(plan, "").await;
        for change in [OnTheWay::Body, OnTheWay::Header] {
            let client = signing_client(&scene, &key.access_key_id, key.secret_access_key.expose());
            let call = client.converse().model_id("sonnet").messages(message("hello"));
            let error = call.customize().interceptor(change).send().await.unwrap_err();
            assert_eq!(error.code(), Some("InvalidSignatureException"), "{error:?}");
            assert!(error.message().unwrap().contains("does not match"), "{error:?}");
        }
        let old =
            crate::identity::access_key(&scene, |record| record.expires = Some(jiff::Timestamp::UNIX_EPOCH)).await;
        let client = signing_client(&scene, &old.access_key_id, old.secret_access_key.expose());
        let error = client.converse().model_id("sonnet").messages(message("hello")).send().await.unwrap_err();
        assert_eq!(error.code(), Some("ExpiredTokenException"), "{error:?}");
        assert!(scene.mock.received().is_empty());
    }
}
