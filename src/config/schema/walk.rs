//! Holds a file against the list of keys: what is unknown, what is missing, what has the wrong shape.
//!
//! Whether a string *says* something sensible is for `compile`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::entry::whole;
use super::{Absence, Key, Shape, remedy};
use crate::config::diagnostics::{Place, Report, Wrong};

/// Checks a table and all below it.
pub(super) fn check(table: &DeTable<'_>, keys: &'static [Key], place: &Place, report: &mut Report) {
    for (name, value) in table {
        let at = place.key(name.get_ref(), name.span().start);
        match keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => {
                let at = at.moved_to(value.span().start);
                check_value(value, key.shape, &at, report);
                let nothing = value.get_ref().as_array().is_some_and(|elements| elements.is_empty());
                if let (Absence::Wrong(example), true) = (key.absence, nothing) {
                    report.error(&at, Wrong::new("empty").hint(format!("add {example}")));
                }
            }
            None => report.error(&at, Wrong::new("unknown key").hint(remedy::of_unknown(name.get_ref(), keys))),
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
    let fits = match shape {
        Shape::Text | Shape::Span | Shape::Dollars => value.is_str(),
        Shape::Flag => value.is_bool(),
        Shape::Integer => {
            if value.as_integer().is_some_and(|integer| whole(integer).is_none()) {
                let wrong = Wrong::new("too large a number").hint(format!("the largest is {}", i64::MAX));
                return report.error(place, wrong);
            }
            value.is_integer()
        }
        Shape::Texts => check_elements(value, Shape::Text, place, report),
        Shape::Tables(keys) => check_elements(value, Shape::Table(keys), place, report),
        Shape::Pairs => check_named(value, Shape::Text, place, report),
        Shape::Named(keys) => check_named(value, Shape::Table(keys), place, report),
        Shape::Table(keys) => value.as_table().is_some_and(|table| {
            check(table, keys, place, report);
            true
        }),
    };
    if !fits {
        report.error(place, remedy::of_mismatch(value, shape, &place.key));
    }
}

/// Checks the elements of an array, if it is one.
fn check_elements(value: &DeValue<'_>, inner: Shape, place: &Place, report: &mut Report) -> bool {
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        check_value(element, inner, &place.element(index, element.span().start), report);
    }
    value.is_array()
}

/// Checks the values of a table under names of the writer's choice, if it is one.
fn check_named(value: &DeValue<'_>, inner: Shape, place: &Place, report: &mut Report) -> bool {
    for (name, element) in value.as_table().into_iter().flatten() {
        // A table stands where its name stands: the value itself begins somewhere in its header.
        let offset = if element.get_ref().is_table() { name.span().start } else { element.span().start };
        check_value(element, inner, &place.key(name.get_ref(), offset), report);
    }
    value.is_table()
}
