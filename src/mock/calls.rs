//! A call's way through the look-alike: route, signature, IAM, body, directives, cost, answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::account::{Account, Billable, Ended, Received};
use super::admin;
use super::answer::Family;
use super::callers::{Caller, Sessions};
use super::config::{MockConfig, Pacing};
use super::control::{Asked, Control, Cut};
use super::estate::Estate;
use super::faults::{Directives, Queue};
use super::generate::{StreamKey, Turn};
use super::iam::Iam;
use super::place::Place;
use super::prompt::{self, Ask};
use super::refusal::Refusal;
use super::route::{Route, Subject};
use super::stream::{AnswerBody, Content, Kept, Plan};
use super::tokens::PromptCache;
use super::verify::Verifier;
use crate::bedrock::Operation;
use crate::types::{AccountId, Clock, TokenUsage};

/// Bedrock's limit for a request.
const MAX_BODY_BYTES: usize = 25_000_000;

/// Everything that calls share.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) account: Arc<Account>,
    pub(super) queue: Queue,
    pub(super) verifier: Verifier,
    pub(super) iam: Iam,
    pub(super) control: Control,
    home: AccountId,
    pub(super) cache: PromptCache,
    pub(super) kept: Kept<StreamKey>,
    pub(super) pacing: Pacing,
    pub(super) reply_tokens: u64,
    clock: Arc<dyn Clock>,
}

/// An answer that is no refusal.
pub(super) struct Granted {
    pub(super) content: Content,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, HeaderValue)>,
    pub(super) directives: Directives,
}

impl Calls {
    pub(super) fn new(config: MockConfig) -> Self {
        let mut regions = vec![config.region.clone()];
        regions.extend(config.other_regions.iter().cloned());
        let estate = Arc::new(Estate::default());
        Self {
            account: Arc::new(Account::new(config.kept_requests)),
            queue: Queue::default(),
            iam: Iam::new(&config, &estate),
            control: Control::new(&config, &estate),
            verifier: Verifier {
                regions,
                credentials: config.credentials,
                sessions: Sessions::default(),
                skew: config.skew,
            },
            home: config.account,
            cache: PromptCache::default(),
            kept: Kept::new(),
            pacing: config.pacing,
            reply_tokens: u64::from(config.reply_tokens).max(1),
            clock: config.clock,
        }
    }

