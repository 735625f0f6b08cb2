//! What each stage's refusal becomes, and what the stages that do not know each other have to say to each other.

use http::HeaderMap;
use memchr::memmem;

use super::read_body::BodyError;
use super::rejection::Rejection;
use crate::bedrock::headers::{PERFORMANCE_LATENCY, SERVICE_TIER};
use crate::bedrock::json::{Fault, JsonError};
use crate::bedrock::{CacheWrites, Latency, Operation, PathError};
use crate::budget::{Attachments, Refused, RequestFacts, StoreError};
use crate::guardrail::{Guarded, GuardrailError};
use crate::identity::IdentityError;
use crate::identity::aws_login::LoginFault;
use crate::identity::certificates::CertificateFault;
use crate::identity::oidc::TokenFault;
use crate::identity::sigv4::SignatureFault;
use crate::limits::Limited;
use crate::policy::Denied;
use crate::profiles::ResolveError;
use crate::profiles::look_alike::QueryError;
use crate::profiles::price::{CacheLifetime, Pieces};
use crate::profiles::vending::VendError;
use crate::telemetry::RefusalReason as Reason;
use crate::types::ServiceTier;
use crate::upstream::{Phase, UpstreamError};

/// AWS's own sentence. Claude Code shows a 403 that begins with it at once; any other 403 it takes for expired credentials
/// and tries again for minutes without a word.
const NO_ACCESS: &str = "You don't have access to the model with the specified model ID.";

impl From<PathError> for Rejection {
    fn from(error: PathError) -> Self {
        match error {
            PathError::UnknownOperation => Self::plain(
                Reason::UnknownOperation,
                "Tollgate serves the Amazon Bedrock runtime API: no operation of it has this method and path. Check the \
                 endpoint URL that your client is given.",
            ),
            PathError::NotCanonical(_) | PathError::Label(_) => {
                Self::plain(Reason::InvalidPath, format!("The request's path is refused: {error}."))
            }
        }
    }
}

impl From<IdentityError> for Rejection {
    fn from(error: IdentityError) -> Self {
        let reason = match &error {
            IdentityError::Missing => Reason::MissingCredentials,
            IdentityError::Several => Reason::AmbiguousCredentials,
            IdentityError::Expired { .. } => Reason::ExpiredKey,
            IdentityError::Signature(fault) => match fault {
                SignatureFault::Expired { .. } => Reason::ExpiredKey,
                SignatureFault::AccessKeyId(_) | SignatureFault::SessionToken | SignatureFault::ShortTerm(_) => {
                    Reason::UnknownKey
                }
                SignatureFault::Incomplete(_) => Reason::IncompleteSignature,
                SignatureFault::Algorithm
                | SignatureFault::Malformed(_)
                | SignatureFault::Payload
                | SignatureFault::Service(_)
                | SignatureFault::Region(_)
                | SignatureFault::Terminator
                | SignatureFault::Day { .. }
                | SignatureFault::NotSigned(_)
                | SignatureFault::TooOld { .. }
                | SignatureFault::TooNew { .. }
                | SignatureFault::ContentHash
                | SignatureFault::Mismatch => Reason::InvalidSignature,
            },
            IdentityError::Token(TokenFault::Expired { .. })
            | IdentityError::AwsLogin(LoginFault::Expired { .. })
            | IdentityError::Certificate(CertificateFault::Expired { .. }) => Reason::ExpiredToken,
            IdentityError::Token(TokenFault::Unavailable(_)) | IdentityError::AwsLogin(LoginFault::Unavailable(_)) => {
                Reason::IssuerUnavailable
            }
            IdentityError::Token(_)
            | IdentityError::AwsLogin(_)
            | IdentityError::Certificate(_)
            | IdentityError::NotTaken(_) => Reason::InvalidToken,
            IdentityError::TooManyFailures { .. } => Reason::TooManyFailures,
            IdentityError::PassedOn(_) => Reason::PassedOn,
            IdentityError::TooLong
            | IdentityError::Scheme
            | IdentityError::Malformed(_)
            | IdentityError::Unknown { .. }
            | IdentityError::WrongSecret { .. }
            | IdentityError::Revoked { .. }
            | IdentityError::NoSuchPrincipal { .. } => Reason::UnknownKey,
        };
        let rejection = Self::new(reason, error.caller_text(), error.log_text());
        if let IdentityError::TooManyFailures { retry_after } = error {
            return rejection.after(retry_after.as_secs().max(1));
        }
        rejection
    }
}

