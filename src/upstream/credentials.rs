//! The AWS credentials that calls are signed with: fetched off the request's path, kept until they expire.
//!
//! A request only ever reads the newest set. It is renewed when four fifths of its life have passed; while renewing fails,
//! the old set serves until its own expiry, and after that calls are refused rather than sent with a dead signature.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::error::UpstreamError;
use crate::sigv4::AwsCredentials;
use crate::types::{Clock, Region, Secret};

/// Where credentials come from.
pub trait CredentialSource: Send + Sync + fmt::Debug {
    /// Fetches a set.
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Loaded, CredentialError>> + Send + '_>>;
}

/// A set of credentials and when it stops being good.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The key pair.
    pub credentials: AwsCredentials,
    /// `None` for long-term keys.
    pub expires: Option<SystemTime>,
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialError(pub String);

/// Always the same key pair: the demo's and the tests'.
#[derive(Clone, Debug)]
pub struct Fixed(pub AwsCredentials);

impl CredentialSource for Fixed {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Loaded, CredentialError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(Loaded { credentials: self.0.clone(), expires: None })))
    }
}

/// The standard AWS chain: environment, profile (SSO, process), web identity, container, instance metadata.
#[derive(Debug)]
pub struct AwsChain {
    provider: SharedCredentialsProvider,
}

impl AwsChain {
    /// Builds the chain; nothing is fetched yet. `region` is where STS is asked (told here, because the SDK would look for
    /// it in the instance's metadata and wait there). `ca_bundle` is what the AWS SDK trusts for STS and SSO, in place of
    /// the machine's own authorities.
    pub async fn new(
        region: &Region,
        profile: Option<&str>,
        ca_bundle: Option<&[u8]>,
    ) -> Result<Self, CredentialError> {
        let region = aws_config::Region::new(region.as_str().to_owned());
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(region);
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(pem) = ca_bundle {
            use aws_smithy_http_client::tls;
            let trusted = tls::TrustStore::empty().with_pem_certificate(pem);
            let tls = tls::TlsContext::builder()
                .with_trust_store(trusted)
                .build()
                .map_err(|error| CredentialError(error.to_string()))?;
            let client = aws_smithy_http_client::Builder::new()
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
                .tls_context(tls)
                .build_https();
            loader = loader.http_client(client);
        }
        let provider = loader
            .load()
            .await
            .credentials_provider()
            .ok_or_else(|| CredentialError("the AWS SDK found no way to credentials".to_owned()))?;
        Ok(Self { provider })
    }
}

impl CredentialSource for AwsChain {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Loaded, CredentialError>> + Send + '_>> {
        Box::pin(async {
            let found = self.provider.provide_credentials().await.map_err(|error| {
                let mut text = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(inner) = cause {
                    text = format!("{text}: {inner}");
                    cause = inner.source();
                }
                CredentialError(text)
            })?;
            Ok(Loaded {
                credentials: AwsCredentials {
                    access_key_id: found.access_key_id().to_owned(),
                    secret_access_key: Secret::new(found.secret_access_key()),
                    session_token: found.session_token().map(Secret::new),
                },
                expires: found.expiry(),
            })
        })
    }
}

/// The credentials in use.
#[derive(Debug)]
pub struct Credentials {
    source: Box<dyn CredentialSource>,
    live: ArcSwapOption<Loaded>,
    last_failure: ArcSwapOption<String>,
    stale: Notify,
    clock: Arc<dyn Clock>,
}

impl Credentials {
    /// Nothing is fetched before [`Credentials::keep_fresh`] runs.
    pub fn new(source: Box<dyn CredentialSource>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (live, last_failure) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Arc::new(Self { source, live, last_failure, stale: Notify::new(), clock })
    }

    /// The set to sign with now.
    pub fn current(&self) -> Result<Arc<Loaded>, UpstreamError> {
        match self.live.load_full() {
            Some(live) if live.expires.is_none_or(|expires| self.clock.now() < expires) => Ok(live),
            Some(_) => {
                // The timer of the renewal stands still while the machine sleeps, and the set goes on ageing.
                self.renew();
                let why = self.why().unwrap_or_else(|| "another is being fetched".to_owned());
                Err(UpstreamError::Credentials(format!("the last set has expired; {why}")))
            }
            None => {
                let why = self.why().unwrap_or_else(|| "none has been fetched yet".to_owned());
                Err(UpstreamError::Credentials(why))
            }
        }
    }

    /// The current set is not good: renew it now and not when it is due. However often this is asked, the source is asked
    /// once a second at most.
    pub fn renew(&self) {
        self.stale.notify_one();
    }

    /// Fetches once, and says whether there is a set now.
    pub async fn fetch(&self) -> Result<(), CredentialError> {
        match self.source.load().await {
            Ok(loaded) => {
                self.live.store(Some(Arc::new(loaded)));
                self.last_failure.store(None);
                Ok(())
            }
            Err(error) => {
                self.last_failure.store(Some(Arc::new(error.to_string())));
                Err(error)
            }
        }
    }

