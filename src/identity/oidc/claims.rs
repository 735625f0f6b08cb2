//! From claims to a principal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::TokenFault;
use super::issuer::IssuerSettings;
use super::token::Token;
use crate::identity::Principal;
use crate::identity::pattern::is_name;

/// Whom a token is for, by its issuer's templates. Its audience has been checked already.
pub(super) fn principal(token: &Token<'_>, settings: &IssuerSettings) -> Result<Principal, TokenFault> {
    let claims = &token.claims;
    for (name, wanted) in &settings.require {
        let found = find(claims, name).map(|value| one(value).into_owned());
        if found.as_deref() != Some(wanted) {
            return Err(TokenFault::Claim(name.clone()));
        }
    }
    let value = |name: &str| find(claims, name).map(one);
    let described = settings.person.principal(value).map_err(TokenFault::Claim)?;
    let mut groups = described.groups().to_vec();
    if let Some(claim) = &settings.groups_claim {
        if is_elsewhere(claims, claim) {
            return Err(TokenFault::Elsewhere(claim.clone()));
        }
        groups.extend(find(claims, claim).map(several).unwrap_or_default());
    }
    groups.dedup();
    let mut tags = aws_tags(claims);
    tags.extend(described.tags().iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    let fits = |text: &String| is_name(text);
    if !is_name(described.name()) {
        return Err(TokenFault::Claim("the name that comes of it".to_owned()));
    }
    if groups.len() > MOST_GROUPS || !groups.iter().all(fits) {
        return Err(TokenFault::Claim("the groups that come of it".to_owned()));
    }
    let tags = tags.into_iter().filter(|(key, value)| is_name(key) && value.len() <= LONGEST_TAG && is_plain(value));
    Ok(Principal::new(described.name(), groups, tags.collect()))
}

/// A claim by its name, or by a path of names (`/kubernetes.io/namespace`, as RFC 6901 has it).
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let mut names = path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&names.next()?);
    names.fold(first, |value, name| value?.get(&name))
}

/// Whether the token says of a claim that its value has to be asked for elsewhere, as Entra does of somebody in too many groups. Whoever
/// took that for no groups would let them past what their groups owe.
///
/// <https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims>,
/// <https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference#groups-overage-claim>
fn is_elsewhere(claims: &Map<String, Value>, name: &str) -> bool {
    let distributed = claims.get("_claim_names").and_then(Value::as_object);
    let has_groups = || match claims.get("hasgroups") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(value) => one(value) != "false",
    };
    distributed.is_some_and(|names| find(names, name).is_some()) || (name == "groups" && has_groups())
}

/// A claim as one text: of a list the first.
fn one(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Array(values) => values.first().and_then(Value::as_str).map_or(Cow::Borrowed(""), Cow::Borrowed),
        Value::Null | Value::Object(_) => Cow::Borrowed(""),
    }
}

/// A claim as a list of texts: an array, or one text with spaces or commas between.
fn several(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => text.split([' ', ',']).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// AWS's own claim for session tags, as issuers write it for `AssumeRoleWithWebIdentity`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp>
fn aws_tags(claims: &Map<String, Value>) -> BTreeMap<String, String> {
    let nested = claims.get(AWS_TAGS).and_then(|tags| tags.get("principal_tags")).and_then(Value::as_object);
    let own = nested.into_iter().flatten().map(|(key, value)| (key.clone(), one(value).into_owned()));
    // Issuers that cannot nest write each by itself.
    let flat = claims.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(AWS_TAGS)?.strip_prefix("/principal_tags/")?;
        Some((key.to_owned(), one(value).into_owned()))
    });
    own.chain(flat).filter(|(key, value)| !key.is_empty() && !value.is_empty()).take(MOST_TAGS).collect()
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

const AWS_TAGS: &str = "https://aws.amazon.com/tags";
/// IAM's own limits.
const MOST_TAGS: usize = 50;
const LONGEST_TAG: usize = 256;
/// Entra leaves groups out of a token above two hundred.
const MOST_GROUPS: usize = 250;
