//! The directory in force, and how AWS is asked for what is in it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::{AssemblyError, AwsIdentity, accounts, ca_bundle, failed, region, source, stages};
use crate::config::settings::{Settings, VendingSettings};
use crate::profiles::control::{Place, SharedControlPlane};
use crate::profiles::vending::{Vend, Vending};
use crate::profiles::{Discovery, Listing, LiveDirectory, Sources};
use crate::telemetry::DirectoryReading;
use crate::types::Clock;
use crate::upstream::{
    Connector, ControlClient, ControlEndpoints, CredentialError, Credentials, Endpoint, Limits, Pool, Sessions,
};

/// What the commands about profiles work on.
#[derive(Debug)]
pub struct ProfileDesk {
    /// What the configuration lists, and what was found before.
    pub directory: Arc<LiveDirectory>,
    /// Who makes profiles, by the rules.
    pub vending: Arc<Vending>,
    credentials: Arc<Credentials>,
}

/// The parts of a gateway that know of profiles, without one. Nothing is asked yet.
pub async fn profile_desk(
    settings: &Settings,
    aws: AwsIdentity,
    clock: Arc<dyn Clock>,
) -> Result<ProfileDesk, AssemblyError> {
    let region = region(settings)?;
    let credentials = Credentials::new(source(&settings.upstream, &region, aws).await?, Arc::clone(&clock));
    let sessions = accounts::sessions(settings, &credentials, &region, &clock)?;
    let directory = directory(settings, &credentials, &sessions, &clock)?;
    let vending = vending(settings, &directory);
    Ok(ProfileDesk { directory, vending, credentials })
}

impl ProfileDesk {
    /// Fetches the credentials with which AWS is asked.
    pub async fn sign_in(&self) -> Result<(), CredentialError> {
        self.credentials.fetch().await
    }
}

/// The directory: what the configuration lists, and what was found before.
pub(super) fn directory(
    settings: &Settings,
    credentials: &Arc<Credentials>,
    sessions: &Arc<Sessions>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<LiveDirectory>, AssemblyError> {
    let listings: Vec<_> = settings.profiles.iter().filter_map(stages::listing).collect();
    let discovery = settings.discovery.as_ref();
    let asks = listings.iter().any(|listing| matches!(listing, Listing::Unsourced(_)));
    let geographies = &settings.upstream.geographies;
    let control = |endpoint: Option<&http::Uri>| control_plane(settings, endpoint, (credentials, sessions), clock);
    let of_discovery = discovery.and_then(|discovery| discovery.endpoint.as_ref());
    // Sources are asked of Bedrock alone, and so at an endpoint that may be of Bedrock alone.
    let of_sources = settings.upstream.control_endpoint.as_ref().or(of_discovery);
    let sources = asks
        .then(|| Ok::<_, AssemblyError>(Sources::new(&listings, control(of_sources)?, geographies.clone())))
        .transpose()?;
    let rules = discovery.map(|discovery| discovery.rules.clone()).unwrap_or_default();
    let discovery = discovery
        .map(|discovery| {
            Ok::<_, AssemblyError>(Discovery {
                places: places(settings),
                control: control(of_discovery)?,
                file: discovery.file.clone(),
                every: discovery.every,
                geographies: geographies.clone(),
            })
        })
        .transpose()?;
    let live = LiveDirectory::new(listings, sources, rules, discovery, clock.now()).map_err(failed("profiles"))?;
    Ok(Arc::new(live))
}

/// Who makes profiles.
pub(super) fn vending(settings: &Settings, directory: &Arc<LiveDirectory>) -> Arc<Vending> {
    let rules = settings.vending.iter().map(|vending| match vending.clone() {
        VendingSettings::Refuse { owners, models } => Vend::Not { owners, models },
        VendingSettings::Create(rule) => Vend::Profile(rule),
    });
    let wait = settings.discovery.as_ref().map_or(Duration::ZERO, |discovery| discovery.vending_wait);
    Vending::new(rules.collect(), wait, Arc::clone(directory))
}

/// Every Region of every account, in their order.
fn places(settings: &Settings) -> Vec<Place> {
    let of = |account: &crate::config::settings::AccountSettings| {
        let id = account.account.clone();
        let place = move |region: &crate::types::Region| Place { account: id.clone(), region: region.clone() };
        account.regions.iter().map(place).collect::<Vec<_>>()
    };
    settings.accounts.iter().flat_map(of).collect()
}

/// How each place stands, for metrics.
pub(super) fn readings(directory: &LiveDirectory, vending: &Vending, now: SystemTime) -> Vec<DirectoryReading> {
    let age = |read_at: Option<Timestamp>| {
        let read_at = read_at.map(SystemTime::from);
        read_at.map_or(f64::INFINITY, |read_at| now.duration_since(read_at).unwrap_or_default().as_secs_f64())
    };
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let headrooms = vending.headrooms();
    let quota = |place: &Place| headrooms.iter().find(|own| own.place == *place).and_then(|own| own.quota);
    let readings = directory.readings().into_iter().map(|reading| DirectoryReading {
        account: reading.place.account.to_string(),
        region: reading.place.region.to_string(),
        profiles: count(reading.profiles),
        undetermined: count(reading.undetermined),
        age_seconds: age(reading.read_at),
        quota: quota(&reading.place).map(count),
    });
    readings.collect()
}

fn control_plane(
    settings: &Settings,
    endpoint: Option<&http::Uri>,
    (credentials, sessions): (&Arc<Credentials>, &Arc<Sessions>),
    clock: &Arc<dyn Clock>,
) -> Result<SharedControlPlane, AssemblyError> {
    let connector = Connector::new(ca_bundle(&settings.upstream)?.as_deref()).map_err(failed("upstream.ca_bundle"))?;
    let limits = Limits {
        max_connections: CONNECTIONS,
        connect_timeout: settings.upstream.connect_timeout,
        first_byte_timeout: ANSWER,
        idle_timeout: ANSWER,
        pool_idle_timeout: settings.upstream.pool_idle_timeout,
    };
    let endpoints = match endpoint {
        Some(url) => {
            let endpoint = Endpoint::parse(&url.to_string()).map_err(failed("the endpoint of the control plane"))?;
            ControlEndpoints::Fixed(Arc::new(endpoint))
        }
        None => ControlEndpoints::Own(settings.upstream.variant),
    };
    let pool = Pool::new(connector, limits);
    let (credentials, sessions) = (Arc::clone(credentials), Arc::clone(sessions));
    Ok(Arc::new(ControlClient::new(credentials, sessions, pool, endpoints, Arc::clone(clock))))
}

/// Connections to the control plane open at once, over all places.
const CONNECTIONS: usize = 16;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
