//! Numbers that are asked for at scrape time because another floor keeps them: what is left of each budget, and the
//! state of the connection pool.
//!
//! The floors that keep them know nothing of metrics; whoever starts the gateway hands over a closure.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::budget::{Health, Subject, Unit as BudgetUnit};
use crate::types::Money;

/// Where the numbers come from. [`Sources::default`] has none: no budgets, no connections.
pub struct Sources {
    /// Every budget of every principal that has one.
    pub budgets: Box<dyn Fn() -> Vec<BudgetReading> + Send + Sync>,
    /// Where budgets are counted.
    pub store: Box<dyn Fn() -> Health + Send + Sync>,
    /// The pool of connections to Bedrock.
    pub upstream: Box<dyn Fn() -> UpstreamReading + Send + Sync>,
    /// What was discovered, place by place.
    pub directory: Box<dyn Fn() -> Vec<DirectoryReading> + Send + Sync>,
    /// Profiles of the configuration through which nobody can call, because what they were made from is not known.
    pub unsourced: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Sessions, account by account.
    pub sessions: Box<dyn Fn() -> Vec<SessionReading> + Send + Sync>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            budgets: Box::new(Vec::new),
            store: Box::new(Health::default),
            upstream: Box::new(UpstreamReading::default),
            directory: Box::new(Vec::new),
            unsourced: Box::new(u64::default),
            sessions: Box::new(Vec::new),
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(…)")
    }
}

/// What was discovered in an account and a Region. Both come from configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryReading {
    /// The account's id.
    pub account: String,
    /// The Region.
    pub region: String,
    /// How many profiles are known.
    pub profiles: f64,
    /// How many are nobody's because their source is not known.
    pub undetermined: f64,
    /// How long ago they were read.
    pub age_seconds: f64,
    /// How many AWS lets there be; nothing where that is not known.
    pub quota: Option<f64>,
}

/// The sessions of a role. The account and the results are from closed sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReading {
    /// The account's id.
    pub account: String,
    /// Sessions that are kept.
    pub sessions: u64,
    /// How often STS was asked, by what came of it.
    pub asked: Vec<(&'static str, u64)>,
}

/// One count of a budget as it stands. The names come from configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetReading {
    /// The budget's name.
    pub budget: String,
    /// Whose spending it adds up.
    pub subject: Subject,
    /// On which model or family, where the budget counts them apart.
    pub model: Option<String>,
    /// In which unit: dollars in nano-dollars.
    pub unit: BudgetUnit,
    /// The limit.
    pub limit: u64,
    /// What has been settled in the window.
    pub spent: u64,
    /// What is held for calls that run.
    pub reserved: u64,
}

/// The pool of connections to Bedrock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamReading {
    /// Connections that are open now.
    pub open: u64,
    /// Connections opened since the start.
    pub opened: u64,
    /// Requests that found an open connection since the start.
    pub reused: u64,
}

/// What a gauge shows of a count.
type Level = fn(&BudgetReading) -> u64;

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut budgets = (self.budgets)();
        let hidden = budgets.len().saturating_sub(MOST_COUNTS);
        if hidden > 0 {
            // Those that are closest to their limits are shown.
            budgets.sort_by_cached_key(|budget| std::cmp::Reverse(share(budget)));
            budgets.truncate(MOST_COUNTS);
        }
        encoder
            .encode_descriptor(
                "budget_counts_hidden",
                "Counts of budgets that are not among these metrics, because there are too many.",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&(hidden as u64))?;
        let levels: [(&str, &str, Level); 4] = [
            ("limit", "Limit of a budget in its window", |budget| budget.limit),
            ("spent", "What has been settled of a budget in its window", |budget| budget.spent),
            ("reserved", "What is held of a budget for calls that run", |budget| budget.reserved),
            ("remaining", "What is neither spent nor reserved of a budget", |budget| {
                budget.limit.saturating_sub(budget.spent).saturating_sub(budget.reserved)
            }),
        ];
        for (level, help, amount) in levels {
            for unit in BudgetUnit::ALL {
                let (name, help) =
                    (format!("budget_{level}_{}", unit.as_str()), format!("{help}, in {}.", words(unit)));
                let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
                for budget in budgets.iter().filter(|budget| budget.unit == unit) {
                    family.encode_family(&labels(budget))?.encode_gauge(&measure(unit, amount(budget)))?;
                }
            }
        }
        self.encode_store(&mut encoder)?;
        self.encode_directory(&mut encoder)?;
        self.encode_sessions(&mut encoder)?;
        self.encode_upstream(&mut encoder)
    }
}

