//! The store that the settings name, opened.

use std::sync::Arc;

use super::{AssemblyError, failed};
use crate::budget::{self, EmbeddedOptions, EmbeddedStore, MemoryStore, Recovered, Store};
use crate::config::settings::{Durability, StoreKind, StoreSettings};
use crate::types::Clock;

/// Opening a file can take a while after a crash: it is done beside the runtime.
pub(super) async fn open(settings: &StoreSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, AssemblyError> {
    if settings.kind == StoreKind::Memory {
        return Ok(Arc::new(MemoryStore::new(clock)));
    }
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
