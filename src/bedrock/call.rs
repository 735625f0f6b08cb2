//! A call: one use of an operation, as its request line says it. Headers and body come later on the way.

use http::{Method, Uri};

use super::operation::{Operation, Treatment};
use super::path::{PathError, route};
use crate::types::ModelName;

/// What is asked: the operation and what it is asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    operation: Operation,
    subject: Subject,
    query: String,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A model, by whatever name the caller gave it.
    Model {
        /// The kind of name.
        name: ModelName,
        /// The name, decoded.
        text: String,
    },
    /// A guardrail, for `ApplyGuardrail`.
    Guardrail {
        /// Id or ARN.
        identifier: String,
        /// A number or `DRAFT`.
        version: String,
    },
    /// An inference profile, for `GetInferenceProfile`.
    Profile {
        /// The kind of name.
        name: ModelName,
        /// The name, decoded.
        text: String,
    },
    /// Nothing in particular.
    None,
}

impl Call {
    /// Reads method and path. `base_path` is the configured prefix without a trailing slash, empty where there is none.
    ///
    /// A query is understood by the control plane's GETs only; on any other operation it is refused, because it would
    /// have to be signed, and none of them has one. What a presigned request has in its query is its credential, and none of it.
    pub fn parse(method: &Method, uri: &Uri, base_path: &str) -> Result<Self, PathError> {
        let path = uri.path().strip_prefix(base_path).ok_or(PathError::UnknownOperation)?;
        let route = route(method, path)?;
        let query = without_signature(uri.query().unwrap_or_default());
        let takes_query = route.operation.treatment() == Treatment::Answered;
        if !query.is_empty() && !takes_query {
            return Err(PathError::NotCanonical("this operation takes no query string"));
        }
        let subject = match (route.operation, route.label, route.version) {
            (Operation::ApplyGuardrail, Some(identifier), Some(version)) => {
                Subject::Guardrail { identifier: identifier.into_owned(), version: version.into_owned() }
            }
            (Operation::GetInferenceProfile, Some(label), _) => {
                Subject::Profile { name: ModelName::classify(&label), text: label.into_owned() }
            }
            (_, Some(label), _) => Subject::Model { name: ModelName::classify(&label), text: label.into_owned() },
            (_, None, _) => Subject::None,
        };
        Ok(Self { operation: route.operation, subject, query })
    }

    /// The operation.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// What it is asked of.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The raw query string, empty where there is none.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The name in the path as the caller wrote it, decoded; empty where the operation has none.
    pub fn requested(&self) -> &str {
        match &self.subject {
            Subject::Model { text, .. } | Subject::Profile { text, .. } => text,
            Subject::Guardrail { identifier, .. } => identifier,
            Subject::None => "",
        }
    }
}

/// A query without the parameters of a presigned request.
fn without_signature(query: &str) -> String {
    let own = query.split('&').filter(|parameter| !parameter.is_empty());
    let own = own.filter(|parameter| parameter.get(..6).is_none_or(|start| !start.eq_ignore_ascii_case("X-Amz-")));
    own.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, uri: &str, base: &str) -> Result<Call, PathError> {
        Call::parse(method, &uri.parse().unwrap(), base)
    }

    #[test]
    fn a_base_path_is_taken_off_and_must_be_there() {
        let call = parse(&Method::POST, "http://h/bedrock/model/a.b/invoke", "/bedrock").unwrap();
        assert_eq!((call.operation(), call.requested()), (Operation::InvokeModel, "a.b"));
        assert_eq!(parse(&Method::POST, "/model/a.b/invoke", "/bedrock"), Err(PathError::UnknownOperation));
        assert_eq!(parse(&Method::POST, "/bedrockmodel/a.b/invoke", "/bedrock"), Err(PathError::UnknownOperation));
    }

    #[test]
    fn only_the_control_plane_takes_a_query() {
        let listed = parse(&Method::GET, "/inference-profiles?type=APPLICATION&maxResults=5", "").unwrap();
        assert_eq!(listed.query(), "type=APPLICATION&maxResults=5");
        let models = parse(&Method::GET, "/foundation-models?byProvider=Mistral%20AI", "").unwrap();
        assert_eq!(models.query(), "byProvider=Mistral%20AI");
        assert!(matches!(parse(&Method::POST, "/model/a.b/invoke?x=1", ""), Err(PathError::NotCanonical(_))));
    }

    #[test]
    fn a_guardrail_call_names_guardrail_and_version() {
        let call = parse(&Method::POST, "/guardrail/abc123/version/2/apply", "").unwrap();
        assert_eq!(call.subject(), &Subject::Guardrail { identifier: "abc123".to_owned(), version: "2".to_owned() });
    }
}
