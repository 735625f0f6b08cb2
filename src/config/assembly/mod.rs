//! From settings to a gateway that runs: every stage is made here, wired to its neighbours, and started.
//!
//! Nothing is fetched and nothing listens before [`Assembled::bind`]; what is wrong with the surroundings (a certificate, a
//! keys file, a CA bundle) is an error here and not a surprise at the first request.

mod accounts;
mod discovery;
mod environment;
mod files;
mod identity;
mod listeners;
mod pages;
mod run;
mod stages;
mod store;
mod thresholds;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use discovery::{ProfileDesk, profile_desk};
pub use identity::{key_store, root_keys};
pub use listeners::Open;
pub use run::Bound;
pub use store::shared as shared_store;

use super::settings::{Settings, UpstreamSettings, WebhookSettings};
use crate::admin::{AdminSources, Changing, Check, State};
use crate::budget::{BudgetRule, Ledger};
use crate::gateway::{BodyLimits, Drains, Gateway, Unproved};
use crate::identity::keys::KeyRing;
use crate::identity::{Identity, Principal, Principals};
use crate::limits;
use crate::profiles::price::PriceTable;
use crate::server::ServerLimits;
use crate::sigv4::AwsCredentials;
use crate::telemetry::{Metrics, Sources, UpstreamReading};
use crate::types::{Clock, Region, Secret};
use crate::upstream::{
    AwsChain, Connector, CredentialSource, Credentials, Endpoint, Endpoints, Fixed, Limits, Pool, RequestSigner,
    Webhook,
};

/// Where the gateway's own AWS credentials come from.
#[derive(Clone, Debug)]
pub enum AwsIdentity {
    /// The standard chain: environment, profile, web identity, container, instance metadata.
    Chain,
    /// This key pair.
    Fixed(AwsCredentials),
}

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct AssemblyError {
    /// The key of the configuration, or the thing that is in the way.
    pub what: &'static str,
    /// What is wrong, and what to do.
    pub why: String,
}

/// A gateway that has all its parts and does not listen yet.
#[derive(Debug)]
pub struct Assembled {
    gateway: Arc<Gateway>,
    keys: Arc<KeyRing>,
    credentials: Arc<Credentials>,
    listeners: Vec<listeners::Prepared>,
    limits: ServerLimits,
    admin: (SocketAddr, AdminSources),
    draining: CancellationToken,
    thresholds: thresholds::Watch,
}

/// Makes a gateway of settings.
pub async fn assemble(
    settings: &Settings,
    aws: AwsIdentity,
    clock: Arc<dyn Clock>,
) -> Result<Assembled, AssemblyError> {
    let region = region(settings)?;
    if let Some(file) = settings.price_table.as_ref().filter(|file| file.table.is_none()) {
        return Err(failed("price_table.file")(format!("{} is not there", file.path.display())));
    }
    let prices = Arc::new(price_table(settings));
    let store = store::open(&settings.store, Arc::clone(&clock)).await?;
    let ledger = Ledger::new(budget_rules(settings), store, Arc::clone(&clock)).map_err(failed("budgets"))?;
    let limits = limits::Limits::new(settings.rate_limits.iter().map(stages::rate_limit).collect());
    let limits = limits.map_err(failed("rate_limits"))?;
    let principals = Principals::new(settings.principals.iter().cloned()).map_err(failed("principals"))?;
    let keys = Arc::new(identity::key_ring(settings).await?);
    let verification = identity::verification(settings)?;
    let listeners = settings.server.listeners.iter().map(|listener| listeners::prepare(listener, &principals));
    let listeners = listeners.collect::<Result<_, _>>()?;
    let pool = pool(&settings.upstream)?;
    let credentials = Credentials::new(source(&settings.upstream, &region, aws).await?, Arc::clone(&clock));
    let sessions = accounts::sessions(settings, &credentials, &region, &clock)?;
    let directory = discovery::directory(settings, &credentials, &sessions, &clock)?;
    let vending = discovery::vending(settings, &directory);
    let draining = CancellationToken::new();
    let policies = stages::policies(&settings.policy, &region)?;
    let guardrails = stages::guardrails(&settings.guardrails)?;
    let endpoints = endpoints(&settings.upstream)?;

    let webhook = settings.alerts.webhook.as_ref().map(webhook).transpose()?;
    let told_by = Arc::clone(&clock);
    let watched = Arc::clone(&pool);
    let gateway = Arc::new_cyclic(|gateway: &std::sync::Weak<Gateway>| {
        let (ledger_of, health_of) = (std::sync::Weak::clone(gateway), std::sync::Weak::clone(gateway));
        let sources = Sources {
            budgets: Box::new(move || {
                ledger_of
                    .upgrade()
                    .map(|gateway| stages::budget_readings(&gateway.ledger, &people(&gateway)))
                    .unwrap_or_default()
            }),
            store: Box::new(move || health_of.upgrade().map(|gateway| gateway.ledger.health()).unwrap_or_default()),
            upstream: Box::new(move || {
                let counts = watched.counts();
                UpstreamReading { open: counts.open, opened: counts.opened, reused: counts.reused }
            }),
            directory: Box::new({
                let (directory, vending, clock) = (Arc::clone(&directory), Arc::clone(&vending), Arc::clone(&clock));
                move || discovery::readings(&directory, &vending, clock.now())
            }),
            unsourced: Box::new({
                let directory = Arc::clone(&directory);
                move || u64::try_from(directory.unknown_sources()).unwrap_or(u64::MAX)
            }),
            sessions: Box::new({
                let sessions = Arc::clone(&sessions);
                move || accounts::readings(&sessions)
            }),
        };
        let body_limits =
            BodyLimits { max_bytes: settings.server.max_body_bytes, timeout: settings.server.body_timeout };
        Gateway {
            base_path: settings.server.base_path.clone(),
            identity: Identity::new(principals, Arc::clone(&keys), verification),
            vending: Arc::clone(&vending),
            directory: Arc::clone(&directory),
            policies,
            body_limits,
            unproved: Unproved::new(body_limits),
            guardrails,
            prices,
            limits,
            ledger,
            signer: RequestSigner::new(Arc::clone(&credentials), sessions, endpoints, region, clock),
            pool,
            drains: Drains::new(
                stages::on_disconnect(settings.metering.on_disconnect),
                settings.metering.drain_streams,
                settings.metering.drain_timeout,
                settings.upstream.idle_timeout,
            ),
            metrics: Arc::new(Metrics::new(sources)),
        }
    });
    let token = settings.admin.token_file.as_deref().map(token).transpose()?;
    let admin = (settings.admin.listen, admin(&gateway, &credentials, &draining, token, settings.identity.is_open()));
    let thresholds = thresholds::Watch { gateway: Arc::clone(&gateway), webhook, clock: told_by };
    let limits = ServerLimits {
        max_connections: settings.server.max_connections,
        header_timeout: settings.server.header_timeout,
        drain_timeout: settings.server.drain_timeout,
    };
    Ok(Assembled { gateway, keys, credentials, listeners, limits, admin, draining, thresholds })
}

