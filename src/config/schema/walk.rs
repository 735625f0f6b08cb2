//! Holds a file against the list of keys: what is unknown, what is missing, what has the wrong shape.
//!
//! Whether a string *says* something sensible is for `compile`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::entry::whole;
use super::{Absence, Key, ROOT, Shape};
use crate::config::diagnostics::{Place, Report, Wrong, quoted};
use crate::config::suggest;

/// Checks a table and all below it.
pub(super) fn check(table: &DeTable<'_>, keys: &'static [Key], place: &Place, report: &mut Report) {
    for (name, value) in table {
        let at = place.key(name.get_ref(), name.span().start);
        match keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => check_value(value, key.shape, &at.moved_to(value.span().start), report),
            None => report.error(&at, unknown(name.get_ref(), keys)),
        }
    }
    for key in keys.iter().filter(|key| !table.contains_key(key.name)) {
        if let Absence::Wrong(example) = key.absence {
            report.error(&place.key(key.name, place.offset), Wrong::new("missing").hint(format!("add {example}")));
        }
    }
}

fn check_value(value: &Spanned<DeValue<'_>>, shape: Shape, place: &Place, report: &mut Report) {
    let value = value.get_ref();
    match shape {
        Shape::Text | Shape::Span | Shape::Dollars if value.is_str() => {}
        Shape::Flag if value.is_bool() => {}
        Shape::Integer if value.as_integer().is_some_and(|integer| whole(integer).is_some()) => {}
        Shape::Integer if value.is_integer() => {
            report.error(place, Wrong::new("too large a number").hint(format!("the largest is {}", i64::MAX)));
        }
        Shape::Texts | Shape::Tables(_) if value.is_array() => {
            let inner = match shape {
                Shape::Tables(keys) => Shape::Table(keys),
                _ => Shape::Text,
            };
            for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                check_value(element, inner, &place.element(index, element.span().start), report);
            }
        }
        Shape::Table(keys) if value.is_table() => {
            for table in value.as_table() {
                check(table, keys, place, report);
            }
        }
        Shape::Pairs | Shape::Named(_) if value.is_table() => {
            let inner = match shape {
                Shape::Named(keys) => Shape::Table(keys),
                _ => Shape::Text,
            };
            for (name, element) in value.as_table().into_iter().flatten() {
                let offset = if inner_is_table(inner) { name.span().start } else { element.span().start };
                check_value(element, inner, &place.key(name.get_ref(), offset), report);
            }
        }
        _ => report.error(place, mismatch(value, shape, place)),
    }
}

const fn inner_is_table(shape: Shape) -> bool {
    matches!(shape, Shape::Table(_))
}

fn mismatch(value: &DeValue<'_>, shape: Shape, place: &Place) -> Wrong {
    let name = place.key.rsplit('.').next().unwrap_or_default();
    let written = value.as_integer().map(ToString::to_string).or_else(|| value.as_float().map(ToString::to_string));
    let (wanted, hint) = match shape {
        Shape::Text => ("a string", written.map(|number| format!("write it in quotes: \"{number}\""))),
        Shape::Span => (
            "a span of time in a string",
            Some(format!("write it in quotes and with its unit: \"{}s\"", written.as_deref().unwrap_or("30"))),
        ),
        Shape::Dollars => (
            "dollars in a string",
            Some(format!(
                "write it in quotes: \"{}\" (money is never a float, which would round it)",
                written.as_deref().unwrap_or("5.00")
            )),
        ),
        Shape::Integer => ("a whole number", Some("write digits without quotes, point or unit: 1000".to_owned())),
        Shape::Flag => ("true or false", Some("write it without quotes".to_owned())),
        Shape::Texts => {
            ("an array of strings", value.as_str().map(|text| format!("write it in brackets: [{}]", quoted(text))))
        }
        Shape::Pairs => ("a table of strings", Some(format!("write {name} = {{ Key = \"value\" }}"))),
        Shape::Table(_) if value.is_array() => {
            ("one table", Some(format!("write it once, in single brackets: [{name}]")))
        }
        Shape::Table(_) => ("a table", Some(format!("write its keys below [{name}]"))),
        Shape::Tables(_) => ("an array of tables", Some(format!("write each in double brackets: [[{name}]]"))),
        Shape::Named(_) => ("a table of tables", Some(format!("write each as [{name}.\"…\"]"))),
    };
    Wrong::new(format!("this is {}, wanted is {wanted}", with_article(value))).maybe_hint(hint)
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

fn unknown(name: &str, keys: &'static [Key]) -> Wrong {
    let names = || keys.iter().map(|key| key.name);
    let hint = suggest::did_you_mean(name, names()).or_else(|| elsewhere(name)).unwrap_or_else(|| {
        let known: Vec<_> = names().collect();
        format!("known here: {}", known.join(", "))
    });
    Wrong::new("unknown key").hint(hint)
}

/// Where a key belongs that was written below the wrong header, the commonest slip with TOML.
fn elsewhere(name: &str) -> Option<String> {
    let mut homes = Vec::new();
    let mut open: Vec<(String, &'static [Key])> = vec![(String::new(), ROOT)];
    while let Some((path, keys)) = open.pop() {
        for key in keys {
            let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            match key.shape {
                Shape::Table(keys) => open.push((below.clone(), keys)),
                Shape::Tables(keys) => open.push((format!("[{below}]"), keys)),
                Shape::Named(keys) => open.push((format!("{below}.\"…\""), keys)),
                Shape::Text | Shape::Span | Shape::Dollars | Shape::Integer | Shape::Flag => {}
                Shape::Texts | Shape::Pairs => {}
            }
            if key.name == name {
                homes.push(if path.is_empty() { "the top of the file".to_owned() } else { format!("[{path}]") });
            }
        }
    }
    homes.sort();
    (!homes.is_empty()).then(|| format!("`{name}` belongs below {}", homes.join(" or ")))
}
