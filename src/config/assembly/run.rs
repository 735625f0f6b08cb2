//! A gateway that listens, and its end.
//!
//! The order of a shutdown: readiness fails, no connection is taken any more, open streams run to their end or to the drain
//! timeout, what is still being read on for callers who left is waited for as long again, the store writes down what it has,
//! and the admin listener goes last, so that the end can be watched.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listeners::Open;
use super::{Assembled, AssemblyError, KEYS_EVERY, failed, thresholds};
use crate::admin::{self, AdminSources};
use crate::config::settings::Listen;
use crate::gateway::Gateway;
use crate::identity::keys::{KeyRing, Refresh};
use crate::profiles::control::Place;
use crate::server::tls::LiveTls;
use crate::server::{self, Listener, ServerLimits, Welcome};
use crate::telemetry::{Reloaded, Success};
use crate::upstream::{Credentials, Pool};

/// A gateway whose listeners are open.
#[derive(Debug)]
pub struct Bound {
    parts: Parts,
    doors: Vec<(Listener, Welcome)>,
    open: Vec<Open>,
    admin: (TcpListener, AdminSources),
}

/// What runs beside the listeners.
#[derive(Debug)]
struct Parts {
    gateway: Arc<Gateway>,
    keys: Arc<KeyRing>,
    credentials: Arc<Credentials>,
    limits: ServerLimits,
    draining: CancellationToken,
    thresholds: thresholds::Watch,
}

impl Assembled {
    /// Opens all listeners and fetches AWS credentials once. Without credentials the gateway starts all the same, is not
    /// ready, and says why: they may be on their way.
    pub async fn bind(self) -> Result<Bound, AssemblyError> {
        let Self { gateway, keys, credentials, listeners, limits, admin: (address, sources), draining, thresholds } =
            self;
        let (mut doors, mut open) = (Vec::new(), Vec::new());
        for listener in listeners {
            let (listener, welcome, opened) = listener.open().await?;
            doors.push((listener, welcome));
            open.push(opened);
        }
        let admin = TcpListener::bind(address).await.map_err(failed("admin.listen"))?;
        if let Err(error) = credentials.fetch().await {
            tracing::error!(%error, "no AWS credentials: calls are refused until there are some");
        }
        let parts = Parts { gateway, keys, credentials, limits, draining, thresholds };
        Ok(Bound { parts, doors, open, admin: (admin, sources) })
    }
}

impl Bound {
    /// Where callers connect, in the order of the configuration.
    pub fn callers(&self) -> &[Open] {
        &self.open
    }

    /// The first address where callers connect; an error where there are Unix sockets alone.
    pub fn data_address(&self) -> io::Result<SocketAddr> {
        let address = self.open.iter().find_map(|open| match &open.at {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        });
        address.ok_or_else(|| io::Error::other("callers connect to a Unix socket"))
    }

    /// The address where operators connect.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.0.local_addr()
    }

    /// The certificate authority that clients have to trust, if Tollgate made one.
    pub fn ca_certificate(&self) -> Option<&Path> {
        self.open.iter().find_map(|open| open.ca.as_deref())
    }

    /// The gateway, for who wants to look into it.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.parts.gateway
    }

    /// Serves until `stop` is cancelled and everything open has ended or run out of time.
    pub async fn run(self, stop: CancellationToken) {
        let Self { parts, doors, admin: (admin, sources), .. } = self;
        let Parts { gateway, keys, credentials, limits, draining, thresholds } = parts;
        let (background, last) = (TaskTracker::new(), CancellationToken::new());
        background.spawn(Arc::clone(&credentials).keep_fresh(last.clone()));
        background.spawn(Arc::clone(gateway.signer.sessions()).keep_fresh(last.clone()));
        background.spawn(watch_keys(Arc::clone(&keys), Arc::clone(&gateway), last.clone()));
        background.spawn(watch_profiles(Arc::clone(&gateway), last.clone()));
        background.spawn(watch_sources(Arc::clone(&gateway), last.clone()));
        background.spawn(watch_issuers(Arc::clone(&gateway), last.clone()));
        for (tls, _) in doors.iter().filter_map(|(_, welcome)| welcome.tls.as_ref()) {
            background.spawn(watch_tls(Arc::clone(tls), Arc::clone(&gateway), last.clone()));
        }
        background.spawn(thresholds.run(last.clone()));
        background.spawn(close_idle(Arc::clone(&gateway.pool), last.clone()));
        background.spawn(gateway.drains.clone().watch(last.clone()));
        background.spawn(admin::serve(admin, sources, last.clone()));
        let announced = stop.clone();
        let stopped = background.spawn(async move {
            announced.cancelled().await;
            tracing::info!("draining: no new connections, open streams run to their end");
            draining.cancel();
            Instant::now()
        });
        let drains = gateway.drains.clone();
        let ending = Arc::clone(&gateway);
        server::serve(doors, gateway, limits, stop).await;
        let since = stopped.await.map_or(Duration::ZERO, |stopped| stopped.elapsed());
        if !drains.finished(limits.drain_timeout.saturating_sub(since)).await {
            tracing::warn!("answers are still being read for callers who left: they are settled at their reservation");
        }
        note_used(keys).await;
        ending.ledger.close().await;
        last.cancel();
        background.close();
        background.wait().await;
    }
}

