//! The control plane: inference profiles, their tags and foundation models (Bedrock), tagged resources (Resource Groups
//! Tagging API), sessions (STS), and the quota of profiles (Service Quotas), each in its own protocol on the one listener.
//!
//! Which service is asked is told by the path, by `X-Amz-Target`, or by the form that STS takes. Members, limits and
//! statuses are those of AWS's own models (`service-2.json` of botocore); where a text of an error was never seen, it is
//! made up, and the type and status are AWS's.
//!
//! The order in which a request is judged: outage, signature, IAM, grammar, and then what there is.

mod assume;
mod form;
mod grammar;
mod models;
mod outages;
mod pages;
mod profiles;
mod quotas;
mod sts;
mod tagging;
mod tags;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

use super::account::{Ended, Received};
use super::callers::{Caller, MockRole};
use super::calls::Calls;
use super::catalog::Catalog;
use super::config::MockConfig;
use super::estate::Estate;
use super::refusal::Refusal;
use super::route::decoded;
use super::stream::AnswerBody;

pub use outages::{MockFailure, MockService};

use form::Form;
use outages::Outages;

/// What the control plane knows, besides whom to trust.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) estate: Arc<Estate>,
    pub(super) outages: Outages,
    catalog: Catalog,
    roles: Vec<Arc<MockRole>>,
    profile_quota: usize,
    page_size: usize,
}

/// The connection is to be cut without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is cut, as was asked for")]
pub(super) struct Cut;

/// An operation, and what the path says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    ListInferenceProfiles,
    GetInferenceProfile(String),
    CreateInferenceProfile,
    DeleteInferenceProfile(String),
    ListTagsForResource,
    TagResource,
    UntagResource,
    ListFoundationModels,
    GetFoundationModel(String),
    GetResources,
    GetServiceQuota,
    ListServiceQuotas,
    AssumeRole(Form),
    GetCallerIdentity,
    /// An operation that the service does not have, or that is not imitated.
    Unknown(MockService, String),
}

/// An answer that is no refusal.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    pub(super) const fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }
}

impl Control {
    pub(super) fn new(config: &MockConfig, estate: &Arc<Estate>) -> Self {
        let now = config.clock.now();
        for profile in &config.profiles {
            estate.add(profile.arn.id(), profile, now);
        }
        Self {
            estate: Arc::clone(estate),
            outages: Outages::default(),
            catalog: Catalog::new(config.profiles.iter().map(|profile| &profile.source)),
            roles: config.roles.iter().cloned().map(Arc::new).collect(),
            profile_quota: config.profile_quota,
            page_size: config.page_size.max(1),
        }
    }
}

impl Asked {
    /// What a request asks of the control plane; `None` where it is nothing of it.
    pub(super) fn parse(head: &Parts, body: &[u8]) -> Option<Self> {
        let segments: Vec<&str> = head.uri.path().strip_prefix('/')?.split('/').collect();
        match (&head.method, segments.as_slice()) {
            (&Method::GET, ["inference-profiles"]) => Some(Self::ListInferenceProfiles),
            (&Method::POST, ["inference-profiles"]) => Some(Self::CreateInferenceProfile),
            (&Method::GET, ["inference-profiles", name]) => decoded(name).map(Self::GetInferenceProfile),
            (&Method::DELETE, ["inference-profiles", name]) => decoded(name).map(Self::DeleteInferenceProfile),
            (&Method::POST, ["listTagsForResource"]) => Some(Self::ListTagsForResource),
            (&Method::POST, ["tagResource"]) => Some(Self::TagResource),
            (&Method::POST, ["untagResource"]) => Some(Self::UntagResource),
            (&Method::GET, ["foundation-models"]) => Some(Self::ListFoundationModels),
            (&Method::GET, ["foundation-models", name]) => decoded(name).map(Self::GetFoundationModel),
            (&Method::POST, [""]) => Some(Self::of_the_root(head, body)),
            _ => None,
        }
    }

    /// What a `POST /` asks, where the operation is told by a header or by a form.
    fn of_the_root(head: &Parts, body: &[u8]) -> Self {
        if let Some(target) = head.headers.get("x-amz-target") {
            let (service, name) = target.to_str().unwrap_or_default().split_once('.').unwrap_or_default();
            let service = match service {
                "ResourceGroupsTaggingAPI_20170126" => MockService::Tagging,
                "ServiceQuotasV20190624" => MockService::ServiceQuotas,
                _ => return Self::Unknown(MockService::Tagging, name.to_owned()),
            };
            return match (service, name) {
                (MockService::Tagging, "GetResources") => Self::GetResources,
                (MockService::ServiceQuotas, "GetServiceQuota") => Self::GetServiceQuota,
                (MockService::ServiceQuotas, "ListServiceQuotas") => Self::ListServiceQuotas,
                (service, name) => Self::Unknown(service, name.to_owned()),
            };
        }
        let form = Form::parse(body);
        match (form.value("Action"), form.value("Version")) {
            (Some("AssumeRole"), Some("2011-06-15")) => Self::AssumeRole(form),
            (Some("GetCallerIdentity"), Some("2011-06-15")) => Self::GetCallerIdentity,
            (action, version) => {
                let (action, version) = (action.unwrap_or("null"), version.unwrap_or("null"));
                let text = format!("Could not find operation {action} for version {version}");
                Self::Unknown(MockService::Sts, text)
            }
        }
    }

