//! `[identity.aws_login]`: callers who prove an AWS role.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{person, values};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::AwsLoginFile;
use crate::identity::Pattern;
use crate::identity::aws_login::{AwsLoginSettings, Role};
use crate::types::Region;

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<AwsLoginFile> {
    let audience = report.read(entry.text("audience"), |text| {
        let plain = !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let wrong = || Wrong::new(format!("{} is no audience", quoted(text)));
        if plain {
            Ok(text.to_owned())
        } else {
            Err(wrong().hint("the gateway's host name, say: \"tollgate.example.com\""))
        }
    });
    let endpoint = report.read(entry.text("endpoint"), |text| {
        let clear = "whoever is between could say who anybody is: https://";
        values::url(text, "https://vpce-0123.sts.us-east-1.vpce.amazonaws.com", "STS takes none", clear)
    });
    let regions = values::each(entry.texts("regions"), report, |text| {
        let region = text.parse::<Region>().map_err(|_| Wrong::new(format!("{} is no Region", quoted(text))))?;
        Ok(region.to_string())
    });
    let hint = "from \"1m\" to \"12h\": for as long a caller is taken for who AWS says they were";
    let longest = values::span_within(entry, "longest", &LONGEST, hint, report);
    let ca_bundle = values::existing(entry, "ca_bundle", around.folder, report);
    let entries = entry.tables("roles");
    let roles: Vec<_> = entries.iter().filter_map(|entry| role(entry, report)).collect();
    let settings = AwsLoginSettings { audience: audience?, endpoint, regions, longest: longest?, roles };
    Some(AwsLoginFile { login: settings, ca_bundle })
}

fn role(entry: &Entry<'_>, report: &mut Report) -> Option<Role> {
    let arn = report.read(entry.text("arn"), |text| {
        // A pattern over all accounts would let everybody in who has an AWS account.
        let account = text.split(':').nth(4).unwrap_or_default();
        if !text.starts_with("arn:") || account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            let hint =
                "\"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_*/{email}\": the account has to be named";
            return Err(Wrong::new(format!("{} is no pattern for the ARNs of an account", quoted(text))).hint(hint));
        }
        person::pattern(text)
    });
    let names: Vec<_> = arn.iter().flat_map(Pattern::names).collect();
    let person = person::compile(entry, arn.as_ref().map(|_| names.as_slice()), report);
    if let (Some(person), Some(text)) = (&person, entry.text("arn"))
        && let Some(chosen) = chosen(text.value).into_iter().find(|chosen| person.names().any(|name| name == chosen))
    {
        let wrong =
            Wrong::new(format!("{{{chosen}}} is a name that whoever may assume the role chooses for themselves"));
        let hint = "take roles of IAM Identity Center (assumed-role/AWSReservedSSO_*/…), or one whose trust policy requires \
                    sts:RoleSessionName to be ${aws:username}";
        report.warning(&text.place, wrong.hint(hint));
    }
    Some(Role { person: person?, arn: arn? })
}

/// The parts of a pattern that are a name of a session, where that is not a name of Identity Center's. Roles that begin with its prefix
/// cannot be made by others.
fn chosen(arn: &str) -> Vec<String> {
    let resource = arn.splitn(6, ':').last().unwrap_or_default();
    let mut segments = resource.splitn(3, '/');
    let (Some(kind), Some(role), Some(session)) = (segments.next(), segments.next(), segments.next()) else {
        return Vec::new();
    };
    let assumed = Pattern::parse(kind).is_ok_and(|kind| kind.parts("assumed-role").is_some());
    if !assumed || role.starts_with("AWSReservedSSO_") {
        return Vec::new();
    }
    Pattern::parse(session).iter().flat_map(Pattern::names).map(str::to_owned).collect()
}

const LONGEST: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(12);
