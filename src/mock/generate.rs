//! What a call that was let through is answered with, and what it costs.

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;

use super::account::{Billable, Received};
use super::answer::guardrail::{self, Action, Guard};
use super::answer::{Counts, Family, Reply, Stop};
use super::calls::{Calls, Granted};
use super::faults::{Directives, Fault, Intervention};
use super::iam::Permit;
use super::place::Place;
use super::prompt::{self, Ask};
use super::refusal::Refusal;
use super::stream::{self, Content};
use super::tokens::Prompt;
use crate::bedrock::Operation;
use crate::types::{ServiceTier, TokenUsage};

/// All that a stream's messages after its opening depend on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamKey {
    operation: Operation,
    family: Family,
    model: String,
    chat: bool,
    usage: [u64; 5],
    stop: Stop,
    tier: Option<ServiceTier>,
}

/// A model call that was let through.
pub(super) struct Turn<'a> {
    pub(super) operation: Operation,
    pub(super) permit: Permit,
    pub(super) family: Family,
    pub(super) request: &'a Value,
    pub(super) ask: Ask,
    pub(super) directives: Directives,
}

impl Calls {
    pub(super) fn count(&self, request: &Value, record: &mut Received) -> Result<Granted, Refusal> {
        let counted = prompt::counted(request)?;
        let directives = self.directives(counted.to_string().as_bytes(), record)?;
        let body = format!(r#"{{"inputTokens":{}}}"#, Prompt::measure(&counted).tokens());
        Ok(whole(body, Vec::new(), directives))
    }

    pub(super) fn apply_guardrail(
        &self,
        request: &Value,
        body: &[u8],
        record: &mut Received,
    ) -> Result<Granted, Refusal> {
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

    pub(super) fn generate(&self, turn: Turn<'_>, record: &mut Received) -> Result<Granted, Refusal> {
        let Turn { operation, permit, family, request, ask, directives } = turn;
        if let Some(Fault::Exception(modelled)) = &directives.fault {
            if !operation.streams() {
                return Err(modelled.refusal());
            }
            if !modelled.is_modelled_by(operation) {
                let member = modelled.member;
                return Err(Refusal::validation(&format!("[[mock:…]]: {operation} has no {member} in its stream")));
            }
        }
        let guard = guard(&ask, &directives, &permit.place)?;
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

    fn cost(&self, family: Family, model: &str, ask: &Ask, wanted: u64) -> (TokenUsage, Stop) {
        let mut usage = if !family.counts_tokens() {
            TokenUsage::default()
        } else if family.caches(model) {
            self.cache.split(model, &ask.prompt)
        } else {
            TokenUsage { input: ask.prompt.tokens(), ..TokenUsage::default() }
        };
        if !family.generates_text() {
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
        let plain = reply.guard.is_none() && reply.counts == Counts::Told && directives.leave_content();
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

fn guard(ask: &Ask, directives: &Directives, place: &Place) -> Result<Option<Guard>, Refusal> {
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
        None => place.guardrail_arn(&seen.identifier),
    };
    Ok(Some(Guard { arn, action, trace: seen.trace, input_bytes: ask.prompt.bytes, seen }))
}

/// What InvokeModel tells of an input that was blocked: the counts of the canned text, which nobody is billed for.
const CANNED: TokenUsage = TokenUsage { input: 6, output: 3, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };

fn whole(body: String, headers: Vec<(&'static str, HeaderValue)>, directives: Directives) -> Granted {
    Granted { content: Content::Whole(body.into()), content_type: "application/json", headers, directives }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
