//! `[[profiles]]`: which application inference profiles there are, and whose.

use super::owners::{self, Nobody};
use super::principals::Roster;
use super::{upstream, values};
use crate::config::diagnostics::{Place, Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::ProfileSettings;
use crate::profiles::{PromptBounds, Reach};
use crate::types::{ModelId, ModelName, ProfileArn};

/// A profile, and the places that cross-checks speak of.
pub(super) struct Draft {
    pub(super) settings: ProfileSettings,
    pub(super) place: Place,
    pub(super) source: Place,
    /// What its owners may call it besides its model: name, id, ARN, aliases.
    pub(super) words: Vec<Placed<String>>,
}

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Draft> {
    let entries = file.tables("profiles");
    let further = upstream::geographies(&file.table("upstream"));
    let further: Vec<_> = further.into_iter().map(|prefix| prefix.value.to_owned()).collect();
    let exact = file.tables("exact_arns");
    values::distinct("profile", entries.iter().chain(&exact).filter_map(|entry| entry.text("name")), report);
    let exact: Vec<_> = exact.iter().filter_map(|entry| exact_arn(entry, roster, &further, report)).collect();
    let profiles = entries.iter().filter_map(|entry| profile(entry, roster, &further, report));
    profiles.chain(exact).collect()
}

/// Something that is no inference profile, for those who are named and by its ARN alone.
fn exact_arn(entry: &Entry<'_>, roster: &Roster<'_>, further: &[String], report: &mut Report) -> Option<Draft> {
    let name = report.read(entry.text("name"), name);
    let arn = report.read(entry.text("arn"), |text| {
        ProfileArn::of_exact(text).map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
    });
    let source = report.read(entry.text("source"), source).map(|source| source.with_geographies(further));
    let owners = owners::listed(entry, roster, report);
    let prompt = match &arn {
        Some(arn) if arn.is_prompt() => Some(prompt(entry, arn, report)?),
        Some(_) => {
            let keys = ["most_input_tokens", "most_output_tokens", "variable_uses"];
            for key in keys.into_iter().filter(|key| entry.has(key)) {
                let wrong = Wrong::new("is about prompts, and this ARN is no prompt's");
                report.error(&entry.place_of(key), wrong.hint("leave it out: the request says how much it asks"));
            }
            None
        }
        None => None,
    };
    let settings = ProfileSettings {
        name: name?,
        arn: arn?,
        source: Some(source?),
        owners: owners?,
        reach: Reach::ArnAlone,
        prompt,
        aliases: Vec::new(),
    };
    let words = vec![Placed { value: settings.arn.as_str().to_owned(), place: entry.place_of("arn") }];
    Some(Draft { settings, place: entry.place().clone(), source: entry.place_of("source"), words })
}

/// What a prompt asks beyond its request, which has to be said, as nothing else says it.
fn prompt(entry: &Entry<'_>, arn: &ProfileArn, report: &mut Report) -> Option<PromptBounds> {
    for key in ["most_input_tokens", "most_output_tokens"].into_iter().filter(|key| !entry.has(key)) {
        let wrong = Wrong::new(format!("{key} is missing, and this is a prompt: no request says how much it asks"));
        report.error(entry.place(), wrong.hint(format!("{key} = 2000, say: budgets hold so much for each call")));
    }
    if arn.is_draft() {
        let wrong = Wrong::new("is a prompt's draft, which whoever may edit it can give another text, limit and model");
        report.warning(&entry.place_of("arn"), wrong.hint("name a version, which nobody can change: prompt/…:1"));
    }
    let input_tokens = values::number(entry, "most_input_tokens", 0..=MOST_TOKENS, report);
    let output_tokens = values::number(entry, "most_output_tokens", 1..=MOST_TOKENS, report);
    let variable_uses =
        if entry.has("variable_uses") { values::number(entry, "variable_uses", 1..=1_000, report) } else { Some(1) };
    Some(PromptBounds { input_tokens: input_tokens?, output_tokens: output_tokens?, variable_uses: variable_uses? })
}

/// More than any model reads or writes.
const MOST_TOKENS: i64 = 10_000_000;

/// A call goes through a profile or not at all.
pub(super) fn some(file: &Entry<'_>, report: &mut Report) {
    if file.tables("profiles").is_empty() && !file.has("discovery") {
        let hint = "add [[profiles]] with name and arn, or [discovery] with [[accounts]]: a call goes through a profile or \
                    not at all";
        let what = if file.has("profiles") { "empty" } else { "missing" };
        report.error(&file.place_of("profiles"), Wrong::new(what).hint(hint));
    }
}

/// `further` are prefixes of geographies beside those that are known.
fn profile(entry: &Entry<'_>, roster: &Roster<'_>, further: &[String], report: &mut Report) -> Option<Draft> {
    let name = report.read(entry.text("name"), name);
    let arn = report.read(entry.text("arn"), |text| {
        text.parse::<ProfileArn>().map_err(|error| Wrong::new(format!("{}: {error}", quoted(text))))
    });
    let source = report.read(entry.text("source"), source).map(|source| source.with_geographies(further));
    if let Some(prefix) = source.as_ref().filter(|source| source.prefix().is_none()).and_then(ModelId::unknown_prefix) {
        let wrong = Wrong::new(format!("{prefix} is taken for the maker of the model"));
        let hint = format!("if it is a geography, add geographies = [\"{prefix}\"] to [upstream]");
        report.warning(&entry.place_of("source"), wrong.hint(hint));
    }
    let owners = owners::compile(entry, roster, Nobody::Allowed, report);
    let texts = entry.texts("aliases");
    values::distinct("alias", texts.iter().cloned(), report);
    let aliases = values::each(texts.clone(), report, alias);

    // One that is said and wrong is no reason to ask AWS.
    if entry.has("source") && source.is_none() {
        return None;
    }
    let settings = ProfileSettings {
        name: name?,
        arn: arn?,
        source,
        owners: owners?,
        reach: Reach::AnyName,
        prompt: None,
        aliases,
    };
    let own = [("name", settings.name.as_str()), ("arn", settings.arn.as_str()), ("arn", settings.arn.id())];
    let own = own.map(|(key, word)| Placed { value: word.to_owned(), place: entry.place_of(key) });
    let aliases = texts.into_iter().map(|text| Placed { value: text.value.to_owned(), place: text.place });
    let words = own.into_iter().chain(aliases).collect();
    Some(Draft { settings, place: entry.place().clone(), source: entry.place_of("source"), words })
}

/// AWS's grammar for a profile's name, without the space: callers may ask for a profile by its name, and a model's name in a
/// request holds no space. It holds no dot either, which would make it look like a model's id.
fn name(text: &str) -> Result<String, Wrong> {
    let framed = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if framed && plain && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no profile's name", quoted(text)));
    Err(wrong.hint("1 to 64 ASCII letters, digits, _ and -, starting with a letter or digit"))
}

/// The model a profile was copied from, as an id.
fn source(text: &str) -> Result<ModelId, Wrong> {
    match ModelName::classify(text) {
        ModelName::Model(id) if id.as_str() == text => Ok(id),
        ModelName::Model(id) => {
            Err(Wrong::new(format!("{} is an ARN", quoted(text))).hint(format!("the id alone: \"{id}\"")))
        }
        ModelName::ApplicationProfile(_) => Err(Wrong::new("is itself an application inference profile")
            .hint("the model or system-defined profile that the profile was made from (modelSource.copyFrom)")),
        ModelName::Word(_) | ModelName::Refused(_) => Err(Wrong::new(format!("{} is no model's id", quoted(text)))
            .hint("a model or system-defined profile, such as \"us.anthropic.claude-sonnet-4-5-20250929-v1:0\"")),
    }
}

/// A word, or the id of another model that this profile shall answer for. Nothing that already leads elsewhere: no ARN.
fn alias(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
    let leads = match ModelName::classify(text) {
        ModelName::Word(_) => true,
        ModelName::Model(id) => id.as_str() == text,
        ModelName::ApplicationProfile(_) | ModelName::Refused(_) => false,
    };
    if leads && plain && !text.is_empty() && text.len() <= 256 {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no alias", quoted(text)));
    Err(wrong.hint("1 to 256 ASCII letters, digits and _ . : -, and no ARN"))
}
