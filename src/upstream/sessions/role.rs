//! A role in an account, and what STS is asked for on behalf of a principal: the session's name and its tags.
//!
//! What is asked depends on the configuration and the principal alone. Whoever lacks what a template takes gets no session: under a
//! session without that tag their calls would be somebody else's in AWS's bill, or in a policy's eyes.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::identity::{Principal, Template};
use crate::types::{AccountId, is_tag_value};

/// A role that is assumed for calls in its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// Whose it is.
    pub account: AccountId,
    /// Its ARN.
    pub arn: String,
    /// What its trust policy wants to hear; no secret.
    pub external_id: Option<String>,
    /// What sessions are called.
    pub session_name: Template,
    /// What they are tagged with.
    pub session_tags: BTreeMap<String, Template>,
    /// Which of the tags go on when a session assumes a further role.
    pub transitive_tags: Vec<String>,
    /// How long they last.
    pub duration: Duration,
}

/// What STS is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// Whose role.
    pub account: AccountId,
    /// The role's ARN.
    pub role_arn: String,
    /// The external id.
    pub external_id: Option<String>,
    /// The session's name, within STS's grammar.
    pub name: String,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Keys of those that are transitive.
    pub transitive: Vec<String>,
    /// How long it lasts.
    pub duration: Duration,
}

/// A principal lacks what the sessions of an account take from them, or has it in letters that no session may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sessions in account {account} take {{{part}}}, which the caller does not have, or which no session may hold")]
pub struct Untaggable {
    /// Whose role.
    pub account: AccountId,
    /// The part.
    pub part: String,
}

impl AssumedRole {
    /// Whether principals have sessions of their own.
    pub fn is_personal(&self) -> bool {
        std::iter::once(&self.session_name).chain(self.session_tags.values()).any(takes)
    }

    /// What tells a principal's session from others of this role. Nothing that it is made of holds a line feed, so different sessions
    /// have different keys.
    pub fn key(&self, principal: &Principal) -> Result<String, Untaggable> {
        let mut key = self.name_of(principal)?;
        for template in self.session_tags.values() {
            key.push('\n');
            key.push_str(&self.tag_of(template, principal)?);
        }
        Ok(key)
    }

    /// What STS is asked for on behalf of a principal.
    pub fn request(&self, principal: &Principal) -> Result<SessionRequest, Untaggable> {
        let tags = self.session_tags.iter().map(|(key, template)| Ok((key.clone(), self.tag_of(template, principal)?)));
        let tags = tags.collect::<Result<_, _>>()?;
        Ok(self.asked(session_name(&self.name_of(principal)?), tags))
    }

    /// What STS is asked for on nobody's behalf: only what is the same for all principals is in it.
    pub fn own_request(&self) -> SessionRequest {
        let plain = |template: &Template| template.fill(|_| None).ok();
        let name = plain(&self.session_name).map_or_else(|| OWN_NAME.to_owned(), |name| session_name(&name));
        let tags = self.session_tags.iter().filter_map(|(key, template)| Some((key.clone(), plain(template)?)));
        self.asked(name, tags.collect())
    }

    fn asked(&self, name: String, tags: Vec<(String, String)>) -> SessionRequest {
        let is_there = |key: &&String| tags.iter().any(|(there, _)| there == *key);
        SessionRequest {
            account: self.account.clone(),
            role_arn: self.arn.clone(),
            external_id: self.external_id.clone(),
            name,
            transitive: self.transitive_tags.iter().filter(is_there).cloned().collect(),
            tags,
            duration: self.duration,
        }
    }

    fn name_of(&self, principal: &Principal) -> Result<String, Untaggable> {
        let name = self.filled(&self.session_name, principal)?;
        if name.chars().any(char::is_control) { Err(self.untaggable(&self.session_name)) } else { Ok(name) }
    }

    fn tag_of(&self, template: &Template, principal: &Principal) -> Result<String, Untaggable> {
        let value = self.filled(template, principal)?;
        if is_tag_value(&value) { Ok(value) } else { Err(self.untaggable(template)) }
    }

    fn filled(&self, template: &Template, principal: &Principal) -> Result<String, Untaggable> {
        let value = |name: &str| match name {
            "principal" => Some(Cow::Borrowed(principal.name())),
            tag => principal.tags().value(tag).map(Cow::Borrowed),
        };
        template.fill(value).map_err(|part| Untaggable { account: self.account.clone(), part })
    }

    fn untaggable(&self, template: &Template) -> Untaggable {
        let part = template.names().next().unwrap_or_default().to_owned();
        Untaggable { account: self.account.clone(), part }
    }
}

fn takes(template: &Template) -> bool {
    template.names().next().is_some()
}

/// A name within STS's grammar and length. Where a text had to be changed for that, what stands at its end tells it from others that
/// come out alike. A text that ends as if it had been changed is, so that nobody's name can be made to come out as another's.
pub fn session_name(text: &str) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (2..=MOST_NAME_BYTES).contains(&text.len()) && text.chars().all(taken) && !ends_as_if_changed(text) {
        return text.to_owned();
    }
    let digest = hex::encode(Sha256::digest(text));
    let told_apart = digest.get(..TOLD_APART).unwrap_or_default();
    let kept = text.chars().map(|c| if taken(c) { c } else { '-' }).take(MOST_NAME_BYTES - TOLD_APART - 1);
    format!("{}-{told_apart}", kept.collect::<String>())
}

