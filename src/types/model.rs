//! The names by which a caller can ask for a model, and what kind of name each is.
//!
//! The grammar is that of the Runtime API's `modelId` member: at most 2,048 characters of letters, digits and
//! `_ . - / :`. Which profile a name leads to is decided in `profiles`, not here.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::arn::Arn;
use super::geography::Geography;

/// A foundation model's id (`anthropic.claude-sonnet-4-5-20250929-v1:0`) or a system-defined profile's
/// (`us.anthropic.…`): letters, digits and `. - : _`, at least one dot, at most 256 characters.
///
/// Two ids are one if they are written alike: where the foundation model's own id begins is what whoever read the id knew of
/// geographies, and no part of it.
#[derive(Clone, Debug)]
pub struct ModelId {
    text: Arc<str>,
    base_at: usize,
}

impl ModelId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id as written, to be kept.
    pub const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The same id, where these prefixes (without their dots) are geographies too: AWS makes new ones.
    #[must_use]
    pub fn with_geographies(self, further: &[String]) -> Self {
        match self.unknown_prefix() {
            Some(prefix) if further.iter().any(|known| known == prefix) => Self { base_at: prefix.len() + 1, ..self },
            Some(_) | None => self,
        }
    }

    /// Where calls through this id may be served, where it has the prefix of a geography that is known here.
    pub fn geography(&self) -> Option<Geography> {
        self.prefix().and_then(Geography::from_prefix)
    }

    /// The prefix of a geography, without its dot, known here or told of.
    pub fn prefix(&self) -> Option<&str> {
        self.text.get(..self.base_at)?.strip_suffix('.')
    }

    /// What stands before a maker and a model, and is no geography that is known here: `mx` in `mx.anthropic.claude-…`. Told by
    /// the shape alone, as in `prefix.maker.model` with words of letters, which no foundation model's own id has.
    pub fn unknown_prefix(&self) -> Option<&str> {
        let word = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let (prefix, rest) = self.text.split_once('.')?;
        let (maker, model) = rest.split_once('.')?;
        let shaped = word(maker) && model.starts_with(|first: char| first.is_ascii_alphabetic());
        (shaped && self.geography().is_none()).then_some(prefix)
    }

    /// The id without its geographic prefix: the foundation model's own.
    #[must_use]
    pub fn base(&self) -> Self {
        Self { text: self.base_str().into(), base_at: 0 }
    }

    /// [`ModelId::base`] as a part of this id.
    pub fn base_str(&self) -> &str {
        self.text.get(self.base_at..).unwrap_or(&self.text)
    }

    /// The family of the foundation model: its id without versions, dates and sizes, which are the parts that begin with a
    /// digit, the one that begins with `v` and a digit, and digits at the end of a part.
    /// `us.anthropic.claude-sonnet-4-5-20250929-v1:0` is of the family `anthropic.claude-sonnet`.
    pub fn family(&self) -> String {
        let (provider, name) = self.base_str().split_once('.').unwrap_or((self.base_str(), ""));
        let digit = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        let parts = name
            .split(['-', '.', ':'])
            .filter(|part| !part.is_empty() && !digit(part) && !part.strip_prefix('v').is_some_and(digit));
        let words: Vec<_> = parts.map(|part| part.trim_end_matches(|last: char| last.is_ascii_digit())).collect();
        format!("{provider}.{}", words.join("-"))
    }

    /// Who made the model: `anthropic`, `amazon`, `meta`, …
    pub fn provider(&self) -> &str {
        self.base_str().split_once('.').map_or(self.base_str(), |(provider, _)| provider)
    }
}

impl std::borrow::Borrow<str> for ModelId {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl FromStr for ModelId {
    type Err = ModelIdError;

