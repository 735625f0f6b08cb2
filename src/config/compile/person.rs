//! `principal`, `groups` and `tags` where they come from a token, an ARN or a certificate: texts with places to fill.

use std::collections::BTreeMap;

use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::identity::{Pattern, Person, Template};

/// Who somebody is. `names` are those that can be filled in; `None` where any can.
pub(super) fn compile(entry: &Entry<'_>, names: Option<&[&str]>, report: &mut Report) -> Option<Person> {
    let read = |text: &str| {
        let template = Template::parse(text).map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))?;
        let unknown = template.names().find(|name| names.is_some_and(|names| !names.contains(name)));
        if let Some((one, other)) = template.runs_together() {
            let wrong = Wrong::new(format!("{}: {{{one}}} and {{{other}}} run together", quoted(text)));
            let hint = format!(
                "different people could come out the same: / or : between them, such as \"{{{one}}}/{{{other}}}\""
            );
            return Err(wrong.hint(hint));
        }
        match unknown {
            None => Ok(template),
            Some(unknown) => {
                let names = names.unwrap_or_default().iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>();
                let hint = if names.is_empty() {
                    "it gives no name".to_owned()
                } else {
                    format!("it gives {}", names.join(", "))
                };
                Err(Wrong::new(format!("{{{unknown}}} is no part of the pattern")).hint(hint))
            }
        }
    };
    let principal = report.read(entry.text("principal"), read);
    let groups = values::each(entry.texts("groups"), report, read);
    let mut tags = BTreeMap::new();
    for (key, value) in entry.pairs("tags") {
        let name = key.value.to_owned();
        if let Some(template) = report.read(Some(Placed { value, place: key.place }), read) {
            tags.insert(name, template);
        }
    }
    Some(Person { principal: principal?, groups, tags })
}

/// A pattern.
pub(super) fn pattern(text: &str) -> Result<Pattern, Wrong> {
    Pattern::parse(text).map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
}
