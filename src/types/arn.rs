//! Amazon Resource Names, and the parts of them that are used alone.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use std::fmt;
use std::str::FromStr;

/// `arn:partition:service:region:account:resource`, split but otherwise as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-us-gov`, `aws-cn`, `aws-eusc`.
    pub partition: &'a str,
    /// `bedrock`, `sagemaker`, …
    pub service: &'a str,
    /// May be empty.
    pub region: &'a str,
    /// May be empty: foundation models belong to no account.
    pub account: &'a str,
    /// All that follows, such as `application-inference-profile/abc123`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN, or `None` where the text is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        let mut next = || parts.next();
        let arn = Self { partition: next()?, service: next()?, region: next()?, account: next()?, resource: next()? };
        let named = !arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty();
        named.then_some(arn)
    }

    /// The resource's kind and id: `("application-inference-profile", "abc123")`.
    pub fn kind_and_id(&self) -> Option<(&'a str, &'a str)> {
        self.resource.split_once('/').filter(|(kind, id)| !kind.is_empty() && !id.is_empty())
    }
}

/// The ARN of an application inference profile: the only kind of name that Tollgate sends model calls to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileArn {
    text: String,
    region: Region,
    account: AccountId,
    id_at: usize,
}

impl ProfileArn {
    /// The ARN as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The profile's id, the part after the last `/`.
    pub fn id(&self) -> &str {
        self.text.get(self.id_at..).unwrap_or_default()
    }

    /// The Region whose endpoint serves the profile.
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The account that owns the profile.
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// `aws`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        self.text.split(':').nth(1).unwrap_or_default()
    }
}

impl ProfileArn {
    /// The ARN of something that is no inference profile and can be called all the same: a provisioned model, a deployment of a
    /// custom model, an imported model, a prompt router, a SageMaker endpoint, a prompt of Prompt management with or without its
    /// version. Only a rule that names it word for word leads there.
    pub fn of_exact(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text).ok_or(ArnError::NotAnArn)?;
        let (kind, id) = arn.kind_and_id().ok_or(ArnError::NotCallable)?;
        let callable = match arn.service {
            "bedrock" => matches!(
                kind,
                "provisioned-model"
                    | "custom-model-deployment"
                    | "imported-model"
                    | "prompt-router"
                    | "default-prompt-router"
                    | "prompt"
            ),
            "sagemaker" => kind == "endpoint",
            _ => false,
        };
        if !callable {
            return Err(ArnError::NotCallable);
        }
        let region: Region = arn.region.parse()?;
        if arn.partition != region.partition() {
            return Err(ArnError::Partition);
        }
        if kind == "prompt" && !is_prompt_id(id) {
            return Err(ArnError::PromptId);
        }
        // AWS's own routers are called as `anthropic.claude:1`.
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
        if id.len() > 64 || !plain || id.contains("..") {
            return Err(ArnError::ProfileId);
        }
        Ok(Self { text: text.to_owned(), region, account: arn.account.parse()?, id_at: text.len() - id.len() })
    }

    /// Whether it is a prompt's of Prompt management.
    pub fn is_prompt(&self) -> bool {
        let kind = Arn::parse(&self.text).and_then(|arn| arn.kind_and_id());
        kind.is_some_and(|(kind, _)| kind == "prompt")
    }

    /// Whether it is a prompt's draft, which can be changed: an ARN without a version.
    pub fn is_draft(&self) -> bool {
        self.is_prompt() && !self.id().contains(':')
    }
}

/// Ten letters and digits, and a version of up to five digits: the grammar of `ConversationalModelId` in the Runtime API.
fn is_prompt_id(id: &str) -> bool {
    let (name, version) = id.split_once(':').map_or((id, None), |(name, version)| (name, Some(version)));
    let numbered =
        |version: &str| (1..=5).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && version.is_none_or(numbered)
}

impl FromStr for ProfileArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text).ok_or(ArnError::NotAnArn)?;
        let (kind, id) = arn.kind_and_id().ok_or(ArnError::NotAnApplicationProfile)?;
        if arn.service != "bedrock" || kind != "application-inference-profile" {
            return Err(ArnError::NotAnApplicationProfile);
        }
        if !PARTITIONS.contains(&arn.partition) {
            return Err(ArnError::Partition);
        }
        if id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ArnError::ProfileId);
        }
        Ok(Self {
            text: text.to_owned(),
            region: arn.region.parse()?,
            account: arn.account.parse()?,
            id_at: text.len() - id.len(),
        })
    }
}

impl fmt::Display for ProfileArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A Region's name, such as `eu-central-1`. It becomes part of a host name, so its grammar is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Region {
    /// The partition that it belongs to, by its prefix.
    pub fn partition(&self) -> &'static str {
        let known = PREFIXES.iter().find(|(prefix, _)| self.0.starts_with(prefix));
        known.map_or("aws", |(_, partition)| *partition)
    }
}

impl FromStr for Region {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let framed = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.ends_with(|c: char| c.is_ascii_digit());
        if plain && framed && text.contains('-') && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArnError::Region)
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A twelve-digit account id, kept as text because it may start with zeros.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