async fn watch_keys(keys: Arc<KeyRing>, gateway: Arc<Gateway>, stop: CancellationToken) {
    let (mut ticks, mut looks) = (tokio::time::interval(KEYS_EVERY), 0_u64);
    while tick(&mut ticks, &stop).await {
        looks += 1;
        if looks % NOTE_EVERY == 0 {
            // Beside: a store that is slow to write must not delay a revocation.
            tokio::spawn(note_used(Arc::clone(&keys)));
        }
        match keys.refresh().await {
            Refresh::Unchanged | Refresh::StillBroken => {}
            Refresh::Reloaded { keys } => {
                tracing::info!(keys, "the keys have changed and are in force");
                gateway.metrics().reloaded(Reloaded::Keys, Success::Ok);
            }
            Refresh::Broken(error) => {
                tracing::error!(%error, "the keys cannot be read; those from before stay in force");
                gateway.metrics().reloaded(Reloaded::Keys, Success::Failed);
            }
        }
    }
}

async fn note_used(keys: Arc<KeyRing>) {
    if let Err(error) = keys.note_used().await {
        tracing::warn!(%error, "when keys were last used cannot be written down; it is tried again");
    }
}

/// Takes up certificates, authorities and revocation lists that have changed.
async fn watch_tls(tls: Arc<LiveTls>, gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(KEYS_EVERY);
    while tick(&mut ticks, &stop).await {
        let looked = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || looked.refresh()).await {
            Ok(Ok(false)) | Err(_) => {}
            Ok(Ok(true)) => {
                tracing::info!(
                    "a certificate, an authority or a revocation list has changed; new connections go by it"
                );
                gateway.metrics().reloaded(Reloaded::Certificate, Success::Ok);
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a file of a listener's tls cannot be used; what was in force stays");
                gateway.metrics().reloaded(Reloaded::Certificate, Success::Failed);
            }
        }
    }
}

/// Reads the profiles of every account at the start, and again from time to time.
async fn watch_profiles(gateway: Arc<Gateway>, stop: CancellationToken) {
    while let Some(pause) = gateway.directory.pause() {
        let reading = gateway.directory.refresh(gateway.signer.now());
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = reading => read,
        };
        for (place, read) in read {
            let Place { account, region } = &place;
            match read {
                Ok(profiles) => {
                    tracing::info!(%account, %region, profiles, "the inference profiles were read");
                    gateway.metrics().reloaded(Reloaded::Profiles, Success::Ok);
                }
                Err(error) => {
                    tracing::error!(%account, %region, %error, "the inference profiles cannot be read; those known stay in force");
                    gateway.metrics().reloaded(Reloaded::Profiles, Success::Failed);
                }
            }
        }
        // Within the pause: where Service Quotas cannot be reached, profiles are read no less often.
        let quotas = gateway.vending.read_quotas(gateway.signer.now());
        tokio::select! {
            () = stop.cancelled() => return,
            ((), ()) = async { tokio::join!(quotas, tokio::time::sleep(pause)) } => {}
        }
    }
}

/// Asks AWS what profiles of the configuration were made from that do not say it.
async fn watch_sources(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SOURCES_EVERY);
    while gateway.directory.asks_for_sources() && tick(&mut ticks, &stop).await {
        tokio::select! {
            () = stop.cancelled() => return,
            () = gateway.directory.refresh_sources(gateway.signer.now()) => {}
        }
    }
}

/// How often it is looked at which of them are to be asked for again.
const SOURCES_EVERY: Duration = Duration::from_secs(5);

/// Fetches the keys of issuers at the start, and again from time to time.
async fn watch_issuers(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(ISSUERS_EVERY);
    while tick(&mut ticks, &stop).await {
        gateway.identity.refresh_issuers().await;
    }
}

/// Issuers rotate keys in days; one that is new is asked for at its first token anyway.
const ISSUERS_EVERY: Duration = Duration::from_mins(30);

/// Looks at the keys between two notes of when they were last used.
const NOTE_EVERY: u64 = 60;

async fn close_idle(pool: Arc<Pool>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    while tick(&mut ticks, &stop).await {
        pool.close_idle();
    }
}

/// Waits for the next tick; false when it is time to stop.
pub(super) async fn tick(ticks: &mut tokio::time::Interval, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        _ = ticks.tick() => true,
    }
}
