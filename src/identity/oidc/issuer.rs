//! One issuer: what is taken of it, and the keys that it publishes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Uri, header};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::TokenFault;
use super::token::Token;
use crate::identity::fetch::SharedFetch;
use crate::identity::pattern::Person;
use crate::identity::pending::Pending;

/// What is taken of an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// `iss`, word for word, and where discovery begins.
    pub issuer: String,
    /// Where its keys are, in place of what discovery tells.
    pub jwks_url: Option<String>,
    /// Whom tokens are for: one of these has to be named.
    pub audiences: Vec<String>,
    /// The claim that names the audience: `aud`, or `client_id` in access tokens of Cognito.
    pub audience_claim: String,
    /// The algorithms that it signs with.
    pub algorithms: Vec<Algorithm>,
    /// How far its clock may be off.
    pub leeway: Duration,
    /// Claims that must have these values.
    pub require: BTreeMap<String, String>,
    /// Who somebody is, by the names of claims.
    pub person: Person,
    /// The claim that lists groups.
    pub groups_claim: Option<String>,
    /// A file with the bearer token that its own endpoints ask for, as those of Kubernetes do.
    pub token_file: Option<PathBuf>,
}

/// An issuer, and its keys as of the last look.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    fetch: SharedFetch,
    keys: ArcSwap<Keys>,
    generation: AtomicU64,
    asked: Mutex<Asked>,
}

/// How keys were last asked for.
#[derive(Debug, Default)]
struct Asked {
    /// When that began, and once it has ended, when it ended.
    at: Option<Instant>,
    /// How often in a row they could not be had.
    failures: u32,
    last: Option<Pending<Result<(), String>>>,
}

