//! What a file says, as plain values: the output of `compile`, in the order of the file's sections.
//!
//! Every value here has passed its checks, and everything that names something else names something that is there. The stages
//! are made from these; where a stage has an enum of its own, whoever makes it translates.

mod budgets;
mod discovery;
mod identity;
mod rate_limits;
mod server;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::policy::Residency;
use crate::profiles::price::{PiecePrices, PriceTable};
use crate::profiles::{PromptBounds, Reach};
use crate::types::{ModelId, Owners, ProfileArn, Region, TokenPrice};
use crate::upstream::Variant;

pub use budgets::{BudgetSettings, WindowSettings};
pub use discovery::{AccountSettings, DiscoverySettings, VendingSettings};
pub use identity::{AwsLoginFile, IdentitySettings, OidcSettings};
pub use rate_limits::RateLimitSettings;
pub use server::{ClientCertificates, Listen, ListenerSettings, Presence, ServerSettings, TlsSettings};
pub use store::{RedisSettings, StoreSettings};

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[admin]`
    pub admin: AdminSettings,
    /// `[upstream]`
    pub upstream: UpstreamSettings,
    /// `[identity]`
    pub identity: IdentitySettings,
    /// `[[principals]]`, at least one, with distinct names.
    pub principals: Vec<Principal>,
    /// `[[profiles]]` and `[[exact_arns]]`, with distinct names; no word means two of one owner. Some may be nobody's.
    pub profiles: Vec<ProfileSettings>,
    /// `[[accounts]]`, with distinct ids.
    pub accounts: Vec<AccountSettings>,
    /// `[discovery]`
    pub discovery: Option<DiscoverySettings>,
    /// `[[vending]]`
    pub vending: Vec<VendingSettings>,
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[[guardrails]]`; no owner owes two.
    pub guardrails: Vec<GuardrailSettings>,
    /// `[[budgets]]`, with distinct names.
    pub budgets: Vec<BudgetSettings>,
    /// `[[rate_limits]]`, with distinct names.
    pub rate_limits: Vec<RateLimitSettings>,
    /// `[price_table]`
    pub price_table: Option<PriceFile>,
    /// `[prices]`
    pub prices: Vec<PriceSettings>,
    /// `[alerts]`
    pub alerts: AlertSettings,
    /// `[metering]`
    pub metering: MeteringSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[log]`
    pub log: LogSettings,
}

/// The operators' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where health, metrics and the admin API are.
    pub listen: SocketAddr,
    /// A file with the token of whoever may change budgets there; without it nobody may.
    pub token_file: Option<PathBuf>,
}

/// Bedrock's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The Region of calls that name no profile: as written, or else the one Region of all profiles, if it is one.
    pub region: Option<Region>,
    /// In place of Bedrock's own endpoint: scheme and authority, nothing more. `http` only for a loopback host.
    pub endpoint: Option<http::Uri>,
    /// STS, in place of the Region's own endpoint, likewise.
    pub sts_endpoint: Option<http::Uri>,
    /// Bedrock's control plane, where it is asked what listed profiles were made from, in place of the Region's own, likewise.
    pub control_endpoint: Option<http::Uri>,
    /// Which of Bedrock's own endpoints, where there is none in their place.
    pub variant: Variant,
    /// PEM certificates trusted in place of the built-in roots.
    pub ca_bundle: Option<PathBuf>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long Bedrock may take to begin its answer.
    pub first_byte_timeout: Duration,
    /// How long an answer may pause.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many connections one endpoint may have.
    pub max_connections: usize,
    /// The profile of the AWS configuration files to take credentials from.
    pub aws_profile: Option<String>,
    /// Prefixes of system-defined profiles, without their dots, that are geographies too.
    pub geographies: Vec<String>,
}

/// An application inference profile and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSettings {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: ProfileArn,
    /// The model or system-defined profile it was copied from; decides its price. Where it is not said AWS is asked.
    pub source: Option<ModelId>,
    /// Whose it is.
    pub owners: Owners,
    /// By what names it is reached: those of `[[exact_arns]]` by their ARN alone.
    pub reach: Reach,
    /// What a prompt of `[[exact_arns]]` asks at most.
    pub prompt: Option<PromptBounds>,
    /// Further names its owners may ask for: words, or the ids of other models that this profile shall answer for.
    pub aliases: Vec<String>,
}

/// What is allowed at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// The forwarded operations that are allowed, distinct.
    pub operations: Vec<Operation>,
    /// Where calls may be served.
    pub residency: Residency,
}

/// A guardrail and who owes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardrailSettings {
    /// Its id or ARN.
    pub identifier: String,
    /// `DRAFT` or a number.
    pub version: String,
    /// What is done with a call that does not carry it.
    pub mode: GuardrailMode,
    /// What is done with a call that asks for asynchronous stream processing.
    pub asynchronous: Asynchronous,
    /// What is done with a call that marks only parts of itself for guarding.
    pub selective: Selective,
    /// Who owes it.
    pub owners: Owners,
}

/// The price of one model in place of the one shipped, in every Region, tier and length of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSettings {
    /// The source model.
    pub model: ModelId,
    /// Input tokens.
    pub input: TokenPrice,
    /// Output tokens.
    pub output: TokenPrice,
    /// Tokens read from the prompt cache; else as dear as input.
    pub cache_read: Option<TokenPrice>,
    /// Tokens written to the prompt cache for five minutes; else as dear as input.
    pub cache_write_5m: Option<TokenPrice>,
    /// Tokens written to the prompt cache for an hour; else twice as dear as input.
    pub cache_write_1h: Option<TokenPrice>,
    /// Input and output of latency-optimised inference.
    pub latency_optimized: Option<(TokenPrice, TokenPrice)>,
    /// Images and queries.
    pub pieces: PiecePrices,
    /// The largest input in tokens.
    pub max_input: Option<u64>,
    /// The largest output in tokens.
    pub max_output: Option<u64>,
}

/// Who is told when a budget reaches a threshold, besides the log and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// A webhook.
    pub webhook: Option<WebhookSettings>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Its URL.
    pub url: String,
    /// A file with the secret by which messages are signed.
    pub secret_file: PathBuf,
    /// Certificate authorities to trust.
    pub ca_bundle: Option<PathBuf>,
}

/// Reading on after a caller has hung up, to learn what the call cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteringSettings {
    /// What is done with the rest of such an answer.
    pub on_disconnect: OnDisconnect,
    /// How many answers are read on at once.
    pub drain_streams: usize,
    /// How long each of them.
    pub drain_timeout: Duration,
}

/// A price table in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says; `None` where there is no such file on this machine.
    pub table: Option<PriceTable>,
}

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// How much is logged.
    pub level: LogLevel,
}

/// A closed set of words that a key may hold.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every word with its meaning.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, meaning)| *meaning == self).map_or("", |(word, _)| word)
    }
}

/// Declares a closed set of words: each variant with its documentation and its word.
macro_rules! choices {
    ($($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$meaning])* $variant,)+ }

        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];
        }
    )+};
}

choices! {
    /// What is done with a call that does not carry the guardrail it owes. One that carries another is refused.
    GuardrailMode {
        /// It is put there.
        Inject = "inject",
        /// The call is refused.
        Require = "require",
    }
    /// What is done with a call that asks for asynchronous stream processing, which lets text out before it is checked.
    Asynchronous {
        /// It is refused.
        Refuse = "refuse",
        /// It is made synchronous.
        ForceSync = "force-sync",
    }
    /// What is done with a call that marks only parts of itself for guarding.
    Selective {
        /// It is refused.
        Refuse = "refuse",
        /// It goes through: what is not marked is not guarded.
        Allow = "allow",
    }
    /// How often a budget begins anew.
    Window {
        /// At every full hour.
        Hour = "hour",
        /// At midnight.
        Day = "day",
        /// At midnight of one day of the week.
        Week = "week",
        /// At midnight of the first.
        Month = "month",
        /// Never: the time that has just passed counts.
        Rolling = "rolling",
        /// Never.
        Lifetime = "lifetime",
    }
    /// What is held before a call, whose cost is known only after it.
    Reserve {
        /// The most that it can cost: the budget cannot be exceeded.
        WorstCase = "worst-case",
        /// What calls of its kind usually cost: more calls fit, the last ones may exceed the budget.
        Expected = "expected",
    }
    /// What is done with the rest of an answer whose caller has hung up.
    OnDisconnect {
        /// It is read on.
        Drain = "drain",
        /// It is given up.
        Cancel = "cancel",
    }
    /// Where counts and the bill are kept.
    StoreKind {
        /// In a SQLite file of this machine, for one gateway.
        Embedded = "embedded",
        /// In memory: forgotten at the end.
        Memory = "memory",
        /// In Valkey or Redis, for gateways that share it.
        Redis = "redis",
    }
    /// How servers of a shared store work together.
    Topology {
        /// One server.
        Single = "single",
        /// Sentinels, which know where the master is.
        Sentinel = "sentinel",
        /// A cluster.
        Cluster = "cluster",
    }
    /// What becomes of calls under hard budgets while the shared store does not answer.
    OnOutage {
        /// They are refused.
        Deny = "deny",
        /// They go on within an allowance.
        AllowWithin = "allow_within",
    }
    /// What the embedded store survives.
    Durability {
        /// The end of the process, however sudden.
        Process = "process",
        /// A loss of power too; every reservation waits for the disk.
        Power = "power",
    }
    /// How a log line looks.
    LogFormat {
        /// One JSON object.
        Json = "json",
        /// For people.
        Text = "text",
    }
    /// How much is logged.
    LogLevel {
        /// An operator must act.
        Error = "error",
        /// Recovered; an operator may care.
        Warn = "warn",
        /// One line per request.
        Info = "info",
        /// For finding faults in Tollgate.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
