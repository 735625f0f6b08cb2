//! Floor 10: the request's way. Start reading at `Gateway::way`.
//!
//! Every step is a plain function of a stage, and each stage is the only maker of the value that the next one demands, so a
//! path to Bedrock that skips the guardrail or the budget does not compile. Up to the signature a request can be refused and
//! nothing has happened; from then on it is a `Persistent` future, because Bedrock bills what it was sent, whoever still
//! listens.

mod body;
mod drains;
mod exchange;
mod find;
mod flow;
mod forward;
mod from;
mod persist;
mod read_body;
mod rejection;
mod unproved;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body as HttpBody;
use uuid::Uuid;

pub use body::Body;
pub use drains::{Drains, OnDisconnect};
pub use flow::MeteredBody;
pub use read_body::BodyLimits;
pub use rejection::Rejection;
pub use unproved::Unproved;

use crate::bedrock::headers::{REQUEST_ID, SINGLE};
use crate::bedrock::{Call, Latency, Operation, Subject};
use crate::budget::{Estimate, Item, Ledger, Reservation, Reserve};
use crate::guardrail::{Guarded, Guardrails};
use crate::identity::{Authentication, Identity, Origin, Principal, Shown};
use crate::limits::{Admitted, Limits};
use crate::policy::Policies;
use crate::profiles::price::PriceTable;
use crate::profiles::vending::Vending;
use crate::profiles::{LiveDirectory, Profile, ResolveError, Target, look_alike};
use crate::sigv4::Payload;
use crate::telemetry::{Client, Conclusion, Metrics, ModelLabel, ProfileLabel, Record, RefusalReason};
use crate::types::ModelName;
use crate::upstream::{Pool, RequestSigner, Signed};
use exchange::Tariff;
use persist::Persistent;
use read_body::{discard, read_body};

/// The gateway: every stage, in the order of the way.
#[derive(Debug)]
pub struct Gateway {
    /// The path below which Bedrock's API is served, without a trailing slash.
    pub base_path: String,
    /// Who is asking.
    pub identity: Identity,
    /// Through which profile.
    pub directory: Arc<LiveDirectory>,
    /// Through which new one, where there is none yet.
    pub vending: Arc<Vending>,
    /// Whether at all.
    pub policies: Policies,
    /// How much of a body is read.
    pub body_limits: BodyLimits,
    /// How much of it may be held before it is known whose it is.
    pub unproved: Unproved,
    /// With which guardrail.
    pub guardrails: Guardrails,
    /// What it can cost.
    pub prices: Arc<PriceTable>,
    /// Whether there is room for it now.
    pub limits: Limits,
    /// Whether there is money for it.
    pub ledger: Ledger,
    /// Under which signature.
    pub signer: RequestSigner,
    /// Over which connection.
    pub pool: Arc<Pool>,
    /// Reading on for those who left.
    pub drains: Drains,
    /// Counting.
    pub metrics: Arc<Metrics>,
}

/// Where the way has led.
enum Passage {
    /// To an answer of our own.
    Answered(Bytes),
    /// To a request for Bedrock, paid for and signed.
    Signed(Box<Begun>),
}

/// A call that is about to be sent.
struct Begun {
    operation: Operation,
    signed: Signed,
    /// Through a profile that Bedrock may not know everywhere yet.
    fresh: Option<Arc<Profile>>,
    admitted: Admitted,
    reservation: Reservation,
    tariff: Tariff,
}

impl Gateway {
    /// Answers a request, whatever it is.
    pub async fn handle<B>(self: Arc<Self>, request: Request<B>, origin: &Origin) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let (head, mut body) = request.into_parts();
        let request_id: Arc<str> = Arc::from(&*Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        let mut record = Record::begin(Arc::clone(&self.metrics), request_id, client(&head));
        match self.way(&head, origin, &mut body, &mut record).await {
            Ok(Passage::Signed(begun)) => {
                let tasks = self.drains.tasks().clone();
                Persistent::new(&tasks, self.forward(begun, record)).await
            }
            Ok(Passage::Answered(json)) => answered(json, record),
            Err(rejection) => {
                if !head.headers.contains_key(EXPECT) {
                    discard(body, self.body_limits).await;
                }
                rejected(&rejection, record)
            }
        }
    }

