//! Takes credentials out of text that came from outside, before it is logged.
//!
//! The gateway does not log headers or bodies at all; this is for the texts it does log (a user agent, a model name, an
//! error of AWS's, the detail of a failed check), in which a credential has no business and sometimes is. It looks for
//! shapes, so it takes out too much rather than too little; an ordinary secret word (`hunter2`) without a name before it
//! has no shape and stays.
//!
//! Shapes, with their source: Tollgate's own keys (`tg_…`); Bedrock API keys, long-term (`ABSK…`) and short-term
//! (`bedrock-api-key-…`); AWS secret access keys (40 characters of base64) and session tokens (long base64);
//! JSON web tokens (`eyJ…`); Anthropic keys (`sk-ant-…`); whatever follows `Bearer`, `Basic` or the name of a secret
//! (`X-Amz-Signature=`, `x-api-key:`, `"secretAccessKey": "`, …). Access key ids (`AKIA…`, `ASIA…`) are names, not
//! secrets, and stay, because an operator needs them to find whose key it was.

use std::borrow::Cow;

/// The text with everything that looks like a credential replaced by `[redacted]`; a known prefix stays in front of it, so
/// that a reader sees what kind of thing was there.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut copied = 0;
    for (start, end) in secrets(text) {
        clean.push_str(text.get(copied..start).unwrap_or_default());
        clean.push_str(REDACTED);
        copied = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(clean)
}

/// A text from outside as it may stand in a log: redacted, on one line, with no control characters, and no longer than
/// `limit_bytes` (a text that was cut ends in `…`).
pub fn excerpt(text: &str, limit_bytes: usize) -> String {
    let considered = whole_words(text, limit_bytes.saturating_add(MARGIN_BYTES));
    let clean = redact(considered);
    let one_line = if clean.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        clean
    } else {
        clean.replace(char::is_control, " ").into()
    };
    let kept = cut(&one_line, limit_bytes);
    let whole = kept.len() == one_line.len() && considered.len() == text.len();
    if whole { one_line.into_owned() } else { format!("{kept}…") }
}

const REDACTED: &str = "[redacted]";
/// How far beyond an excerpt's limit a text is looked at: what is redacted makes room for what follows it.
const MARGIN_BYTES: usize = 4_096;

/// A credential's known beginning, and how many more characters make it one.
const PREFIXES: [(&str, usize); 7] = [
    ("tg_", 10),
    ("tgs_", 10),
    ("tollgate-aws-v1.", 1),
    ("ABSK", 16),
    ("bedrock-api-key-", 1),
    ("eyJ", 16),
    ("sk-ant-", 1),
];

/// Whether one of [`PREFIXES`] begins with a byte.
const fn begins_prefix(byte: u8) -> bool {
    matches!(byte, b't' | b'A' | b'b' | b'e' | b's')
}

/// No credential of [`PREFIXES`] is shorter.
const SHORTEST: usize = 8;

/// Words after which a secret follows.
const NAMES: [&str; 16] = [
    "bearer",
    "basic",
    "authorization",
    "signature",
    "x-amz-signature",
    "x-amz-security-token",
    "x-api-key",
    "secret",
    "client_secret",
    "secretaccesskey",
    "aws_secret_access_key",
    "aws_session_token",
    "sessiontoken",
    "aws_bearer_token_bedrock",
    "token",
    "password",
];

/// Words that may stand between `Authorization:` and its secret.
const SCHEMES: [&str; 3] = ["bearer", "basic", "aws4-hmac-sha256"];

/// The byte spans of all secrets, in order and apart.
fn secrets(text: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = next_word(text, at) {
        let word = text.get(start..end).unwrap_or_default();
        at = end;
        if let Some(secret) = after_name(text, word, end) {
            at = secret.1;
            spans.push(secret);
        } else if let Some(offset) = shape(word) {
            spans.push((start + offset, end));
        }
    }
    spans
}

/// The next run of characters of which credentials and their names consist.
fn next_word(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut bytes = text.as_bytes().get(from..)?.iter();
    let start = from + bytes.position(|byte| is_word(*byte))?;
    Some((start, bytes.position(|byte| !is_word(*byte)).map_or(text.len(), |further| start + 1 + further)))
}

const fn is_word(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' | b'.' | b'~')
}

/// Where the value ends that follows a secret's name: `name=value`, `name: value`, `"name":"value"`, `Bearer value`.
fn after_name(text: &str, word: &str, end: usize) -> Option<(usize, usize)> {
    // Most words are followed by what no name of a secret is followed by.
    if !matches!(text.as_bytes().get(end), Some(b' ' | b'\t' | b'=' | b':' | b'"' | b'\'' | b'\\')) {
        return None;
    }
    if !NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)) {
        return None;
    }
    let is_scheme = SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    let rest = text.get(end..)?;
    let gap = rest.find(|character: char| !matches!(character, ' ' | '\t' | '=' | ':' | '"' | '\'' | '\\'))?;
    let assigned = rest.get(..gap)?.contains(['=', ':']);
    if !(assigned || is_scheme && gap > 0) {
        return None;
    }
    let value = rest.get(gap..)?;
    let length = value.find(ends_value).unwrap_or(value.len());
    let value = value.get(..length)?;
    if value.starts_with(REDACTED.trim_end_matches(']')) {
        return None;
    }
    let names_scheme = SCHEMES.iter().any(|scheme| value.eq_ignore_ascii_case(scheme));
    (length > 0 && !names_scheme).then_some((end + gap, end + gap + length))
}

const fn ends_value(character: char) -> bool {
    character.is_whitespace() || matches!(character, '&' | ',' | ';' | '"' | '\'' | ')' | ']' | '}' | '\\' | '<' | '>')
}

/// Where in a word a secret begins, judged by its shape alone.
fn shape(word: &str) -> Option<usize> {
    if word.len() < SHORTEST {
        return None;
    }
    let mut behind_letter = false;
    for (at, byte) in word.bytes().enumerate() {
        if !std::mem::replace(&mut behind_letter, byte.is_ascii_alphanumeric()) && begins_prefix(byte) {
            let beginning = word.get(at..)?;
            let behind = |(prefix, least): &(&str, usize)| {
                beginning
                    .strip_prefix(prefix)
                    .filter(|secret| secret.len() >= *least)
                    .map(|secret| word.len() - secret.len())
            };
            let secret = PREFIXES.iter().find_map(behind);
            if secret.is_some() {
                return secret;
            }
        }
    }
    looks_random(word).then_some(0)
}

/// A secret access key has 40 characters of base64; session tokens have hundreds. A hash in hexadecimal has no capitals.
fn looks_random(word: &str) -> bool {
    if word.len() != 40 && word.len() < 80 {
        return false;
    }
    let base64 = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    let mixed = word.bytes().any(|byte| byte.is_ascii_uppercase())
        && word.bytes().any(|byte| byte.is_ascii_lowercase())
        && word.bytes().any(|byte| byte.is_ascii_digit());
    base64 && mixed
}

/// The beginning of a text without the word that its end falls into: a credential that is cut in half has lost its shape.
fn whole_words(text: &str, limit_bytes: usize) -> &str {
    let beginning = cut(text, limit_bytes);
    if beginning.len() == text.len() {
        text
    } else {
        beginning.trim_end_matches(|last: char| u8::try_from(last).is_ok_and(is_word))
    }
}

fn cut(text: &str, limit_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(limit_bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
