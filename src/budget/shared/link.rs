//! The connection to Valkey or Redis: one server, the master that Sentinels name, or a cluster. It is opened when it is needed,
//! and again after an error that says that it is of no use any more.

use std::fmt;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    Pipeline, RedisError, RedisFuture, RedisResult, ScriptInvocation, ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use crate::budget::store::StoreError;
use crate::types::Secret;

/// Where Valkey or Redis is, and how to be let in.
#[derive(Clone, Debug)]
pub struct SharedServer {
    /// `redis://host:port/db`, or `rediss://` for TLS: one server, or Sentinels, or some nodes of a cluster.
    pub urls: Vec<String>,
    /// How they work together.
    pub topology: Topology,
    /// The ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Certificate authorities, as PEM; those of the system where there is none.
    pub ca_bundle: Option<Vec<u8>>,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
}

/// How servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// Sentinels, which name the server that is the master under this name.
    Sentinel(String),
    /// A cluster.
    Cluster,
}

/// Why there is no answer.
pub(super) struct Unanswered {
    pub(super) error: StoreError,
    /// The question may have arrived.
    pub(super) sent: bool,
}

/// A way to the store that is found again when it is lost.
pub(super) struct Link {
    source: Source,
    current: Mutex<Current>,
    timeout: Duration,
    shown: String,
}

/// The connection, with a number that tells it from those before.
#[derive(Default)]
struct Current {
    number: u64,
    connection: Option<Connection>,
    /// When the last attempt to connect failed, and why.
    failed: Option<(Instant, StoreError)>,
}

