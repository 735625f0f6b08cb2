//! The one pass over a body: walks the members that Tollgate knows by name and validates the rest.
//!
//! Members are looked at by exact name where that makes something *less* strict (a tool's input is the caller's own data,
//! so a `guardContent` in it means nothing), and by any resemblance where it makes something more strict.

use super::answer_bound::{Additional, AnswerBound, ConverseNumbers, InvokeNumbers, Number, is_limit};
use super::guard_fields::{CONVERSE_CONFIG, GuardContent, GuardFields, INVOKE_CONFIG};
use super::pieces::Pieces;
use super::{CacheWrites, Latency, Media, RequestFacts};
use crate::bedrock::Operation;
use crate::bedrock::json::{Fault, JsonError, Kind, Member, Reader, Text};
use crate::types::ServiceTier;

mod media;

/// The two shapes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Bedrock's own.
    Converse,
    /// The model's own.
    Invoke,
}

impl Shape {
    pub(super) const fn config_name(self) -> &'static str {
        match self {
            Self::Converse => CONVERSE_CONFIG,
            Self::Invoke => INVOKE_CONFIG,
        }
    }
}

/// Reads the body of a call to a model.
pub(super) fn read(operation: Operation, body: &[u8]) -> Result<RequestFacts, JsonError> {
    let shape = if operation.is_converse() { Shape::Converse } else { Shape::Invoke };
    let mut reader = Reader::new(body)?;
    if reader.kind() != Kind::Object {
        reader.skip()?;
        reader.finish()?;
        return Err(JsonError { fault: Fault::NotAnObject, at: 0 });
    }
    let mut survey = Survey {
        body,
        shape,
        image_bytes: 0,
        media: Media::default(),
        cache: CacheWrites::None,
        tier: None,
        latency: Latency::Standard,
        converse: ConverseNumbers::default(),
        invoke: InvokeNumbers::default(),
        pieces: Pieces::default(),
        guard: GuardFields::default(),
    };
    survey.guard.opening = reader.object(|reader, member| match shape {
        Shape::Converse => survey.converse_member(reader, member),
        Shape::Invoke => survey.invoke_member(reader, member),
    })?;
    reader.finish()?;
    Ok(survey.into_facts())
}

struct Survey<'a> {
    body: &'a [u8],
    shape: Shape,
    image_bytes: usize,
    media: Media,
    cache: CacheWrites,
    tier: Option<ServiceTier>,
    latency: Latency,
    converse: ConverseNumbers,
    invoke: InvokeNumbers,
    pieces: Pieces,
    guard: GuardFields,
}

/// Where a list of content blocks stands. Blocks nest once: in the result of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Message,
    ToolResult,
}

/// What a block in Anthropic's or OpenAI's shape says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockType {
    Image,
    Document,
    Text,
}

type Step = Result<(), JsonError>;