impl From<ResolveError> for Rejection {
    fn from(error: ResolveError) -> Self {
        let (text, log) = (error.caller_text(), error.log_text());
        match error {
            ResolveError::NotYours { .. } => Self::new(Reason::ProfileNotYours, format!("{NO_ACCESS} {text}"), log),
            ResolveError::Unmapped { .. } => Self::new(Reason::ModelUnmapped, format!("{NO_ACCESS} {text}"), log),
            ResolveError::RefusedKind { .. } => Self::new(Reason::ModelRefusedKind, format!("{NO_ACCESS} {text}"), log),
            ResolveError::Awaited { .. } => Self::new(Reason::ProfilePending, text, log),
            // With these words in it Claude Code shows a 404's own text, without them one of its own.
            ResolveError::NoSuchName { .. } => Self::new(Reason::NoSuchModel, format!("Unknown model id. {text}"), log),
        }
    }
}

impl From<VendError> for Rejection {
    fn from(error: VendError) -> Self {
        let (text, log) = (error.caller_text(), error.to_string());
        if error.is_passing() {
            return Self::new(Reason::ProfilePending, text, log);
        }
        Self::new(Reason::ModelUnmapped, format!("{NO_ACCESS} {text}"), log)
    }
}

impl From<QueryError> for Rejection {
    fn from(error: QueryError) -> Self {
        Self::plain(Reason::InvalidQuery, error.to_string())
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        let reason = if denied.is_of_region() {
            Reason::RegionDenied
        } else if denied.is_of_prompt() {
            Reason::ModelRefusedKind
        } else {
            Reason::PolicyDenied
        };
        Self::new(reason, format!("{NO_ACCESS} {}", denied.caller_text()), denied.log_text())
    }
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::plain(Reason::BodyTooLarge, format!("The request is refused: {error}.")),
            BodyError::Timeout => {
                Self::plain(Reason::BodyTimeout, "The request body did not arrive in time. Send it again.")
            }
            BodyError::Incomplete => Self::plain(Reason::BodyIncomplete, "The request body broke off. Send it again."),
        }
    }
}

impl From<GuardrailError> for Rejection {
    fn from(error: GuardrailError) -> Self {
        let reason = match &error {
            GuardrailError::Missing { .. } | GuardrailError::CannotCarry(_) => Reason::GuardrailMissing,
            GuardrailError::Different { .. } | GuardrailError::NotTheirs { .. } => Reason::GuardrailDifferent,
            GuardrailError::Asynchronous { .. } => Reason::GuardrailAsync,
            GuardrailError::Selective(_) => Reason::GuardrailSelective,
            GuardrailError::Body(JsonError { fault: Fault::DuplicateMember, .. }) => Reason::DuplicateKey,
            GuardrailError::RepeatedHeader(_) | GuardrailError::HeaderValue { .. } => Reason::InvalidHeader,
            GuardrailError::Body(_)
            | GuardrailError::WrongType { .. }
            | GuardrailError::Misspelt(_)
            | GuardrailError::Misplaced(_) => Reason::BodyNotJson,
            GuardrailError::Unspliceable(_) => Reason::Internal,
        };
        let text = error.to_string();
        Self::new(reason, format!("The request is refused: {text}."), text)
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Exhausted(_) => Self::plain(Reason::BudgetExhausted, sentence(&text)),
            Refused::PriceUnknown { .. } => Self::plain(Reason::PriceUnknown, sentence(&text)),
            Refused::Unavailable(StoreError(why)) => Self::new(Reason::StoreUnavailable, sentence(&text), why),
        }
    }
}

