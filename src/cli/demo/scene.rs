//! The scene: the look-alike, three people, their profiles, their budgets and their keys.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use super::Arguments;
use crate::identity::keys::{Key, KeyFile, KeyRecord};
use crate::mock::{MockBedrock, MockConfig, MockCredential, MockGuardrail, MockProfile, Running};
use crate::sigv4::AwsCredentials;
use crate::types::{Secret, Tags};

/// Everything that is there before the first call.
pub(super) struct Scene {
    pub(super) bedrock: Running,
    pub(super) config: PathBuf,
    pub(super) aws: AwsCredentials,
    pub(super) people: Vec<Person>,
}

/// One of the three.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) budget: &'static str,
    pub(super) profiles: &'static [(&'static str, &'static str)],
    pub(super) key: Secret,
}

/// The guardrail that everyone owes.
pub(super) const GUARDRAIL: (&str, &str) = ("gr4demo0001a", "1");
pub(super) const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
pub(super) const HAIKU: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
pub(super) const NOVA: &str = "us.amazon.nova-lite-v1:0";

/// A profile's name and its source.
type Named = (&'static str, &'static str);

/// Name, what they do, dollars a day, profiles.
const CAST: [(&str, &str, &str, &[Named]); 3] = [
    ("ada", "platform engineer, Claude Sonnet and Haiku", "20.00", &[("ada-sonnet", SONNET), ("ada-haiku", HAIKU)]),
    ("grace", "data scientist, Amazon Nova", "0.50", &[("grace-nova", NOVA)]),
    ("linus", "intern, Claude Sonnet, a cent and a half a day", "0.015", &[("linus-sonnet", SONNET)]),
];

impl Scene {
    /// Starts the look-alike and writes the configuration and the keys.
    pub(super) async fn set(folder: &Path, arguments: &Arguments) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let aws = AwsCredentials {
            access_key_id: "AKIADEMODEMODEMODEMO".to_owned(),
            secret_access_key: Secret::new(random_hex()?),
            session_token: None,
        };
        let keys_file = folder.join("keys.json");
        let people = people(&keys_file)?;
        let bedrock = bedrock(&aws).await?;
        let config = folder.join("tollgate.toml");
        let text = config_text(&bedrock.url(), free(arguments.listen)?, free(arguments.admin)?)?;
        fs::write(&config, text).with_context(|| format!("{} cannot be written", config.display()))?;
        Ok(Self { bedrock, config, aws, people })
    }

    /// One of the three by name.
    pub(super) fn person(&self, name: &str) -> anyhow::Result<&Person> {
        self.people.iter().find(|person| person.name == name).with_context(|| format!("{name} is not in the cast"))
    }
}

/// The ARN of a profile of the cast.
pub(super) fn arn(profile: &str) -> String {
    let id = profile.replace('-', "");
    format!("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/{id}")
}

/// New keys in a new file: those of an earlier demo are gone.
fn people(keys_file: &Path) -> anyhow::Result<Vec<Person>> {
    match fs::remove_file(keys_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} cannot be replaced", keys_file.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let file = KeyFile::new(keys_file);
    let now = Timestamp::now();
    CAST.iter()
        .map(|&(name, about, budget, profiles)| {
            let key = Key::generate().context("the system gives no random bytes")?;
            file.add(vec![KeyRecord::of(&key, name, now)])?;
            Ok(Person { name, about, budget, profiles, key: Secret::new(key.expose()) })
        })
        .collect()
}

async fn bedrock(aws: &AwsCredentials) -> anyhow::Result<Running> {
    let mut config = MockConfig::local()?;
    config.credentials = vec![MockCredential {
        access_key_id: aws.access_key_id.clone(),
        secret_access_key: aws.secret_access_key.clone(),
        session_token: None,
    }];
    config.guardrail = Some(MockGuardrail { identifier: GUARDRAIL.0.to_owned(), version: GUARDRAIL.1.to_owned() });
    config.pacing.chunk_interval = std::time::Duration::from_millis(25);
    config.profiles = CAST
        .iter()
        .flat_map(|(_, _, _, profiles)| profiles.iter())
        .map(|(profile, source)| {
            Ok(MockProfile { arn: arn(profile).parse()?, source: source.parse()?, tags: Tags::default() })
        })
        .collect::<anyhow::Result<_>>()?;
    MockBedrock::start(config).await.context("the look-alike of Bedrock cannot listen")
}

fn config_text(bedrock: &str, listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<String> {
    let (guardrail, version) = GUARDRAIL;
    let mut text = format!(
        r#"# Written by `tollgate demo`; config/tollgate.toml of the repository explains every key.
[server]
listen = "{listen}"

[server.tls]
local_ca = "ca"

[admin]
listen = "{admin}"

[upstream]
region = "us-east-1"
endpoint = "{bedrock}"

[identity]
keys_file = "keys.json"

[store]
kind = "memory"

[[guardrails]]
identifier = "{guardrail}"
version = "{version}"
mode = "inject"
everyone = true
"#
    );
    for (name, _, budget, profiles) in CAST {
        writeln!(text, "\n[[principals]]\nname = \"{name}\"\ntags = {{ UserEmail = \"{name}@example.com\" }}")?;
        writeln!(
            text,
            "\n[[budgets]]\nname = \"{name}-daily\"\nprincipals = [\"{name}\"]\nwindow = \"day\"\nusd = \"{budget}\""
        )?;
        for (profile, source) in profiles {
            let arn = arn(profile);
            writeln!(
                text,
                "\n[[profiles]]\nname = \"{profile}\"\narn = \"{arn}\"\nsource = \"{source}\"\nprincipals = [\"{name}\"]"
            )?;
        }
    }
    Ok(text)
}

/// The address asked for, or a free port beside it where that one is in use.
fn free(wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind(wanted).or_else(|_| TcpListener::bind((wanted.ip(), 0)));
    Ok(bound.with_context(|| format!("no port is free at {}", wanted.ip()))?.local_addr()?)
}

fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(hex::encode(bytes))
}
