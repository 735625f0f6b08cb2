//! What was received and what AWS would bill for it.
//!
//! AWS bills the whole generation once it has begun, whether the client stays or not. So a record, with all that the call
//! costs, is made before the first byte of the answer is sent; only how the answer ended is added later. Records are a
//! bounded ring; the totals count everything since the start or the last reset.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;

use super::callers::SessionSeen;
use crate::types::{GuardrailUnits, TokenUsage};

/// One received request.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// Counts from 1 since the start or the last reset.
    pub id: u64,
    /// The `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// AWS's name of the operation, where the path is one's.
    pub operation: Option<&'static str>,
    /// The method.
    pub method: String,
    /// The path and query as received, still encoded.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The model or guardrail that the path names, decoded; of the control plane the profile, resource or role.
    pub subject: Option<String>,
    /// Every header, with the signature itself blanked out.
    pub headers: Vec<(String, String)>,
    /// SHA-256 of the body, in hex.
    pub body_sha256: String,
    /// The body's length.
    pub body_bytes: usize,
    /// The access key id whose signature held.
    pub principal: Option<String>,
    /// The account that the credentials belong to: of a session, its role's.
    pub account: Option<String>,
    /// The Region that the signature is scoped to.
    pub region: Option<String>,
    /// The session, where the credentials are those of one.
    pub session: Option<SessionSeen>,
    /// The status answered, 0 where the connection was cut without one.
    pub status: u16,
    /// The AWS error type, where it was no success.
    pub error: Option<String>,
    /// The guardrail that the request carried.
    pub guardrail: Option<GuardrailSeen>,
    /// The directives that were followed, as written.
    pub directives: Option<String>,
    /// The service tier that served the call, where it asked for one.
    pub tier: Option<&'static str>,
    /// Under what name the call is billed: the profile's ARN, or the model id.
    pub billed_to: Option<String>,
    /// What AWS would bill in tokens, all of it, from the moment the answer begins.
    pub usage: UsageView,
    /// What AWS would bill in guardrail text units.
    pub guardrail_units: UnitsView,
    /// Whether something is billed, and whether the caller could know how much.
    pub billable: Billable,
    /// The counts that the answer told, once all of it was handed to the connection; `None` where it told none.
    pub told: Option<UsageView>,
    /// How the answer ended.
    pub ended: Ended,
    /// Body bytes handed to the connection so far.
    pub sent_bytes: u64,
}

/// A guardrail as a request carried it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GuardrailSeen {
    /// Id or ARN, as written.
    pub identifier: String,
    /// `DRAFT` or a number.
    pub version: String,
    /// Whether the trace was asked for.
    pub trace: bool,
}

/// What a call costs, and whether its answer says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Billable {
    /// Nothing is billed: refused, throttled, or not a model call.
    #[default]
    Nothing,
    /// The answer, read to its end, carries the counts that are billed.
    Complete,
    /// No model was asked: the guardrail blocked the input, or was applied by itself. Guardrail units only.
    GuardrailOnly,
    /// The tokens are billed, and a fault keeps the answer from saying how many.
    Fault,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It has not yet.
    #[default]
    Open,
    /// All of it was handed to the connection.
    Complete,
    /// The client went away before that.
    ClientGone,
    /// A fault that was asked for ended it.
    Fault,
}

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of TokenUsage")]
pub struct UsageView {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
}

/// Guardrail text units by policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of GuardrailUnits")]
pub struct UnitsView {
    pub content_policy: u64,
    pub topic_policy: u64,
    pub word_policy: u64,
    pub sensitive_information_policy: u64,
}

/// A sum over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Calls of which something is billed and whose answer told the counts.
    pub complete_calls: u64,
    /// What those cost.
    pub complete: UsageView,
    /// Calls that are billed though a fault hid the counts.
    pub faulted_calls: u64,
    /// What those cost.
    pub faulted: UsageView,
    /// Calls that cost guardrail units only: inputs that were blocked, and uses of `ApplyGuardrail`.
    pub guardrail_only_calls: u64,
    /// Guardrail units of all of these.
    pub guardrail_units: UnitsView,
}

/// The account: sums by what is billed, and over all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Every request received, refused ones too.
    pub requests: u64,
    /// By profile ARN; by model id where foundation models are allowed; `id:version` for guardrails applied by themselves.
    pub by_profile: BTreeMap<String, Spent>,
}

/// Bodies are kept up to this many bytes together; the oldest go first.
const KEPT_BODY_BYTES: usize = 64 << 20;

