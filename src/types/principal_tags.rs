//! Tags: attributes of principals and of profiles, as IAM has them.

use std::collections::BTreeMap;

/// Key and value pairs, ordered by key. Keys and values are compared byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The value of a tag; an empty value counts as absent, because a rule that matches on it would match everybody
    /// whose tag was forgotten.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All tags by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// AWS's grammar of a tag's key.
pub fn is_tag_key(text: &str) -> bool {
    is_tag_text(text, 128) && text.trim() == text
}

/// AWS's grammar of a tag's value, where it has one.
pub fn is_tag_value(text: &str) -> bool {
    is_tag_text(text, 256)
}

fn is_tag_text(text: &str, most: usize) -> bool {
    let plain = text.chars().all(|character| character.is_alphanumeric() || " _.:/=+-@".contains(character));
    plain && (1..=most).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tag_is_no_tag() {
        let tags: Tags = [("UserEmail".to_owned(), String::new())].into_iter().collect();
        assert_eq!(tags.value("UserEmail"), None);
    }

    #[test]
    fn keys_and_values_are_held_to_awss_grammar() {
        for (text, key, value) in [
            ("UserEmail", true, true),
            ("a@example.com", true, true),
            ("é 1_.:/=+-@", true, true),
            (" a", false, true),
            ("", false, false),
            ("a,b", false, false),
            ("a\n", false, false),
            (&"a".repeat(129), false, true),
            (&"a".repeat(257), false, false),
        ] {
            assert_eq!((is_tag_key(text), is_tag_value(text)), (key, value), "{text:?}");
        }
    }
}
