//! Whether a request's SigV4 signature holds, and with whose credentials it was made.
//!
//! Written from AWS's description and from what signers were seen to send, not from the gateway's signer: the two must
//! agree on the wire, not in code. The canonical URI is the path as received, percent-encoded once more byte by byte
//! (`%3A` becomes `%253A`, `:` becomes `%3A`); the host is `:authority` on HTTP/2. `UNSIGNED-PAYLOAD` and presigned URLs
//! are not accepted.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::callers::{Session, Sessions, Standing};
use super::config::MockCredential;
use super::refusal::Refusal;
use crate::types::{Region, Secret};

/// Checks signatures against a list of credentials and the sessions that there are.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) regions: Vec<Region>,
    pub(super) credentials: Vec<MockCredential>,
    pub(super) sessions: Sessions,
    pub(super) skew: Duration,
}

/// Whose signature held, and for which Region it was made.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) access_key_id: String,
    pub(super) region: Region,
    pub(super) session: Option<Arc<Session>>,
}

/// What a signature is checked with.
struct Pair<'a> {
    secret: Secret,
    token: Option<&'a Secret>,
    session: Option<&'a Arc<Session>>,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

impl Verifier {
    /// Tells whose request this is, or refuses it as AWS would. `service` is the name that the scope must have,
    /// `body_sha256` the hash of the body as received, in hex.
    pub(super) fn verify(
        &self,
        service: &str,
        head: &Parts,
        body_sha256: &str,
        now: SystemTime,
    ) -> Result<Signer, Refusal> {
        let authorization = Authorization::read(&head.headers)?;
        let session = self.sessions.find(authorization.access_key_id, now);
        let pair = self.pair(&authorization, session.as_ref(), &head.headers)?;
        let region = self.check_scope(&authorization, service)?;
        let date = self.check_date(&authorization, &head.headers, now)?;
        check_signed_headers(&authorization, &head.headers)?;
        check_payload(&head.headers, body_sha256)?;

        let canonical = canonical_request(head, &authorization, body_sha256)?;
        let hash = hex::encode(Sha256::digest(&canonical));
        let to_sign = format!("{ALGORITHM}\n{date}\n{}\n{hash}", authorization.scope());
        let signature = hex::encode(hmac(&authorization.signing_key(&pair.secret), to_sign.as_bytes()));
        if bool::from(signature.as_bytes().ct_eq(authorization.signature.as_bytes())) {
            let access_key_id = authorization.access_key_id.to_owned();
            Ok(Signer { access_key_id, region: region.clone(), session: pair.session.map(Arc::clone) })
        } else {
            Err(invalid(MISMATCH))
        }
    }

    fn pair<'a>(
        &'a self,
        authorization: &Authorization<'_>,
        session: Option<&'a (Arc<Session>, Standing)>,
        headers: &HeaderMap,
    ) -> Result<Pair<'a>, Refusal> {
        let unknown = || {
            let message = "The security token included in the request is invalid.";
            Refusal::signature("UnrecognizedClientException", message)
        };
        let pair = if let Some((session, _)) = session {
            let secret = session.secret_access_key.clone();
            Pair { secret, token: Some(&session.token), session: Some(session) }
        } else {
            let known = self.credentials.iter().find(|known| known.access_key_id == authorization.access_key_id);
            let known = known.ok_or_else(unknown)?;
            let secret = known.secret_access_key.clone();
            Pair { secret, token: known.session_token.as_ref(), session: None }
        };
        let token = headers.get("x-amz-security-token").map_or(&b""[..], header::HeaderValue::as_bytes);
        let expected = pair.token.map_or("", |secret| secret.expose());
        if !bool::from(token.ct_eq(expected.as_bytes())) {
            return Err(unknown());
        }
        if session.is_some_and(|(_, standing)| *standing == Standing::Expired) {
            let message = "The security token included in the request is expired";
            return Err(Refusal::signature("ExpiredTokenException", message));
        }
        Ok(pair)
    }

    fn check_scope(&self, authorization: &Authorization<'_>, service: &str) -> Result<&Region, Refusal> {
        if authorization.terminator != "aws4_request" {
            let term = authorization.terminator;
            return Err(invalid(&format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{term}'. "
            )));
        }
        if authorization.service != service {
            return Err(invalid(&format!("Credential should be scoped to correct service: '{service}'. ")));
        }
        let region = self.regions.iter().find(|region| region.as_str() == authorization.region);
        region.ok_or_else(|| invalid("Credential should be scoped to a valid region. "))
    }

    fn check_date<'h>(
        &self,
        authorization: &Authorization<'_>,
        headers: &'h HeaderMap,
        now: SystemTime,
    ) -> Result<&'h str, Refusal> {
        let text = headers.get("x-amz-date").and_then(|value| value.to_str().ok());
        let (text, date) = text.and_then(|text| Some((text, parse_date(text)?))).ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        let day = text.get(..8).unwrap_or_default();
        if authorization.date != day {
            return Err(invalid(&format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{day}', from '{text}'.",
                authorization.date
            )));
        }
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let minutes = self.skew.as_secs() / 60;
        let shown = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
        if let Ok(earliest) = now.checked_sub(self.skew)
            && date < earliest
        {
            return Err(invalid(&format!(
                "Signature expired: {text} is now earlier than {} ({} - {minutes} min.)",
                shown(earliest),
                shown(now)
            )));
        }
        if let Ok(latest) = now.checked_add(self.skew)
            && date > latest
        {
            return Err(invalid(&format!(
                "Signature not yet current: {text} is still later than {} ({} + {minutes} min.)",
                shown(latest),
                shown(now)
            )));
        }
        Ok(text)
    }
}