/// Keeps records and totals.
#[derive(Debug)]
pub(super) struct Account {
    kept: usize,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    last_id: u64,
    ring: VecDeque<(Received, Option<Bytes>)>,
    first_with_body: u64,
    body_bytes: usize,
    totals: Totals,
}

impl Account {
    pub(super) fn new(kept: usize) -> Self {
        Self { kept, books: Mutex::default() }
    }

    /// Writes a request and its cost down, and gives its number.
    pub(super) fn begin(&self, mut received: Received, body: Bytes) -> u64 {
        let mut books = self.books();
        books.last_id += 1;
        received.id = books.last_id;
        books.totals.add(&received);
        if self.kept > 0 {
            books.body_bytes += body.len();
            books.ring.push_back((received, Some(body)));
            books.trim(self.kept);
        }
        books.last_id
    }

    /// Adds how an answer ended. A record that was forgotten meanwhile stays forgotten.
    pub(super) fn end(&self, id: u64, ended: Ended, sent_bytes: u64) {
        let mut books = self.books();
        let Some(first) = books.ring.front().map(|(received, _)| received.id) else { return };
        let Some(at) = id.checked_sub(first).and_then(|at| usize::try_from(at).ok()) else { return };
        if let Some((received, _)) = books.ring.get_mut(at) {
            received.ended = ended;
            received.sent_bytes = sent_bytes;
            if ended == Ended::Complete && received.billable == Billable::Complete {
                received.told = Some(received.usage);
            }
        }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.books().ring.iter().map(|(received, _)| received.clone()).collect()
    }

    pub(super) fn body(&self, id: u64) -> Option<Bytes> {
        self.books().ring.iter().find(|(received, _)| received.id == id)?.1.clone()
    }

    pub(super) fn totals(&self) -> Totals {
        self.books().totals.clone()
    }

    pub(super) fn reset(&self) {
        let mut books = self.books();
        // Numbers go on, so that an answer still open cannot write its end into a later record.
        *books = Books { last_id: books.last_id, ..Books::default() };
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn trim(&mut self, kept: usize) {
        while self.ring.len() > kept {
            if let Some((_, Some(body))) = self.ring.pop_front() {
                self.body_bytes -= body.len();
            }
        }
        if self.body_bytes <= KEPT_BODY_BYTES {
            return;
        }
        for (received, body) in &mut self.ring {
            if received.id < self.first_with_body {
                continue;
            }
            self.first_with_body = received.id + 1;
            self.body_bytes -= body.take().map_or(0, |body| body.len());
            if self.body_bytes <= KEPT_BODY_BYTES {
                break;
            }
        }
    }
}

impl Totals {
    fn add(&mut self, received: &Received) {
        self.requests += 1;
        let Some(name) = &received.billed_to else { return };
        if received.billable == Billable::Nothing {
            return;
        }
        if !self.by_profile.contains_key(name) {
            self.by_profile.insert(name.clone(), Spent::default());
        }
        let Some(spent) = self.by_profile.get_mut(name) else { return };
        spent.guardrail_units += received.guardrail_units;
        match received.billable {
            Billable::Nothing => {}
            Billable::Complete => {
                spent.complete_calls += 1;
                spent.complete += received.usage;
            }
            Billable::GuardrailOnly => spent.guardrail_only_calls += 1,
            Billable::Fault => {
                spent.faulted_calls += 1;
                spent.faulted += received.usage;
            }
        }
    }
}

impl AddAssign for UsageView {
    fn add_assign(&mut self, other: Self) {
        *self = Self::from(TokenUsage::from(*self) + TokenUsage::from(other));
    }
}

impl AddAssign for UnitsView {
    fn add_assign(&mut self, other: Self) {
        self.content_policy += other.content_policy;
        self.topic_policy += other.topic_policy;
        self.word_policy += other.word_policy;
        self.sensitive_information_policy += other.sensitive_information_policy;
    }
}

impl From<TokenUsage> for UsageView {
    fn from(usage: TokenUsage) -> Self {
        let TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h } = usage;
        Self { input, output, cache_read, cache_write_5m, cache_write_1h }
    }
}

impl From<UsageView> for TokenUsage {
    fn from(usage: UsageView) -> Self {
        let UsageView { input, output, cache_read, cache_write_5m, cache_write_1h } = usage;
        Self { input, output, cache_read, cache_write_5m, cache_write_1h }
    }
}

impl From<UnitsView> for GuardrailUnits {
    fn from(units: UnitsView) -> Self {
        Self {
            content_policy: units.content_policy,
            topic_policy: units.topic_policy,
            word_policy: units.word_policy,
            sensitive_information_policy: units.sensitive_information_policy,
            ..Self::default()
        }
    }
}
