//! The sessions in which calls are made in accounts that name a role, and how STS is asked for them.

use std::sync::Arc;
use std::time::Duration;

use super::{AssemblyError, ca_bundle, failed};
use crate::config::settings::Settings;
use crate::telemetry::SessionReading;
use crate::types::{Clock, Region};
use crate::upstream::{Connector, Credentials, Endpoint, Limits, Pool, Sessions, Sts};

/// The sessions, of which there are none yet. STS is asked in the gateway's own Region, which is near, and which its own account has
/// switched on.
pub(super) fn sessions(
    settings: &Settings,
    credentials: &Arc<Credentials>,
    region: &Region,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Sessions>, AssemblyError> {
    let roles = settings.accounts.iter().filter_map(|account| account.role.clone()).collect();
    let upstream = &settings.upstream;
    let connector = Connector::new(ca_bundle(upstream)?.as_deref()).map_err(failed("upstream.ca_bundle"))?;
    let limits = Limits {
        max_connections: CONNECTIONS,
        connect_timeout: upstream.connect_timeout,
        first_byte_timeout: ANSWER,
        idle_timeout: ANSWER,
        pool_idle_timeout: upstream.pool_idle_timeout,
    };
    let endpoint = match &upstream.sts_endpoint {
        Some(url) => Endpoint::parse(&url.to_string()).map_err(failed("upstream.sts_endpoint"))?,
        None => Endpoint::of_sts(region, upstream.variant),
    };
    let pool = Pool::new(connector, limits);
    let sts = Sts::new(Arc::clone(credentials), pool, endpoint, region.clone(), Arc::clone(clock));
    Ok(Sessions::new(roles, Box::new(sts), Arc::clone(clock)))
}

/// How the sessions stand, for metrics.
pub(super) fn readings(sessions: &Sessions) -> Vec<SessionReading> {
    let readings = sessions.counts().into_iter().map(|counts| SessionReading {
        account: counts.account.to_string(),
        sessions: u64::try_from(counts.sessions).unwrap_or(u64::MAX),
        asked: counts.asked.to_vec(),
    });
    readings.collect()
}

/// As many as ask at once.
const CONNECTIONS: usize = 20;
const ANSWER: Duration = Duration::from_secs(5);
