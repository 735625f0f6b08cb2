//! The body form, for Converse*: `guardrailConfig` is spliced in, or what stands there is held to what is owed.

use super::error::{GuardrailError, Means};
use super::header_form::{refuse_suspect, refuse_tag_suffix, see_to_mode};
use super::rule::{Mode, OwedGuardrail, Part, Said, Selective};
use crate::bedrock::json::Splicer;
use crate::bedrock::request::{Config, ConfigFields, Field, GuardContent, GuardFields};
use crate::types::Segments;
use bytes::Bytes;

/// Puts the guardrail that is owed into the body. Only identifier and version are written: synchronous evaluation is
/// Bedrock's default, and the trace is the client's choice.
pub(super) fn guard(owed: &OwedGuardrail, body: &Bytes, fields: &GuardFields) -> Result<Segments, GuardrailError> {
    refuse_suspect(fields)?;
    if fields.guard_content == GuardContent::Present && owed.rule().selective == Selective::Refuse {
        return Err(GuardrailError::Selective(Means::GuardContent));
    }
    let mut splicer = Splicer::new();
    match &fields.config {
        Config::Absent | Config::Null(_) if owed.rule().mode == Mode::Require => {
            return Err(GuardrailError::Missing { required: owed.to_string() });
        }
        Config::Absent => {
            splicer.insert_members(fields.opening, format!("\"guardrailConfig\":{{{}}}", both(owed)));
        }
        Config::Null(span) => splicer.replace(*span, format!("{{{}}}", both(owed))),
        Config::Other => {
            return Err(GuardrailError::WrongType { member: "guardrailConfig", expected: "an object" });
        }
        Config::Object(config) => {
            refuse_tag_suffix(owed, config.tag_suffix)?;
            see_to_mode(owed, config.mode, body, "sync", &mut splicer)?;
            name_it(owed, config, body, &mut splicer)?;
        }
    }
    Ok(splicer.apply(body)?)
}

/// Holds identifier and version to what is owed and writes what is missing.
fn name_it(
    owed: &OwedGuardrail,
    config: &ConfigFields,
    body: &Bytes,
    splicer: &mut Splicer,
) -> Result<(), GuardrailError> {
    let mut missing = Vec::new();
    for (part, field) in [(Part::Identifier, config.identifier), (Part::Version, config.version)] {
        let span = match field {
            Field::Absent => None,
            Field::Null(span) | Field::Text(span) => Some(span),
            Field::Other(_) => {
                return Err(GuardrailError::WrongType { member: member_name(part), expected: "a string" });
            }
        };
        match (owed.judge(part, field.text(body).as_deref())?, span) {
            (Said::AsOwed, _) => {}
            (Said::Nothing | Said::Otherwise, Some(span)) => splicer.replace(span, format!("\"{}\"", owed.text(part))),
            (Said::Nothing | Said::Otherwise, None) => missing.push(member(owed, part)),
        }
    }
    if !missing.is_empty() {
        splicer.insert_members(config.opening, missing.join(","));
    }
    Ok(())
}

fn both(owed: &OwedGuardrail) -> String {
    format!("{},{}", member(owed, Part::Identifier), member(owed, Part::Version))
}

/// A member as it is written. The rule's texts were checked to need no escaping.
fn member(owed: &OwedGuardrail, part: Part) -> String {
    format!("\"{}\":\"{}\"", member_name(part), owed.text(part))
}

const fn member_name(part: Part) -> &'static str {
    match part {
        Part::Identifier => "guardrailIdentifier",
        Part::Version => "guardrailVersion",
    }
}