/// What a family says of a place.
type Read = fn(&DirectoryReading) -> Option<f64>;

impl Sources {
    fn encode_store(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Health { trouble, running, unwritten } = (self.store)();
        for (name, help, value) in [
            (
                "store_up",
                "Whether budgets can be counted: 0 where calls under hard ones are refused.",
                u64::from(trouble.is_none()),
            ),
            ("unsettled_reservations", "Calls that are reserved and not settled.", running),
            ("unwritten_settlements", "Settlements that the store has not taken yet.", unwritten),
        ] {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Each place's number, family by family.
    fn encode_directory(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let places = (self.directory)();
        let families: [(&str, &str, Read); 4] = [
            ("directory_profiles", "Inference profiles that were discovered.", |place| Some(place.profiles)),
            (
                "directory_undetermined_profiles",
                "Discovered profiles that are nobody's, because what they were made from is not known.",
                |place| Some(place.undetermined),
            ),
            (
                "directory_age_seconds",
                "How long ago the profiles of a place were read; infinite where they never were.",
                |place| Some(place.age_seconds),
            ),
            (
                "profile_quota",
                "How many inference profiles AWS lets the account have in the Region, where that is known.",
                |place| place.quota,
            ),
        ];
        for (name, help, value) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for place in &places {
                let labels = [("account", place.account.as_str()), ("region", place.region.as_str())];
                if let Some(value) = value(place) {
                    family.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
        }
        let help = "Profiles of the configuration that nobody can call, because what they were made from is not known.";
        let unsourced = (self.unsourced)();
        encoder.encode_descriptor("unsourced_profiles", help, None, MetricType::Gauge)?.encode_gauge(&unsourced)
    }

    fn encode_sessions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let accounts = (self.sessions)();
        let help = "Sessions of assumed roles that are kept.";
        let mut family = encoder.encode_descriptor("sessions", help, None, MetricType::Gauge)?;
        for account in &accounts {
            family.encode_family(&[("account", account.account.as_str())])?.encode_gauge(&account.sessions)?;
        }
        let help = "How often STS was asked for a session, by what came of it.";
        let mut family = encoder.encode_descriptor("assume_role", help, None, MetricType::Counter)?;
        for account in &accounts {
            for (result, times) in &account.asked {
                let labels = [("account", account.account.as_str()), ("result", *result)];
                ConstCounter::new(*times).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_upstream(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let UpstreamReading { open, opened, reused } = (self.upstream)();
        encoder
            .encode_descriptor(
                "upstream_connections",
                "Connections to Bedrock that are open.",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&open)?;
        for (name, help, count) in [
            ("upstream_connections_opened", "Connections to Bedrock that were opened.", opened),
            ("upstream_connections_reused", "Requests that found an open connection to Bedrock.", reused),
        ] {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

/// How much of a limit is in use, in thousandths.
fn share(budget: &BudgetReading) -> u128 {
    let used = u128::from(budget.spent) + u128::from(budget.reserved);
    (used * 1_000).checked_div(u128::from(budget.limit)).unwrap_or(u128::MAX)
}

/// Four series each: a scrape stays within some ten thousand.
const MOST_COUNTS: usize = 2_500;

/// A label is there where it says something: whose count it is, and of which model.
fn labels(budget: &BudgetReading) -> Vec<(&str, &str)> {
    let whose = match &budget.subject {
        Subject::Everyone => None,
        Subject::Principal(_) | Subject::Group(_) => Some((budget.subject.kind(), budget.subject.name())),
    };
    let model = budget.model.as_deref().map(|model| ("model", model));
    [Some(("budget", budget.budget.as_str())), whose, model].into_iter().flatten().collect()
}

const fn words(unit: BudgetUnit) -> &'static str {
    match unit {
        BudgetUnit::Usd => "dollars",
        BudgetUnit::Tokens => "tokens",
        BudgetUnit::InputTokens => "input tokens",
        BudgetUnit::OutputTokens => "output tokens",
        BudgetUnit::Requests => "requests",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; amounts above 2⁵³ do not occur")]
fn measure(unit: BudgetUnit, amount: u64) -> f64 {
    match unit {
        BudgetUnit::Usd => Money::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX)).as_dollars_f64(),
        BudgetUnit::Tokens | BudgetUnit::InputTokens | BudgetUnit::OutputTokens | BudgetUnit::Requests => amount as f64,
    }
}