impl Assembled {
    /// The gateway, for tests that look into it.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }
}

/// The endpoint of Bedrock's that serves calls through a profile of a Region.
pub fn endpoint(settings: &Settings, region: &Region) -> Result<Arc<Endpoint>, AssemblyError> {
    Ok(endpoints(&settings.upstream)?.of(region))
}

/// The budgets that settings name.
pub fn budget_rules(settings: &Settings) -> Vec<BudgetRule> {
    settings.budgets.iter().map(stages::budget).collect()
}

/// The prices that settings put in force. Where the file that they name is not there, those that are shipped stand in.
pub fn price_table(settings: &Settings) -> PriceTable {
    let own = settings.price_table.as_ref().and_then(|file| file.table.clone());
    stages::prices(own.unwrap_or_else(PriceTable::shipped), &settings.prices)
}

fn admin(
    gateway: &Arc<Gateway>,
    credentials: &Arc<Credentials>,
    draining: &CancellationToken,
    token: Option<Secret>,
    open: bool,
) -> AdminSources {
    let (told, changed) = (Arc::clone(gateway), Arc::clone(gateway));
    let changing = token.map(|token| Changing {
        token,
        change: Arc::new(move |action, body| {
            let changed = Arc::clone(&changed);
            Box::pin(async move {
                let now = changed.signer.now();
                if action == "keys/revoke" {
                    return pages::revoke(changed.identity.keys(), &body, now).await;
                }
                pages::change(&changed.ledger, (&people(&changed), open), &action, &body, now).await
            })
        }),
    });
    let (standing, used, keyed) = (Arc::clone(gateway), Arc::clone(gateway), Arc::clone(gateway));
    let told_profiles = Arc::clone(&gateway.directory);
    let (billed, signing, draining) = (Arc::clone(gateway), Arc::clone(credentials), draining.clone());
    AdminSources {
        metrics: Arc::clone(gateway.metrics()),
        budgets: Arc::new(move || {
            let standing = Arc::clone(&standing);
            Box::pin(async move { pages::budgets(&standing.ledger, &people(&standing)).await })
        }),
        history: Arc::new(move || {
            let told = Arc::clone(&told);
            Box::pin(async move { pages::history(&told.ledger).await })
        }),
        keys: Arc::new(move || {
            let keyed = Arc::clone(&keyed);
            Box::pin(async move { pages::keys(keyed.identity.keys()).await })
        }),
        changing,
        usage: Arc::new(move |since| {
            let used = Arc::clone(&used);
            Box::pin(async move { pages::usage(&used.ledger, since).await })
        }),
        bill: Arc::new(move || {
            let billed = Arc::clone(&billed);
            Box::pin(async move { pages::bill(&billed.ledger).await })
        }),
        readiness: Arc::new(move || {
            let has_credentials = match signing.current() {
                Ok(_) => State::Ready,
                Err(error) => State::Waiting(error.to_string()),
            };
            let serving = if draining.is_cancelled() {
                State::Waiting("the gateway is draining".to_owned())
            } else {
                State::Ready
            };
            let unasked = told_profiles.unasked();
            let has_profiles = match (told_profiles.untried(), unasked) {
                (Some(place), _) => State::Waiting(format!("the profiles of {place} have not been read yet")),
                (None, Some(name)) => State::Waiting(format!("AWS has not been asked yet what {name} was made from")),
                (None, None) => State::Ready,
            };
            vec![
                Check { name: "config", state: State::Ready },
                Check { name: "credentials", state: has_credentials },
                Check { name: "profiles", state: has_profiles },
                Check { name: "serving", state: serving },
            ]
        }),
    }
}