impl From<Limited> for Rejection {
    fn from(limited: Limited) -> Self {
        Self::plain(Reason::RateLimited, sentence(&limited.to_string())).after(limited.retry_after_s)
    }
}

impl From<UpstreamError> for Rejection {
    fn from(error: UpstreamError) -> Self {
        let log = error.to_string();
        if let UpstreamError::Untaggable(lacking) = &error {
            let text = format!(
                "{NO_ACCESS} Calls in AWS account {} are made in the name of who calls, and your {} is missing or cannot be used for \
                 that. Ask the operator of this gateway.",
                lacking.account,
                if lacking.part == "principal" { "name".to_owned() } else { format!("tag {}", lacking.part) },
            );
            return Self::new(Reason::SessionUntaggable, text, log);
        }
        let (reason, text) = match error {
            UpstreamError::Credentials(_) | UpstreamError::Untaggable(_) => (
                Reason::CredentialsUnavailable,
                "Tollgate has no AWS credentials at the moment. Ask whoever runs it to look at its log.",
            ),
            UpstreamError::Connect { .. } | UpstreamError::Timeout(Phase::Connect) => {
                (Reason::UpstreamConnect, "Tollgate cannot reach Bedrock at the moment.")
            }
            UpstreamError::Timeout(Phase::FirstByte | Phase::Idle) => (
                Reason::UpstreamTimeout,
                "Bedrock did not answer in time. The call may have been made and is counted at what was reserved for it.",
            ),
            UpstreamError::Reset(_) => (
                Reason::UpstreamReset,
                "The connection to Bedrock broke. The call may have been made and is counted at what was reserved for it.",
            ),
            UpstreamError::Overloaded(_) => (Reason::Overloaded, "Tollgate has too many calls open at the moment."),
            UpstreamError::Malformed(_) => {
                (Reason::InvalidHeader, "A header of the request cannot be signed: send plain text.")
            }
        };
        Self::new(reason, text, log)
    }
}

/// What the budget needs to know of a request that the guardrail stage has read.
pub(super) fn facts(guarded: &Guarded, sent: &HeaderMap) -> RequestFacts {
    let read = guarded.facts();
    let media = read.media();
    let attachments = if media.documents > 0 || media.referenced > 0 {
        Attachments::Unmeasurable
    } else if media.images > 0 {
        let base64_bytes = u64_of(read.body_bytes().saturating_sub(read.text_bytes()));
        Attachments::Images { count: u64::from(media.images), base64_bytes }
    } else {
        Attachments::None
    };
    let profile = guarded.permitted().target().profile();
    let prompt = profile.and_then(|profile| profile.prompt());
    // A prompt has its own limit, and AWS takes no other beside it.
    let max_tokens = match (prompt, profile) {
        (Some(prompt), _) => Some(prompt.output_tokens),
        (None, Some(profile)) => read.max_output_tokens(profile.base_model()),
        (None, None) => Some(0),
    };
    RequestFacts {
        body_bytes: u64_of(read.body_bytes()).saturating_mul(prompt.map_or(1, |prompt| prompt.variable_uses)),
        prompt_tokens: prompt.map_or(0, |prompt| prompt.input_tokens),
        max_tokens,
        attachments,
        cache: match read.cache_writes() {
            // A prompt may have its text cached without a word in the request, for the time that is AWS's default.
            CacheWrites::None if prompt.is_some() => CacheLifetime::FiveMinutes,
            CacheWrites::None => CacheLifetime::None,
            CacheWrites::FiveMinutes => CacheLifetime::FiveMinutes,
            CacheWrites::OneHour => CacheLifetime::OneHour,
        },
        tier: asked_tier(guarded.permitted().operation(), read.tier(), sent),
        pieces: Pieces {
            images_made: read.images_made(),
            images_read: u64::from(media.images).max(u64::from(media.referenced)),
            queries: read.queries(),
        },
    }
}

