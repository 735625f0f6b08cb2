//! Kinds of value that several sections have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::diagnostics::{Place, Placed, Report, Wrong, quoted};
use crate::config::duration::parse_duration;
use crate::config::schema::Entry;
use crate::config::settings::Choice;
use crate::config::suggest;
use crate::types::{Money, TokenPrice};

/// Whether a span of time may be nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    Refused,
    Allowed,
}

/// A span of time.
pub(super) fn span(entry: &Entry<'_>, name: &str, zero: Zero, report: &mut Report) -> Option<Duration> {
    report.read(entry.text(name), |text| {
        let span = parse_duration(text).map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))?;
        if span.is_zero() && zero == Zero::Refused {
            return Err(
                Wrong::new("must be longer than nothing").hint("to wait practically for ever, write a day: \"1d\"")
            );
        }
        Ok(span)
    })
}

/// A span of time within bounds, which the hint names.
pub(super) fn span_within(
    entry: &Entry<'_>,
    name: &str,
    bounds: &RangeInclusive<Duration>,
    hint: &str,
    report: &mut Report,
) -> Option<Duration> {
    let span = span(entry, name, Zero::Refused, report)?;
    if bounds.contains(&span) {
        return Some(span);
    }
    report.error(&entry.place_of(name), Wrong::new("is out of bounds").hint(hint));
    None
}

/// A whole number within bounds.
pub(super) fn number<T: TryFrom<i64>>(
    entry: &Entry<'_>,
    name: &str,
    bounds: RangeInclusive<i64>,
    report: &mut Report,
) -> Option<T> {
    let Placed { value, place } = entry.integer(name)?;
    let number = bounds.contains(&value).then_some(value).and_then(|value| T::try_from(value).ok());
    if number.is_none() {
        let wrong = Wrong::new(format!("{value} is out of bounds"));
        report.error(&place, wrong.hint(format!("from {} to {}", bounds.start(), bounds.end())));
    }
    number
}

/// One of a closed set of words.
pub(super) fn choice<T: Choice>(entry: &Entry<'_>, name: &str, report: &mut Report) -> Option<T> {
    report.read(entry.text(name), |text| {
        T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
            let hint = suggest::did_you_mean(text, words.iter().copied());
            Wrong::new(format!("{} is not one of {}", quoted(text), words.join(", "))).maybe_hint(hint)
        })
    })
}

/// A path, made absolute by the folder of the file (where that is). `None` also where the key is absent.
pub(super) fn path(entry: &Entry<'_>, name: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    report.read(entry.text(name), |text| {
        if text.is_empty() {
            Err(Wrong::new("an empty path").hint("leave the key out instead"))
        } else {
            Ok(folder.join(text))
        }
    })
}

/// The path of a file that must be there when the server starts. That it is not there now is a warning, because a file may
/// be checked on another machine than the one that serves.
pub(super) fn existing(entry: &Entry<'_>, name: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let path = path(entry, name, folder, report)?;
    if let Some(written) = entry.text(name).filter(|_| !path.is_file()) {
        let wrong = Wrong::new(format!("{} is no file on this machine", quoted(written.value)));
        report.warning(&written.place, wrong.hint("a relative path starts from the folder of this file"));
    }
    Some(path)
}

/// The paths of a list of such files.
pub(super) fn existing_each(entry: &Entry<'_>, name: &str, folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    let texts = entry.texts(name);
    for text in texts.iter().filter(|text| !folder.join(text.value).is_file()) {
        let wrong = Wrong::new(format!("{} is no file on this machine", quoted(text.value)));
        report.warning(&text.place, wrong.hint("a relative path starts from the folder of this file"));
    }
    texts.into_iter().map(|text| folder.join(text.value)).collect()
}

/// An amount of dollars. `None` also where the key is absent.
pub(super) fn dollars(entry: &Entry<'_>, name: &str, report: &mut Report) -> Option<Money> {
    report.read(entry.text(name), |text| text.parse().map_err(|error| not_dollars(text, &error)))
}

/// A price in dollars per million. `None` also where the key is absent.
pub(super) fn price(entry: &Entry<'_>, name: &str, report: &mut Report) -> Option<TokenPrice> {
    report.read(entry.text(name), |text| TokenPrice::per_million(text).map_err(|error| not_dollars(text, &error)))
}

fn not_dollars(text: &str, error: &dyn std::error::Error) -> Wrong {
    // Only what cannot change the amount is taken away: a comma may be a decimal one.
    let plain = text.trim().trim_start_matches(['$', ' ']).trim_end_matches("USD").trim();
    let hint = plain.parse::<Money>().ok().map(|_| format!("the number alone: \"{plain}\""));
    Wrong::new(format!("{}: {error}", quoted(text))).maybe_hint(hint)
}

/// A URL: `https`, or `http` on this machine. The hints are an example, what to do in place of a password in it, and what would cross
/// the network in clear.
pub(super) fn url(text: &str, example: &str, secret: &str, clear: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("{}: {what}", quoted(text)));
    let hint = format!("such as \"{example}\"");
    // Before anything is quoted: it may be a password.
    if text.contains('@') {
        return Err(Wrong::new("a URL with a user name or password in it").hint(secret));
    }
    let uri: http::Uri = text.parse().map_err(|_| wrong("no URL").hint(hint.as_str()))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("no URL").hint(hint.as_str()));
    };
    if !matches!(scheme, "https" | "http") {
        return Err(wrong("the scheme is neither https nor http").hint(hint.as_str()));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if scheme == "http" && !loopback {
        return Err(wrong("http:// to another machine").hint(clear));
    }
    Ok(text.to_owned())
}

/// The name of a principal, a group or a budget. It labels metrics and log lines, and IAM's names fit.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    const LONGEST: usize = 128;
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.@+=,-".contains(c));
    if plain && !text.is_empty() && text.len() <= LONGEST {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no name", quoted(text)));
    Err(wrong.hint(format!("a name is 1 to {LONGEST} ASCII letters, digits and _ . @ + = , -")))
}

/// The name of a principal or of a group, which may come from elsewhere: a Kubernetes service account, a repository.
pub(super) fn who(text: &str) -> Result<String, Wrong> {
    if text.contains([':', '/']) && name(&text.replace([':', '/'], "-")).is_ok() {
        return Ok(text.to_owned());
    }
    name(text)
}

/// Reports every value that comes a second time, with the line of the first.
pub(super) fn distinct<'v>(what: &str, values: impl Iterator<Item = Placed<&'v str>>, report: &mut Report) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for Placed { value, place } in values {
        if let Some(first) = seen.get(value) {
            let line = report.line(first);
            report.error(&place, Wrong::new(format!("{what} {} is already on line {line}", quoted(value))));
        } else {
            seen.insert(value, place);
        }
    }
}

/// The texts of an array, each of which must be read; those that cannot be are reported.
pub(super) fn each<T>(
    texts: Vec<Placed<&str>>,
    report: &mut Report,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Vec<T> {
    texts.into_iter().filter_map(|text| report.read(Some(text), &read)).collect()
}

/// The values without their places.
pub(super) fn unplaced<T>(values: Vec<Placed<T>>) -> Vec<T> {
    values.into_iter().map(|placed| placed.value).collect()
}
