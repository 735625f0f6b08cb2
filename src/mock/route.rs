//! Which operation a method and a path ask for. Only the canonical form is known: SDKs send the model id as one path
//! segment, with `:` raw or encoded and `/` encoded; a raw slash inside the id makes the path nobody's.

use http::Method;

use crate::bedrock::Operation;

/// An operation and what it is asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) subject: Subject,
}

/// What the path names, percent-decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Model(String),
    Guardrail { identifier: String, version: String },
}

impl Route {
    /// Reads a path as it was received; `None` where it is no operation's.
    pub(super) fn parse(method: &Method, path: &str) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match *segments.as_slice() {
            ["model", model, action] => {
                let operation = match action {
                    "invoke" => Operation::InvokeModel,
                    "invoke-with-response-stream" => Operation::InvokeModelWithResponseStream,
                    "converse" => Operation::Converse,
                    "converse-stream" => Operation::ConverseStream,
                    "count-tokens" => Operation::CountTokens,
                    _ => return None,
                };
                Some(Self { operation, subject: Subject::Model(decoded(model)?) })
            }
            ["guardrail", identifier, "version", version, "apply"] => {
                let subject = Subject::Guardrail { identifier: decoded(identifier)?, version: decoded(version)? };
                Some(Self { operation: Operation::ApplyGuardrail, subject })
            }
            _ => None,
        }
    }
}

/// Percent-decodes once; what is left encoded after that is a character the id may not have, and is refused as such.
pub(super) fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            let mut plain = [0];
            hex::decode_to_slice(pair, &mut plain).ok()?;
            bytes.extend(plain);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_and_raw_ids_are_the_same_id() {
        let id = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1";
        for path in [
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1/converse",
            "/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fa1/converse",
        ] {
            let route = Route::parse(&Method::POST, path).unwrap();
            assert_eq!(route, Route { operation: Operation::Converse, subject: Subject::Model(id.to_owned()) });
        }
    }

    #[test]
    fn what_is_no_operation_has_no_route() {
        for path in ["/", "/model/x", "/model//invoke", "/model/a/b/invoke", "/model/x/invoke/", "/model/%zz/invoke"] {
            assert_eq!(Route::parse(&Method::POST, path), None, "{path}");
        }
        assert_eq!(Route::parse(&Method::GET, "/model/x/invoke"), None);
    }
}