impl<'a> Survey<'a> {
    fn converse_member(&mut self, reader: &mut Reader<'a>, member: Member<'a>) -> Step {
        match &*member.name().decode() {
            CONVERSE_CONFIG => self.guard.read_config(reader),
            "messages" => self.messages(reader),
            "system" => self.blocks(reader, Level::Message),
            "inferenceConfig" => self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("maxTokens") {
                    survey.converse.max_tokens = Number::read(reader, survey.body)?;
                    return Ok(());
                }
                reader.skip().map(drop)
            }),
            "additionalModelRequestFields" => self.additional_fields(reader),
            "serviceTier" => self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("type") {
                    let known = member.string().and_then(|name| ServiceTier::from_name(&name.decode()));
                    survey.tier = Some(known.unwrap_or(ServiceTier::Priority));
                }
                reader.skip().map(drop)
            }),
            "performanceConfig" => self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("latency") {
                    let standard = member.string().is_some_and(|name| name.equals("standard"));
                    survey.latency = if standard { Latency::Standard } else { Latency::Optimized };
                }
                reader.skip().map(drop)
            }),
            // A tool's schema, the caller's metadata and a prompt's variables may use any name they like.
            "toolConfig" => self.watch_cache(reader),
            "requestMetadata" | "promptVariables" => reader.skip().map(drop),
            _ => {
                self.guard.look_at(member.name(), self.shape);
                self.note(&member);
                self.watch(reader)
            }
        }
    }

    fn invoke_member(&mut self, reader: &mut Reader<'a>, member: Member<'a>) -> Step {
        let body = self.body;
        let numbers = &mut self.invoke;
        match &*member.name().decode() {
            INVOKE_CONFIG => self.guard.read_config(reader)?,
            "messages" => self.messages(reader)?,
            "tools" => self.watch_cache(reader)?,
            "max_tokens" => numbers.max_tokens = Number::read(reader, body)?,
            "max_tokens_to_sample" => numbers.max_tokens_to_sample = Number::read(reader, body)?,
            "max_completion_tokens" => numbers.max_completion_tokens = Number::read(reader, body)?,
            "max_gen_len" => numbers.max_gen_len = Number::read(reader, body)?,
            "maxTokens" => numbers.max_tokens_camel = Number::read(reader, body)?,
            "n" | "num_generations" | "numResults" => {
                numbers.answers = numbers.answers.or_larger(Number::read(reader, body)?);
            }
            "inferenceConfig" => self.object_or_watch(reader, |survey, reader, member| {
                let [camel, snake] = &mut survey.invoke.inference_config;
                match &*member.name().decode() {
                    "maxTokens" => *camel = Number::read(reader, survey.body)?,
                    "max_new_tokens" => *snake = Number::read(reader, survey.body)?,
                    _ => drop(reader.skip()?),
                }
                Ok(())
            })?,
            "textGenerationConfig" => self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("maxTokenCount") {
                    survey.invoke.token_count = Number::read(reader, survey.body)?;
                    return Ok(());
                }
                reader.skip().map(drop)
            })?,
            "imageGenerationConfig" => self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("numberOfImages") {
                    return survey.pieces.image_count(reader, survey.body);
                }
                survey.note(&member);
                survey.watch(reader)
            })?,
            "samples" => self.pieces.image_count(reader, body)?,
            "documents" => self.documents(reader)?,
            "images" | "image" | "inputImage" => self.top_level_image(reader)?,
            // Models of OpenAI's shape may know it and the others ignore it, so it can raise an estimate and not lower one.
            "service_tier" => {
                const NO_DEARER: [&str; 4] = ["auto", "default", "flex", "standard_only"];
                let named = member.string().map(Text::decode);
                if reader.kind() != Kind::Null && !named.is_some_and(|name| NO_DEARER.contains(&&*name)) {
                    self.tier = Some(ServiceTier::Priority);
                }
                reader.skip()?;
            }
            _ => {
                self.guard.look_at(member.name(), self.shape);
                self.note(&member);
                self.watch(reader)?;
            }
        }
        Ok(())
    }

    /// Members of `additionalModelRequestFields` are merged into the model's own body.
    fn additional_fields(&mut self, reader: &mut Reader<'a>) -> Step {
        let mut members = |member: Member<'a>| {
            if is_limit(&member.name().decode()) {
                self.converse.additional = Additional::Touches;
            }
            self.guard.look_at_additional(member.name());
            self.note_cache(&member);
        };
        reader.walk(&mut members).map(drop)
    }

    fn messages(&mut self, reader: &mut Reader<'a>) -> Step {
        if reader.kind() != Kind::Array {
            return self.watch(reader);
        }
        reader.array(|reader| {
            self.object_or_watch(reader, |survey, reader, member| {
                if member.name().equals("content") {
                    return survey.blocks(reader, Level::Message);
                }
                survey.note(&member);
                survey.watch(reader)
            })
        })
    }

    fn blocks(&mut self, reader: &mut Reader<'a>, level: Level) -> Step {
        if reader.kind() != Kind::Array {
            return self.watch(reader);
        }
        reader.array(|reader| self.block(reader, level))
    }

    /// A content block of any family: Converse and Nova name the kind by the member, Anthropic and OpenAI by `type`.
    fn block(&mut self, reader: &mut Reader<'a>, level: Level) -> Step {
        let mut block_type = BlockType::Text;
        let mut data_bytes = 0;
        self.object_or_watch(reader, |survey, reader, member| {
            match (&*member.name().decode(), level, survey.shape) {
                ("text", ..) if reader.kind() == Kind::String => return reader.skip().map(drop),
                ("type", ..) => {
                    block_type = member.string().map_or(BlockType::Text, |name| BlockType::from_name(&name.decode()));
                    return reader.skip().map(drop);
                }
                ("image", ..) => {
                    survey.media.images = survey.media.images.saturating_add(1);
                    survey.image_bytes += survey.media_source(reader)?;
                    return Ok(());
                }
                ("document" | "video" | "audio", ..) => {
                    survey.media.documents = survey.media.documents.saturating_add(1);
                    return survey.media_source(reader).map(drop);
                }
                ("source", _, Shape::Invoke) => {
                    data_bytes = survey.source(reader)?;
                    return Ok(());
                }
                ("toolUse", Level::Message, Shape::Converse) => return survey.tool_use(reader),
                ("toolResult", Level::Message, Shape::Converse) => return survey.tool_result(reader),
                ("content", Level::Message, Shape::Invoke) => return survey.blocks(reader, Level::ToolResult),
                // The caller's own data, which nothing reads as a request.
                ("json", Level::ToolResult, Shape::Converse) | ("input", _, Shape::Invoke) => {
                    return reader.skip().map(drop);
                }
                _ => {}
            }
            survey.note(&member);
            survey.watch(reader)
        })?;
        match block_type {
            BlockType::Image => {
                self.media.images = self.media.images.saturating_add(1);
                self.image_bytes += data_bytes;
            }
            BlockType::Document => self.media.documents = self.media.documents.saturating_add(1),
            BlockType::Text => {}
        }
        Ok(())
    }

    fn tool_use(&mut self, reader: &mut Reader<'a>) -> Step {
        self.object_or_watch(reader, |survey, reader, member| {
            if member.name().equals("input") {
                return reader.skip().map(drop);
            }
            survey.note(&member);
            survey.watch(reader)
        })
    }

    fn tool_result(&mut self, reader: &mut Reader<'a>) -> Step {
        self.object_or_watch(reader, |survey, reader, member| {
            if member.name().equals("content") {
                return survey.blocks(reader, Level::ToolResult);
            }
            survey.note(&member);
            survey.watch(reader)
        })
    }

    /// Reads an object by its members, or watches a value that is none.
    fn object_or_watch(
        &mut self,
        reader: &mut Reader<'a>,
        mut on_member: impl FnMut(&mut Self, &mut Reader<'a>, Member<'a>) -> Step,
    ) -> Step {
        if reader.kind() == Kind::Object {
            return reader.object(|reader, member| on_member(self, reader, member)).map(drop);
        }
        self.watch(reader)
    }

    /// Passes over a value and notes the members in it at any depth.
    fn watch(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.walk(|member| self.note(&member)).map(drop)
    }

    /// The same for the cache alone.
    fn watch_cache(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.walk(|member| self.note_cache(&member)).map(drop)
    }

    fn note(&mut self, member: &Member<'a>) {
        self.note_cache(member);
        if member.name().resembles("guardContent") {
            self.guard.guard_content = GuardContent::Present;
        }
    }

    fn note_cache(&mut self, member: &Member<'a>) {
        let name = member.name();
        let asked = if name.equals("ttl") {
            match member.string() {
                Some(ttl) if ttl.equals("5m") => CacheWrites::FiveMinutes,
                Some(_) => CacheWrites::OneHour,
                None => return,
            }
        } else if name.equals("cachePoint") || name.equals("cache_control") {
            CacheWrites::FiveMinutes
        } else {
            return;
        };
        self.cache = self.cache.max(asked);
    }

    fn into_facts(self) -> RequestFacts {
        RequestFacts {
            body_bytes: self.body.len(),
            image_bytes: self.image_bytes,
            media: self.media,
            cache: self.cache,
            tier: self.tier,
            latency: self.latency,
            pieces: self.pieces,
            bound: match self.shape {
                Shape::Converse => AnswerBound::Converse(self.converse),
                Shape::Invoke => AnswerBound::Invoke(self.invoke),
            },
            guard_fields: Ok(self.guard),
        }
    }
}

impl BlockType {
    fn from_name(name: &str) -> Self {
        match name {
            "image" | "image_url" => Self::Image,
            "document" | "video" | "video_url" | "audio" | "input_audio" | "file" => Self::Document,
            _ => Self::Text,
        }
    }
}
