//! The store that the settings name, opened.

use std::sync::Arc;

use super::{AssemblyError, failed, files};
use crate::budget::{
    self, EmbeddedOptions, EmbeddedStore, MemoryStore, Recovered, SharedOptions, SharedServer, SharedStore, Store,
};
use crate::config::settings::{Durability, OnOutage, RedisSettings, StoreKind, StoreSettings, Topology};
use crate::types::Clock;

/// Opening a file can take a while after a crash: it is done beside the runtime.
pub(super) async fn open(settings: &StoreSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, AssemblyError> {
    match (settings.kind, &settings.redis) {
        (StoreKind::Memory, _) => Ok(Arc::new(MemoryStore::new(clock))),
        (StoreKind::Redis, Some(redis)) => {
            let (store, warnings) =
                SharedStore::open(&shared(settings, redis)?, clock).await.map_err(failed("store.redis"))?;
            for warning in warnings {
                tracing::warn!("the budget store: {warning}");
            }
            Ok(Arc::new(store))
        }
        (StoreKind::Embedded | StoreKind::Redis, _) => embedded(settings, clock).await,
    }
}

async fn embedded(settings: &StoreSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, AssemblyError> {
    let options = EmbeddedOptions {
        path: settings.path.clone(),
        durability: match settings.durability {
            Durability::Process => budget::Durability::Process,
            Durability::Power => budget::Durability::Power,
        },
        retention: settings.retention,
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&options, clock)).await;
    let (store, recovered) = opened.map_err(failed("store.path"))?.map_err(failed("store.path"))?;
    if recovered != Recovered::default() {
        tracing::warn!(
            calls = recovered.calls,
            cost = %recovered.cost,
            "the gateway had been killed while calls ran: they are settled at their reservation and listed in /bill"
        );
    }
    Ok(Arc::new(store))
}

/// How the settings want a shared store to be used.
pub fn shared(settings: &StoreSettings, redis: &RedisSettings) -> Result<SharedOptions, AssemblyError> {
    let password = redis.password_file.as_deref().map(|path| files::secret(path, "store.redis.password_file"));
    let ca_bundle = files::read(redis.ca_bundle.as_ref(), "store.redis.ca_bundle")?;
    let allowance = match redis.on_outage {
        OnOutage::Deny => None,
        OnOutage::AllowWithin => redis.allow_within_usd,
    };
    Ok(SharedOptions {
        server: SharedServer {
            urls: redis.urls.clone(),
            topology: match (redis.topology, &redis.sentinel_master) {
                (Topology::Sentinel, Some(master)) => budget::Topology::Sentinel(master.clone()),
                (Topology::Cluster, _) => budget::Topology::Cluster,
                (Topology::Single | Topology::Sentinel, _) => budget::Topology::Single,
            },
            user: redis.user.clone(),
            password: password.transpose()?,
            ca_bundle,
            timeout: redis.timeout,
        },
        namespace: redis.namespace.clone(),
        lease: redis.lease,
        retention: settings.retention,
        allowance: allowance.and_then(|money| u64::try_from(money.nanos()).ok()).unwrap_or(0),
    })
}
