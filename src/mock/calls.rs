//! A call's way through the look-alike: route, signature, IAM, body, directives, cost, answer.

use std::sync::Arc;
use std::time::Duration;

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
use super::answer::guardrail::{self, Action, Guard};
use super::answer::{Counts, Family, Reply, Stop};
use super::config::{MockConfig, Pacing};
use super::faults::{Directives, Fault, Intervention, Queue};
use super::iam::{Iam, Permit};
use super::prompt::{self, Ask};
use super::refusal::Refusal;
use super::route::{Route, Subject};
use super::stream::{self, AnswerBody, Content, Kept, Plan};
use super::tokens::{Prompt, PromptCache};
use super::verify::Verifier;
use crate::bedrock::Operation;
use crate::types::{Clock, ServiceTier, TokenUsage};

/// Bedrock's limit for a request.
const MAX_BODY_BYTES: usize = 25_000_000;

/// Everything that calls share.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) account: Arc<Account>,
    pub(super) queue: Queue,
    verifier: Verifier,
    iam: Iam,
    cache: PromptCache,
    kept: Kept<StreamKey>,
    pacing: Pacing,
    reply_tokens: u64,
    clock: Arc<dyn Clock>,
}

/// All that a stream's messages after its opening depend on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StreamKey {
    operation: Operation,
    family: Family,
    model: String,
    chat: bool,
    usage: [u64; 5],
    stop: Stop,
    tier: Option<ServiceTier>,
}

/// An answer that is no refusal.
struct Granted {
    content: Content,
    content_type: &'static str,
    headers: Vec<(&'static str, HeaderValue)>,
    directives: Directives,
}

/// A model call that was let through.
struct Turn<'a> {
    operation: Operation,
    permit: Permit,
    family: Family,
    request: &'a Value,
    ask: Ask,
    directives: Directives,
}

