//! What was found in one JSON document, and how the documents of a stream add up.

use crate::types::{GuardrailUnits, ServiceTier};

use super::counts::{Counts, Tokens, parse_count};
use super::place::{Place, Side, Unit};

/// The facts of one document, or of all the documents of a stream that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What the model's own `usage` says.
    pub(super) usage: Counts,
    /// What `amazon-bedrock-invocationMetrics` says.
    pub(super) metrics: Counts,
    pub(super) units: Option<GuardrailUnits>,
    pub(super) tier: Option<Tier>,
    pub(super) event: Option<Event>,
    marks: u8,
    detail: CacheDetail,
}

/// Something that an answer either says or does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// A guardrail masked or blocked something.
    Intervened = 1,
    /// The trace has an assessment of the input.
    InputAssessed = 2,
    /// The trace has an assessment of the output, or the output itself: the model has run.
    ModelRan = 4,
    /// The answer is an embedding.
    Embedding = 8,
    /// This chunk is the last one with text.
    Finished = 16,
}

/// The tier that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Known(ServiceTier),
    Unknown(String),
}

impl Tier {
    pub(super) fn named(name: &str) -> Self {
        ServiceTier::from_name(name).map_or_else(|| Self::Unknown(name.to_owned()), Self::Known)
    }
}

/// The events of Anthropic's and Nova's own streams that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    MessageStart,
    MessageDelta,
    MessageStop,
    Metadata,
}

/// A fact that cannot be what it should be, such as a count that is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CacheDetail {
    lifetime: Option<Tokens>,
    tokens: u64,
}

impl Facts {
    pub(super) const fn has(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    /// The name of a member was seen.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only some names say something before their value does")]
    pub(super) fn met(&mut self, place: Place) {
        match place {
            Place::Assessments(Side::Input) => self.mark(Mark::InputAssessed),
            Place::Assessments(Side::Output) | Place::ModelOutput => self.mark(Mark::ModelRan),
            Place::Embedding => self.mark(Mark::Embedding),
            Place::Metadata => self.event = Some(Event::Metadata),
            _ => {}
        }
    }

    /// An object or array that matters begins.
    pub(super) fn entered(&mut self, place: Place) {
        if place == Place::Units {
            self.units.get_or_insert_default();
        } else if place == Place::CacheDetail {
            self.detail = CacheDetail::default();
        }
    }

    /// An object or array that matters has ended.
    pub(super) fn left(&mut self, place: Place) {
        if place == Place::CacheDetail
            && let Some(lifetime) = self.detail.lifetime
        {
            self.usage.add(lifetime, self.detail.tokens);
        }
    }

    /// A number, `true`, `false` or `null`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a number that is no count says nothing")]
    pub(super) fn scalar(&mut self, place: Place, text: &[u8]) -> Result<(), Unreadable> {
        if text == b"null" {
            return Ok(());
        }
        let count = || parse_count(text).ok_or(Unreadable);
        match place {
            Place::Count(kind) => self.usage.note(kind, count()?),
            Place::Metric(kind) => self.metrics.note(kind, count()?),
            Place::ResultTokens => self.usage.add(Tokens::Output, count()?),
            Place::DetailTokens => self.detail.tokens = count()?,
            Place::Unit(unit) => {
                let slot = slot(self.units.get_or_insert_default(), unit);
                *slot = slot.saturating_add(count()?);
            }
            Place::Finish => self.mark(Mark::Finished),
            _ => {}
        }
        Ok(())
    }

    /// A string, unescaped; `None` if it is too long to be any of those that are known.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a string that is no known word says nothing")]
    pub(super) fn string(&mut self, place: Place, text: Option<&[u8]>) -> Result<(), Unreadable> {
        match place {
            Place::Count(_) | Place::Metric(_) | Place::Unit(_) | Place::ResultTokens | Place::DetailTokens => {
                return Err(Unreadable);
            }
            Place::Finish => self.mark(Mark::Finished),
            Place::Action if matches!(text, Some(b"INTERVENED" | b"GUARDRAIL_INTERVENED")) => {
                self.mark(Mark::Intervened);
            }
            Place::StopReason if text == Some(b"guardrail_intervened") => self.mark(Mark::Intervened),
            Place::TierName => {
                let name = text.map_or_else(|| "(too long)".into(), String::from_utf8_lossy);
                self.tier = Some(Tier::named(&name));
            }
            Place::DetailTtl => {
                self.detail.lifetime = match text {
                    Some(b"5m") => Some(Tokens::CacheWrite5m),
                    Some(b"1h") => Some(Tokens::CacheWrite1h),
                    _ => None,
                };
            }
            Place::EventName => {
                self.event = match text {
                    Some(b"message_start") => Some(Event::MessageStart),
                    Some(b"message_delta") => Some(Event::MessageDelta),
                    Some(b"message_stop") => Some(Event::MessageStop),
                    _ => None,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes in the facts of a later document of the same stream: its counts are cumulative, so each one that is there
    /// replaces the earlier one and the others stay; guardrail units are those of further text, so they add up.
    pub(super) fn follow(&mut self, later: Self) {
        self.usage = later.usage.or(self.usage);
        self.metrics = later.metrics.or(self.metrics);
        self.units = match (self.units, later.units) {
            (Some(earlier), Some(later)) => Some(sum(earlier, later)),
            (earlier, later) => earlier.or(later),
        };
        self.tier = later.tier.or_else(|| self.tier.take());
        self.event = later.event;
        self.marks |= later.marks;
    }

    pub(super) const fn mark(&mut self, mark: Mark) {
        self.marks |= mark as u8;
    }
}

const fn slot(units: &mut GuardrailUnits, unit: Unit) -> &mut u64 {
    match unit {
        Unit::Content => &mut units.content_policy,
        Unit::ContentImage => &mut units.content_policy_image,
        Unit::Topic => &mut units.topic_policy,
        Unit::Word => &mut units.word_policy,
        Unit::SensitiveInformation => &mut units.sensitive_information_policy,
        Unit::ContextualGrounding => &mut units.contextual_grounding_policy,
        Unit::AutomatedReasoning => &mut units.automated_reasoning_policy,
    }
}

const fn sum(one: GuardrailUnits, other: GuardrailUnits) -> GuardrailUnits {
    GuardrailUnits {
        content_policy: one.content_policy.saturating_add(other.content_policy),
        topic_policy: one.topic_policy.saturating_add(other.topic_policy),
        word_policy: one.word_policy.saturating_add(other.word_policy),
        sensitive_information_policy: one
            .sensitive_information_policy
            .saturating_add(other.sensitive_information_policy),
        contextual_grounding_policy: one.contextual_grounding_policy.saturating_add(other.contextual_grounding_policy),
        automated_reasoning_policy: one.automated_reasoning_policy.saturating_add(other.automated_reasoning_policy),
        content_policy_image: one.content_policy_image.saturating_add(other.content_policy_image),
    }
}
