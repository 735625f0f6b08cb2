//! Keeping in touch: the lease, what others have changed, and what the dead have left.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Shared;
use super::reserve::{lost, whole_ms};
use crate::budget::adjustment::Adjustments;
use crate::budget::store::StoreError;

impl Shared {
    /// The first look, and what is worth a warning about the server.
    pub(super) async fn begin(&self) -> Vec<String> {
        // Nothing is known to be wrong yet, and the first answer is no news.
        self.trouble.store(None);
        let begun = async {
            self.beat().await?;
            if self.link.is_cluster() { Ok(Vec::new()) } else { self.weak_points().await }
        };
        match begun.await {
            Ok(warnings) => warnings,
            Err(error) => {
                self.answers(Some(&error));
                Vec::new()
            }
        }
    }

    pub(super) async fn watch(self: Arc<Self>) {
        let mut beats = 0_u32;
        loop {
            let soon = async {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = self.look.notified() => tokio::time::sleep(SOON).await,
                }
            };
            tokio::select! {
                () = self.ended.cancelled() => return,
                () = soon => {}
            }
            beats = beats.wrapping_add(1);
            match self.beat().await {
                Ok(dead) => self.tidy_up(dead, beats.is_multiple_of(CHECK_EVERY)),
                Err(error) => {
                    *self.steady() = Steady::default();
                    self.answers(Some(&error));
                }
            }
        }
    }

    /// Settles what the dead have left, and what nobody knows of, beside the beats: that can take a while, and a gateway that
    /// is busy with it is alive.
    fn tidy_up(self: &Arc<Self>, dead: Vec<String>, check: bool) {
        if (dead.is_empty() && !check) || self.collecting.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let tidied = async {
                for gateway in dead {
                    shared.collect(&gateway).await?;
                }
                if check { shared.check_own().await } else { Ok(()) }
            };
            tokio::select! {
                () = shared.ended.cancelled() => {}
                tidied = tidied => {
                    if let Err(error) = tidied {
                        tracing::warn!(%error, "what dead gateways have left is settled the next time");
                    }
                }
            }
            shared.collecting.store(false, Ordering::Relaxed);
        });
    }

    fn steady(&self) -> MutexGuard<'_, Steady> {
        self.steady.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lease and takes up what is new. The gateways that are dead for certain.
    pub(super) async fn beat(&self) -> Result<Vec<String>, StoreError> {
        let known = self.epoch.load_full();
        let first = if known.is_none() { uuid::Uuid::new_v4().to_string() } else { String::new() };
        let (epoch, dead) = self.look_at(&self.gateway, &first).await?;
        match known {
            Some(known) if *known != epoch => {
                self.lost.store(true, Ordering::Relaxed);
                return Err(lost());
            }
            Some(_) => self.lost.store(false, Ordering::Relaxed),
            None => self.epoch.store(Some(Arc::new(epoch))),
        }
        self.answers(None);
        Ok(self.steady().due(dead, self.time.local(), self.lease))
    }

    /// Takes up how things stand, without being a gateway.
    pub(super) async fn look_in(&self) -> Result<(), StoreError> {
        self.look_at("", "").await.map(|_| ())
    }

    /// The epoch and the gateways whose lease has ended. Changes and counts are taken up.
    async fn look_at(&self, gateway: &str, first_epoch: &str) -> Result<(String, Vec<String>), StoreError> {
        let mut script = self.scripts.beat.prepare_invoke();
        script.key(&self.keys.leases).key(&self.keys.epoch).key(&self.keys.changes);
        script.arg(self.time.argument()).arg(gateway).arg(whole_ms(self.lease)).arg(first_epoch);
        let answer: Vec<String> = self.link.ask_again(&script).await?;
        let unreadable = || StoreError("it gave an answer that is none of its script's".to_owned());
        let [now, epoch, changes, dead @ ..] = answer.as_slice() else { return Err(unreadable()) };
        let now = now.parse::<i64>().map_err(|_| unreadable())?;
        self.time.learn(now);
        let changes = changes.parse::<usize>().map_err(|_| unreadable())?;
        let seen = self.seen().changes;
        if self.adjustments.load().is_none() || seen != changes {
            let history = self.history().await?;
            let made = Adjustments::new(history.iter().map(|adjustment| &adjustment.change));
            self.adjustments.store(Some(Arc::new(made)));
            self.seen().changes = changes;
        }
        self.refresh(now).await?;
        Ok((epoch.clone(), dead.to_vec()))
    }

    /// What of the server's configuration would let counts be lost.
    async fn weak_points(&self) -> Result<Vec<String>, StoreError> {
        let told = self.link.ask::<String>(&redis::cmd("INFO")).await;
        // A user who may not ask is told nothing.
        let Ok(info) = told else { return Ok(Vec::new()) };
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let mut weak = Vec::new();
        if info.get("aof_enabled") == Some(&"0") {
            weak.push(
                "the server keeps no append-only file (appendonly yes): a restart of it loses what was counted since its last snapshot"
                    .to_owned(),
            );
        }
        if let Some(policy) = info.get("maxmemory_policy").filter(|policy| **policy != "noeviction") {
            weak.push(format!(
                "the server forgets keys when its memory is full (maxmemory-policy {policy}): counts can be lost; use noeviction"
            ));
        }
        Ok(weak)
    }
}

/// Who seems to be dead, and whether this gateway is in a position to tell.
#[derive(Debug, Default)]
pub(super) struct Steady {
    /// Since when every look has been answered.
    since: Option<SystemTime>,
    last: Option<SystemTime>,
    /// Whose lease was seen to have ended, and when first.
    suspects: HashMap<String, SystemTime>,
}

impl Steady {
    /// Those of whom nothing has been heard for a lease in which they could have been: the store was there all the time, and
    /// the lease has ended in look after look. When the store comes back, or its clock is set, all leases have ended at once.
    fn due(&mut self, ended: Vec<String>, now: SystemTime, lease: Duration) -> Vec<String> {
        let pause = self.last.map(|last| now.duration_since(last).unwrap_or(Duration::MAX));
        if pause.is_some_and(|pause| pause > lease) {
            *self = Self::default();
        }
        self.last = Some(now);
        let since = *self.since.get_or_insert(now);
        self.suspects.retain(|gateway, _| ended.contains(gateway));
        let mut due = Vec::new();
        for gateway in ended {
            let first = *self.suspects.entry(gateway.clone()).or_insert(now);
            let long = |from: SystemTime, span| now.duration_since(from).unwrap_or_default() >= span;
            if long(since, lease) && long(first, SUSPECTED) {
                due.push(gateway);
            }
        }
        due
    }
}

/// How long a lease is seen to have ended before it is believed.
const SUSPECTED: Duration = Duration::from_secs(2);
/// How often a gateway looks at the store.
const EVERY: Duration = Duration::from_secs(1);
/// Every how many looks a gateway checks what stands under its own name.
const CHECK_EVERY: u32 = 5;
/// How soon after trouble.
const SOON: Duration = Duration::from_millis(100);