fn ends_as_if_changed(text: &str) -> bool {
    let end = text.rsplit_once('-').map(|(_, end)| end);
    end.is_some_and(|end| end.len() == TOLD_APART && end.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What sessions are called in which the gateway asks for itself, where the name is a principal's.
const OWN_NAME: &str = "tollgate-discovery";
const MOST_NAME_BYTES: usize = 64;
/// Digits of the digest in a name.
const TOLD_APART: usize = 10;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::upstream) fn role(name: &str, tags: &[(&str, &str)]) -> AssumedRole {
        let tags = tags.iter().map(|(key, text)| ((*key).to_owned(), Template::parse(text).unwrap()));
        AssumedRole {
            account: "111122223333".parse().unwrap(),
            arn: "arn:aws:iam::111122223333:role/tollgate".to_owned(),
            external_id: None,
            session_name: Template::parse(name).unwrap(),
            session_tags: tags.collect(),
            transitive_tags: Vec::new(),
            duration: Duration::from_hours(1),
        }
    }

    pub(in crate::upstream) fn principal(name: &str, tags: &[(&str, &str)]) -> Principal {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Principal::new(name, Vec::new(), tags.collect())
    }

    #[test]
    fn a_session_is_as_the_principal_is() {
        let mut role = role("{principal}", &[("UserEmail", "{mail}"), ("Via", "tollgate")]);
        role.transitive_tags = vec!["UserEmail".to_owned(), "Via".to_owned()];
        assert!(role.is_personal());
        let alice = principal("team/alice", &[("mail", "alice@example.com")]);
        let asked = role.request(&alice).unwrap();
        assert!(asked.name.starts_with("team-alice-"), "{}", asked.name);
        let pairs: Vec<_> = asked.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("UserEmail", "alice@example.com"), ("Via", "tollgate")]);
        assert_eq!(asked.transitive, ["UserEmail", "Via"]);
        // On nobody's behalf only what is nobody's is left.
        let own = role.own_request();
        assert_eq!(
            (own.name.as_str(), own.tags.len(), own.transitive.as_slice()),
            ("tollgate-discovery", 1, &["Via".to_owned()][..])
        );
        let other = principal("team:alice", &[("mail", "alice@example.com")]);
        assert_ne!(role.request(&other).unwrap().name, asked.name, "two people must not be one in AWS's eyes");
    }

    #[test]
    fn a_name_that_ends_like_anothers_digest_gets_its_own() {
        let changed = session_name("team/alice");
        assert_eq!(changed, "team-alice-8b8fafbf56");
        for text in [changed.as_str(), "team-alice-8B8FAFBF56"] {
            assert!(session_name(text).starts_with(&format!("{text}-")), "{text}");
        }
        for text in ["team-alice", "alice-8b8fafbf5", "alice-8b8fafbf5g", "alice8b8fafbf56"] {
            assert_eq!(session_name(text), text);
        }
    }

    #[test]
    fn whoever_lacks_a_part_gets_no_session() {
        let role = role("{principal}", &[("UserEmail", "{mail}")]);
        for tags in [&[][..], &[("mail", "")], &[("mail", "a\nb")], &[("mail", "a*b")]] {
            let somebody = principal("alice", tags);
            let error = role.key(&somebody).unwrap_err();
            assert_eq!((error.part.as_str(), Err(error.clone())), ("mail", role.request(&somebody).map(|_| ())));
        }
        assert_eq!(role.key(&principal("a\nb", &[("mail", "x")])).unwrap_err().part, "principal");
    }

    #[test]
    fn what_takes_nothing_from_principals_is_one_session_for_all() {
        let role = role("tollgate", &[("Via", "tollgate")]);
        assert!(!role.is_personal());
        assert_eq!(role.own_request(), role.request(&principal("alice", &[])).unwrap());
    }

    proptest! {
        #[test]
        fn every_text_makes_a_name_that_sts_takes(text in "\\PC{1,80}") {
            let name = session_name(&text);
            prop_assert!((2..=64).contains(&name.len()), "{name}");
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)));
        }

        #[test]
        fn nobody_can_be_named_as_anothers_session_is_called(text in "[a-z/]{1,70}") {
            let name = session_name(&text);
            if name != text {
                prop_assert_ne!(session_name(&name), name);
            }
        }

        #[test]
        fn different_people_have_different_keys(
            one in ("[a-z\n]{1,3}", "[a-z\n]{1,3}"), other in ("[a-z\n]{1,3}", "[a-z\n]{1,3}"),
        ) {
            let role = role("{principal}", &[("Mail", "{mail}")]);
            let key = |(name, mail): &(String, String)| role.key(&principal(name, &[("mail", mail)]));
            if let (Ok(first), Ok(second)) = (key(&one), key(&other)) {
                prop_assert_eq!(first == second, one == other);
            }
        }
    }
}
