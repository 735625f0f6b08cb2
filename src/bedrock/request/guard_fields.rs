//! What a body says of guardrails, by byte spans: the object that names one, and what could slip a prompt past it.
//!
//! Bedrock's names are case sensitive, so `GuardrailConfig` means nothing to it today. A name that only resembles one of
//! these is reported all the same: whoever owes a guardrail must not depend on every parser behind us being exact.

use super::survey::Shape;
use crate::bedrock::json::{Followed, JsonError, Kind, Member, Opening, Reader, Span, Text};
use std::borrow::Cow;

/// The object of a Converse body that names the guardrail.
pub(super) const CONVERSE_CONFIG: &str = "guardrailConfig";
/// The object of an InvokeModel body that holds the guardrail's options; the guardrail itself is named in headers.
pub(super) const INVOKE_CONFIG: &str = "amazon-bedrock-guardrailConfig";

/// What a body says of guardrails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardFields {
    /// Where a first member of the body can be written.
    pub opening: Opening,
    /// `guardrailConfig` (Converse), `amazon-bedrock-guardrailConfig` (InvokeModel).
    pub config: Config,
    /// Whether a `guardContent` block stands in messages or system prompt: what is in no such block is then not looked at.
    pub guard_content: GuardContent,
    /// A name that is almost one of the guardrail's, or stands where it does not belong.
    pub suspect: Option<Suspect>,
}

/// Whether there is a `guardContent` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardContent {
    /// None: everything is evaluated.
    Absent,
    /// At least one, or a name that resembles it.
    Present,
}

/// The object that configures the guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    /// Not there.
    Absent,
    /// `null`, which AWS reads as absent.
    Null(Span),
    /// There.
    Object(ConfigFields),
    /// Neither object nor null.
    Other,
}

/// The members of the object that configures the guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigFields {
    /// Where a first member can be written.
    pub opening: Opening,
    /// `guardrailIdentifier`
    pub identifier: Field,
    /// `guardrailVersion`
    pub version: Field,
    /// `streamProcessingMode`
    pub mode: Field,
    /// `tagSuffix`
    pub tag_suffix: Field,
}

/// One member, by the span of its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field {
    /// Not there.
    #[default]
    Absent,
    /// `null`, which AWS reads as absent.
    Null(Span),
    /// A string, its quotes included.
    Text(Span),
    /// Anything else.
    Other(Span),
}

/// A name that must not pass where a guardrail is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// It differs only in case from the name given.
    Misspelt(&'static str),
    /// The name given stands in a part of the body where Bedrock does not read it as such.
    Misplaced(&'static str),
}

impl Field {
    /// The unescaped text, where it is one that is not empty; `body` is the body that was read.
    pub fn text(self, body: &[u8]) -> Option<Cow<'_, str>> {
        let Self::Text(span) = self else { return None };
        let text = Reader::new(span.of(body)?).ok()?.string().ok()?.decode();
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Default for GuardFields {
    fn default() -> Self {
        Self {
            opening: Opening { at: 0, followed: Followed::ByEnd },
            config: Config::Absent,
            guard_content: GuardContent::Absent,
            suspect: None,
        }
    }
}

impl GuardFields {
    /// Looks at the name of a member that is merged into the model's own body: there it could name another guardrail, or
    /// bring a prompt that the guardrail, which reads the Converse body, does not see.
    pub(super) fn look_at_additional(&mut self, name: Text<'_>) {
        const NOT_THERE: [&str; 6] = [CONVERSE_CONFIG, INVOKE_CONFIG, "messages", "system", "prompt", "inputText"];
        if let Some(known) = NOT_THERE.into_iter().find(|known| name.resembles(known)) {
            self.suspect = Some(Suspect::Misplaced(known));
        }
    }

    /// Looks at the name of a member of the body that is not the config itself.
    pub(super) fn look_at(&mut self, name: Text<'_>, shape: Shape) {
        let own = shape.config_name();
        if name.resembles(own) {
            self.suspect = Some(Suspect::Misspelt(own));
        } else if shape == Shape::Converse && name.resembles(INVOKE_CONFIG) {
            self.suspect = Some(Suspect::Misplaced(INVOKE_CONFIG));
        }
    }

    /// Reads the config's value.
    pub(super) fn read_config(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.config = match reader.kind() {
            Kind::Null => Config::Null(reader.skip()?),
            Kind::Object => self.read_config_object(reader)?,
            Kind::Array | Kind::String | Kind::Other => {
                reader.skip()?;
                Config::Other
            }
        };
        Ok(())
    }

    fn read_config_object(&mut self, reader: &mut Reader<'_>) -> Result<Config, JsonError> {
        let [mut identifier, mut version, mut mode, mut tag_suffix] = [Field::Absent; 4];
        let opening = reader.object(|reader, member| {
            match &*member.name().decode() {
                "guardrailIdentifier" => identifier = read_field(reader)?,
                "guardrailVersion" => version = read_field(reader)?,
                "streamProcessingMode" => mode = read_field(reader)?,
                "tagSuffix" => tag_suffix = read_field(reader)?,
                _ => {
                    self.look_into(&member);
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        Ok(Config::Object(ConfigFields { opening, identifier, version, mode, tag_suffix }))
    }

    fn look_into(&mut self, member: &Member<'_>) {
        const NAMES: [&str; 4] = ["guardrailIdentifier", "guardrailVersion", "streamProcessingMode", "tagSuffix"];
        if let Some(meant) = NAMES.into_iter().find(|meant| member.name().resembles(meant)) {
            self.suspect = Some(Suspect::Misspelt(meant));
        }
    }
}

fn read_field(reader: &mut Reader<'_>) -> Result<Field, JsonError> {
    let kind = reader.kind();
    let span = reader.skip()?;
    Ok(match kind {
        Kind::Null => Field::Null(span),
        Kind::String => Field::Text(span),
        Kind::Object | Kind::Array | Kind::Other => Field::Other(span),
    })
}
