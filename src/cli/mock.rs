//! `tollgate mock`: the Bedrock look-alike alone, for tests and CI of other projects.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Output, stop_signal};
use crate::mock::{
    FoundationModels, MockBedrock, MockConfig, MockCredential, MockGuardrail, MockProfile, MockPrompt, MockRole,
    Pacing, Running,
};
use crate::types::{AccountId, Arn, ProfileArn, Region, Secret, Tags};

/// Serve a look-alike of Amazon Bedrock: real signatures, real shapes, made-up answers, faults on request; with it the
/// control plane of inference profiles, the Resource Groups Tagging API, and STS.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = DIRECTIVES)]
pub struct Mock {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4599")]
    pub listen: SocketAddr,
    /// The Region it plays.
    #[arg(long, default_value = "us-east-1")]
    pub region: Region,
    /// The account it plays.
    #[arg(long, default_value = "123456789012")]
    pub account: AccountId,
    /// The access key id it accepts.
    #[arg(long, default_value = MockConfig::ACCESS_KEY_ID)]
    pub access_key_id: String,
    /// The secret access key that goes with it; the pair of AWS's documentation by default.
    #[arg(
        long,
        env = "TOLLGATE_MOCK_SECRET",
        hide_env_values = true,
        hide_default_value = true,
        default_value = MockConfig::SECRET_ACCESS_KEY
    )]
    pub secret: String,
    /// An application inference profile and the model behind it; repeatable. With none there is one, over Claude Sonnet
    /// 4.5, whose ARN is printed.
    #[arg(long = "profile", value_name = "ARN=SOURCE")]
    pub profiles: Vec<ProfileArgument>,
    /// A prompt of Prompt management, the model behind it and its text, in which {{name}} is a variable; repeatable. The ARN ends
    /// with the version, or has none and means the draft.
    #[arg(long = "prompt", value_name = "ARN=MODEL=TEXT")]
    pub prompts: Vec<PromptArgument>,
    /// A further Region that it plays; repeatable.
    #[arg(long = "other-region", value_name = "REGION")]
    pub other_regions: Vec<Region>,
    /// A role that the access key may assume, with the external id that this takes; repeatable. Its account is the one in its
    /// ARN, and its sessions may do everything there.
    #[arg(long = "role", value_name = "ARN[=EXTERNAL-ID]")]
    pub roles: Vec<RoleArgument>,
    /// The guardrail that every model call must carry.
    #[arg(long, value_name = "ID:VERSION")]
    pub guardrail: Option<GuardrailArgument>,
    /// Answer calls that name foundation models and system-defined profiles too.
    #[arg(long)]
    pub allow_foundation_models: bool,
    /// Milliseconds between two messages of a stream.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub chunk_interval: u64,
    /// Milliseconds before an answer begins.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub first_byte: u64,
    /// Tokens in a message of a stream.
    #[arg(long, value_name = "N", default_value = "1")]
    pub tokens_per_chunk: NonZeroU32,
    /// How many tokens an answer has.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub reply_tokens: u32,
    /// How to print where it listens.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

const DIRECTIVES: &str = "\
Faults: a prompt that holds [[mock:WORDS]] is answered as the words say (the last mark in a request counts):
  throttle                      429 ThrottlingException
  status=503                    Bedrock's error for that status
  exception=NAME                an exception message in the stream, such as throttlingException
  cut | stall | garbage         cut the connection, send nothing more, send a wrong checksum
  truncate                      end cleanly in the middle of the last message
  no-counts                     a whole answer without token counts
  guardrail-intervened[=output] the guardrail blocks the input, or masks a word of the output
  after=N                       after how many messages of the stream (2)
  reply-tokens=N  chunk-bytes=N  drip=MS  delay=MS
