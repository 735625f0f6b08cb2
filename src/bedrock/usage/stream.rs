//! Meters the two event streams.
//!
//! `ConverseStream` says what it used in its `metadata` event. `InvokeModelWithResponseStream` says it in
//! `amazon-bedrock-invocationMetrics` on its last chunk; Anthropic's and Nova's own usage events fill in what is missing
//! there, above all for how long cache writes are kept, and take its place if it is absent altogether.
//!
//! Not to be believed are the model's own counts where a guardrail intervened and there are no invocation metrics: those
//! of a blocked prompt are the counts of the canned text, and the model never ran.
//!
//! | the stream | ends in |
//! | --- | --- |
//! | says its counts and ends between messages | `Complete` |
//! | has an exception message | `Exception` |
//! | has a message that cannot be read | `Malformed` |
//! | ends within a message, before its shape's last event, or before its first message | `Truncated` |
//! | ends with its shape's last event, or is of a shape whose end cannot be told, and has no final counts | `NoCounts` |

use crate::eventstream::{Kind, Message, Splitter};

use super::chunk::{Look, Shape, look};
use super::counts::Counts;
use super::facts::{Event, Facts, Mark};
use super::place::Place;
use super::reading::{Ending, Reading};
use super::scan::{Outcome, Scanner};

/// Which of the two streams it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Invoke,
    Converse,
}

/// The meter of one stream.
#[derive(Debug)]
pub(super) struct StreamMeter {
    splitter: Splitter,
    heard: Heard,
}

/// What the messages said so far.
#[derive(Debug)]
struct Heard {
    dialect: Dialect,
    shape: Shape,
    facts: Facts,
    /// Events of the operation's own stream.
    events: u64,
    unknown_events: u64,
    exception: Option<String>,
    malformed: bool,
    /// The output count is the last word of whoever counted, not a placeholder.
    output_is_final: bool,
    /// The event that ends an answer of this shape was there (the counts may come behind it).
    ended: bool,
}

impl StreamMeter {
    pub(super) fn new(dialect: Dialect) -> Self {
        let heard = Heard {
            dialect,
            shape: Shape::default(),
            facts: Facts::default(),
            events: 0,
            unknown_events: 0,
            exception: None,
            malformed: false,
            output_is_final: false,
            ended: false,
        };
        Self { splitter: Splitter::new(), heard }
    }

    pub(super) fn observe(&mut self, chunk: &[u8]) {
        let heard = &mut self.heard;
        if self.splitter.feed(chunk, |message| heard.message(message)).is_err() {
            self.heard.malformed = true;
        }
    }

    /// Whether another message could follow what has passed: not within one, nor after bytes that are none.
    pub(super) fn is_between_messages(&self) -> bool {
        self.splitter.is_at_boundary()
    }

    pub(super) fn finish(self) -> Reading {
        let is_cut = !self.splitter.is_at_boundary();
        let heard = self.heard;
        let counts = heard.counts();
        let ending = match &heard.exception {
            Some(name) => Ending::Exception(name.clone()),
            None if heard.malformed => Ending::Malformed,
            None if is_cut => Ending::Truncated,
            None => heard.ending(),
        };
        Reading { unknown_events: heard.unknown_events, ..Reading::of(ending, counts, heard.facts) }
    }
}

impl Heard {
    fn message(&mut self, message: Message<'_>) {
        match (self.dialect, message.kind()) {
            (Dialect::Invoke, Ok(Kind::Event("chunk"))) => self.chunk(message.payload()),
            (
                Dialect::Converse,
                Ok(Kind::Event("messageStart" | "contentBlockStart" | "contentBlockDelta" | "contentBlockStop")),
            ) => self.events += 1,
            (Dialect::Converse, Ok(Kind::Event(name @ ("messageStop" | "metadata")))) => {
                self.events += 1;
                self.converse_event(name, message.payload());
            }
            (_, Ok(Kind::Exception(name) | Kind::Error(name))) => {
                let name = name.get(..name.floor_char_boundary(MAX_EXCEPTION_NAME_BYTES)).unwrap_or_default();
                self.exception.get_or_insert_with(|| name.to_owned());
            }
            (_, Ok(Kind::Event(_) | Kind::Unknown)) => self.unknown_events += 1,
            (_, Err(_)) => self.malformed = true,
        }
    }

    fn chunk(&mut self, payload: &[u8]) {
        let (shape, facts) = match look(payload, self.events) {
            Look::Skipped(shape) => (shape, None),
            Look::Read(shape, facts) => (shape, Some(facts)),
            Look::Malformed => {
                self.malformed = true;
                return;
            }
        };
        self.events += 1;
        if self.shape == Shape::Other {
            self.shape = shape;
        }
        if let Some(facts) = facts {
            match facts.event {
                Some(Event::MessageDelta) => self.output_is_final |= facts.usage.output.is_some(),
                Some(Event::Metadata) => {
                    self.output_is_final |= facts.usage.output.is_some();
                    self.ended = true;
                }
                Some(Event::MessageStop) => self.ended = true,
                Some(Event::MessageStart) | None => {}
            }
            self.facts.follow(facts);
        }
    }

    fn converse_event(&mut self, name: &str, payload: &[u8]) {
        let mut scanner = Scanner::new(Place::ConverseAnswer);
        scanner.feed(payload);
        if scanner.outcome() != Outcome::Whole {
            self.malformed = true;
            return;
        }
        self.ended = true;
        self.output_is_final |= name == "metadata";
        self.facts.follow(scanner.into_facts());
    }

    fn counts(&self) -> Counts {
        self.facts.metrics.or(self.facts.usage)
    }

    /// The ending of a stream that ended between two messages and had nothing wrong in it.
    fn ending(&self) -> Ending {
        let counts = self.counts();
        let intervened = self.facts.has(Mark::Intervened);
        let is_complete = match self.dialect {
            // Bedrock's own count. What a guardrail's intervention leaves of a blocked prompt is zero.
            Dialect::Converse if self.output_is_final && intervened && counts.is_nothing() => {
                return Ending::GuardrailBlockedInput;
            }
            Dialect::Converse => self.output_is_final && counts.is_whole(),
            Dialect::Invoke if intervened && self.facts.metrics.is_silent() && self.is_blocked_input() => {
                return Ending::GuardrailBlockedInput;
            }
            Dialect::Invoke if intervened => self.facts.metrics.is_whole(),
            Dialect::Invoke => {
                self.facts.metrics.is_whole() || (self.ended && self.output_is_final && counts.is_whole())
            }
        };
        if is_complete {
            Ending::Complete
        } else if self.ended || (self.dialect == Dialect::Invoke && self.shape == Shape::Other && self.events > 0) {
            Ending::NoCounts
        } else {
            Ending::Truncated
        }
    }

    /// Whether a stream with an intervention and without metrics shows that the model never ran: it is one chunk that
    /// calls itself the last, or it has ended and its trace knows an input and no output. A masked stream that was cut
    /// looks like neither.
    fn is_blocked_input(&self) -> bool {
        let is_single = self.events == 1 && self.facts.has(Mark::Finished);
        let is_traced = self.ended && self.facts.has(Mark::InputAssessed);
        !self.facts.has(Mark::ModelRan) && (is_single || is_traced)
    }
}

/// The longest name of an exception that is kept; the modelled ones are far shorter.
const MAX_EXCEPTION_NAME_BYTES: usize = 64;
