//! What AWS's model of Bedrock allows names, descriptions, tokens and tags to be.

use http::StatusCode;
use serde::Deserialize;

use crate::mock::refusal::Refusal;

/// A tag as a body has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TagMember {
    key: Option<String>,
    value: Option<String>,
}

/// How many tags a resource may have. A request may carry more, up to [`MOST_SENT`], and is told so.
const MOST_TAGS: usize = 50;
const MOST_SENT: usize = 200;

/// `inferenceProfileName`.
pub(super) fn profile_name(name: Option<&str>) -> Result<&str, Refusal> {
    let at = "inferenceProfileName";
    let name = bounded(at, name, 1, 64)?;
    if words(name, "") { Ok(name) } else { Err(pattern(name, at, "([0-9a-zA-Z][ _-]?)+")) }
}

/// `description`.
pub(super) fn description(text: Option<&str>) -> Result<(), Refusal> {
    let Some(text) = text else { return Ok(()) };
    bounded("description", Some(text), 1, 200)?;
    if words(text, ":.") { Ok(()) } else { Err(pattern(text, "description", "([0-9a-zA-Z:.][ _-]?)+")) }
}

/// `clientRequestToken`.
pub(super) fn request_token(token: Option<&str>) -> Result<(), Refusal> {
    let Some(token) = token else { return Ok(()) };
    bounded("clientRequestToken", Some(token), 1, 256)?;
    let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && !token.starts_with('-') && !token.ends_with('-') {
        return Ok(());
    }
    Err(pattern(token, "clientRequestToken", "[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?"))
}

/// `inferenceProfileIdentifier`: an id, or the ARN of a profile of either kind.
pub(super) fn identifier(name: &str) -> Result<(), Refusal> {
    let at = "inferenceProfileIdentifier";
    bounded(at, Some(name), 1, 2_048)?;
    let id = name.strip_prefix("arn:").map_or(Some(name), |arn| {
        let (front, id) = arn.split_once('/')?;
        let parts: Vec<&str> = front.split(':').collect();
        let kind = parts.get(4).copied().unwrap_or_default();
        let known = matches!(kind, "inference-profile" | "application-inference-profile");
        (parts.len() == 5 && parts.get(1) == Some(&"bedrock") && known).then_some(id)
    });
    let plain =
        |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:.".contains(&byte));
    if id.is_some_and(plain) {
        return Ok(());
    }
    let rule = "(arn:aws(|-us-gov|-cn|-iso|-iso-b):bedrock:(|[0-9a-z-]{0,20}):(|[0-9]{12}):(inference-profile|\
                application-inference-profile)/)?[a-zA-Z0-9-:.]+";
    Err(pattern(name, at, rule))
}

/// `tags`, and how many a resource would have with them; `has` are the keys that it has now.
pub(super) fn tags(
    members: Vec<TagMember>,
    has: impl Fn(&str) -> bool,
    count: usize,
) -> Result<Vec<(String, String)>, Refusal> {
    if members.len() > MOST_SENT {
        return Err(Refusal::constraint(Some("[...]"), "tags", "have length less than or equal to 200"));
    }
    let mut tags: Vec<(String, String)> = Vec::with_capacity(members.len());
    for (at, member) in members.into_iter().enumerate() {
        let at = format!("tags.{}.member", at + 1);
        let key = tag_key(&format!("{at}.key"), member.key.as_deref())?.to_owned();
        let value = member.value.ok_or_else(|| Refusal::constraint(None, &format!("{at}.value"), "not be null"))?;
        bounded(&format!("{at}.value"), Some(&value), 0, 256)?;
        tag_text(&value, &format!("{at}.value"))?;
        if tags.iter().any(|(other, _)| *other == key) {
            return Err(Refusal::validation(&format!("Duplicate tag key: {key}")));
        }
        tags.push((key, value));
    }
    let new = tags.iter().filter(|(key, _)| !has(key)).count();
    if count + new > MOST_TAGS {
        let message = "The request contains more tags than can be associated with a resource (50 tags per resource).";
        return Err(Refusal::fault(StatusCode::BAD_REQUEST, "TooManyTagsException", message));
    }
    Ok(tags)
}

