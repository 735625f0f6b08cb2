//! What AWS is asked for: a name, a source and tags that are the same whoever asks and however often.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{OWNER_TAG, ProfileKey, VendError, VendingRule};
use crate::identity::{Principal, Template};
use crate::profiles::control::{Creation, Place};
use crate::profiles::discovery::SOURCE_TAG;
use crate::profiles::{Profile, Rule};
use crate::types::{ModelId, is_tag_value};

/// A profile that would be made.
#[derive(Clone, Debug)]
pub struct Ask<'r> {
    /// The rule's place among those of the configuration, from 0; nothing where it is none of them.
    pub at: Option<usize>,
    /// By which rule.
    pub rule: &'r VendingRule,
    /// From what.
    pub source: ModelId,
    /// Under which name.
    pub name: String,
    /// With which tags.
    pub tags: BTreeMap<String, String>,
    /// Whether the name is somebody's own choice.
    pub(super) named: bool,
}

impl<'r> Ask<'r> {
    /// What a rule would have made for a principal, from exactly this source; whether it is for them is not looked at.
    pub fn new(rule: &'r VendingRule, principal: &Principal, source: ModelId) -> Result<Self, VendError> {
        let value = |name: &str| match name {
            "principal" => Some(Cow::Borrowed(principal.name())),
            "model" => Some(Cow::Borrowed(source.base_str())),
            "source" => Some(Cow::Borrowed(source.as_str())),
            tag => principal.tags().value(tag).map(Cow::Borrowed),
        };
        let filled = |template: &Template| template.fill(value).map_err(|name| VendError::Lacks(format!("{{{name}}}")));
        let mut tags = BTreeMap::new();
        for (key, template) in &rule.tags {
            tags.insert(key.clone(), filled(template)?);
        }
        tags.insert(SOURCE_TAG.to_owned(), source.to_string());
        tags.insert(OWNER_TAG.to_owned(), principal.name().to_owned());
        if let Some((_, value)) = tags.iter().find(|(_, value)| !is_tag_value(value) || value.trim() != value.as_str())
        {
            return Err(VendError::Lacks(format!("{value:?}")));
        }
        let name = name(&filled(&rule.name)?, &digest(rule, principal, &source, ""));
        Ok(Self { at: None, rule, source, name, tags, named: false })
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name, named: true, ..self }
    }

    /// Whether it would be its owner's by a rule of discovery.
    pub fn is_owned_by(&self, principal: &Principal, rules: &[Rule]) -> bool {
        rules.iter().any(|rule| self.tags.get(&rule.profile_tag).is_some_and(|value| rule.gives(value, principal)))
    }

    /// The profile that it would be, but for its id: for those who judge where a call may go.
    pub fn preview(&self) -> Option<Profile> {
        let Place { account, region } = &self.rule.place;
        let partition = region.partition();
        let arn = format!("arn:{partition}:bedrock:{region}:{account}:application-inference-profile/0");
        Some(Profile::new(self.name.clone(), arn.parse().ok()?, self.source.clone()))
    }

    pub(super) fn key(&self, principal: &Principal) -> ProfileKey {
        ProfileKey { principal: principal.name().to_owned(), source: self.source.clone(), rule: self.at }
    }

    pub(super) fn creation(&self, principal: &Principal, now: Timestamp) -> Creation {
        let (account, region, source) = (&self.rule.place.account, &self.rule.place.region, &self.source);
        let partition = region.partition();
        let copy_from = match source.geography() {
            Some(_) => format!("arn:{partition}:bedrock:{region}:{account}:inference-profile/{source}"),
            None => format!("arn:{partition}:bedrock:{region}::foundation-model/{source}"),
        };
        // A token of a profile that was deleted since must not be taken for that one: it is another on another day.
        let day = now.strftime("%F").to_string();
        // Under a name of its own, or with other tags, it is another profile: AWS would give the one that it made for the token.
        let own_name = if self.named { self.name.as_str() } else { "" };
        let day = format!("{day} {own_name} {:?}", self.tags);
        let token = digest(self.rule, principal, source, &day);
        Creation { name: self.name.clone(), copy_from, token, tags: self.tags.clone() }
    }
}

/// What tells this profile from all others, in 64 hexadecimal digits.
fn digest(rule: &VendingRule, principal: &Principal, source: &ModelId, day: &str) -> String {
    let mut hash = Sha256::new();
    let parts = [rule.place.account.as_str(), rule.place.region.as_str(), principal.name(), source.as_str(), day];
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// A name within AWS's grammar, letters and digits with single separators between them, and its length. What tells apart stands at
/// its end, because different texts may come out alike.
fn name(text: &str, digest: &str) -> String {
    let mut name = String::with_capacity(MAX_NAME_BYTES);
    for character in text.chars() {
        let separated = name.ends_with(['-', '_']);
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(character),
            '_' if !separated && !name.is_empty() => name.push('_'),
            _ if !separated && !name.is_empty() => name.push('-'),
            _ => {}
        }
        if name.len() == MAX_NAME_BYTES - TOLD_APART - 1 {
            break;
        }
    }
    let told_apart = digest.get(..TOLD_APART).unwrap_or_default();
    let kept = name.trim_end_matches(['-', '_']);
    if kept.is_empty() { told_apart.to_owned() } else { format!("{kept}-{told_apart}") }
}

/// AWS's limit on a profile's name.
const MAX_NAME_BYTES: usize = 64;
/// Digits of the digest in a name.
const TOLD_APART: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_readable_and_within_awss_grammar() {
        let digest = "0123456789abcdef";
        for (text, wanted) in [
            ("alice@example.com-claude-sonnet-4-5", "alice-example-com-claude-sonnet-4-5-0123456789"),
            ("--a__b  c--", "a_b-c-0123456789"),
            ("é/ü", "0123456789"),
            ("", "0123456789"),
        ] {
            assert_eq!(name(text, digest), wanted);
        }
    }

    proptest! {
        #[test]
        fn every_text_makes_a_name_that_aws_takes(text in any::<String>()) {
            let name = name(&text, "0123456789abcdef");
            prop_assert!((1..=64).contains(&name.len()));
            // ([0-9a-zA-Z][ _-]?)+
            let bytes = name.as_bytes();
            prop_assert!(bytes[0].is_ascii_alphanumeric());
            let twice = bytes.windows(2).any(|two| two.iter().all(|byte| b"-_".contains(byte)));
            prop_assert!(!twice && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
        }
    }
}