    /// Keeps a good set at hand until `stop` is cancelled.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let wait = match self.live.load_full() {
                Some(live) if failures == 0 => self.until_due(&live),
                _ => backoff(failures),
            };
            let at_once = async {
                tokio::time::sleep(AT_MOST_EVERY).await;
                self.stale.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = at_once => {}
                () = tokio::time::sleep(wait) => {}
            }
            match self.fetch().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "cannot renew AWS credentials; the last set serves until it expires");
                }
            }
        }
    }

    fn until_due(&self, live: &Loaded) -> Duration {
        let Some(expires) = live.expires else { return LONG };
        let left = expires.duration_since(self.clock.now()).unwrap_or(Duration::ZERO);
        (left * 4 / 5).max(Duration::from_secs(1))
    }

    fn why(&self) -> Option<String> {
        self.last_failure.load_full().map(|text| (*text).clone())
    }
}

/// Long-term keys are looked up again once an hour, in case the profile's file has changed.
const LONG: Duration = Duration::from_hours(1);

/// A source that hands out dead credentials must not be asked again by every request that Bedrock refuses.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(5))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::types::ManualClock;

    #[derive(Debug)]
    struct Scripted {
        loads: Arc<AtomicU32>,
        fail_from: u32,
    }

    impl CredentialSource for Scripted {
        fn load(&self) -> Pin<Box<dyn Future<Output = Result<Loaded, CredentialError>> + Send + '_>> {
            let load = self.loads.fetch_add(1, Ordering::SeqCst);
            let answer = if load >= self.fail_from {
                Err(CredentialError("STS is away".to_owned()))
            } else {
                Ok(Loaded {
                    credentials: AwsCredentials {
                        access_key_id: format!("ASIA{load}"),
                        secret_access_key: Secret::new("s"),
                        session_token: None,
                    },
                    expires: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)),
                })
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn scripted(fail_from: u32) -> (Arc<Credentials>, Arc<ManualClock>, Arc<AtomicU32>) {
        let clock = Arc::new(ManualClock::at_unix_seconds(0));
        let loads = Arc::new(AtomicU32::new(0));
        let source = Scripted { loads: Arc::clone(&loads), fail_from };
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        (Credentials::new(Box::new(source), shared), clock, loads)
    }

    #[tokio::test]
    async fn an_old_set_serves_until_its_expiry_and_not_longer() {
        let (credentials, clock, _) = scripted(1);
        assert!(credentials.current().is_err());
        credentials.fetch().await.unwrap();
        assert!(credentials.fetch().await.is_err());
        assert_eq!(credentials.current().unwrap().credentials.access_key_id, "ASIA0");
        clock.advance(Duration::from_secs(1_000));
        let error = credentials.current().unwrap_err().to_string();
        assert!(error.contains("expired") && error.contains("STS is away"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_renewed_ahead_of_its_expiry_and_at_once_when_refused() {
        let (credentials, _, loads) = scripted(u32::MAX);
        credentials.fetch().await.unwrap();
        let stop = CancellationToken::new();
        let begun = tokio::time::Instant::now();
        let task = tokio::spawn(Arc::clone(&credentials).keep_fresh(stop.clone()));
        // Nothing else runs, so the paused clock jumps to the renewal by itself.
        let loaded = async |times| {
            while loads.load(Ordering::SeqCst) < times {
                tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
            }
        };
        loaded(2).await;
        let waited = begun.elapsed().as_secs();
        assert!((800..=802).contains(&waited), "renewed after {waited} s of a life of 1000 s");
        credentials.renew();
        loaded(3).await;
        assert!(begun.elapsed().as_secs() <= waited + 2, "a refused set is renewed at once");
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_expired_while_the_machine_slept_is_renewed_by_the_first_request() {
        let (credentials, clock, loads) = scripted(u32::MAX);
        credentials.fetch().await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&credentials).keep_fresh(stop.clone()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The wall clock has moved on by hours; the timers have not.
        clock.advance(Duration::from_hours(8));
        let asked = tokio::time::Instant::now();
        while loads.load(Ordering::SeqCst) < 2 {
            let error = credentials.current().unwrap_err().to_string();
            assert!(error.contains("another is being fetched"), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(asked.elapsed() < Duration::from_secs(2));
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_without_end_ask_the_source_once_a_second() {
        let (credentials, _, loads) = scripted(u32::MAX);
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&credentials).keep_fresh(stop.clone()));
        for _ in 0..1_000 {
            credentials.renew();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((5..=11).contains(&loads.load(Ordering::SeqCst)), "{loads:?} in ten seconds");
        stop.cancel();
        task.await.unwrap();
    }
}