impl AccountId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { Ok(Self(text.to_owned())) } else { Err(ArnError::Account) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not the ARN that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Not `arn:partition:service:region:account:resource`.
    #[error("not an ARN (arn:partition:service:region:account:resource)")]
    NotAnArn,
    /// An ARN of another kind.
    #[error(
        "not an application inference profile (arn:…:bedrock:<region>:<account>:application-inference-profile/<id>)"
    )]
    NotAnApplicationProfile,
    /// An ARN of a kind that no rule can name.
    #[error(
        "not the ARN of a provisioned model, a custom model's deployment, an imported model, a prompt, a prompt router or a SageMaker \
         endpoint"
    )]
    NotCallable,
    /// A prompt's id outside its grammar.
    #[error("a prompt's id is ten letters and digits, with a version perhaps: prompt/PROMPT1234:1")]
    PromptId,
    /// An unknown partition.
    #[error("unknown partition: known are {}", PARTITIONS.join(", "))]
    Partition,
    /// A Region that is none.
    #[error("not a Region's name, such as eu-central-1")]
    Region,
    /// An account that is none.
    #[error("not a twelve-digit account id")]
    Account,
    /// A profile id outside its grammar.
    #[error("a profile's id is letters and digits, 64 at most")]
    ProfileId,
}

/// The partitions of AWS.
const PARTITIONS: [&str; 8] =
    ["aws", "aws-us-gov", "aws-cn", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

/// How the names of Regions begin in those of them that are not `aws`.
const PREFIXES: [(&str, &str); 7] = [
    ("us-gov-", "aws-us-gov"),
    ("cn-", "aws-cn"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_profile_arn_gives_its_parts() {
        let arn: ProfileArn =
            "arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/a1b2c3".parse().unwrap();
        assert_eq!(
            (arn.region().as_str(), arn.account().as_str(), arn.id(), arn.partition()),
            ("eu-central-1", "012345678901", "a1b2c3", "aws")
        );
    }

    #[test]
    fn a_region_tells_its_partition() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("mx-central-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-north-1", "aws-cn"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
        ] {
            assert_eq!(region.parse::<Region>().unwrap().partition(), partition, "{region}");
            let arn = format!("arn:{partition}:bedrock:{region}:012345678901:application-inference-profile/a");
            assert!(arn.parse::<ProfileArn>().is_ok(), "{arn}");
        }
    }

    #[test]
    fn every_other_arn_is_refused_with_its_reason() {
        for (text, error) in [
            ("anthropic.claude-v2", ArnError::NotAnArn),
            ("arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.x", ArnError::NotAnApplicationProfile),
            (
                "arn:aws:sagemaker:us-east-1:012345678901:application-inference-profile/a",
                ArnError::NotAnApplicationProfile,
            ),
            ("arn:aws:bedrock:us-east-1:12345:application-inference-profile/a", ArnError::Account),
            ("arn:aws:bedrock:us/../1:012345678901:application-inference-profile/a", ArnError::Region),
            ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/a/b", ArnError::ProfileId),
            ("arn:awsx:bedrock:us-east-1:012345678901:application-inference-profile/a", ArnError::Partition),
        ] {
            assert_eq!(text.parse::<ProfileArn>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_prompt_is_told_from_a_router_and_a_draft_from_a_version() {
        for (resource, prompt, draft) in [
            ("prompt/PROMPT1234:1", true, false),
            ("prompt/PROMPT1234", true, true),
            ("prompt-router/a1", false, false),
            ("provisioned-model/a1", false, false),
        ] {
            let arn = ProfileArn::of_exact(&format!("arn:aws:bedrock:us-east-1:012345678901:{resource}")).unwrap();
            assert_eq!((arn.is_prompt(), arn.is_draft()), (prompt, draft), "{resource}");
        }
    }

    #[test]
    fn what_can_be_called_besides_profiles_is_told_from_what_cannot() {
        for (text, wanted) in [
            ("arn:aws:bedrock:us-east-1:012345678901:provisioned-model/a1", Ok("a1")),
            ("arn:aws:bedrock:us-east-1:012345678901:custom-model-deployment/a1", Ok("a1")),
            ("arn:aws:bedrock:us-east-1:012345678901:imported-model/a1", Ok("a1")),
            ("arn:aws:sagemaker:us-east-1:012345678901:endpoint/my-endpoint", Ok("my-endpoint")),
            ("arn:aws-cn:bedrock:cn-north-1:012345678901:provisioned-model/a1", Ok("a1")),
            ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/a1", Err(ArnError::NotCallable)),
            ("arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.a.b", Err(ArnError::NotCallable)),
            ("arn:aws:bedrock:us-east-1::foundation-model/a.b", Err(ArnError::NotCallable)),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234:1", Ok("PROMPT1234:1")),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234", Ok("PROMPT1234")),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234:99999", Ok("PROMPT1234:99999")),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT12345:1", Err(ArnError::PromptId)),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234:", Err(ArnError::PromptId)),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234:DRAFT", Err(ArnError::PromptId)),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt/PROMPT1234:1:1", Err(ArnError::PromptId)),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt-router/a1", Ok("a1")),
            ("arn:aws:bedrock:us-east-1:012345678901:default-prompt-router/maker.model:1", Ok("maker.model:1")),
            ("arn:aws:bedrock:us-east-1:012345678901:prompt-router/a..b", Err(ArnError::ProfileId)),
            ("arn:aws:bedrock:us-east-1:012345678901:custom-model/a.b/c", Err(ArnError::NotCallable)),
            ("arn:aws:s3:us-east-1:012345678901:endpoint/a", Err(ArnError::NotCallable)),
            ("arn:aws-cn:bedrock:us-east-1:012345678901:provisioned-model/a1", Err(ArnError::Partition)),
            ("arn:aws:bedrock:us-east-1:012345678901:provisioned-model/a/b", Err(ArnError::ProfileId)),
            ("arn:aws:bedrock:us-east-1:1:provisioned-model/a", Err(ArnError::Account)),
            ("provisioned", Err(ArnError::NotAnArn)),
        ] {
            let read = ProfileArn::of_exact(text);
            assert_eq!(read.as_ref().map(ProfileArn::id).map_err(|error| *error), wanted, "{text}");
        }
    }
}
