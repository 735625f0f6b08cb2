//! Floor 13: a look-alike of Amazon Bedrock, for `demo`, for `mock`, and for the tests of any project.
//!
//! It decides what real Bedrock would decide from a request alone: whether the SigV4 signature holds (`verify`), whether
//! IAM would let the call through (`iam`), and what an answer looks like for each provider family (`answer`). The text
//! it answers with is made up and its token counts are a documented function of the request (`tokens`), so that a test
//! can know beforehand what a call costs. It plays faults when a prompt or the admin endpoint asks for them (`faults`),
//! and it keeps an account of what it received and what AWS would bill (`account`).
//!
//! On the same listener it plays what a gateway asks of AWS besides model calls (`control`): inference profiles, their tags
//! and foundation models, the Resource Groups Tagging API, STS with roles in any account, and the quota of profiles. The
//! profiles of each account and Region are in `estate`, and who sees which change when in `lag`; there are system-defined
//! profiles in `catalog`, and prompts of Prompt management, which can only be called, in `managed`. A request acts in the account of its credentials and in the Region of its signature.
//!
//! Invariants: it knows nothing of the gateway and shares no signing, decoding or metering code with it, so that a mistake
//! made there is not repeated here; what AWS would bill is in the account before the first byte of the answer is sent.
//!
//! It does not imitate policies with resources and conditions (but for two: the guardrail, and a tag that a role and a
//! profile must share), session policies, quotas of model calls, or what a model would say.

mod account;
mod actions;
mod admin;
mod answer;
mod callers;
mod calls;
mod catalog;
mod config;
mod connections;
mod control;
mod estate;
mod faults;
mod generate;
mod iam;
mod lag;
mod managed;
mod place;
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
pub use actions::MockActions;
pub use callers::{MockRole, MockSessionTags, SessionSeen};
pub use config::{FoundationModels, MockConfig, MockCredential, MockGuardrail, MockProfile, Pacing};
pub use control::{MockFailure, MockService};
pub use faults::{DirectiveError, Directives};
pub use lag::{MockDelay, MockPropagation};
pub use managed::MockPrompt;

use calls::Calls;

use crate::types::{ProfileArn, Tags};

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

    /// Forgets all that was received, billed, cached and queued, failures to come among it. Profiles and sessions stay.
    pub fn reset(&self) {
        self.calls.reset();
    }

    /// Puts an application inference profile there, in place of one with its ARN, seen by everybody at once.
    pub fn add_profile(&self, name: &str, profile: &MockProfile) {
        self.calls.control.estate.add(name, profile, self.calls.now());
    }

    /// Takes a profile away, for everybody at once. Tells whether it was there.
    pub fn remove_profile(&self, arn: &ProfileArn) -> bool {
        self.calls.control.estate.remove(arn)
    }

    /// Puts other tags in place of a profile's, for everybody at once. Tells whether it was there.
    pub fn retag_profile(&self, arn: &ProfileArn, tags: &Tags) -> bool {
        let tags = tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.calls.control.estate.replace_tags(arn, tags, self.calls.now())
    }

    /// The application inference profiles of every account and Region, by name, in the order in which they were made.
    pub fn profiles(&self) -> Vec<(String, MockProfile)> {
        let shown = |profile: estate::Shown| {
            let tags = profile.tags.into_iter().collect();
            (profile.name, MockProfile { arn: profile.arn, source: profile.source, tags })
        };
        self.calls.control.estate.truth().into_iter().map(shown).collect()
    }

    /// How late changes made through the control plane are seen, for changes made from now on.
    pub fn propagate(&self, propagation: MockPropagation) {
        self.calls.control.estate.propagate(propagation);
    }

    /// Lets everybody see every change that was made so far.
    pub fn settle(&self) {
        self.calls.control.estate.settle();
    }

    /// Has the next `times` calls of a service of the control plane fail, whatever they ask; `u32::MAX` is until
    /// [`Running::recover`].
    pub fn fail(&self, service: MockService, failure: MockFailure, times: u32) {
        self.calls.control.outages.set(service, failure, times);
    }

    /// Ends every failure of [`Running::fail`].
    pub fn recover(&self) {
        self.calls.control.outages.clear();
    }

    /// Changes what the configured credentials may do.
    pub fn set_actions(&self, actions: MockActions) {
        self.calls.iam.set_actions(actions);
    }

    /// Makes the credentials of every session that there is expire at once.
    pub fn expire_sessions(&self) {
        self.calls.verifier.sessions.expire();
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