    const fn service(&self) -> MockService {
        match self {
            Self::ListInferenceProfiles
            | Self::GetInferenceProfile(_)
            | Self::CreateInferenceProfile
            | Self::DeleteInferenceProfile(_)
            | Self::ListTagsForResource
            | Self::TagResource
            | Self::UntagResource
            | Self::ListFoundationModels
            | Self::GetFoundationModel(_) => MockService::Bedrock,
            Self::GetResources => MockService::Tagging,
            Self::GetServiceQuota | Self::ListServiceQuotas => MockService::ServiceQuotas,
            Self::AssumeRole(_) | Self::GetCallerIdentity => MockService::Sts,
            Self::Unknown(service, _) => *service,
        }
    }

    /// AWS's name of the operation.
    const fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::ListInferenceProfiles => "ListInferenceProfiles",
            Self::GetInferenceProfile(_) => "GetInferenceProfile",
            Self::CreateInferenceProfile => "CreateInferenceProfile",
            Self::DeleteInferenceProfile(_) => "DeleteInferenceProfile",
            Self::ListTagsForResource => "ListTagsForResource",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::ListFoundationModels => "ListFoundationModels",
            Self::GetFoundationModel(_) => "GetFoundationModel",
            Self::GetResources => "GetResources",
            Self::GetServiceQuota => "GetServiceQuota",
            Self::ListServiceQuotas => "ListServiceQuotas",
            Self::AssumeRole(_) => "AssumeRole",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::Unknown(..) => return None,
        })
    }
}

impl Calls {
    /// Answers a request to the control plane, having written it down first.
    pub(super) fn answer_control(
        &self,
        asked: &Asked,
        head: &Parts,
        body: Bytes,
        mut record: Received,
    ) -> Result<Response<AnswerBody>, Cut> {
        let service = asked.service();
        record.operation = asked.name();
        let decided = match self.control.outages.next(service) {
            None => self.perform(asked, head, &body, &mut record),
            Some(MockFailure::Throttled) => Err(Refusal::throttled()),
            Some(MockFailure::Outage) => Err(Refusal::internal()),
            Some(MockFailure::Cut) => {
                record.ended = Ended::Fault;
                self.account.begin(record, body);
                return Err(Cut);
            }
        };
        record.error = decided.as_ref().err().map(|refusal| refusal.kind.to_owned());
        let form = match service {
            MockService::Bedrock => wire::Form::Rest,
            MockService::Tagging | MockService::ServiceQuotas => wire::Form::Json,
            MockService::Sts => wire::Form::query(&head.headers),
        };
        let said = wire::write(form, decided, asked.name().unwrap_or_default(), &record.request_id);
        record.status = said.status.as_u16();
        record.ended = Ended::Complete;
        record.sent_bytes = said.body.len() as u64;
        let mut response = Response::new(AnswerBody::plain(said.body));
        *response.status_mut() = said.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(said.content_type));
        for (name, value) in
            [("x-amzn-requestid", Some(&record.request_id)), ("x-amzn-errortype", said.error_type.as_ref())]
        {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        self.account.begin(record, body);
        Ok(response)
    }

    fn perform(&self, asked: &Asked, head: &Parts, body: &[u8], record: &mut Received) -> Result<Answer, Refusal> {
        let caller = &self.caller(asked.service().signing_name(), head, record)?;
        let query = head.uri.query().unwrap_or_default();
        match asked {
            Asked::ListInferenceProfiles => self.list_inference_profiles(caller, query),
            Asked::GetInferenceProfile(name) => {
                record.subject = Some(name.clone());
                self.get_inference_profile(caller, name)
            }
            Asked::CreateInferenceProfile => self.create_inference_profile(caller, body, record),
            Asked::DeleteInferenceProfile(name) => {
                record.subject = Some(name.clone());
                self.delete_inference_profile(caller, name)
            }
            Asked::ListTagsForResource => self.list_tags_for_resource(caller, body, record),
            Asked::TagResource => self.tag_resource(caller, body, record),
            Asked::UntagResource => self.untag_resource(caller, body, record),
            Asked::ListFoundationModels => self.list_foundation_models(caller, query),
            Asked::GetFoundationModel(name) => {
                record.subject = Some(name.clone());
                self.get_foundation_model(caller, name)
            }
            Asked::GetResources => self.get_resources(caller, body),
            Asked::GetServiceQuota => self.get_service_quota(caller, body),
            Asked::ListServiceQuotas => self.list_service_quotas(caller, body),
            Asked::AssumeRole(form) => self.assume_role(caller, form, record),
            Asked::GetCallerIdentity => Ok(identity_of(caller)),
            Asked::Unknown(MockService::Sts, text) => {
                Err(Refusal::fault(StatusCode::BAD_REQUEST, "InvalidAction", text))
            }
            Asked::Unknown(..) => Err(Refusal::unknown_operation()),
        }
    }
}

/// A time as AWS writes it where its models say ISO 8601.
fn wire_time(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Nobody needs a permission to be told who they are.
fn identity_of(caller: &Caller) -> Answer {
    Answer::ok(serde_json::json!({
        "Account": caller.place.account.as_str(),
        "Arn": caller.arn(),
        "UserId": caller.unique_id(),
    }))
}