/// Everybody whose budgets are counted.
fn people(gateway: &Gateway) -> Vec<Arc<Principal>> {
    gateway.identity.people(gateway.signer.now())
}

async fn source(
    upstream: &UpstreamSettings,
    region: &Region,
    aws: AwsIdentity,
) -> Result<Box<dyn CredentialSource>, AssemblyError> {
    let bundle = ca_bundle(upstream)?;
    Ok(match aws {
        AwsIdentity::Fixed(pair) => Box::new(Fixed(pair)),
        AwsIdentity::Chain => Box::new(
            AwsChain::new(region, upstream.aws_profile.as_deref(), bundle.as_deref())
                .await
                .map_err(failed("upstream.aws_profile"))?,
        ),
    })
}

fn pool(upstream: &UpstreamSettings) -> Result<Arc<Pool>, AssemblyError> {
    let connector = Connector::new(ca_bundle(upstream)?.as_deref()).map_err(failed("upstream.ca_bundle"))?;
    Ok(Pool::new(
        connector,
        Limits {
            max_connections: upstream.max_connections,
            connect_timeout: upstream.connect_timeout,
            first_byte_timeout: upstream.first_byte_timeout,
            idle_timeout: upstream.idle_timeout,
            pool_idle_timeout: upstream.pool_idle_timeout,
        },
    ))
}

/// A token that nobody guesses.
fn token(path: &std::path::Path) -> Result<Secret, AssemblyError> {
    let token = files::secret(path, "admin.token_file")?;
    if token.expose().len() < SHORTEST_TOKEN {
        let why = format!("the token has fewer than {SHORTEST_TOKEN} characters: openssl rand -hex 32 makes one");
        return Err(AssemblyError { what: "admin.token_file", why });
    }
    Ok(token)
}

fn webhook(settings: &WebhookSettings) -> Result<Webhook, AssemblyError> {
    let bundle = files::read(settings.ca_bundle.as_ref(), "alerts.ca_bundle")?;
    let connector = Connector::new(bundle.as_deref()).map_err(failed("alerts.ca_bundle"))?;
    let secret = files::secret(&settings.secret_file, "alerts.secret_file")?;
    Webhook::new(connector, &settings.url, &secret).map_err(failed("alerts"))
}

fn ca_bundle(upstream: &UpstreamSettings) -> Result<Option<Vec<u8>>, AssemblyError> {
    files::read(upstream.ca_bundle.as_ref(), "upstream.ca_bundle")
}

fn endpoints(upstream: &UpstreamSettings) -> Result<Endpoints, AssemblyError> {
    let Some(url) = &upstream.endpoint else { return Ok(Endpoints::regional(upstream.variant)) };
    // The configuration has checked the URL already; were one refused here all the same, calls must not go to AWS's own.
    Endpoint::parse(&url.to_string()).map(Endpoints::fixed).map_err(failed("upstream.endpoint"))
}

/// The Region of calls that name no profile: `ApplyGuardrail`.
fn region(settings: &Settings) -> Result<Region, AssemblyError> {
    let first = || settings.profiles.first().map(|profile| profile.arn.region().clone());
    let of_an_account = || settings.accounts.iter().find_map(|account| account.regions.first().cloned());
    settings.upstream.region.clone().or_else(first).or_else(of_an_account).ok_or_else(|| AssemblyError {
        what: "upstream.region",
        why: "no Region is named and no profile tells one: add region = \"us-east-1\", say".to_owned(),
    })
}

const SHORTEST_TOKEN: usize = 32;

/// How often the keys are looked at: a revocation takes effect within this.
const KEYS_EVERY: Duration = Duration::from_secs(1);

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> AssemblyError {
    move |error| AssemblyError { what, why: error.to_string() }
}

#[cfg(test)]
mod tests;