/// The tier that the body or the header asks for; `None`, the dearest, where it is one that is not known, or where the two
/// disagree: both go upstream, and which of them counts there is not for us to guess. Converse reads its body, so there a
/// header alone disagrees with the default.
fn asked_tier(operation: Operation, in_body: Option<ServiceTier>, sent: &HeaderMap) -> Option<ServiceTier> {
    let in_header = sent.get(SERVICE_TIER).map(|value| value.to_str().ok().and_then(ServiceTier::from_name));
    match (in_body, in_header) {
        (None, None) => Some(ServiceTier::Default),
        (Some(tier), None) => Some(tier),
        (None, Some(tier)) if operation.is_invoke() => tier,
        (in_body, Some(other)) => other.filter(|other| *other == in_body.unwrap_or_default()),
    }
}

/// How fast an answer is asked for, in the body or in the header.
pub(super) fn latency(guarded: &Guarded, sent: &HeaderMap) -> Latency {
    match sent.get(PERFORMANCE_LATENCY) {
        Some(value) if value != "standard" => Latency::Optimized,
        Some(_) | None => guarded.facts().latency(),
    }
}

/// The most images that an ApplyGuardrail body can hold: none, or AWS's limit for one call.
pub(super) fn images(guarded: &Guarded) -> u64 {
    // In segments a name could be cut; nothing is spliced into what this is for.
    guarded.body().as_one().map_or(MOST_IMAGES, |body| most_images(body))
}

/// AWS's limit of images in one ApplyGuardrail call.
const MOST_IMAGES: u64 = 20;

/// A name may be written with escapes (`"im\u0061ge"`), so a body that has any counts as one with images.
fn most_images(body: &[u8]) -> u64 {
    let may_hold_one = [&b"\"image\""[..], b"\\u"].into_iter().any(|sign| memmem::find(body, sign).is_some());
    if may_hold_one { MOST_IMAGES } else { 0 }
}

fn u64_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A text that begins in the middle of a line, as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    let end = if text.ends_with('.') { "" } else { "." };
    first.into_iter().chain(characters).collect::<String>() + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tiers_that_disagree_are_priced_as_the_dearest() {
        use ServiceTier::{Default, Flex, Priority};
        for (operation, in_body, in_header, asked) in [
            (Operation::Converse, None, None, Some(Default)),
            (Operation::Converse, Some(Flex), None, Some(Flex)),
            (Operation::Converse, Some(Flex), Some("flex"), Some(Flex)),
            (Operation::Converse, Some(Flex), Some("tomorrow's"), None),
            (Operation::Converse, Some(Default), Some("priority"), None),
            (Operation::Converse, None, Some("default"), Some(Default)),
            (Operation::Converse, None, Some("flex"), None),
            (Operation::InvokeModel, None, Some("flex"), Some(Flex)),
            (Operation::InvokeModel, None, Some("priority"), Some(Priority)),
            (Operation::InvokeModel, None, Some("tomorrow's"), None),
            (Operation::InvokeModel, Some(Priority), Some("flex"), None),
        ] {
            let sent = in_header.map(|tier| (SERVICE_TIER, tier.parse().unwrap()));
            let found = asked_tier(operation, in_body, &sent.into_iter().collect());
            assert_eq!(found, asked, "{operation}: {in_body:?} and {in_header:?}");
        }
    }

    #[test]
    fn an_image_under_an_escaped_name_is_an_image() {
        for (body, images) in [
            (&br#"{"content":[{"text":{"text":"no picture"}}]}"#[..], 0),
            (br#"{"content":[{"image":{}}]}"#, 20),
            (br#"{"content":[{"im\u0061ge":{}}]}"#, 20),
        ] {
            assert_eq!(most_images(body), images, "{}", String::from_utf8_lossy(body));
        }
    }
}