enum Source {
    Single(Box<Client>),
    Sentinel(Box<Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

/// A connection that many calls share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What a store can be asked.
pub(super) trait Question: Sync {
    fn put<T: FromRedisValue + Send>(&self, connection: &mut Connection)
    -> impl Future<Output = RedisResult<T>> + Send;
}

impl Question for Cmd {
    async fn put<T: FromRedisValue + Send>(&self, connection: &mut Connection) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

impl Question for Pipeline {
    async fn put<T: FromRedisValue + Send>(&self, connection: &mut Connection) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

impl Question for ScriptInvocation<'_> {
    async fn put<T: FromRedisValue + Send>(&self, connection: &mut Connection) -> RedisResult<T> {
        self.invoke_async(connection).await
    }
}

impl Link {
    /// Reads the addresses; nothing is connected yet.
    pub(super) fn new(server: &SharedServer) -> Result<Self, StoreError> {
        let shown = server.urls.iter().map(|url| without_secret(url)).collect::<Vec<_>>().join(", ");
        let source = source(server).map_err(|error| StoreError(format!("{shown}: {error}")))?;
        Ok(Self { source, current: Mutex::default(), timeout: server.timeout, shown })
    }

    /// Asks on the connection, which is made where there is none. The question may have arrived also when this fails.
    pub(super) async fn ask<T: FromRedisValue + Send>(&self, question: &impl Question) -> Result<T, StoreError> {
        self.try_asking(question).await.map_err(|unanswered| unanswered.error)
    }

    /// The same, telling whether the question can have arrived.
    pub(super) async fn try_asking<T: FromRedisValue + Send>(&self, question: &impl Question) -> Result<T, Unanswered> {
        let connected = self.connection().await;
        let (number, mut connection) = connected.map_err(|error| Unanswered { error, sent: false })?;
        // The library's own time limit is for one command; a script that has to be sent first is two.
        let done = match tokio::time::timeout(self.timeout * 2, question.put(&mut connection)).await {
            Ok(done) => done,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer in time"))),
        };
        match done {
            Ok(value) => Ok(value),
            Err(error) => {
                if is_lost(&error) {
                    let mut current = self.current.lock().await;
                    if current.number == number {
                        current.connection = None;
                    }
                }
                Err(Unanswered { error: self.failed(&error), sent: true })
            }
        }
    }

    /// Asks what may be asked again: where the connection turns out to be broken, on another.
    pub(super) async fn ask_again<T: FromRedisValue + Send>(&self, question: &impl Question) -> Result<T, StoreError> {
        let began = Instant::now();
        match self.ask(question).await {
            Err(_) if began.elapsed() < AT_ONCE => self.ask(question).await,
            answer => answer,
        }
    }

    async fn connection(&self) -> Result<(u64, Connection), StoreError> {
        let asked = Instant::now();
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((current.number, connection.clone()));
        }
        // Who has waited for an attempt that failed does not make one of their own: they would all wait in a row.
        if let Some((at, error)) = &current.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let connected = match tokio::time::timeout(self.timeout * 2, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "no connection in time"))),
        };
        match connected {
            Ok(connection) => {
                *current = Current { number: current.number + 1, connection: Some(connection.clone()), failed: None };
                Ok((current.number, connection))
            }
            Err(error) => {
                let error = self.failed(&error);
                current.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        Ok(match &self.source {
            Source::Single(client) => {
                Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Source::Sentinel(client) => {
                Connection::One(client.lock().await.get_async_connection_with_config(&config).await?)
            }
            Source::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }

    /// Where it leads, without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether there are several servers behind it, each with keys of its own.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.source, Source::Cluster(_))
    }

    fn failed(&self, error: &RedisError) -> StoreError {
        StoreError(format!("{}: {error}", self.shown))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(cmd, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

fn source(server: &SharedServer) -> RedisResult<Source> {
    let certificates = || TlsCertificates { client_tls: None, root_cert: server.ca_bundle.clone() };
    let infos = server.urls.iter().map(|url| info(url, server)).collect::<RedisResult<Vec<_>>>()?;
    let tls = infos.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
    let none = || RedisError::from((ErrorKind::InvalidClientConfig, "no url is given"));
    Ok(match &server.topology {
        Topology::Single => {
            let first = infos.into_iter().next().ok_or_else(none)?;
            Source::Single(Box::new(if tls {
                Client::build_with_tls(first, certificates())?
            } else {
                Client::open(first)?
            }))
        }
        Topology::Sentinel(master) => {
            let database = infos.first().map_or(0, |info| info.redis_settings().db());
            let sentinels = infos.iter().map(|info| info.addr().clone());
            let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
                .set_client_to_redis_db(database);
            if tls {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_redis_certificates(certificates())
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_certificates(certificates());
            }
            if let Some(user) = &server.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = &server.password {
                builder = builder.set_client_to_redis_password(password.expose());
            }
            Source::Sentinel(Box::new(Mutex::new(builder.build()?)))
        }
        Topology::Cluster => {
            let mut builder = ClusterClientBuilder::new(infos)
                .connection_timeout(server.timeout)
                .response_timeout(server.timeout)
                .retries(2);
            if tls {
                builder = builder.tls(TlsMode::Secure).certs(certificates());
            }
            Source::Cluster(Box::new(builder.build()?))
        }
    })
}

/// One address, with who asks.
fn info(url: &str, server: &SharedServer) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    let mut settings = info.redis_settings().clone().set_lib_name("tollgate", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &server.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &server.password {
        settings = settings.set_password(password.expose());
    }
    Ok(info.set_redis_settings(settings))
}

/// Whether a connection is of no use after an error: it is broken or silent, or it leads to a server that is not, or not
/// yet, the one that may be written.
fn is_lost(error: &RedisError) -> bool {
    let role = [ServerErrorKind::ReadOnly, ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown];
    let elsewhere = role.into_iter().any(|kind| error.kind() == ErrorKind::Server(kind));
    error.is_io_error() || error.is_unrecoverable_error() || elsewhere
}

/// An address as it may be shown: what stands before the `@` is left out.
fn without_secret(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("to", &self.shown).finish_non_exhaustive()
    }
}

/// An error sooner than this is no silence: a connection that was closed meanwhile is found out at once.
pub(super) const AT_ONCE: Duration = Duration::from_millis(100);
