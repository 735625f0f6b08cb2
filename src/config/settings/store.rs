//! Settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use super::{Durability, OnOutage, StoreKind, Topology};
use crate::types::Money;

/// Where counts and the bill are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// What keeps them.
    pub kind: StoreKind,
    /// The file of the embedded store.
    pub path: PathBuf,
    /// What the embedded store survives.
    pub durability: Durability,
    /// How long usage is kept.
    pub retention: Duration,
    /// The server of the shared store; there for [`StoreKind::Redis`].
    pub redis: Option<RedisSettings>,
}

/// A Valkey or Redis that gateways share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is: one server, some Sentinels, or some nodes of a cluster.
    pub urls: Vec<String>,
    /// How these work together.
    pub topology: Topology,
    /// The name under which Sentinels know the master.
    pub sentinel_master: Option<String>,
    /// The ACL user.
    pub user: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Certificate authorities to trust.
    pub ca_bundle: Option<PathBuf>,
    /// Which of the stores on that server.
    pub namespace: String,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
    /// How long a gateway may be silent before its calls are settled at their reservation.
    pub lease: Duration,
    /// What becomes of calls while the server does not answer.
    pub on_outage: OnOutage,
    /// The allowance of a gateway for that time.
    pub allow_within_usd: Option<Money>,
}
