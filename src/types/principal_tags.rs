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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tag_is_no_tag() {
        let tags: Tags = [("UserEmail".to_owned(), String::new())].into_iter().collect();
        assert_eq!(tags.value("UserEmail"), None);
    }
}
