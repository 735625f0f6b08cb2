//! Floor 13: a look-alike of Amazon Bedrock's runtime API, for `demo`, for `mock`, and for the tests of any project.
//!
//! It decides what real Bedrock would decide from a request alone: whether the SigV4 signature holds (`verify`), whether
//! IAM would let the call through (`iam`), and what an answer looks like for each provider family (`answer`). The text
//! it answers with is made up and its token counts are a documented function of the request (`tokens`), so that a test
//! can know beforehand what a call costs. It plays faults when a prompt or the admin endpoint asks for them (`faults`),
//! and it keeps an account of what it received and what AWS would bill (`account`).
//!
//! Invariants: it knows nothing of the gateway and shares no signing, decoding or metering code with it, so that a mistake
//! made there is not repeated here; what AWS would bill is in the account before the first byte of the answer is sent.
//!
//! It does not imitate the control plane, quotas, or what a model would say.

mod account;
mod admin;
mod answer;
mod calls;
mod config;
mod connections;
mod faults;
mod generate;
mod iam;
mod prompt;
mod refusal;
mod route;
mod stream;
mod tokens;
mod verify;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use account::{Billable, Ended, GuardrailSeen, Received, Spent, Totals, UnitsView, UsageView};
pub use config::{FoundationModels, MockConfig, MockCredential, MockGuardrail, MockProfile, Pacing};
pub use faults::{DirectiveError, Directives};

use calls::Calls;

/// Starts look-alikes of Bedrock.
///
/// Four bytes of prompt text are an input token, rounded up (binary content is 1,600 tokens); each word of the answer is an
/// output token, 32 of them unless [`MockConfig::reply_tokens`], a directive or the request's maximum says otherwise. A
/// prefix that ends with `cache_control` or `cachePoint` is a cache write the first time and a cache read ever after.
#[derive(Debug)]
pub struct MockBedrock;

impl MockBedrock {
    /// Binds `config.listen` (port 0 takes any free one) and serves HTTP/1.1 and HTTP/2 there, with prior knowledge over
    /// plain TCP and by ALPN over TLS, until the returned handle is shut down or dropped.
    pub async fn start(config: MockConfig) -> io::Result<Running> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let tls = config.tls.clone().map(tokio_rustls::TlsAcceptor::from);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let calls = Arc::new(Calls::new(config));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let door = connections::Door { listener, tls, stop: stop.clone(), tasks: tasks.clone() };
        tasks.spawn(door.serve(Arc::clone(&calls)));
        Ok(Running { address, scheme, calls, stop, tasks })
    }
}

/// A look-alike that is serving. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    scheme: &'static str,
    calls: Arc<Calls>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint URL to give to an AWS SDK, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The requests received, oldest first, as far as they are kept.
    pub fn received(&self) -> Vec<Received> {
        self.calls.account.received()
    }

    /// The body of a received request, while it is kept.
    pub fn body(&self, id: u64) -> Option<Bytes> {
        self.calls.account.body(id)
    }

    /// What AWS would bill, by profile ARN (by model id where foundation models are allowed).
    pub fn account(&self) -> Totals {
        self.calls.account.totals()
    }

    /// Makes the next `times` calls follow directives, in the grammar of [`Directives`]; they replace those in the prompt.
    pub fn queue(&self, directives: &str, times: u32) -> Result<(), DirectiveError> {
        let directives = directives.parse()?;
        self.calls.queue.push(&directives, times);
        Ok(())
    }

    /// Forgets all that was received, billed, cached and queued.
    pub fn reset(&self) {
        self.calls.reset();
    }

    /// Stops at once, cutting what is open, and waits until every task has ended.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