    /// The request's way, up to the signature.
    async fn way<B>(
        &self,
        head: &Parts,
        origin: &Origin,
        body: &mut B,
        record: &mut Record,
    ) -> Result<Passage, Rejection>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let call = Call::parse(&head.method, &head.uri, &self.base_path)?;
        record.asks(call.operation(), Some(call.requested()).filter(|name| !name.is_empty()));
        let (principal, hashed) = self.authenticate(&Shown::of(head, origin), body, record).await?;
        record.is_from(&principal);
        if call.operation().forwarded().is_none() {
            return self.answer(&principal, &call).map(Passage::Answered);
        }
        unambiguous(&head.headers)?;
        let target = self.resolve(&principal, &call).await?;
        if let Some(profile) = target.profile() {
            record.goes_through(
                ProfileLabel::configured(profile.shared_name()),
                ModelLabel::of_profile(profile.source()),
            );
        }
        let permitted = self.policies.authorize(Arc::clone(&principal), target, call.operation())?;
        let body = if let Some(payload) = &hashed {
            payload.body().clone()
        } else {
            let body = read_body(body, self.body_limits).await?;
            record.received(u64::try_from(body.len()).unwrap_or(u64::MAX));
            body
        };
        let guarded = self.guardrails.enforce(permitted, &head.headers, &body)?;
        let signing = self.signer.signing_of(&guarded).await?;
        let (estimate, tariff) = self.price(&guarded, &head.headers);
        let item = item(&guarded, record.request_id());
        let admitted = self.admit(&principal, &item, &estimate, record).await?;
        let reservation = self.ledger.reserve(&principal, item, &estimate).await?;
        let signed = match self.signer.sign(&guarded, signing, &reservation, &head.headers, hashed.as_ref()) {
            Ok(signed) => signed,
            Err(error) => {
                reservation.release();
                return Err(error.into());
            }
        };
        if let Some(held) = reservation.held_cost() {
            record.reserved(held);
        }
        let fresh = guarded.permitted().target().profile().filter(|profile| self.is_fresh(profile));
        let fresh = fresh.map(Arc::clone);
        let operation = call.operation();
        Ok(Passage::Signed(Box::new(Begun { operation, signed, fresh, admitted, reservation, tariff })))
    }

    /// Tells who sends a request. A signature is over the body too, so that is read here where there is one; it is of somebody who
    /// names a key that there is, and nothing is done with it before the signature has been verified.
    async fn authenticate<B>(
        &self,
        shown: &Shown<'_>,
        body: &mut B,
        record: &mut Record,
    ) -> Result<(Arc<Principal>, Option<Payload>), Rejection>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        match self.identity.authenticate(shown, self.signer.now()).await? {
            Authentication::Known(principal) => Ok((principal, None)),
            Authentication::Claimed(claim) => {
                let coming = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
                let coming = coming.unwrap_or(usize::MAX).min(self.body_limits.max_bytes);
                let _room = self.unproved.room(self.identity.source(shown), coming).ok_or_else(|| {
                    let text =
                        "Too many signed requests are being read that nobody has proved to be theirs yet. Try again.";
                    Rejection::plain(RefusalReason::Overloaded, text)
                })?;
                let body = match read_body(body, self.body_limits).await {
                    Ok(body) => body,
                    Err(error) => {
                        self.identity.broke_off(&claim, shown);
                        return Err(error.into());
                    }
                };
                record.received(u64::try_from(body.len()).unwrap_or(u64::MAX));
                let payload = Payload::of(body);
                let principal = self.identity.prove(&claim, shown, payload.sha256(), self.signer.now())?;
                Ok((principal, Some(payload)))
            }
        }
    }

    /// The metrics that its requests are counted in.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What is not forwarded: the control plane's GETs are answered from the caller's own map, all else is refused.
    fn answer(&self, principal: &Principal, call: &Call) -> Result<Bytes, Rejection> {
        match (call.operation(), call.subject()) {
            (Operation::ListInferenceProfiles, _) => {
                Ok(look_alike::list(&self.directory.load(), principal, call.query())?)
            }
            (Operation::GetInferenceProfile, Subject::Profile { name, text }) => {
                Ok(look_alike::describe(&self.directory.load(), principal, name, text)?)
            }
            (Operation::ListFoundationModels, _) => {
                Ok(look_alike::list_models(&self.directory.load(), principal, call.query())?)
            }
            (Operation::GetFoundationModel, Subject::Model { name, text }) => {
                Ok(look_alike::describe_model(&self.directory.load(), principal, name, text)?)
            }
            (operation, _) => Err(Rejection::plain(
                RefusalReason::OperationRefused,
                format!("{operation} is not available through this gateway: it cannot be guarded and metered here."),
            )),
        }
    }

    async fn resolve(&self, principal: &Arc<Principal>, call: &Call) -> Result<Target, Rejection> {
        match call.subject() {
            Subject::Model { name, text } => {
                let resolved = self.find(principal, call.operation(), name, text).await;
                match resolved {
                    Err(ResolveError::Unmapped { .. }) if !self.vending.is_idle() => {
                        self.may_have(principal, call.operation(), name)?;
                        if let Some(made) = self.vending.vend(principal, name, self.signer.now()).await {
                            made?;
                        }
                        Ok(self.directory.load().resolve(principal, call.operation(), name, text)?)
                    }
                    resolved => Ok(resolved?),
                }
            }
            Subject::Guardrail { identifier, version } => {
                Ok(Target::Guardrail { identifier: identifier.clone(), version: version.clone() })
            }
            Subject::Profile { .. } | Subject::None => {
                Err(Rejection::plain(RefusalReason::UnknownOperation, "The path names no model."))
            }
        }
    }

    /// Whether a call through the profile that would be made would be let through: nothing is made that could not be used.
    fn may_have(&self, principal: &Arc<Principal>, operation: Operation, name: &ModelName) -> Result<(), Rejection> {
        let asked = self.vending.ask(principal, name).and_then(Result::ok);
        if let Some(profile) = asked.and_then(|ask| ask.preview()) {
            self.policies.authorize(Arc::clone(principal), Target::Profile(Arc::new(profile)), operation)?;
        }
        Ok(())
    }

    /// Lets a call in under the rate limits, at once or after a while. Nothing is reserved yet: what waits must not hold money
    /// that others could spend meanwhile.
    async fn admit(
        &self,
        principal: &Principal,
        item: &Item,
        estimate: &Estimate,
        record: &mut Record,
    ) -> Result<Admitted, Rejection> {
        let expected = estimate.hold(Reserve::EXPECTED).tokens();
        match self.limits.admit(principal, item.model.as_ref(), expected).await {
            Ok(admitted) => {
                record.waited(admitted.waited());
                Ok(admitted)
            }
            Err(limited) => {
                record.waited(limited.waited);
                Err((*limited).into())
            }
        }
    }

    /// The most that a call can cost, and the prices by which it will be settled.
    fn price(&self, guarded: &Guarded, sent: &HeaderMap) -> (Estimate, Tariff) {
        let facts = from::facts(guarded, sent);
        let guardrail = *self.prices.guardrail();
        let (cache, pieces, table) = (facts.cache, facts.pieces, Arc::clone(&self.prices));
        match guarded.permitted().target() {
            Target::Profile(profile) => {
                let price = self.prices.price(profile.source(), profile.arn().region());
                let price = match from::latency(guarded, sent) {
                    Latency::Standard => price,
                    // It costs more; where it is not known how much, the call has no price.
                    Latency::Optimized => price.and_then(|price| price.latency_optimized()).map(Arc::new),
                };
                let estimate = Estimate::model(facts, profile.source().clone(), price.clone());
                let estimate = if guarded.is_guarded() { estimate.with_guardrail(guardrail) } else { estimate };
                (estimate, Tariff { model: price, table, cache, pieces })
            }
            Target::BaseModel(_) => (Estimate::free(), Tariff { model: None, table, cache, pieces }),
            Target::Guardrail { .. } => {
                let estimate = Estimate::guardrail(facts.body_bytes, from::images(guarded), guardrail);
                (estimate, Tariff { model: None, table, cache, pieces })
            }
        }
    }
}