impl Calls {
    pub(super) fn new(config: MockConfig) -> Self {
        let mut regions = vec![config.region.clone()];
        regions.extend(config.other_regions.iter().cloned());
        Self {
            account: Arc::new(Account::new(config.kept_requests)),
            queue: Queue::default(),
            iam: Iam::new(&config),
            verifier: Verifier { regions, credentials: config.credentials, skew: config.skew },
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
        self.cache.clear();
    }

    /// Answers a request, having written it down first.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let collected = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let (body, whole) = match collected {
            Ok(body) => (body.to_bytes(), Ok(())),
            Err(error) if error.is::<LengthLimitError>() => (Bytes::new(), Err(Refusal::too_large())),
            Err(_) => (Bytes::new(), Err(Refusal::validation("The request body ended early."))),
        };
        if head.uri.path().starts_with(admin::PREFIX) {
            return admin::answer(self, &head.method, head.uri.path(), &body);
        }
        let mut record = record(&head, &body);
        let granted = whole.and_then(|()| self.decide(&head, &body, &mut record));
        match granted {
            Ok(granted) => self.respond(granted, record, body).await,
            Err(refusal) => self.refuse(&refusal, record, body),
        }
    }

    async fn respond(&self, granted: Granted, mut record: Received, body: Bytes) -> Response<AnswerBody> {
        let Granted { content, content_type, headers, directives } = granted;
        record.status = StatusCode::OK.as_u16();
        if !record.directives.as_deref().unwrap_or_default().contains("no-counts")
            && headers.iter().any(|(name, _)| *name == "x-amzn-bedrock-input-token-count")
        {
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
        let caller = &self.verifier.verify(head, &record.body_sha256, self.clock.now())?.access_key_id;
        record.principal = Some(caller.clone());
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
                let request = &parsed?;
                let family = Family::of(&permit.model).ok_or_else(Refusal::invalid_model)?;
                prompt::check(operation, family, request)?;
                let ask = Ask::read(operation, &head.headers, request)?;
                let directives = self.directives(body, record)?;
                self.generate(Turn { operation, permit, family, request, ask, directives }, record)
            }
        }
    }

    /// The queued directives, or those of the prompt.
    fn directives(&self, body: &[u8], record: &mut Received) -> Result<Directives, Refusal> {
        let found = self.queue.next().map_or_else(|| Directives::find(body), Ok);
        let directives = found.map_err(|error| Refusal::validation(&error.to_string()))?;
        record.directives = (!directives.text.is_empty()).then(|| directives.text.clone());
        directives.refusal().map_or(Ok(directives), Err)
    }

    fn count(&self, request: &Value, record: &mut Received) -> Result<Granted, Refusal> {
        let counted = prompt::counted(request)?;
        let directives = self.directives(counted.to_string().as_bytes(), record)?;
        let body = format!(r#"{{"inputTokens":{}}}"#, Prompt::measure(&counted).tokens());
        Ok(whole(body, Vec::new(), directives))
    }

    fn apply_guardrail(&self, request: &Value, body: &[u8], record: &mut Received) -> Result<Granted, Refusal> {
        let directives = self.directives(body, record)?;
        let action = match directives.guardrail {
            None => Action::None,
            Some(Intervention::Input) => Action::Blocked,
            Some(Intervention::Output) => Action::Masked,
        };
        let (answer, units) = guardrail::applied(request, action);
        record.guardrail_units = units;
        record.billed_to.clone_from(&record.subject);
        record.billable = Billable::GuardrailOnly;
        Ok(whole(answer, Vec::new(), directives))
    }

    fn generate(&self, turn: Turn<'_>, record: &mut Received) -> Result<Granted, Refusal> {
        let Turn { operation, permit, family, request, ask, directives } = turn;
        if let (Some(Fault::Exception(modelled)), false) = (&directives.fault, operation.streams()) {
            return Err(modelled.refusal());
        }
        let guard = self.guard(&ask, &directives)?;
        let blocked = guard.as_ref().is_some_and(|guard| guard.action == Action::Blocked);
        let wanted = directives.reply_tokens.unwrap_or(self.reply_tokens);
        let model = permit.model.as_str();
        let (usage, stop) =
            if blocked { (TokenUsage::default(), Stop::EndTurn) } else { self.cost(family, model, &ask, wanted) };
        let interval = directives.drip.unwrap_or(self.pacing.chunk_interval);
        let tokens_per_chunk = u64::from(self.pacing.tokens_per_chunk.get());
        let pauses = u32::try_from(usage.output / tokens_per_chunk).unwrap_or(u32::MAX);
        let first_byte = directives.delay.unwrap_or(self.pacing.first_byte);
        let reply = Reply {
            operation,
            family,
            model,
            request,
            request_id: &record.request_id,
            usage: if blocked && operation.is_invoke() { CANNED } else { usage },
            stop,
            counts: if directives.fault == Some(Fault::NoCounts) { Counts::Withheld } else { Counts::Told },
            tier: ask.tier,
            guard,
            tokens_per_chunk,
            latency_ms: milliseconds(first_byte.saturating_add(interval.saturating_mul(pauses))),
            first_byte_ms: milliseconds(first_byte),
        };
        record.guardrail_units = reply.guard.as_ref().map_or_else(Default::default, |guard| {
            guard.units(if blocked { 0 } else { reply.unguarded_text().len() as u64 })
        });
        let granted = self.render(&reply, directives);
        record.billable = match (&granted.directives.fault, blocked) {
            (Some(_), false) => Billable::Fault,
            (_, true) => Billable::GuardrailOnly,
            (None, false) => Billable::Complete,
        };
        record.usage = usage.into();
        record.tier = ask.tier.map(ServiceTier::as_str);
        record.billed_to = Some(permit.billed_to);
        Ok(granted)
    }

    fn guard(&self, ask: &Ask, directives: &Directives) -> Result<Option<Guard>, Refusal> {
        let action = match directives.guardrail {
            None => Action::None,
            Some(Intervention::Input) => Action::Blocked,
            Some(Intervention::Output) => Action::Masked,
        };
        let Some(seen) = ask.guardrail.clone() else {
            if action == Action::None {
                return Ok(None);
            }
            return Err(Refusal::validation("[[mock:guardrail-intervened]]: the call carries no guardrail"));
        };
        let arn = match seen.identifier.strip_prefix("arn:") {
            Some(_) => seen.identifier.clone(),
            None => self.iam.guardrail_arn(&seen.identifier),
        };
        Ok(Some(Guard { arn, action, trace: seen.trace, input_bytes: ask.prompt.bytes, seen }))
    }

    fn cost(&self, family: Family, model: &str, ask: &Ask, wanted: u64) -> (TokenUsage, Stop) {
        let mut usage = if family.caches(model) {
            self.cache.split(model, &ask.prompt)
        } else {
            TokenUsage { input: ask.prompt.tokens(), ..TokenUsage::default() }
        };
        if family.embeds() {
            return (usage, Stop::EndTurn);
        }
        let most = ask.max_tokens.unwrap_or(u64::MAX).max(1);
        usage.output = wanted.min(most);
        (usage, if wanted > most { Stop::MaxTokens } else { Stop::EndTurn })
    }

    fn render(&self, reply: &Reply<'_>, directives: Directives) -> Granted {
        let mut headers: Vec<(&'static str, HeaderValue)> =
            reply.count_headers().into_iter().map(|(name, count)| (name, HeaderValue::from(count))).collect();
        if let (Some(tier), true) = (reply.tier, reply.operation.is_invoke()) {
            headers.push(("x-amzn-bedrock-service-tier", HeaderValue::from_static(tier.as_str())));
        }
        if !reply.operation.streams() {
            return whole(reply.body(), headers, directives);
        }
        if reply.operation.is_invoke() {
            headers.push(("x-amzn-bedrock-content-type", HeaderValue::from_static("application/json")));
        }
        let plain = reply.guard.is_none() && reply.counts == Counts::Told && directives == Directives::default();
        let usage = reply.usage;
        let key = plain.then(|| StreamKey {
            operation: reply.operation,
            family: reply.family,
            model: reply.model.to_owned(),
            chat: reply.request.get("messages").is_some(),
            usage: [usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h],
            stop: reply.stop,
            tier: reply.tier,
        });
        let rest = self.kept.render(key, || reply.events());
        let opening = reply.opening().map(|event| stream::message(&event));
        let content = Content::Messages { opening, rest };
        Granted { content, content_type: "application/vnd.amazon.eventstream", headers, directives }
    }
}

/// What InvokeModel tells of an input that was blocked: the counts of the canned text, which nobody is billed for.
const CANNED: TokenUsage = TokenUsage { input: 6, output: 3, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };

fn whole(body: String, headers: Vec<(&'static str, HeaderValue)>, directives: Directives) -> Granted {
    Granted { content: Content::Whole(body.into()), content_type: "application/json", headers, directives }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
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
