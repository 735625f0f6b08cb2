//! Header names, and which headers cross the gateway.
//!
//! Requests: an allow-list. Whatever is not on it is consumed here: credentials (`authorization`, `x-api-key`, `cookie`),
//! everything of SigV4's (`x-amz-*`), the guardrail headers (the guardrail stage writes its own), `x-tollgate-*`, and
//! hop-by-hop headers. Responses: everything but hop-by-hop headers (RFC 9110 section 7.6.1).

use http::header::{self, HeaderMap, HeaderName};

/// `X-Amzn-Bedrock-Service-Tier`
pub const SERVICE_TIER: HeaderName = HeaderName::from_static("x-amzn-bedrock-service-tier");
/// `X-Amzn-Bedrock-PerformanceConfig-Latency`
pub const PERFORMANCE_LATENCY: HeaderName = HeaderName::from_static("x-amzn-bedrock-performanceconfig-latency");
/// `x-amzn-RequestId`
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// `x-amzn-ErrorType`
pub const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// `x-should-retry`: the anthropic SDKs and Claude Code obey it.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// `x-tollgate-reason`: the machine-readable code of a refusal.
pub const TOLLGATE_REASON: HeaderName = HeaderName::from_static("x-tollgate-reason");
/// `x-tollgate-budget-remaining`: dollars left in the tightest budget, before this call is settled.
pub const TOLLGATE_BUDGET_REMAINING: HeaderName = HeaderName::from_static("x-tollgate-budget-remaining");

/// The headers that go upstream as the caller sent them. The guardrail headers are not among them: their stage writes them.
pub static FORWARDED: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    header::USER_AGENT,
    HeaderName::from_static("x-amzn-bedrock-accept"),
    PERFORMANCE_LATENCY,
    SERVICE_TIER,
    HeaderName::from_static("x-amzn-bedrock-request-metadata"),
    HeaderName::from_static("anthropic-beta"),
];

/// Of the forwarded headers, those whose second value would be a second meaning: they may occur once.
pub static SINGLE: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    SERVICE_TIER,
    HeaderName::from_static("x-amzn-bedrock-accept"),
    PERFORMANCE_LATENCY,
    HeaderName::from_static("x-amzn-bedrock-request-metadata"),
];

/// Takes the hop-by-hop headers out of a response: the fixed ones and those that `Connection` names. A length that stands
/// beside a transfer coding was overruled by it (RFC 9112 section 6.3) and goes too, or it would cut the answer.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    while let Some(name) = headers.keys().find(|name| HOP_BY_HOP.contains(name)).cloned() {
        headers.remove(name);
    }
}

static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Private"), ("x-private", "1"), ("keep-alive", "9"), ("date", "today")]
        {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["date"]);
    }

    #[test]
    fn a_length_stays_only_where_it_frames_the_answer() {
        let framed = |headers: &[(&'static str, &'static str)]| {
            let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let mut headers: HeaderMap = pairs.collect();
            remove_hop_by_hop(&mut headers);
            headers.contains_key(header::CONTENT_LENGTH)
        };
        assert!(framed(&[("content-length", "5")]));
        assert!(!framed(&[("content-length", "5"), ("transfer-encoding", "chunked")]));
    }

    /// A name that occurs twice would have to be signed as one line.
    #[test]
    fn every_forwarded_header_that_is_signed_may_occur_once() {
        for name in FORWARDED.iter().filter(|name| *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz"))
        {
            assert!(SINGLE.contains(name), "{name}");
        }
    }

    #[test]
    fn no_credential_and_no_guardrail_is_forwarded_as_it_came() {
        for name in &FORWARDED {
            let name = name.as_str();
            assert!(!name.starts_with("x-amz-") && !name.starts_with("x-tollgate-") && !name.contains("guardrail"));
            assert!(!["authorization", "x-api-key", "cookie", "host", "x-amzn-bedrock-trace"].contains(&name));
        }
    }
}