fn item(guarded: &Guarded, request_id: &Arc<str>) -> Item {
    let permitted = guarded.permitted();
    let profile = permitted.target().profile();
    Item {
        request_id: Arc::clone(request_id),
        operation: permitted.operation(),
        model: profile.map(|profile| profile.source().clone()),
        profile: profile.map(|profile| Arc::clone(profile.shared_name())),
    }
}

/// A forwarded header that means one thing must not be there twice: Bedrock and Tollgate could read different ones.
fn unambiguous(headers: &HeaderMap) -> Result<(), Rejection> {
    match headers.keys().find(|name| SINGLE.contains(name) && headers.get_all(*name).iter().nth(1).is_some()) {
        None => Ok(()),
        Some(name) => Err(Rejection::plain(
            RefusalReason::InvalidHeader,
            format!("The header {name} may be sent once; it was sent more than once."),
        )),
    }
}

fn client(head: &Parts) -> Client {
    let user_agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Client { http_version: head.version, user_agent }
}

fn answered(json: Bytes, record: Record) -> Response<Body> {
    let length = HeaderValue::from(json.len());
    let id = request_id(&record);
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(REQUEST_ID, id);
    record.finish(&Conclusion::Answered { status: StatusCode::OK });
    response
}

fn rejected(rejection: &Rejection, mut record: Record) -> Response<Body> {
    let response = rejection.answer(&request_id(&record)).map(Body::from);
    if rejection.reason().is_of_identity() {
        record.refused(&rejection.to_string());
    }
    tracing::debug!(request_id = &**record.request_id(), reason = rejection.reason().as_str(), why = %rejection, "refused");
    record.finish(&Conclusion::Refused { status: response.status(), reason: rejection.reason() });
    response
}

fn request_id(record: &Record) -> HeaderValue {
    HeaderValue::from_str(record.request_id()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
