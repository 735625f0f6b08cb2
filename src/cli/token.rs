//! `tollgate token`: proves the AWS role that one has to a gateway, without a key of that gateway's.
//!
//! The token goes to standard output, alone, so that it fits `AWS_BEARER_TOKEN_BEDROCK` and Claude Code's `apiKeyHelper`. With
//! `--exec` a program is started whose calls go over this process, which puts a fresh token on each: tokens end, and
//! programs that read them once do not notice.
//!
//! Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense; with `--exec` the program's own.

mod forward;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::{ExitCode, Output, Streams};
use crate::config::parse_duration;
use crate::identity::aws_login::presign;
use crate::types::Region;
use crate::upstream::{AwsChain, CredentialSource, Loaded};

/// Prove the AWS role that you have: print a token that the gateway of an audience takes
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// The gateway's name for itself: [identity.aws_login] audience in its configuration
    #[arg(long, value_name = "NAME", env = "TOLLGATE_AUDIENCE")]
    pub audience: String,
    /// The Region whose STS the gateway is to ask
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub region: String,
    /// How long the token is good, 1m to 15m: STS takes it for no longer
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub expires_in: String,
    /// Profile of the AWS configuration files to take credentials from, in place of the standard chain's own choice
    #[arg(long, value_name = "PROFILE", env = "AWS_PROFILE")]
    pub profile: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,
    /// Start the program that follows, with its calls to Bedrock going over here to --gateway, each with a fresh token
    #[arg(long, requires = "gateway", requires = "command")]
    pub exec: bool,
    /// The gateway's URL, such as <https://tollgate.example.com>
    #[arg(long, value_name = "URL", requires = "exec")]
    pub gateway: Option<String>,
    /// PEM file of the authorities to trust there, in place of the built-in ones
    // Often there for other programs: it must not ask for --exec.
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    pub ca_bundle: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", requires = "exec")]
    pub command: Vec<String>,
}

/// Prints a token, or runs a program with them.
pub async fn run(arguments: &Arguments, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let mint = match Mint::new(arguments).await {
        Ok(mint) => mint,
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            return Ok(ExitCode::Faulty);
        }
    };
    if arguments.exec {
        return forward::run(arguments, mint, streams).await;
    }
    let (token, expires) = match mint.token().await {
        Ok(made) => made,
        Err(reason) => {
            writeln!(streams.err, "error: {reason}")?;
            return Ok(ExitCode::Faulty);
        }
    };
    let expires = Timestamp::try_from(expires).context("the token would end outside of the calendar")?;
    match arguments.output {
        Output::Json => streams.json(&json!({ "token": token, "expires": expires }))?,
        Output::Table => writeln!(streams.out, "{token}")?,
    }
    Ok(ExitCode::Fine)
}

/// Makes tokens.
struct Mint {
    chain: AwsChain,
    audience: String,
    region: String,
    expires_in: Duration,
}

impl Mint {
    async fn new(arguments: &Arguments) -> Result<Self, String> {
        let Arguments { audience, region, expires_in, profile, .. } = arguments;
        let named: Region = region.parse().map_err(|_| format!("--region {region} is no Region, such as us-east-1"))?;
        let expires_in = parse_duration(expires_in).map_err(|error| format!("--expires-in {expires_in}: {error}"))?;
        if !(SHORTEST..=LONGEST).contains(&expires_in) {
            let why = "STS takes a token for fifteen minutes and no longer; --exec makes a new one in time by itself";
            return Err(format!("--expires-in is from 1m to 15m: {why}"));
        }
        if audience.is_empty() || !audience.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("--audience is the gateway's name for itself, such as tollgate.example.com".to_owned());
        }
        let chain = AwsChain::new(&named, profile.as_deref(), None).await.map_err(|error| error.to_string())?;
        Ok(Self { chain, audience: audience.clone(), region: region.clone(), expires_in })
    }

    /// A token, and until when it is good: for the time that was asked for, or until the credentials end.
    async fn token(&self) -> Result<(String, SystemTime), String> {
        let Loaded { credentials, expires } = self.chain.load().await.map_err(|error| {
            format!(
                "there are no AWS credentials: {error}; `aws sso login`, or whatever else gives you some, comes first"
            )
        })?;
        let now = SystemTime::now();
        let left = expires.and_then(|expires| expires.duration_since(now).ok()).unwrap_or(self.expires_in);
        let expires_in = self.expires_in.min(left);
        let token = presign(&credentials, &self.region, &self.audience, expires_in, now);
        let token = token.ok_or_else(|| format!("STS has no endpoint in {}", self.region))?;
        Ok((token, now + expires_in))
    }
}

const SHORTEST: Duration = Duration::from_mins(1);
/// As long as STS takes a presigned call, whatever stands in it.
const LONGEST: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn read(more: &[&str]) -> Result<Arguments, clap::Error> {
        let line = ["token", "--audience", "t", "--region", "eu-west-1"].iter().chain(more);
        Program::try_parse_from(line).map(|program| program.arguments)
    }

    #[test]
    fn authorities_that_are_there_for_other_programs_ask_for_nothing() {
        // What stands in AWS_CA_BUNDLE is read like the option.
        assert!(read(&["--ca-bundle", "ca.pem"]).is_ok());
        assert!(read(&["--gateway", "https://t"]).is_err() && read(&["--exec"]).is_err());
    }

    #[tokio::test]
    async fn a_token_is_good_for_no_longer_than_sts_takes_it() {
        for (asked, fits) in [("1m", true), ("15m", true), ("59s", false), ("16m", false), ("12h", false)] {
            let made = Mint::new(&read(&["--expires-in", asked]).unwrap()).await;
            assert!(made.map_or_else(|why| !fits && why.contains("15m: STS"), |_| fits), "{asked}");
        }
    }
}
