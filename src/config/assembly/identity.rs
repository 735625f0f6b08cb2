//! Where keys are kept, and by what requests are verified.

use std::path::PathBuf;
use std::sync::Arc;

use super::{AssemblyError, environment, failed, files, store};
use crate::budget::{EmbeddedKeys, SharedKeys};
use crate::config::settings::{AwsLoginFile, OidcSettings, Settings, StoreKind};
use crate::identity::aws_login::AwsLoginSettings;
use crate::identity::keys::{KeyFile, KeyRing, RootKey, RootKeys, SharedKeyStore, WatchedFile};
use crate::identity::oidc::IssuerSettings;
use crate::identity::{SharedFetch, TrustedProxies, Verification};
use crate::types::Secret;
use crate::upstream::{Connector, Fetcher};

/// Where the settings have callers' keys: in a file that they name, or in the store; beside a store in memory, in `keys.json`.
pub fn key_store(settings: &Settings) -> Result<SharedKeyStore, AssemblyError> {
    let file = |path| Arc::new(WatchedFile::new(KeyFile::new(path)));
    Ok(match (&settings.identity.keys_file, settings.store.kind, &settings.store.redis) {
        (Some(path), ..) => file(path.clone()),
        (None, StoreKind::Memory, _) => file(settings.store.path.with_file_name("keys.json")),
        (None, StoreKind::Redis, Some(redis)) => {
            let options = store::shared(&settings.store, redis)?;
            Arc::new(SharedKeys::new(&options).map_err(failed("store.redis"))?)
        }
        (None, StoreKind::Embedded | StoreKind::Redis, _) => Arc::new(EmbeddedKeys::new(&settings.store.path)),
    })
}

/// The keys at the start. A file that cannot be read is an error; a server that does not answer yet is waited for.
pub(super) async fn key_ring(settings: &Settings) -> Result<KeyRing, AssemblyError> {
    let keys = key_store(settings)?;
    let of_a_server = settings.identity.keys_file.is_none() && settings.store.kind == StoreKind::Redis;
    match KeyRing::open(Arc::clone(&keys)).await {
        Err(error) if of_a_server => {
            tracing::error!(%error, "nobody's key is known until the store answers");
            Ok(KeyRing::waiting_for(keys))
        }
        opened => opened.map_err(failed("identity")),
    }
}

pub(super) fn verification(settings: &Settings) -> Result<Verification, AssemblyError> {
    let identity = &settings.identity;
    Ok(Verification {
        roots: root_keys(settings)?,
        issuers: identity.oidc.iter().map(issuer).collect::<Result<_, _>>()?,
        aws_login: identity.aws_login.as_ref().map(aws_login).transpose()?,
        certificates: identity.certificates.clone(),
        regions: identity.regions.iter().map(ToString::to_string).collect(),
        failures_per_minute: identity.failures_per_minute,
        proxies: TrustedProxies::new(identity.trusted_proxies.clone()),
    })
}

fn issuer(settings: &OidcSettings) -> Result<(IssuerSettings, SharedFetch), AssemblyError> {
    Ok((settings.issuer.clone(), fetcher(settings.ca_bundle.as_ref(), "identity.oidc.ca_bundle")?))
}

fn aws_login(settings: &AwsLoginFile) -> Result<(AwsLoginSettings, SharedFetch), AssemblyError> {
    Ok((settings.login.clone(), fetcher(settings.ca_bundle.as_ref(), "identity.aws_login.ca_bundle")?))
}

fn fetcher(ca_bundle: Option<&PathBuf>, key: &'static str) -> Result<SharedFetch, AssemblyError> {
    let bundle = files::read(ca_bundle, key)?;
    Ok(Arc::new(Fetcher::new(Connector::new(bundle.as_deref()).map_err(failed(key))?)))
}

/// The root keys that the settings name, the newest first.
pub fn root_keys(settings: &Settings) -> Result<RootKeys, AssemblyError> {
    let identity = &settings.identity;
    let of_file = |path: &PathBuf| {
        let text = files::secret(path, "identity.root_key_files")?;
        root_key("identity.root_key_files", &path.display(), &text)
    };
    let of_variable = |name: &String| {
        let text = environment::secret(name, "identity.root_key_env")?;
        root_key("identity.root_key_env", name, &text)
    };
    let files = identity.root_key_files.iter().map(of_file);
    Ok(RootKeys::new(files.chain(identity.root_key_env.iter().map(of_variable)).collect::<Result<_, _>>()?))
}

fn root_key(what: &'static str, place: &dyn std::fmt::Display, text: &Secret) -> Result<RootKey, AssemblyError> {
    RootKey::read(text.expose()).map_err(|error| AssemblyError { what, why: format!("{place}: {error}") })
}
