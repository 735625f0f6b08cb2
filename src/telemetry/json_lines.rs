//! Log lines as JSON, as `tracing-subscriber` writes them, in fewer steps: a line is put together in a buffer of its thread and written
//! once. The line of a request is the dearest thing that is done for most of them.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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
        LINE.with_borrow_mut(|line| {
            line.clear();
            let now = jiff::Timestamp::now();
            // Writing to memory does not fail.
            drop(write!(line, "{{\"timestamp\":\"{now:.6}\",\"level\":\"{}\"", metadata.level()));
            let mut fields = Fields(line);
            event.record(&mut fields);
            fields.put("target", metadata.target());
            line.extend_from_slice(b"}\n");
            writer.write_str(std::str::from_utf8(line).map_err(|_| fmt::Error)?)
        })
    }
}

/// Writes fields behind those that stand there.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn put<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.0.push(b',');
        drop(serde_json::to_writer(&mut *self.0, name));
        self.0.push(b':');
        drop(serde_json::to_writer(&mut *self.0, value));
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}
