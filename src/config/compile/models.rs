//! Patterns of models, which budgets and rate limits share.

use super::profiles::Draft;
use super::values;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::types::Models;

/// `models`: patterns of foundation models. `None` where one is wrong or the list is empty, which would limit nothing.
pub(super) fn compile(entry: &Entry<'_>, report: &mut Report) -> Option<Models> {
    if !entry.has("models") {
        return Some(Models::All);
    }
    let texts = entry.texts("models");
    let written = texts.len();
    if written == 0 {
        report.error(&entry.place_of("models"), Wrong::new("names no model").hint("leave it out for all models"));
        return None;
    }
    let patterns = values::each(texts, report, pattern);
    (patterns.len() == written).then_some(Models::Like(patterns))
}

fn pattern(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_*".contains(&byte));
    if plain && (1..=256).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no pattern of models", quoted(text)));
    Err(wrong.hint("a foundation model's id, in which * stands for anything: \"anthropic.claude-opus-*\""))
}

/// A pattern that fits no profile's model limits nothing, and was meant to.
pub(super) fn unmatched(file: &Entry<'_>, section: &str, profiles: &[Draft], report: &mut Report) {
    // What AWS tells later may be like anything.
    if report.has_errors() || profiles.iter().any(|draft| draft.settings.source.is_none()) {
        return;
    }
    for entry in file.tables(section) {
        for pattern in entry.texts("models") {
            let models = Models::Like(vec![pattern.value.to_owned()]);
            if !profiles.iter().any(|draft| models.contain(draft.settings.source.as_ref())) {
                let wrong = Wrong::new(format!("no profile's model is like {}", quoted(pattern.value)));
                let hint = "patterns are held against the foundation model's id, without a prefix such as `us.`";
                report.warning(&pattern.place, wrong.hint(hint));
            }
        }
    }
}