/// The parts of an `Authorization` header of SigV4.
#[derive(Debug)]
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let missing = || Refusal::unauthenticated("Authorization header is missing");
        let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
        let text = value.to_str().map_err(|_| missing())?;
        let (scheme, fields) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused_key(fields.trim()));
        }
        if scheme != ALGORITHM {
            return Err(incomplete(&format!("Unsupported AWS 'algorithm': '{scheme}'.")));
        }
        let field = |name: &str| {
            let found = fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            found
                .filter(|value| !value.is_empty())
                .ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, terminator] = *scope.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ));
        };
        let (signed_headers, signature) = (field("SignedHeaders")?, field("Signature")?);
        Ok(Self { access_key_id, date, region, service, terminator, signed_headers, signature })
    }

    fn signed(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }

    fn signs(&self, name: &str) -> bool {
        self.signed().any(|signed| signed == name)
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }

    fn signing_key(&self, secret: &Secret) -> [u8; 32] {
        let secret = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
        let date = hmac(secret.as_bytes(), self.date.as_bytes());
        let region = hmac(&date, self.region.as_bytes());
        let service = hmac(&region, self.service.as_bytes());
        hmac(&service, self.terminator.as_bytes())
    }
}

/// Bedrock has API keys, this look-alike has none: what it would say to a key it does not know.
fn refused_key(key: &str) -> Refusal {
    if key.starts_with("ABSK") || key.starts_with("bedrock-api-key-") {
        Refusal::unauthenticated("Authentication failed: Please make sure your API Key is valid.")
    } else {
        Refusal::unauthenticated("Invalid API Key format: Must start with pre-defined prefix")
    }
}

fn check_signed_headers(authorization: &Authorization<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
    if !authorization.signs("host") && !authorization.signs(":authority") {
        return Err(invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }
    if !authorization.signs("x-amz-date") {
        return Err(invalid("'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let unsigned: Vec<&str> = headers
        .keys()
        .map(header::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && !authorization.signs(name))
        .collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    Err(invalid(&format!("There were headers present in the request which were not signed: {}", unsigned.join(", "))))
}

fn check_payload(headers: &HeaderMap, body_sha256: &str) -> Result<(), Refusal> {
    match headers.get("x-amz-content-sha256") {
        Some(claimed) if claimed.as_bytes() != body_sha256.as_bytes() => {
            Err(invalid("The provided 'x-amz-content-sha256' header does not match what was computed."))
        }
        _ => Ok(()),
    }
}

fn canonical_request(head: &Parts, authorization: &Authorization<'_>, body_sha256: &str) -> Result<String, Refusal> {
    let mut text = format!("{}\n", head.method);
    for byte in head.uri.path().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    let mut query: Vec<&str> =
        head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    text.push('\n');
    text.push_str(&query.join("&"));
    text.push('\n');
    for name in authorization.signed() {
        let value = signed_value(head, name).ok_or_else(|| invalid(MISMATCH))?;
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{}\n{body_sha256}", authorization.signed_headers);
    Ok(text)
}

/// The canonical value of a header: every line's value trimmed, inner runs of spaces made one, lines joined by commas.
fn signed_value(head: &Parts, name: &str) -> Option<String> {
    if matches!(name, "host" | ":authority") {
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        return authority.or_else(|| head.headers.get(header::HOST)?.to_str().ok()).map(str::to_owned);
    }
    let mut lines = Vec::new();
    for value in head.headers.get_all(name) {
        let words: Vec<&str> =
            std::str::from_utf8(value.as_bytes()).ok()?.split(' ').filter(|w| !w.is_empty()).collect();
        lines.push(words.join(" "));
    }
    (!lines.is_empty()).then(|| lines.join(","))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn invalid(message: &str) -> Refusal {
    Refusal::signature("InvalidSignatureException", message)
}

fn incomplete(message: &str) -> Refusal {
    Refusal::signature("IncompleteSignatureException", message)
}