POST /_mock/faults {\"directives\": \"throttle\", \"times\": 2} has the next calls follow the words instead.

POST /_mock/failures {\"service\": \"sts\", \"failure\": \"throttled\", \"times\": 2} has the next calls of a service of the
control plane fail: of bedrock, tagging, sts or service-quotas, as throttled, outage or cut; DELETE ends it.

GET /_mock/requests tells what was received, GET /_mock/account what AWS would bill, DELETE /_mock/requests forgets it.";

/// `ARN=SOURCE`.
#[derive(Clone, Debug)]
pub struct ProfileArgument(MockProfile);

impl std::str::FromStr for ProfileArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (arn, source) = text.split_once('=').ok_or("not ARN=SOURCE, such as arn:aws:bedrock:…=us.anthropic.…")?;
        let arn = arn.parse().map_err(|error| format!("{arn}: {error}"))?;
        let source = source.parse().map_err(|error| format!("{source}: {error}"))?;
        Ok(Self(MockProfile { arn, source, tags: Tags::default() }))
    }
}

/// `ARN=MODEL=TEXT`.
#[derive(Clone, Debug)]
pub struct PromptArgument(MockPrompt);

impl std::str::FromStr for PromptArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(arn, rest)| Some((arn, rest.split_once('=')?)));
        let (arn, (model, text)) =
            parts.ok_or("not ARN=MODEL=TEXT, such as arn:aws:bedrock:…:prompt/…:1=us.anthropic.…=Hello")?;
        let read = ProfileArn::of_exact(arn).map_err(|error| format!("{arn}: {error}"))?;
        if !read.is_prompt() {
            return Err(format!("{arn}: not the ARN of a prompt"));
        }
        let model = model.parse().map_err(|error| format!("{model}: {error}"))?;
        Ok(Self(MockPrompt { arn: arn.to_owned(), model, text: text.to_owned(), max_tokens: None }))
    }
}

/// `ARN[=EXTERNAL-ID]`.
#[derive(Clone, Debug)]
pub struct RoleArgument {
    arn: String,
    external_id: Option<String>,
}

impl std::str::FromStr for RoleArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (arn, external_id) = text.split_once('=').map_or((text, None), |(arn, id)| (arn, Some(id.to_owned())));
        let of_iam = Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.resource.starts_with("role/"));
        if of_iam.is_some_and(|arn| arn.account.parse::<AccountId>().is_ok()) {
            Ok(Self { arn: arn.to_owned(), external_id })
        } else {
            Err("not a role's ARN, such as arn:aws:iam::210987654321:role/tollgate".to_owned())
        }
    }
}

/// `ID:VERSION`.
#[derive(Clone, Debug)]
pub struct GuardrailArgument(MockGuardrail);

impl std::str::FromStr for GuardrailArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((identifier, version)) if !identifier.is_empty() && !version.is_empty() => {
                Ok(Self(MockGuardrail { identifier: identifier.to_owned(), version: version.to_owned() }))
            }
            _ => Err("not ID:VERSION, such as gr1abc2def3:DRAFT".to_owned()),
        }
    }
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: Mock) -> anyhow::Result<()> {
    let config = config(&args)?;
    let listen = args.listen;
    let profiles: BTreeMap<String, String> =
        config.profiles.iter().map(|profile| (profile.arn.to_string(), profile.source.to_string())).collect();
    let running = MockBedrock::start(config).await.with_context(|| format!("cannot listen on {listen}"))?;
    announce(&args, &running, &profiles)?;
    stop_signal().await;
    running.shutdown().await;
    Ok(())
}

fn config(args: &Mock) -> anyhow::Result<MockConfig> {
    let mut profiles: Vec<MockProfile> = args.profiles.iter().map(|argument| argument.0.clone()).collect();
    if profiles.is_empty() {
        let arn = format!("arn:aws:bedrock:{}:{}:application-inference-profile/mock", args.region, args.account);
        let source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0".parse()?;
        profiles.push(MockProfile { arn: arn.parse()?, source, tags: Tags::default() });
    }
    let foundation_models =
        if args.allow_foundation_models { FoundationModels::Allow } else { FoundationModels::Refuse };
    Ok(MockConfig {
        listen: args.listen,
        region: args.region.clone(),
        other_regions: args.other_regions.clone(),
        account: args.account.clone(),
        credentials: vec![MockCredential {
            access_key_id: args.access_key_id.clone(),
            secret_access_key: Secret::new(args.secret.clone()),
            session_token: None,
        }],
        roles: args.roles.iter().map(|role| role_of(role, &args.access_key_id)).collect(),
        profiles,
        prompts: args.prompts.iter().map(|argument| argument.0.clone()).collect(),
        guardrail: args.guardrail.as_ref().map(|argument| argument.0.clone()),
        foundation_models,
        pacing: Pacing {
            first_byte: Duration::from_millis(args.first_byte),
            chunk_interval: Duration::from_millis(args.chunk_interval),
            tokens_per_chunk: args.tokens_per_chunk,
        },
        reply_tokens: args.reply_tokens,
        ..MockConfig::local()?
    })
}

