//! A SigV4 signature as a request presents it: in `Authorization`, or in the query string.
//!
//! Nothing is trusted yet and nothing is looked up. What is absent, malformed or there twice is told in AWS's words.

use http::HeaderMap;
use http::header::HeaderName;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::error::SignatureFault;

/// A signature and what it claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::identity) struct Presented<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) scope: Scope<'a>,
    /// Lower-case, in order, each once.
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: &'a str,
    /// `20261121T231900Z`
    pub(super) amz_date: String,
    pub(super) at: Timestamp,
    pub(super) form: Form,
}

/// For what a signing key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// `20261121`
    pub(super) day: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) terminator: &'a str,
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In `Authorization`.
    Header,
    /// In the query, good for so many seconds.
    Query { expires_s: u64 },
}

impl<'a> Presented<'a> {
    /// Reads `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, whose value is given.
    pub(in crate::identity) fn in_header(value: &'a str, headers: &HeaderMap) -> Result<Self, SignatureFault> {
        let rest = value.strip_prefix(ALGORITHM).ok_or(SignatureFault::Algorithm)?;
        let rest = rest.strip_prefix([' ', '\t']).ok_or(SignatureFault::Algorithm)?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(SignatureFault::Malformed("Authorization"))?;
            let place = match name.trim_end() {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(SignatureFault::Malformed("Authorization")),
            };
            if place.replace(value.trim()).is_some() {
                return Err(SignatureFault::Malformed("Authorization"));
            }
        }
        let required = |value: Option<&'a str>, name| value.ok_or(SignatureFault::Incomplete(name));
        let credential = required(credential, "Credential")?;
        let signed_headers = required(signed_headers, "SignedHeaders")?;
        let signature = required(signature, "Signature")?;
        let amz_date = date_header(headers)?;
        Self::new(credential, signed_headers, signature, amz_date, Form::Header)
    }

    /// Reads the parameters of a presigned request.
    pub(in crate::identity) fn in_query(query: &Query<'a>) -> Result<Self, SignatureFault> {
        if query.only("X-Amz-Algorithm")? != ALGORITHM {
            return Err(SignatureFault::Algorithm);
        }
        let expires = query.only("X-Amz-Expires")?;
        let expires_s = expires.parse().ok().filter(|expires| (1..=LONGEST_S).contains(expires));
        let form = Form::Query { expires_s: expires_s.ok_or(SignatureFault::Malformed("X-Amz-Expires"))? };
        let amz_date = query.only("X-Amz-Date")?.to_owned();
        let (credential, signed_headers) = (query.only("X-Amz-Credential")?, query.only("X-Amz-SignedHeaders")?);
        Self::new(credential, signed_headers, query.only("X-Amz-Signature")?, amz_date, form)
    }

    fn new(
        credential: &'a str,
        signed_headers: &'a str,
        signature: &'a str,
        amz_date: String,
        form: Form,
    ) -> Result<Self, SignatureFault> {
        // In a query the slashes of the credential may be encoded, and nothing else of it can be.
        let between = if credential.contains('/') { "/" } else { "%2F" };
        let parts: Vec<&str> = credential.split(between).collect();
        let [access_key_id, day, region, service, terminator] = *parts.as_slice() else {
            return Err(SignatureFault::Malformed("Credential"));
        };
        let between = if signed_headers.contains("%3B") { "%3B" } else { ";" };
        let signed_headers: Vec<&str> = signed_headers.split(between).collect();
        let in_order = signed_headers.windows(2).all(|pair| pair.first() < pair.last());
        if !in_order || !signed_headers.iter().all(|name| is_header_name(name)) {
            return Err(SignatureFault::Malformed("SignedHeaders"));
        }
        if signature.len() != 64 || !signature.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(SignatureFault::Malformed("Signature"));
        }
        let at = parse_amz_date(&amz_date).ok_or(SignatureFault::Malformed("X-Amz-Date"))?;
        let scope = Scope { day, region, service, terminator };
        Ok(Self { access_key_id, scope, signed_headers, signature, amz_date, at, form })
    }
}

/// The parameters of a query string, as they were received: still encoded.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(in crate::identity) fn read(query: &'a str) -> Self {
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        Self(parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, ""))).collect())
    }

    /// Whether there is a parameter of a name.
    pub(in crate::identity) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| *own == name)
    }

    /// The value of a parameter that has to stand once.
    pub(in crate::identity) fn only(&self, name: &'static str) -> Result<&'a str, SignatureFault> {
        let mut values = self.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(SignatureFault::Incomplete(name)),
            (Some(_), Some(_)) => Err(SignatureFault::Malformed(name)),
        }
    }

    /// The same parameters without those of some names.
    pub(in crate::identity) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(own, _)| !names.contains(own)).copied().collect())
    }

    /// Whether all parameters are of these names.
    pub(in crate::identity) fn has_only(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(own, _)| names.contains(own))
    }

    /// Whether all of it is letters, digits and what else a presigned query is made of.
    pub(in crate::identity) fn is_plain(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%+/=;".contains(&byte);
        self.0.iter().all(|(name, value)| name.bytes().chain(value.bytes()).all(plain))
    }

    /// As it was received.
    pub(in crate::identity) fn text(&self) -> String {
        let parameters: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parameters.join("&")
    }

    /// In the order of names and values. Bytes that should have been encoded are.
    pub(super) fn canonical(&self) -> String {
        let mut parameters: Vec<_> = self.0.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
        parameters.sort();
        let parameters: Vec<_> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        parameters.join("&")
    }
}

/// A text of a query, with those bytes encoded that no URI may hold as they are.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            safe.push(char::from(byte));
        } else {
            safe.push('%');
            safe.push_str(&hex::encode_upper([byte]));
        }
    }
    safe
}

/// Whether a request bears a signature in its query.
pub(in crate::identity) fn is_presigned(query: &str) -> bool {
    Query::read(query).0.iter().any(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Signature"))
}

/// `x-amz-date`, or `date` where that is absent.
fn date_header(headers: &HeaderMap) -> Result<String, SignatureFault> {
    let only = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        Some(if values.next().is_some() { None } else { value.to_str().ok() })
    };
    match only(&X_AMZ_DATE) {
        Some(date) => date.map(|date| date.trim().to_owned()).ok_or(SignatureFault::Malformed("X-Amz-Date")),
        None => match only(&http::header::DATE) {
            Some(date) => date.and_then(of_http_date).ok_or(SignatureFault::Malformed("Date")),
            None => Err(SignatureFault::Incomplete("X-Amz-Date")),
        },
    }
}

/// `Sat, 21 Nov 2026 23:19:00 GMT`, or the form of `x-amz-date`, as that form.
fn of_http_date(date: &str) -> Option<String> {
    let date = date.trim();
    if parse_amz_date(date).is_some() {
        return Some(date.to_owned());
    }
    let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// `20261121T231900Z`
pub(in crate::identity) fn parse_amz_date(text: &str) -> Option<Timestamp> {
    let whole = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !whole {
        return None;
    }
    let at = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A header's name in lower case, or a pseudo-header of HTTP/2.
fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !token.is_empty() && token.bytes().all(fits)
}

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// A week, as AWS has it.
const LONGEST_S: u64 = 604_800;