/// The keys of an issuer, by key id.
#[derive(Debug, Default)]
struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    kind: Kind,
    public: DecodingKey,
    /// By which a change is seen.
    written: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// When keys are to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Unless they were a moment ago.
    Due,
    Now,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings, fetch: SharedFetch) -> Self {
        Self {
            settings,
            fetch,
            keys: ArcSwap::from_pointee(Keys::default()),
            generation: AtomicU64::new(0),
            asked: Mutex::default(),
        }
    }

    /// Counts up when keys change.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a token is one of this issuer's, for us, and signed by a key of its; the generation of that key.
    pub(super) async fn check(self: &Arc<Self>, token: &Token<'_>) -> Result<u64, TokenFault> {
        if !self.settings.algorithms.contains(&token.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        if !token.is_for(&self.settings.audience_claim, &self.settings.audiences) {
            return Err(TokenFault::Audience);
        }
        let mut generation = self.generation();
        let mut keys = self.keys.load_full();
        if !keys.suit(token) {
            self.ask_again().await?;
            generation = self.generation();
            keys = self.keys.load_full();
        }
        let mut suitable = keys.suitable(token).peekable();
        if suitable.peek().is_none() {
            return Err(TokenFault::UnknownKey);
        }
        if suitable.any(|key| token.is_signed_by(&key.public)) { Ok(generation) } else { Err(TokenFault::Signature) }
    }

    /// Fetches keys because one is not known: once in half a minute at most, however many ask, and all of them wait for it. While
    /// there are no keys at all it is tried again sooner.
    async fn ask_again(self: &Arc<Self>) -> Result<(), TokenFault> {
        let fetched = match self.ask(When::Due) {
            Some(asking) => answer(asking).await,
            None if self.has_keys() => return Ok(()),
            None => Err("it was asked a moment ago".to_owned()),
        };
        match fetched {
            Ok(()) => Ok(()),
            // The keys from before stay; this one is not among them.
            Err(why) if self.has_keys() => {
                tracing::warn!(issuer = self.settings.issuer, why, "the keys of an issuer cannot be fetched");
                Ok(())
            }
            Err(why) => Err(TokenFault::Unavailable(why)),
        }
    }

    /// Fetches keys because it is time.
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<(), String> {
        match self.ask(When::Now) {
            Some(asking) => answer(asking).await,
            None => Ok(()),
        }
    }

    /// The fetch that is under way, or else a new one, if it is due. It goes on though whoever began it goes away.
    fn ask(self: &Arc<Self>, when: When) -> Option<Pending<Result<(), String>>> {
        let mut asked = self.asked();
        if let Some(last) = asked.last.as_ref().filter(|last| last.is_under_way()) {
            return Some(last.clone());
        }
        let pause = if self.has_keys() { ASK_EVERY } else { backoff(asked.failures) };
        if when == When::Due && asked.at.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        asked.at = Some(Instant::now());
        let own = Arc::clone(self);
        let asking = Pending::start(async move {
            let fetched = own.fetch_keys().await;
            let mut asked = own.asked();
            asked.at = Some(Instant::now());
            asked.failures = if fetched.is_ok() { 0 } else { asked.failures.saturating_add(1) };
            fetched
        });
        asked.last = Some(asking.clone());
        Some(asking)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_keys(&self) -> bool {
        !self.keys.load().0.is_empty()
    }

    async fn fetch_keys(&self) -> Result<(), String> {
        let url = match &self.settings.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let published: Published = self.get(&url).await?;
        let keys: Vec<Key> = published.keys.iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(format!("{url} publishes no key that can be used"));
        }
        let before = self.keys.load_full();
        let as_before = before.0.iter().map(|key| &key.written).eq(keys.iter().map(|key| &key.written));
        if !as_before {
            self.keys.store(Arc::new(Keys(keys)));
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    async fn discover(&self) -> Result<String, String> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovered: Discovered = self.get(&url).await?;
        if discovered.issuer != *issuer {
            return Err(format!("{url} is of another issuer, {}", super::excerpt(&discovered.issuer)));
        }
        Ok(discovered.jwks_uri)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, String> {
        let shown = super::excerpt(url);
        if !is_safe(url) {
            return Err(format!("{shown} is no https URL"));
        }
        let mut request = Request::get(url).header(header::ACCEPT, "application/json");
        if let Some(path) = &self.settings.token_file {
            let token =
                tokio::fs::read_to_string(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(()).map_err(|error| format!("{shown}: {error}"))?;
        let (status, body): (u16, Bytes) = self.fetch.fetch(request).await.map_err(|why| format!("{shown}: {why}"))?;
        if status != 200 {
            return Err(format!("{shown} was answered with {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{shown}: {error}"))
    }
}

impl Keys {
    /// The keys that a token may be signed by: the one of its key id, or where it has none, all of its kind.
    fn suitable<'k>(&'k self, token: &'k Token<'_>) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(|key| {
            let named = token.key_id.is_none() || key.id == token.key_id;
            named
                && key.kind.signs(token.algorithm)
                && key.algorithm.as_deref().is_none_or(|name| name.parse() == Ok(token.algorithm))
        })
    }

    fn suit(&self, token: &Token<'_>) -> bool {
        self.suitable(token).next().is_some()
    }
}

impl Key {
    /// Reads a key; `None` where it is none for signatures, or of a kind that is not known. A symmetric one never counts.
    fn read(published: &serde_json::Value) -> Option<Self> {
        let written = published.to_string();
        let algorithm = published.get("alg").and_then(serde_json::Value::as_str).map(str::to_owned);
        // An algorithm that the library does not know must not hide the other keys.
        let mut known = published.clone();
        known.as_object_mut()?.remove("alg");
        let jwk: Jwk = serde_json::from_value(known).ok()?;
        if matches!(jwk.common.public_key_use, Some(ref purpose) if *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let kind = if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
            Kind::Rsa
        } else if let AlgorithmParameters::EllipticCurve(ec) = &jwk.algorithm {
            let p256 = (ec.curve == EllipticCurve::P256).then_some(Kind::P256);
            p256.or_else(|| (ec.curve == EllipticCurve::P384).then_some(Kind::P384))?
        } else if let AlgorithmParameters::OctetKeyPair(okp) = &jwk.algorithm {
            (okp.curve == EllipticCurve::Ed25519).then_some(Kind::Ed25519)?
        } else {
            return None;
        };
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithm, kind, public, written })
    }
}

impl Kind {
    fn signs(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
            Self::P256 => algorithm == Algorithm::ES256,
            Self::P384 => algorithm == Algorithm::ES384,
            Self::Ed25519 => algorithm == Algorithm::EdDSA,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?}, {:?})", self.id, self.kind)
    }
}

/// `https`, or `http` on this machine.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    }
}

async fn answer(asking: Pending<Result<(), String>>) -> Result<(), String> {
    asking.answer().await.unwrap_or_else(|| Err("the question was given up".to_owned()))
}

/// How long to wait after failures in a row, while there are no keys.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(ASK_EVERY)
}

/// How often an unknown key id makes keys be fetched.
const ASK_EVERY: Duration = Duration::from_secs(30);
