//! Log lines as JSON, as `tracing-subscriber` writes them, in fewer steps: a line is put together in a buffer of its thread and written
//! once. The line of a request is the dearest thing that is done for most of them.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::bedrock::json::is_plain;

/// See the module.
#[derive(Debug)]
pub(super) struct JsonLines {
    /// For lines of libraries, which may come from elsewhere than `tracing`.
    others: Format<Json>,
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl JsonLines {
    pub(super) fn new() -> Self {
        Self { others: Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false) }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if !super::tracing_setup::is_own(metadata) {
            return self.others.format_event(context, writer, event);
        }
        let mut put = |line: &mut Vec<u8>| {
            line.clear();
            let now = jiff::Timestamp::now();
            // Writing to memory does not fail.
            drop(write!(line, "{{\"timestamp\":\"{now:.6}\",\"level\":\"{}\"", metadata.level()));
            let mut fields = Fields(line);
            event.record(&mut fields);
            fields.text("target", metadata.target());
            line.extend_from_slice(b"}\n");
            writer.write_str(std::str::from_utf8(line).map_err(|_| fmt::Error)?)
        };
        // What is formatted for one line could log another.
        LINE.with(|own| match own.try_borrow_mut() {
            Ok(mut line) => put(&mut line),
            Err(_) => put(&mut Vec::new()),
        })
    }
}

/// Writes fields behind those that stand there.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    /// Names are those of the code, and need no escapes.
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push(b'"');
        Escaped(self.0).put(value);
        self.0.push(b'"');
    }

    fn number(&mut self, name: &str, value: impl serde::Serialize) {
        self.name(name);
        drop(serde_json::to_writer(&mut *self.0, &value));
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field.name());
        self.0.push(b'"');
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push(b'"');
    }
}

/// Writes the inside of a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl Escaped<'_> {
    fn put(&mut self, text: &str) {
        if is_plain(text.as_bytes()) {
            self.0.extend_from_slice(text.as_bytes());
            return;
        }
        let before = self.0.len();
        // Writing to memory does not fail, and puts quotes around it.
        drop(serde_json::to_writer(&mut *self.0, text));
        self.0.pop();
        if before < self.0.len() {
            self.0.remove(before);
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! What stands in a string.

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_string_that_was_written(parts in proptest::collection::vec("(?s)[ -~]{0,9}|.{0,9}|[\\x00-\"\\\\]{0,4}", 0..4)) {
            let mut line = b"\"".to_vec();
            for part in &parts {
                Escaped(&mut line).write_str(part).unwrap();
            }
            line.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), parts.concat());
        }
    }
}
