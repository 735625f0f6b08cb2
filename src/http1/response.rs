//! The head of an answer, and where its body ends (RFC 9112, section 6.3).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::response::Parts;
use http::{StatusCode, Version, header};

use super::{LARGEST_HEAD, MOST_HEADERS, Malformed, length, lines, map};

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the chunk of size zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub struct ResponseHead {
    /// Status, version and headers.
    pub parts: Parts,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again once the body has been read.
    pub keep_alive: bool,
}

/// Takes the head of an answer to a request that was not `HEAD` from a buffer, or `None` where it has not all come yet. Informational answers that
/// come before it are passed over.
pub fn response(buffer: &mut BytesMut) -> Result<Option<ResponseHead>, Malformed> {
    loop {
        if buffer.is_empty() {
            return Ok(None);
        }
        let mut room = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut room);
        let end = match parsed {
            Ok(httparse::Status::Complete(end)) if end <= LARGEST_HEAD => end,
            Ok(httparse::Status::Partial) if buffer.len() < LARGEST_HEAD => return Ok(None),
            Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => {
                return Err(Malformed("the answer's head is too large"));
            }
            Err(_) => return Err(Malformed("the answer is no HTTP")),
        };
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Malformed("the answer has no status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Malformed("the answer changes the protocol, for which nobody has asked"));
        }
        if status.is_informational() {
            drop(buffer.split_to(end));
            continue;
        }
        let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let lines = lines(buffer, response.headers);
        let head = buffer.split_to(end).freeze();
        let mut parts = http::Response::new(()).into_parts().0;
        parts.status = status;
        parts.version = version;
        parts.headers = map(&head, &lines)?;
        let framing = framing(&parts)?;
        let keep_alive = framing != Framing::UntilClose && !is_doubtful(&parts, framing) && is_kept(&parts);
        if let (Framing::Length(_), Some(told)) = (framing, parts.headers.remove(header::CONTENT_LENGTH))
            && parts.status != StatusCode::NO_CONTENT
        {
            // Once, however often it was said.
            parts.headers.insert(header::CONTENT_LENGTH, told);
        }
        return Ok(Some(ResponseHead { parts, framing, keep_alive }));
    }
}

fn framing(parts: &Parts) -> Result<Framing, Malformed> {
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), lengths.next()) {
        _ if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Ok(Framing::Length(0)),
        // The coding overrules a length that stands beside it; nothing more is read from such a connection.
        (Some(coding), _) => {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            if chunked && parts.version == Version::HTTP_11 {
                Ok(Framing::Chunked)
            } else {
                Err(Malformed("the answer is in a transfer coding that is not known here"))
            }
        }
        (None, Some(value)) => {
            let told = length(value.as_bytes()).ok_or(Malformed("the answer's length is none"))?;
            if lengths.any(|other| other != value) {
                return Err(Malformed("the answer has two lengths"));
            }
            Ok(Framing::Length(told))
        }
        (None, None) => Ok(Framing::UntilClose),
    }
}

/// Whether somebody could see another end of the body: then nothing that follows on the connection is believed.
fn is_doubtful(parts: &Parts, framing: Framing) -> bool {
    let (length, coding) = (header::CONTENT_LENGTH, header::TRANSFER_ENCODING);
    match framing {
        Framing::Chunked => parts.headers.contains_key(length),
        Framing::Length(_) if parts.status == StatusCode::NO_CONTENT => {
            parts.headers.contains_key(coding) || parts.headers.get(length).is_some_and(|told| told != "0")
        }
        Framing::Length(_) | Framing::UntilClose => false,
    }
}

fn is_kept(parts: &Parts) -> bool {
    let says = |word: &str| {
        let values = parts.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(word))
    };
    if parts.version == Version::HTTP_11 { !says("close") } else { says("keep-alive") && !says("close") }
}