/// A tag's key.
pub(super) fn tag_key<'a>(at: &str, key: Option<&'a str>) -> Result<&'a str, Refusal> {
    let key = bounded(at, key, 1, 128)?;
    tag_text(key, at)?;
    if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
        return Err(Refusal::validation("Tag keys that begin with aws: are reserved for use by AWS"));
    }
    Ok(key)
}

fn tag_text(text: &str, at: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "._:/=+@-".contains(c);
    if text.chars().all(plain) { Ok(()) } else { Err(pattern(text, at, r"[a-zA-Z0-9\s._:/=+@-]*")) }
}

/// A text that must be there, with a length within bounds.
pub(super) fn bounded<'a>(at: &str, text: Option<&'a str>, least: usize, most: usize) -> Result<&'a str, Refusal> {
    let text = text.ok_or_else(|| Refusal::constraint(None, at, "not be null"))?;
    let length = text.chars().count();
    if length < least {
        let rule = format!("have length greater than or equal to {least}");
        return Err(Refusal::constraint(Some(text), at, &rule));
    }
    if length > most {
        return Err(Refusal::constraint(Some(text), at, &format!("have length less than or equal to {most}")));
    }
    Ok(text)
}

pub(super) fn pattern(text: &str, at: &str, rule: &str) -> Refusal {
    Refusal::constraint(Some(text), at, &format!("satisfy regular expression pattern: {rule}"))
}

/// Letters, digits and the marks given, each followed by a space, `_` or `-` or by nothing: `([0-9a-zA-Z][ _-]?)+`.
fn words(text: &str, marks: &str) -> bool {
    let mut may_part = false;
    text.chars().all(|c| {
        let parts = matches!(c, ' ' | '_' | '-');
        let fits = if parts { may_part } else { c.is_ascii_alphanumeric() || marks.contains(c) };
        may_part = !parts;
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_name_is_words_parted_by_one_character() {
        for name in ["a", "a b", "alice-sonnet_4 5", "a-", "Z9", &"x".repeat(64)] {
            assert_eq!(profile_name(Some(name)), Ok(name));
        }
        for name in ["", "-a", "a--b", "a  b", "a.b", "ä", "a/b", "alice@example.com", &"x".repeat(65)] {
            assert!(profile_name(Some(name)).is_err(), "{name}");
        }
        assert!(profile_name(None).unwrap_err().body.contains("Value null at 'inferenceProfileName'"));
    }

    #[test]
    fn an_identifier_is_an_id_or_the_arn_of_a_profile() {
        for name in [
            "a1b2",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1",
            "arn:aws:bedrock:us-east-1::inference-profile/us.x",
        ] {
            assert_eq!(identifier(name), Ok(()), "{name}");
        }
        for name in ["a_b", "a b", "arn:aws:bedrock:us-east-1::foundation-model/a.b", "arn:aws:s3:::x/y"] {
            assert!(identifier(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tags_have_the_limits_of_the_model() {
        let tag = |key: &str, value: &str| TagMember { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let check = |list: Vec<TagMember>| tags(list, |_| false, 0);
        assert!(check(vec![tag("a", ""), tag("b", "x y"), tag("user:mail", "a+b@c.d/e=f_g-h")]).is_ok());
        for bad in [
            tag("", "x"),
            tag("aws:x", "y"),
            tag("AWS:x", "y"),
            tag(&"k".repeat(129), "x"),
            tag("k", &"v".repeat(257)),
            tag("k", "ü"),
            tag("k", "a,b"),
            tag("k(", "v"),
            TagMember { key: Some("k".to_owned()), value: None },
        ] {
            assert_eq!(check(vec![bad.clone()]).unwrap_err().kind, "ValidationException", "{bad:?}");
        }
        assert!(check(vec![tag("a", "1"), tag("a", "2")]).is_err());
        let many = |count: usize| (0..count).map(|at| tag(&format!("k{at}"), "v")).collect::<Vec<_>>();
        assert!(check(many(50)).is_ok());
        assert_eq!(check(many(51)).unwrap_err().kind, "TooManyTagsException");
        assert_eq!(check(many(201)).unwrap_err().kind, "ValidationException");
        assert!(tags(many(2), |key| key == "k0", 49).is_ok(), "one of them is there already");
    }
}
