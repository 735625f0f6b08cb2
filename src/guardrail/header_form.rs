//! The header form, for InvokeModel*: the guardrail is named in two headers, its options stand in the body.
//!
//! The client's headers are read here and set anew; they are never passed on as they came.

use super::JSON;
use super::error::{GuardrailError, Means};
use super::rule::{Asynchronous, OwedGuardrail, Part, Selective};
use crate::bedrock::json::{Span, Splicer};
use crate::bedrock::request::{Config, Field, GuardFields, Suspect};
use crate::types::Segments;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

pub(super) const IDENTIFIER: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailidentifier");
pub(super) const VERSION: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailversion");
pub(super) const TRACE: HeaderName = HeaderName::from_static("x-amzn-bedrock-trace");

const IDENTIFIER_TEXT: &str = "X-Amzn-Bedrock-GuardrailIdentifier";
const VERSION_TEXT: &str = "X-Amzn-Bedrock-GuardrailVersion";
const TRACE_TEXT: &str = "X-Amzn-Bedrock-Trace";

type Headers = Vec<(HeaderName, HeaderValue)>;

/// Puts the guardrail that is owed into the headers and sees to the options in the body.
pub(super) fn guard(
    owed: &OwedGuardrail,
    headers: &HeaderMap,
    body: &Bytes,
    fields: &GuardFields,
) -> Result<(Segments, Headers), GuardrailError> {
    owed.judge(Part::Identifier, single(headers, &IDENTIFIER, IDENTIFIER_TEXT)?.map(|(text, _)| text))?;
    owed.judge(Part::Version, single(headers, &VERSION, VERSION_TEXT)?.map(|(text, _)| text))?;
    let mut splicer = Splicer::new();
    refuse_suspect(fields)?;
    match &fields.config {
        Config::Absent | Config::Null(_) => {}
        Config::Other => {
            return Err(GuardrailError::WrongType { member: "amazon-bedrock-guardrailConfig", expected: "an object" });
        }
        Config::Object(config) => {
            refuse_tag_suffix(owed, config.tag_suffix)?;
            see_to_mode(owed, config.mode, body, "SYNCHRONOUS", &mut splicer)?;
        }
    }
    let [identifier, version] = owed.header_values().clone();
    let mut set = vec![(IDENTIFIER, identifier), (VERSION, version), JSON];
    set.extend(trace(headers)?);
    Ok((splicer.apply(body)?, set))
}

/// Where no guardrail is owed: the client's own, if it names one.
pub(super) fn pass_on(headers: &HeaderMap) -> Result<Headers, GuardrailError> {
    let mut set = Vec::new();
    for (name, text) in [(IDENTIFIER, IDENTIFIER_TEXT), (VERSION, VERSION_TEXT)] {
        if let Some((_, value)) = single(headers, &name, text)? {
            set.push((name, value.clone()));
        }
    }
    set.extend(trace(headers)?);
    Ok(set)
}

/// Refuses names that only resemble the guardrail's.
pub(super) fn refuse_suspect(fields: &GuardFields) -> Result<(), GuardrailError> {
    match fields.suspect {
        None => Ok(()),
        Some(Suspect::Misspelt(meant)) => Err(GuardrailError::Misspelt(meant)),
        Some(Suspect::Misplaced(name)) => Err(GuardrailError::Misplaced(name)),
    }
}

/// Refuses `tagSuffix`, whatever its value: nothing else gives it a meaning.
pub(super) fn refuse_tag_suffix(owed: &OwedGuardrail, tag_suffix: Field) -> Result<(), GuardrailError> {
    match (tag_suffix, owed.rule().selective) {
        (Field::Absent, _) | (_, Selective::Allow) => Ok(()),
        (Field::Null(_) | Field::Text(_) | Field::Other(_), Selective::Refuse) => {
            Err(GuardrailError::Selective(Means::TagSuffix))
        }
    }
}

/// Lets a synchronous mode stand, also by default; anything else counts as asynchronous.
pub(super) fn see_to_mode(
    owed: &OwedGuardrail,
    mode: Field,
    body: &Bytes,
    synchronous: &'static str,
    splicer: &mut Splicer,
) -> Result<(), GuardrailError> {
    let span: Span = match mode {
        Field::Absent | Field::Null(_) => return Ok(()),
        Field::Text(_) if mode.text(body).as_deref() == Some(synchronous) => return Ok(()),
        Field::Text(span) | Field::Other(span) => span,
    };
    match owed.rule().asynchronous {
        Asynchronous::Refuse => Err(GuardrailError::Asynchronous { synchronous }),
        Asynchronous::ForceSync => {
            splicer.replace(span, format!("\"{synchronous}\""));
            Ok(())
        }
    }
}

fn trace(headers: &HeaderMap) -> Result<Option<(HeaderName, HeaderValue)>, GuardrailError> {
    match single(headers, &TRACE, TRACE_TEXT)? {
        None => Ok(None),
        Some(("ENABLED" | "DISABLED" | "ENABLED_FULL", value)) => Ok(Some((TRACE, value.clone()))),
        Some(_) => Err(GuardrailError::HeaderValue { name: TRACE_TEXT, expected: "ENABLED, DISABLED or ENABLED_FULL" }),
    }
}

/// The one value of a header; an empty one says nothing.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    text: &'static str,
) -> Result<Option<(&'a str, &'a HeaderValue)>, GuardrailError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(GuardrailError::RepeatedHeader(text));
    }
    let said = value.to_str().map_err(|_| GuardrailError::HeaderValue { name: text, expected: "plain ASCII" })?;
    Ok(Some((said, value)).filter(|(said, _)| !said.is_empty()))
}