fn role_of(role: &RoleArgument, access_key_id: &str) -> MockRole {
    MockRole { external_id: role.external_id.clone(), ..MockRole::new(&role.arn, access_key_id) }
}

/// Says where it listens and how to point a client at it. The secret is shown only where it is the documented one.
fn announce(args: &Mock, running: &Running, profiles: &BTreeMap<String, String>) -> io::Result<()> {
    let (url, region) = (running.url(), args.region.as_str());
    let secret = if args.secret == MockConfig::SECRET_ACCESS_KEY { &args.secret } else { "$TOLLGATE_MOCK_SECRET" };
    let mut out = io::stdout().lock();
    if args.output == Output::Json {
        let line = json!({
            "url": url,
            "region": region,
            "account": args.account.as_str(),
            "access_key_id": args.access_key_id,
            "profiles": profiles,
            "guardrail": args.guardrail.as_ref().map(|argument| &argument.0.identifier),
            "admin": format!("{url}/_mock/"),
        });
        writeln!(out, "{line}")?;
        return out.flush();
    }
    writeln!(out, "Bedrock look-alike on {url} (Ctrl-C ends it)\n")?;
    for (arn, source) in profiles {
        writeln!(out, "  {arn}\n    = {source}")?;
    }
    writeln!(out, "\nPoint any AWS client at it:\n")?;
    for service in ["BEDROCK_RUNTIME", "BEDROCK", "RESOURCE_GROUPS_TAGGING_API", "STS"] {
        writeln!(out, "  export AWS_ENDPOINT_URL_{service}={url}")?;
    }
    writeln!(out, "  export AWS_REGION={region} AWS_DEFAULT_REGION={region}")?;
    writeln!(out, "  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={secret}\n", args.access_key_id)?;
    writeln!(out, "What it received: {url}/_mock/requests    What AWS would bill: {url}/_mock/account")?;
    writeln!(out, "A prompt that holds [[mock:throttle]] is throttled; see tollgate mock --help.")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mock: Mock,
    }

    #[test]
    fn a_line_without_profiles_plays_one_in_its_own_region_and_account() {
        let line = ["mock", "--region", "eu-central-1", "--account", "000000000001", "--guardrail", "gr1:3"];
        let config = config(&Line::try_parse_from(line).unwrap().mock).unwrap();
        let arn = "arn:aws:bedrock:eu-central-1:000000000001:application-inference-profile/mock";
        assert_eq!(config.profiles[0].arn.as_str(), arn);
        assert_eq!(config.guardrail, Some(MockGuardrail { identifier: "gr1".to_owned(), version: "3".to_owned() }));
        assert_eq!(config.foundation_models, FoundationModels::Refuse);
    }

    #[test]
    fn what_is_no_profile_and_no_guardrail_is_refused_by_name() {
        for (flag, value, complaint) in [
            ("--profile", "arn:aws:bedrock:us-east-1:1:x/y", "not ARN=SOURCE"),
            ("--profile", "arn:aws:bedrock:us-east-1:1:x/y=a.b", "not an application inference profile"),
            ("--guardrail", "gr1", "not ID:VERSION"),
            ("--role", "arn:aws:iam::1:role/x", "not a role's ARN"),
            ("--role", "arn:aws:iam::210987654321:user/x", "not a role's ARN"),
        ] {
            let error = Line::try_parse_from(["mock", flag, value]).err().unwrap().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