    fn from_str(text: &str) -> Result<Self, ModelIdError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte));
        let dotted = text.split_once('.').is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty());
        if plain && dotted && text.len() <= 256 && !text.contains("..") {
            let known = text
                .split_once('.')
                .filter(|(prefix, rest)| Geography::from_prefix(prefix).is_some() && rest.contains('.'));
            let base_at = known.map_or(0, |(prefix, _)| prefix.len() + 1);
            Ok(Self { text: text.into(), base_at })
        } else {
            Err(ModelIdError)
        }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for ModelId {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ModelId {}

impl Hash for ModelId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for ModelId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl PartialOrd for ModelId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The text is no foundation model's id and no system-defined profile's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a model id, such as anthropic.claude-sonnet-4-5-20250929-v1:0")]
pub struct ModelIdError;

/// A model as the caller named it, and what kind of name that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// A foundation model's id, or a system-defined profile's: both as ids, or taken from their ARNs.
    Model(ModelId),
    /// An application inference profile's ARN. Whose it is, `profiles` knows.
    ApplicationProfile(super::ProfileArn),
    /// A word with none of the above shapes: an alias, a profile's name or id, or nothing at all.
    Word(String),
    /// A kind of name that never leads to a profile; the text says which kind.
    Refused(&'static str),
}

impl ModelName {
    /// Tells what kind of name a text is. The text has passed the `modelId` grammar already.
    pub fn classify(text: &str) -> Self {
        let Some(arn) = Arn::parse(text) else {
            if text.contains('/') {
                return Self::Refused("a name with a slash that is no ARN");
            }
            return text.parse().map_or_else(|_| Self::Word(text.to_owned()), Self::Model);
        };
        if arn.service == "sagemaker" {
            return Self::Refused("a SageMaker endpoint");
        }
        if arn.service != "bedrock" {
            return Self::Refused("an ARN of another service");
        }
        let Some((kind, id)) = arn.kind_and_id() else { return Self::Refused("an ARN of no known kind") };
        match kind {
            "foundation-model" | "inference-profile" => {
                id.parse().map_or(Self::Refused("an ARN whose model id is malformed"), Self::Model)
            }
            "application-inference-profile" => text
                .parse()
                .map_or(Self::Refused("a malformed application inference profile ARN"), Self::ApplicationProfile),
            "provisioned-model" => Self::Refused("a provisioned model"),
            "custom-model" | "custom-model-deployment" => Self::Refused("a custom model"),
            "imported-model" => Self::Refused("an imported model"),
            "prompt" => Self::Refused("a prompt of Prompt management"),
            "prompt-router" | "default-prompt-router" => Self::Refused("a prompt router"),
            _ => Self::Refused("an ARN of no known kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geographic_prefix_is_told_from_a_provider() {
        let id: ModelId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0".parse().unwrap();
        assert_eq!(id.geography(), Some(Geography::Us));
        assert_eq!(id.base().as_str(), "anthropic.claude-sonnet-4-5-20250929-v1:0");
        assert_eq!((id.provider(), id.base().provider()), ("anthropic", "anthropic"));
        let titan: ModelId = "amazon.titan-text-lite-v1".parse().unwrap();
        assert_eq!((titan.geography(), titan.base()), (None, titan.clone()));
    }

    #[test]
    fn a_geography_that_is_told_of_is_one() {
        let read = |text: &str, further: &[&str]| {
            let further: Vec<_> = further.iter().map(|&prefix| prefix.to_owned()).collect();
            text.parse::<ModelId>().unwrap().with_geographies(&further)
        };
        let sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        let told = read(&format!("mx.{sonnet}"), &["in", "mx"]);
        assert_eq!((told.base().as_str(), told.prefix(), told.geography()), (sonnet, Some("mx"), None));
        assert_eq!((told.provider(), told.family().as_str()), ("anthropic", "anthropic.claude-sonnet"));
        assert_eq!(told.unknown_prefix(), Some("mx"), "nobody here knows its Regions");
        let untold = read(&format!("mx.{sonnet}"), &["in"]);
        assert_eq!((untold.base(), untold.prefix(), untold.provider()), (untold.clone(), None, "mx"));
        // Whoever wrote it, it is the same id.
        assert_eq!((&told, told.cmp(&untold)), (&untold, Ordering::Equal));
        assert!(std::collections::HashSet::from([told]).contains(&untold));
        // What is known stays, and a maker is no geography.
        for (text, base) in [
            (format!("us.{sonnet}"), sonnet),
            (sonnet.to_owned(), sonnet),
            ("deepseek.v3.2".to_owned(), "deepseek.v3.2"),
        ] {
            assert_eq!(read(&text, &["us", "anthropic", "deepseek"]).base().as_str(), base, "{text}");
        }
    }

    #[test]
    fn a_prefix_that_is_not_known_is_told_from_a_dot_in_a_version() {
        for (id, prefix) in [
            ("mx.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("mx")),
            ("eu-sov.amazon.nova-lite-v1:0", Some("eu-sov")),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", None),
            ("zai.glm-4.7", None),
            ("minimax.minimax-m2.1", None),
            ("deepseek.v3.2", None),
            ("us.deepseek.v3.2", None),
        ] {
            assert_eq!(id.parse::<ModelId>().unwrap().unknown_prefix(), prefix, "{id}");
        }
    }

    #[test]
    fn a_family_has_no_version_date_or_size() {
        for (id, family) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet"),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic.claude-sonnet"),
            ("eu.amazon.nova-2-lite-v1:0", "amazon.nova-lite"),
            ("us.meta.llama3-3-70b-instruct-v1:0", "meta.llama-instruct"),
            ("amazon.titan-text-express-v1", "amazon.titan-text-express"),
        ] {
            assert_eq!(id.parse::<ModelId>().unwrap().family(), family);
        }
    }

    #[test]
    fn every_kind_of_name_is_told_apart() {
        let model = |text: &str| ModelName::Model(text.parse().unwrap());
        for (text, name) in [
            ("amazon.nova-lite-v1:0", model("amazon.nova-lite-v1:0")),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", model("amazon.nova-lite-v1:0")),
            (
                "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.amazon.nova-lite-v1:0",
                model("us.amazon.nova-lite-v1:0"),
            ),
            ("sonnet", ModelName::Word("sonnet".to_owned())),
            ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", ModelName::Refused("a provisioned model")),
            ("arn:aws:bedrock:us-east-1:1:imported-model/x", ModelName::Refused("an imported model")),
            ("arn:aws:bedrock:us-east-1:1:custom-model/a.b/c", ModelName::Refused("a custom model")),
            ("arn:aws:bedrock:us-east-1:1:prompt/X:1", ModelName::Refused("a prompt of Prompt management")),
            ("arn:aws:bedrock:us-east-1:1:default-prompt-router/a:1", ModelName::Refused("a prompt router")),
            ("arn:aws:sagemaker:us-east-1:1:endpoint/x", ModelName::Refused("a SageMaker endpoint")),
            ("a/b", ModelName::Refused("a name with a slash that is no ARN")),
        ] {
            assert_eq!(ModelName::classify(text), name, "{text}");
        }
    }
}
