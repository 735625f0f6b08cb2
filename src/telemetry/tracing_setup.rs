//! Where log lines go and what they look like.
//!
//! The level is that of Tollgate's own lines. Libraries are heard from `warn` on and never below, whatever the level is:
//! at `debug` and `trace` the AWS SDK and the HTTP stack write out headers and signatures.

use std::io::{self, IsTerminal as _};
use std::str::FromStr;

use super::gathered::Gathered;
use super::json_lines::JsonLines;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    #[default]
    Json,
    /// Text for people; in colour when it goes to a terminal.
    Text,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LogError::Format),
        }
    }
}

/// Why logging could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// An unknown format.
    #[error("not a log format: known are json and text")]
    Format,
    /// An unknown level.
    #[error("not a log level: known are off, error, warn, info, debug and trace")]
    Level,
    /// Something else logs already.
    #[error("logging is set up already")]
    Installed,
}

/// Sends log lines to standard error from here on. `level` is `off`, `error`, `warn`, `info`, `debug` or `trace`.
pub fn install_log(format: LogFormat, level: &str) -> Result<(), LogError> {
    let level = level.parse().map_err(|_| LogError::Level)?;
    subscriber(format, level, Gathered::begin()).try_init().map_err(|_| LogError::Installed)
}

fn subscriber<W>(format: LogFormat, level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLines::new()).boxed(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let libraries = LevelFilter::WARN.min(level);
    let own = filter_fn(is_own).and(level);
    let others = filter_fn(|metadata: &Metadata<'_>| !is_own(metadata)).and(libraries);
    tracing_subscriber::registry().with(lines.with_filter(own.or(others)))
}

pub(super) fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("tollgate")
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while something is done.
    pub(in crate::telemetry) fn logged(format: LogFormat, level: &str, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, level.parse().unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let text =
            logged(LogFormat::Json, "info", || tracing::info!(target: "tollgate::access", status = 200, "request"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["status"], &line["message"]), (&200.into(), &"request".into()));
        assert_eq!((&line["target"], &line["level"]), (&"tollgate::access".into(), &"INFO".into()));
    }

    #[test]
    fn a_json_line_says_what_the_librarys_own_would() {
        let act = || {
            let (some, none) = (Some("x"), None::<u64>);
            tracing::warn!(
                target: "tollgate::access",
                quoted = "a \"b\"\n\u{7}ü", some, none, whole = 7_u64, less = -7, half = 0.5, big = 1e300, odd = f64::NAN,
                yes = true, shown = %1.5, told = ?Some("two"), error = &io::Error::other("broken") as &dyn std::error::Error,
                "a message with {} in it", "words"
            );
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let theirs =
            tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
        tracing::subscriber::with_default(theirs.with_writer(move || writer.clone()).finish(), act);
        let theirs = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let [own, theirs] = [logged(LogFormat::Json, "info", act), theirs].map(|line| {
            let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            let at = line.remove("timestamp").unwrap();
            assert!(
                at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok() && at.as_str().unwrap().len() == 27,
                "{at}"
            );
            line
        });
        assert_eq!(own, theirs);
    }

    #[test]
    fn libraries_are_never_heard_below_warn() {
        let text = logged(LogFormat::Text, "trace", || {
            tracing::trace!(target: "tollgate::gateway", "own trace");
            tracing::info!(target: "aws_sigv4", "canonical request");
            tracing::info!(target: "tollgater", "a name that only begins alike");
            tracing::warn!(target: "hyper", "library warning");
        });
        assert!(text.contains("own trace") && text.contains("library warning"));
        assert!(!text.contains("canonical request") && !text.contains("begins alike"));
    }

    #[test]
    fn a_level_holds_for_everybody() {
        let text = logged(LogFormat::Text, "error", || {
            tracing::info!(target: "tollgate::access", "request");
            tracing::warn!(target: "hyper", "library warning");
            tracing::error!(target: "tollgate", "an operator must act");
        });
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert_eq!("xml".parse::<LogFormat>(), Err(LogError::Format));
        assert_eq!(install_log(LogFormat::Json, "loud"), Err(LogError::Level));
    }
}
