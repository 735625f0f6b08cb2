//! The calls of the scene, made with the real AWS SDK for Rust and a gateway key as its bearer token.

use std::io::Write;

use anyhow::Context as _;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Region, Token};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ContentBlockDelta, ConversationRole, ConverseStreamOutput, Message, ResponseStream,
};
use serde_json::{Value, json};

use super::Place;
use super::scene::{HAIKU, NOVA, Person, SONNET, Scene, arn};
use crate::mock::Received;

/// What came of one call.
pub(super) struct Outcome {
    pub(super) who: &'static str,
    pub(super) operation: &'static str,
    pub(super) asked_for: String,
    pub(super) result: Result<Seen, Refusal>,
}

/// What Bedrock saw of a call that came through.
pub(super) struct Seen {
    pub(super) subject: String,
    pub(super) guardrail: String,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What the caller read of one that did not.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

/// Makes all the calls, showing the streamed ones as they come.
pub(super) async fn play(scene: &Scene, place: &Place, out: &mut dyn Write) -> anyhow::Result<Vec<Outcome>> {
    let (ada, grace, linus) = (scene.person("ada")?, scene.person("grace")?, scene.person("linus")?);
    let others = arn("ada-sonnet");
    let mut outcomes = Vec::new();
    for (person, operation, model, prompt) in [
        (ada, "ConverseStream", SONNET, "What does a toll gate do?"),
        (grace, "Converse", NOVA, "Name a river."),
        (
            linus,
            "InvokeModelWithResponseStream",
            SONNET,
            "Tell me a long story. [[mock:reply-tokens=400 chunk-bytes=400]]",
        ),
        (ada, "Converse", HAIKU, "And in one word?"),
        (grace, "Converse", others.as_str(), "Let me use Ada's profile."),
        (linus, "InvokeModelWithResponseStream", SONNET, "Another story! [[mock:reply-tokens=400 chunk-bytes=400]]"),
    ] {
        writeln!(out, "\n{} → {operation} {}", person.name, short(model))?;
        let client = client(person, place);
        let made = match operation {
            "ConverseStream" => converse_stream(&client, model, prompt, out).await,
            "Converse" => converse(&client, model, prompt, out).await,
            _ => invoke_stream(&client, model, prompt, out).await,
        }?;
        let result = match made {
            Ok(()) => Ok(seen(scene)?),
            Err(refusal) => {
                writeln!(out, "  ✗ {} {}: {}", refusal.status, refusal.code, refusal.message)?;
                Err(refusal)
            }
        };
        outcomes.push(Outcome { who: person.name, operation, asked_for: short(model), result });
    }
    Ok(outcomes)
}

/// A model's or a profile's name without what is the same for all of them.
pub(super) fn short(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

fn client(person: &Person, place: &Place) -> Client {
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&place.plain)
        .token_provider(Token::new(person.key.expose(), None))
        .build();
    Client::from_conf(config)
}

type Made = anyhow::Result<Result<(), Refusal>>;

async fn converse_stream(client: &Client, model: &str, prompt: &str, out: &mut dyn Write) -> Made {
    let call = client.converse_stream().model_id(model).messages(message(prompt)?);
    let mut stream = match call.send().await {
        Ok(answer) => answer.stream,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    write!(out, "  ")?;
    while let Some(event) = stream.recv().await.map_err(|error| anyhow::anyhow!("the stream broke: {error}"))? {
        if let ConverseStreamOutput::ContentBlockDelta(event) = event
            && let Some(ContentBlockDelta::Text(text)) = event.delta
        {
            write!(out, "{text}")?;
            out.flush()?;
        }
    }
    writeln!(out)?;
    Ok(Ok(()))
}

async fn converse(client: &Client, model: &str, prompt: &str, out: &mut dyn Write) -> Made {
    let answer = match client.converse().model_id(model).messages(message(prompt)?).send().await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    let message = answer.output.as_ref().and_then(|output| output.as_message().ok());
    let text = message.and_then(|message| message.content.first()).and_then(|block| block.as_text().ok());
    writeln!(out, "  {}", text.map_or("", String::as_str))?;
    Ok(Ok(()))
}

async fn invoke_stream(client: &Client, model: &str, prompt: &str, out: &mut dyn Write) -> Made {
    let body = json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 400,
        "messages": [{ "role": "user", "content": prompt }],
    });
    let call = client
        .invoke_model_with_response_stream()
        .model_id(model)
        .content_type("application/json")
        .body(Blob::new(body.to_string()));
    let mut stream = match call.send().await {
        Ok(answer) => answer.body,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    write!(out, "  ")?;
    let mut shown = 0;
    while let Some(event) = stream.recv().await.map_err(|error| anyhow::anyhow!("the stream broke: {error}"))? {
        let ResponseStream::Chunk(chunk) = event else { continue };
        let Some(bytes) = chunk.bytes else { continue };
        let event: Value = serde_json::from_slice(bytes.as_ref()).context("a chunk is not JSON")?;
        let text = event.pointer("/delta/text").and_then(Value::as_str).unwrap_or_default();
        if shown < SHOWN_CHARACTERS {
            write!(out, "{text}")?;
            out.flush()?;
        }
        shown += text.len();
    }
    writeln!(out, "{}", if shown > SHOWN_CHARACTERS { " …" } else { "" })?;
    Ok(Ok(()))
}

/// How much of a long answer is shown.
const SHOWN_CHARACTERS: usize = 240;

fn message(prompt: &str) -> anyhow::Result<Message> {
    let content = ContentBlock::Text(prompt.to_owned());
    Message::builder().role(ConversationRole::User).content(content).build().context("a message needs a role")
}

fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Refusal {
    Refusal {
        status: error.raw_response().map_or(0, |response| response.status().as_u16()),
        code: error.code().unwrap_or("no answer").to_owned(),
        message: error.message().map_or_else(|| error.to_string(), str::to_owned),
    }
}

/// What the look-alike received last, as it received it.
fn seen(scene: &Scene) -> anyhow::Result<Seen> {
    let last: Received = scene.bedrock.received().pop().context("Bedrock has received nothing")?;
    let guardrail =
        last.guardrail.map_or_else(|| "none".to_owned(), |seen| format!("{}:{}", seen.identifier, seen.version));
    Ok(Seen {
        subject: last.subject.unwrap_or_default(),
        guardrail,
        input: last.usage.input,
        output: last.usage.output,
    })
}
