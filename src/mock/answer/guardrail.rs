//! What a guardrail adds to an answer: its action, its trace with the text units that are billed, and the answer to
//! `ApplyGuardrail`.
//!
//! A text unit is up to 1,000 characters, counted apart for input and output; bytes stand for characters here.

use serde_json::{Value, json};

use super::Reply;
use crate::mock::account::{GuardrailSeen, UnitsView};

/// What a blocked prompt is answered with.
pub(super) const BLOCKED_TEXT: &str = "Sorry, the model cannot answer this question.";
/// What stands in place of a masked word.
pub(super) const MASK: &str = "{NAME}";

/// What the guardrail does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::mock) enum Action {
    None,
    Blocked,
    Masked,
}

impl Action {
    /// The value of `amazon-bedrock-guardrailAction`.
    pub(super) const fn on_invoke(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Blocked | Self::Masked => "INTERVENED",
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::None => "No action.",
            Self::Blocked => "Guardrail blocked.",
            Self::Masked => "No action.\nGuardrail masked.",
        }
    }
}

/// The guardrail of a call.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Guard {
    pub(in crate::mock) seen: GuardrailSeen,
    pub(in crate::mock) arn: String,
    pub(in crate::mock) action: Action,
    pub(in crate::mock) trace: bool,
    pub(in crate::mock) input_bytes: u64,
}

impl Guard {
    /// The text units of a call whose answer has so many bytes.
    pub(in crate::mock) fn units(&self, output_bytes: u64) -> UnitsView {
        let mut units = UnitsView::of(self.input_bytes);
        if self.action != Action::Blocked {
            units += UnitsView::of(output_bytes);
        }
        units
    }

    /// The value of `amazon-bedrock-trace`.
    pub(super) fn invoke_trace(&self, reply: &Reply<'_>) -> Value {
        let id = self.id();
        let mut trace = json!({ "actionReason": self.action.reason(), "input": { id: self.input() } });
        if self.action != Action::Blocked {
            trace = with(trace, "outputs", json!([{ id: self.output(reply) }]));
        }
        json!({ "guardrail": self.with_model_output(trace, reply) })
    }

    /// The value of Converse's `trace`.
    pub(super) fn converse_trace(&self, reply: &Reply<'_>) -> Value {
        let id = self.id();
        let mut trace =
            json!({ "actionReason": self.action.reason(), "inputAssessment": { id: self.applied(self.input()) } });
        if self.action != Action::Blocked {
            trace = with(trace, "outputAssessments", json!({ id: [self.applied(self.output(reply))] }));
        }
        json!({ "guardrail": self.with_model_output(trace, reply) })
    }

    /// What the model wrote is shown where it was changed.
    fn with_model_output(&self, trace: Value, reply: &Reply<'_>) -> Value {
        match self.action {
            Action::Masked => with(trace, "modelOutput", json!([reply.unguarded_text()])),
            Action::None | Action::Blocked => trace,
        }
    }

    fn id(&self) -> &str {
        self.seen.identifier.rsplit('/').next().unwrap_or_default()
    }

    fn input(&self) -> Value {
        let assessment = json!({ "invocationMetrics": metrics(self.input_bytes) });
        match self.action {
            Action::Blocked => with(assessment, "topicPolicy", blocked_topic()),
            Action::None | Action::Masked => assessment,
        }
    }

    fn output(&self, reply: &Reply<'_>) -> Value {
        let text = reply.unguarded_text();
        let assessment = json!({ "invocationMetrics": metrics(text.len() as u64) });
        match self.action {
            Action::Masked => {
                let masked = text.rsplit(' ').next().unwrap_or_default();
                with(assessment, "sensitiveInformationPolicy", masked_name(masked))
            }
            Action::None | Action::Blocked => assessment,
        }
    }

    fn applied(&self, assessment: Value) -> Value {
        let details = json!({
            "guardrailArn": self.arn,
            "guardrailId": self.id(),
            "guardrailOrigin": ["REQUEST"],
            "guardrailOwnership": "SELF",
            "guardrailVersion": self.seen.version,
        });
        with(assessment, "appliedGuardrailDetails", details)
    }
}

impl UnitsView {
    fn of(bytes: u64) -> Self {
        let units = bytes.div_ceil(1_000);
        Self { content_policy: units, topic_policy: units, word_policy: units, sensitive_information_policy: units }
    }
}

/// The answer to `ApplyGuardrail` and the units it costs.
pub(in crate::mock) fn applied(request: &Value, action: Action) -> (String, UnitsView) {
    let contents = request.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = contents.iter().filter_map(|block| block.pointer("/text/text")?.as_str()).collect();
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let mut assessment = json!({ "invocationMetrics": metrics(bytes) });
    let outputs = match action {
        Action::None => Vec::new(),
        Action::Blocked => {
            assessment = with(assessment, "topicPolicy", blocked_topic());
            vec![json!({ "text": BLOCKED_TEXT })]
        }
        Action::Masked => {
            assessment = with(assessment, "sensitiveInformationPolicy", masked_name("mock"));
            texts.iter().map(|text| json!({ "text": text.replace("mock", MASK) })).collect()
        }
    };
    let body = json!({
        "action": if action == Action::None { "NONE" } else { "GUARDRAIL_INTERVENED" },
        "actionReason": action.reason(),
        "assessments": [assessment],
        "guardrailCoverage": coverage(bytes),
        "outputs": outputs,
        "usage": usage(bytes),
    });
    (body.to_string(), UnitsView::of(bytes))
}

/// An object with one member more.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    object
}

fn masked_name(name: &str) -> Value {
    json!({ "piiEntities": [{ "action": "ANONYMIZED", "detected": true, "match": name, "type": "NAME" }] })
}

fn blocked_topic() -> Value {
    json!({ "topics": [{ "action": "BLOCKED", "detected": true, "name": "topic-1", "type": "DENY" }] })
}

fn metrics(bytes: u64) -> Value {
    json!({ "guardrailCoverage": coverage(bytes), "guardrailProcessingLatency": 250, "usage": usage(bytes) })
}

fn coverage(bytes: u64) -> Value {
    json!({ "textCharacters": { "guarded": bytes, "total": bytes } })
}

fn usage(bytes: u64) -> Value {
    let units = UnitsView::of(bytes);
    json!({
        "automatedReasoningPolicies": 0,
        "automatedReasoningPolicyUnits": 0,
        "contentPolicyImageUnits": 0,
        "contentPolicyUnits": units.content_policy,
        "contextualGroundingPolicyUnits": 0,
        "sensitiveInformationPolicyFreeUnits": 0,
        "sensitiveInformationPolicyUnits": units.sensitive_information_policy,
        "topicPolicyUnits": units.topic_policy,
        "wordPolicyUnits": units.word_policy,
    })
}