    pub(super) fn reset(&self) {
        self.account.reset();
        self.queue.clear();
        self.control.outages.clear();
        self.cache.clear();
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Answers a request, having written it down first.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Cut> {
        let (head, body) = request.into_parts();
        let collected = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let (body, whole) = match collected {
            Ok(body) => (body.to_bytes(), Ok(())),
            Err(error) if error.is::<LengthLimitError>() => (Bytes::new(), Err(Refusal::too_large())),
            Err(_) => (Bytes::new(), Err(Refusal::validation("The request body ended early."))),
        };
        if head.uri.path().starts_with(admin::PREFIX) {
            return Ok(admin::answer(self, &head.method, head.uri.path(), &body));
        }
        let mut record = record(&head, &body);
        if let (Ok(()), Some(asked)) = (&whole, Asked::parse(&head, &body)) {
            return self.answer_control(&asked, &head, body, record);
        }
        let granted = whole.and_then(|()| self.decide(&head, &body, &mut record));
        Ok(match granted {
            Ok(granted) => self.respond(granted, record, body).await,
            Err(refusal) => self.refuse(&refusal, record, body),
        })
    }

    /// Who signed a request to a service, and where to; the record is told.
    pub(super) fn caller(&self, service: &str, head: &Parts, record: &mut Received) -> Result<Caller, Refusal> {
        let signer = self.verifier.verify(service, head, &record.body_sha256, self.now())?;
        let account = signer.session.as_ref().map_or(&self.home, |session| &session.account).clone();
        record.principal = Some(signer.access_key_id.clone());
        record.account = Some(account.to_string());
        record.region = Some(signer.region.to_string());
        record.session = signer.session.as_ref().map(|session| session.seen());
        let place = Place { account, region: signer.region };
        Ok(Caller { access_key_id: signer.access_key_id, place, session: signer.session })
    }

    async fn respond(&self, granted: Granted, mut record: Received, body: Bytes) -> Response<AnswerBody> {
        let Granted { content, content_type, headers, directives } = granted;
        record.status = StatusCode::OK.as_u16();
        if headers.iter().any(|(name, _)| *name == "x-amzn-bedrock-input-token-count") {
            record.told = Some(record.usage);
        }
        let request_id = record.request_id.clone();
        let plan: Plan = content.planned(&directives, self.pacing.chunk_interval);
        let id = self.account.begin(record, body);
        // From here on the body tells the account how it ended, even when the client leaves during the delay.
        let answer = AnswerBody::witnessed(plan, Arc::clone(&self.account), id);
        let delay = directives.delay.unwrap_or(self.pacing.first_byte);
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        let mut response = response(StatusCode::OK, content_type, &request_id, answer);
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn refuse(&self, refusal: &Refusal, mut record: Received, body: Bytes) -> Response<AnswerBody> {
        record.status = refusal.status.as_u16();
        record.error = Some(refusal.kind.to_owned());
        record.ended = Ended::Complete;
        record.sent_bytes = refusal.body.len() as u64;
        let answer = AnswerBody::plain(refusal.body.clone());
        let mut response = response(refusal.status, "application/json", &record.request_id, answer);
        if let Ok(value) = HeaderValue::try_from(refusal.error_type()) {
            response.headers_mut().insert("x-amzn-errortype", value);
        }
        self.account.begin(record, body);
        response
    }

    /// What the answer is, in the order in which AWS asks: is it an operation, who asks, may they, is it well-formed.
    fn decide(&self, head: &Parts, body: &Bytes, record: &mut Received) -> Result<Granted, Refusal> {
        let route = Route::parse(&head.method, head.uri.path()).ok_or_else(Refusal::unknown_operation)?;
        let operation = route.operation;
        record.operation = Some(operation.name());
        record.subject = Some(match &route.subject {
            Subject::Model(name) => name.clone(),
            Subject::Guardrail { identifier, version } => format!("{identifier}:{version}"),
        });
        let caller = &self.caller("bedrock", head, record)?;
        match &route.subject {
            Subject::Guardrail { identifier, version } => {
                self.iam.permit_guardrail(identifier, version, caller)?;
                let request = prompt::parse(operation, body)?;
                self.apply_guardrail(&request, body, record)
            }
            Subject::Model(name) if operation == Operation::CountTokens => {
                self.iam.permit(operation, name, caller)?;
                self.count(&prompt::parse(operation, body)?, record)
            }
            Subject::Model(name) => {
                let permit = self.iam.permit(operation, name, caller)?;
                let parsed = prompt::parse(operation, body);
                let nothing = Value::Null;
                let seen = prompt::guardrail_of(operation, &head.headers, parsed.as_ref().unwrap_or(&nothing))?;
                self.iam.demand_guardrail(operation, &permit, seen.as_ref(), caller)?;
                record.guardrail = seen;
                let request = match &permit.prompt {
                    Some(prompt) => &prompt.render(&parsed?)?,
                    None => &parsed?,
                };
                let family = Family::of(&permit.model).ok_or_else(Refusal::invalid_model)?;
                prompt::check(operation, family, request)?;
                let ask = Ask::read(operation, &head.headers, request)?;
                let directives = self.directives(body, record)?;
                self.generate(Turn { operation, permit, family, request, ask, directives }, record)
            }
        }
    }

    /// The queued directives, or those of the prompt.
    pub(super) fn directives(&self, body: &[u8], record: &mut Received) -> Result<Directives, Refusal> {
        let found = self.queue.next().map_or_else(|| Directives::find(body), Ok);
        let directives = found.map_err(|error| Refusal::validation(&error.to_string()))?;
        record.directives = (!directives.text.is_empty()).then(|| directives.text.clone());
        directives.refusal().map_or(Ok(directives), Err)
    }
}

fn response(status: StatusCode, content_type: &'static str, id: &str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// What is known of a request before anything is decided.
fn record(head: &Parts, body: &Bytes) -> Received {
    let shown = |name: &header::HeaderName, value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = match text.split_once("Signature=") {
            Some((before, _)) if *name == header::AUTHORIZATION => format!("{before}Signature=…"),
            _ if *name == header::AUTHORIZATION => "…".to_owned(),
            _ => text.into_owned(),
        };
        (name.as_str().to_owned(), text)
    };
    Received {
        id: 0,
        request_id: Uuid::new_v4().to_string(),
        operation: None,
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        version: format!("{:?}", head.version),
        subject: None,
        headers: head.headers.iter().map(|(name, value)| shown(name, value)).collect(),
        body_sha256: hex::encode(Sha256::digest(body)),
        body_bytes: body.len(),
        principal: None,
        account: None,
        region: None,
        session: None,
        status: 0,
        error: None,
        guardrail: None,
        directives: None,
        tier: None,
        billed_to: None,
        usage: TokenUsage::default().into(),
        guardrail_units: super::UnitsView::default(),
        billable: Billable::Nothing,
        told: None,
        ended: Ended::Open,
        sent_bytes: 0,
    }
}
