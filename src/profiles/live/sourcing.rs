//! Finding out what the profiles were made from of which the configuration does not say it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::LiveDirectory;
use crate::profiles::sources::{Joined, Listing, Source, Ticket, Unsourced};
use crate::types::ProfileArn;

impl LiveDirectory {
    /// Whether there are any.
    pub const fn asks_for_sources(&self) -> bool {
        self.sources.is_some()
    }

    /// What one was made from, as far as it is known.
    pub fn source_of(&self, own: &Unsourced) -> Source {
        let known = self.known();
        self.sources.as_ref().map_or(Source::Awaited(None), |sources| sources.source(&own.arn, &known))
    }

    /// One for which AWS has not been asked since the start.
    pub fn unasked(&self) -> Option<&str> {
        let sources = self.sources.as_ref()?;
        self.unsourced().find(|own| !sources.was_asked(&own.arn)).map(|own| own.name.as_str())
    }

    /// Through how many nobody can call, because what they were made from is not known.
    pub fn unknown_sources(&self) -> usize {
        self.unsourced().filter(|own| !matches!(self.source_of(own), Source::Known(_))).count()
    }

    /// Asks for those that it is time to ask for again.
    pub async fn refresh_sources(self: &Arc<Self>, now: SystemTime) {
        let (Some(sources), Ok(now)) = (&self.sources, Timestamp::try_from(now)) else { return };
        let (mut asking, mut due) = (JoinSet::new(), sources.due(now).into_iter());
        loop {
            while asking.len() < AT_ONCE
                && let Some(arn) = due.next()
            {
                let own = Arc::clone(self);
                asking.spawn(async move { own.find_source(&arn, now).await });
            }
            if asking.join_next().await.is_none() {
                return;
            }
        }
    }

    /// Asks for one, or waits for whoever does; for some seconds at most. The asking goes on if the caller leaves. What was asked a
    /// moment ago in vain is not asked again.
    pub async fn learn_source(self: &Arc<Self>, arn: &ProfileArn, now: SystemTime) {
        let Ok(now) = Timestamp::try_from(now) else { return };
        let own = (Arc::clone(self), arn.clone());
        let finding = tokio::spawn(async move { own.0.find_source(&own.1, now).await });
        let _ = tokio::time::timeout(WAIT, finding).await;
    }

    async fn find_source(self: &Arc<Self>, arn: &ProfileArn, now: Timestamp) {
        let Some(sources) = &self.sources else { return };
        match sources.join(arn, now) {
            Joined::Settled => {}
            Joined::Waiting(mut over) => while over.changed().await.is_ok() {},
            Joined::First(ticket) => self.ask_for_source(&ticket, now).await,
        }
    }

    /// In force before those who wait are told.
    async fn ask_for_source(self: &Arc<Self>, ticket: &Ticket, now: Timestamp) {
        if ticket.ask(now).await
            && let Err(error) = self.learn(|_| ()).await
        {
            tracing::error!(%error, "what a profile was made from cannot be put in force");
        }
    }

    fn unsourced(&self) -> impl Iterator<Item = &Arc<Unsourced>> {
        self.listings.iter().filter_map(|listing| match listing {
            Listing::Grant(_) => None,
            Listing::Unsourced(own) => Some(own),
        })
    }
}

/// How many are asked for at a time.
const AT_ONCE: usize = 8;
/// How long a request waits.
const WAIT: Duration = Duration::from_secs(10);
