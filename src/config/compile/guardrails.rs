//! `[[guardrails]]`: which guardrails are owed, and by whom.

use super::owners::{self, Nobody};
use super::principals::Roster;
use super::values;
use crate::config::diagnostics::{Placed, Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::GuardrailSettings;
use crate::types::{AccountId, Arn, Region};

pub(super) fn compile(file: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Vec<Placed<GuardrailSettings>> {
    file.tables("guardrails").iter().filter_map(|entry| guardrail(entry, roster, report)).collect()
}

fn guardrail(entry: &Entry<'_>, roster: &Roster<'_>, report: &mut Report) -> Option<Placed<GuardrailSettings>> {
    let identifier = report.read(entry.text("identifier"), identifier);
    let version = report.read(entry.text("version"), version);
    if version.as_deref() == Some("DRAFT") {
        let wrong = Wrong::new("DRAFT changes whenever somebody edits the guardrail");
        report.warning(&entry.place_of("version"), wrong.hint("make a version of it and name its number"));
    }
    let mode = values::choice(entry, "mode", report);
    let asynchronous = values::choice(entry, "asynchronous", report);
    let selective = values::choice(entry, "selective", report);
    let owners = owners::compile(entry, roster, Nobody::Refused, report);
    let value = GuardrailSettings {
        identifier: identifier?,
        version: version?,
        mode: mode?,
        asynchronous: asynchronous?,
        selective: selective?,
        owners: owners?,
    };
    Some(Placed { value, place: entry.place().clone() })
}

/// The Runtime API's pattern: `[a-z0-9]+`, or a guardrail's ARN.
fn identifier(text: &str) -> Result<String, Wrong> {
    let plain = |id: &str| {
        let written = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        written && (1..=64).contains(&id.len())
    };
    let of_arn = |text| {
        let arn = Arn::parse(text)?;
        let id = arn.resource.strip_prefix("guardrail/")?;
        let located = arn.region.parse::<Region>().is_ok() && arn.account.parse::<AccountId>().is_ok();
        (arn.service == "bedrock" && arn.partition.starts_with("aws") && located && plain(id)).then_some(())
    };
    if plain(text) || of_arn(text).is_some() {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("{} is no guardrail", quoted(text)));
    Err(wrong.hint("its id (lower-case letters and digits) or ARN (arn:aws:bedrock:<region>:<account>:guardrail/<id>)"))
}

/// `DRAFT`, or a number of up to eight digits.
fn version(text: &str) -> Result<String, Wrong> {
    let number =
        (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if number || text == "DRAFT" {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is no version of a guardrail", quoted(text)))
        .hint("a number such as \"1\", or \"DRAFT\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_the_runtime_apis_pattern() {
        let arn = "arn:aws:bedrock:us-east-1:111122223333:guardrail/abc123";
        for text in ["abc123", "0", arn, "arn:aws-us-gov:bedrock:us-gov-west-1:111122223333:guardrail/abc123"] {
            assert_eq!(identifier(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "ABC",
            "abc-123",
            "arn:aws:bedrock:us-east-1:111122223333:guardrail/ABC",
            "arn:aws:bedrock:us-east-1:111122223333:guardrail/",
            "arn:aws:bedrock:us-east-1::guardrail/abc",
            "arn:aws:s3:us-east-1:111122223333:guardrail/abc",
            "arn:aws:bedrock:us-east-1:111122223333:guardrail-profile/abc",
        ] {
            assert!(identifier(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_numbers_or_draft() {
        for text in ["1", "42", "99999999", "DRAFT"] {
            assert_eq!(version(text).as_deref(), Ok(text));
        }
        for text in ["", "0", "01", "draft", "1.0", "-1", "123456789", "٣"] {
            assert!(version(text).is_err(), "{text}");
        }
    }
}
