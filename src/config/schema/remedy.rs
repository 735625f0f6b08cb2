//! What to do about a key that is not there and about a value in the wrong shape.

use toml::de::DeValue;

use super::{Key, ROOT, Shape};
use crate::config::diagnostics::{Wrong, quoted};
use crate::config::duration::parse_duration;
use crate::config::suggest;
use crate::types::Money;

/// What to write in place of a value of another shape.
pub(super) fn of_mismatch(value: &DeValue<'_>, shape: Shape, key: &str) -> Wrong {
    let number = value.as_integer().map(ToString::to_string).or_else(|| value.as_float().map(ToString::to_string));
    let (wanted, hint) = match shape {
        Shape::Text => ("a string", number.map(|number| format!("write it in quotes: \"{number}\""))),
        Shape::Span => {
            let span = number.map(|number| format!("{number}s")).filter(|span| parse_duration(span).is_ok());
            let span = span.as_deref().unwrap_or("30s");
            ("a string with a span of time", Some(format!("write it in quotes and with its unit: \"{span}\"")))
        }
        Shape::Dollars => {
            let dollars = number.filter(|number| number.parse::<Money>().is_ok());
            let dollars = dollars.as_deref().unwrap_or("5.00");
            let hint = format!("write it in quotes: \"{dollars}\" (money is never a float, which would round it)");
            ("a string with dollars", Some(hint))
        }
        Shape::Integer => ("a whole number", Some("write digits without quotes, point or unit: 1000".to_owned())),
        Shape::Flag => ("true or false", Some("write it without quotes".to_owned())),
        Shape::Texts => {
            ("an array of strings", value.as_str().map(|text| format!("write it in brackets: [{}]", quoted(text))))
        }
        Shape::Pairs => ("a table of strings", Some("write { Key = \"value\" }".to_owned())),
        Shape::Table(_) if value.is_array() => {
            ("one table", Some(format!("write it once, in single brackets: [{key}]")))
        }
        Shape::Table(_) => ("a table", Some(format!("write its keys below a header of their own: [{key}]"))),
        Shape::Tables(_) => ("an array of tables", Some(format!("write each in double brackets: [[{key}]]"))),
        Shape::Named(_) => ("a table of tables", Some(format!("write each below a header of its own: [{key}.\"…\"]"))),
    };
    Wrong::new(format!("{} where {wanted} is wanted", with_article(value))).maybe_hint(hint)
}

/// What was meant by a key that is not there.
pub(super) fn of_unknown(name: &str, keys: &'static [Key]) -> String {
    let names = || keys.iter().map(|key| key.name);
    if let Some(hint) = suggest::did_you_mean(name, names()) {
        return hint;
    }
    // Below the wrong header, the commonest slip with TOML.
    let homes = homes();
    if let Some(meant) = suggest::nearest(name, homes.iter().map(|(key, _)| *key)) {
        let at: Vec<_> = homes.iter().filter(|(key, _)| *key == meant).map(|(_, home)| format!("[{home}]")).collect();
        return format!("`{meant}` belongs below {}", at.join(" or "));
    }
    let known: Vec<_> = names().collect();
    format!("known here: {}", known.join(", "))
}

/// What to do about a text that is not TOML.
pub(super) fn of_syntax(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "every key and every [header] stands once; only [[header]] comes several times"
    } else {
        "not TOML (https://toml.io): strings stand in double quotes, one key = value on a line"
    }
}

/// Every key below a header, with the header.
fn homes() -> Vec<(&'static str, String)> {
    let mut homes = Vec::new();
    let mut open: Vec<(String, &'static [Key])> = vec![(String::new(), ROOT)];
    while let Some((path, keys)) = open.pop() {
        for key in keys {
            let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            if !path.is_empty() {
                homes.push((key.name, path.clone()));
            }
            match key.shape {
                Shape::Table(keys) => open.push((below, keys)),
                Shape::Tables(keys) => open.push((format!("[{below}]"), keys)),
                Shape::Named(keys) => open.push((format!("{below}.\"…\""), keys)),
                Shape::Text
                | Shape::Span
                | Shape::Dollars
                | Shape::Integer
                | Shape::Flag
                | Shape::Texts
                | Shape::Pairs => {}
            }
        }
    }
    homes.sort();
    homes
}

const fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
