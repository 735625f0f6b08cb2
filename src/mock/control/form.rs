//! Pairs of a query string, or of the form that the query protocol sends.

use std::collections::BTreeMap;

/// Decoded pairs. Of pairs with one name the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::mock) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; pairs that are malformed are left out.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).unwrap_or_default();
        let pairs = text.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?)).filter(|(name, _)| !name.is_empty())
        });
        Self(pairs.collect())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The members of a list from the first on: `Name.member.1`, `Name.member.2.Key`, … until a number is missing.
    pub(super) fn members(&self, list: &str) -> Vec<Self> {
        let mut members = Vec::new();
        loop {
            let name = format!("{list}.member.{}", members.len() + 1);
            let of_it = self.0.iter().filter_map(|(key, value)| {
                let rest = key.strip_prefix(&name)?;
                let rest = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
                Some((rest.to_owned(), value.clone()))
            });
            let member: BTreeMap<String, String> = of_it.collect();
            if member.is_empty() {
                return members;
            }
            members.push(Self(member));
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    crate::mock::route::decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_until_a_number_is_missing() {
        let form = Form::parse(b"Action=A&Tags.member.1.Key=a%20b&Tags.member.1.Value=c+d&Tags.member.2.Key=e&Tags.member.4.Key=f&K.member.1=x");
        let tags = form.members("Tags");
        assert_eq!(tags.len(), 2);
        assert_eq!(
            (tags[0].value("Key"), tags[0].value("Value"), tags[1].value("Value")),
            (Some("a b"), Some("c d"), None)
        );
        assert_eq!(form.members("K")[0].value(""), Some("x"));
        assert_eq!(form.members("Nothing"), Vec::new());
    }
}
