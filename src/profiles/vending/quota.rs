//! AWS's own quota of inference profiles, where profiles are made, as far as it is known.
//!
//! It is read beside the profiles and seldom, never on a request's way. A quota that cannot be read stops nothing: AWS keeps it itself
//! when a profile is made.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::profiles::LiveDirectory;
use crate::profiles::control::{ControlError, Place, quotas};

pub use crate::profiles::control::quotas::{CODE as QUOTA_CODE, NAME as QUOTA_NAME};

/// How much room AWS leaves in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Where.
    pub place: Place,
    /// How many profiles are known there, those of unknown source included.
    pub used: usize,
    /// How many there may be; nothing where that is not known.
    pub quota: Option<usize>,
    /// Why it could not be read the last time.
    pub unread: Option<ControlError>,
}

/// What is known of the quota, place by place.
#[derive(Debug, Default)]
pub(super) struct Quotas(Mutex<HashMap<Place, Known>>);

#[derive(Clone, Debug)]
struct Known {
    quota: Option<usize>,
    unread: Option<ControlError>,
    asked_at: Timestamp,
    /// Whether it has been said that little is left.
    warned: bool,
}

impl Headroom {
    /// How many more there may be; nothing where that is not known.
    pub fn left(&self) -> Option<usize> {
        self.quota.map(|quota| quota.saturating_sub(self.used))
    }

    fn is_low(&self) -> bool {
        self.left().zip(self.quota).is_some_and(|(left, quota)| left <= quota / TENTH)
    }
}

impl Quotas {
    /// How many profiles there may be in a place, where that is known.
    pub(super) fn of(&self, place: &Place) -> Option<usize> {
        self.known().get(place).and_then(|known| known.quota)
    }

    /// How a place stands.
    pub(super) fn headroom(&self, live: &LiveDirectory, place: &Place) -> Headroom {
        let known = self.known().get(place).cloned();
        let (quota, unread) = known.map_or((None, None), |known| (known.quota, known.unread));
        Headroom { place: place.clone(), used: live.used(place), quota, unread }
    }

    /// Reads the quota of a place again, where it is time to.
    pub(super) async fn read(&self, live: &LiveDirectory, place: &Place, now: Timestamp) {
        let Some(discovery) = live.discovery() else { return };
        if !self.is_due(live, place, now) {
            return;
        }
        let read = quotas::profiles(&discovery.control, place).await;
        self.note(place, read, now);
        let headroom = self.headroom(live, place);
        let low = headroom.is_low();
        let warned = self.known().get_mut(place).map(|known| std::mem::replace(&mut known.warned, low));
        if let (true, Some(false), Some(quota)) = (low, warned, headroom.quota) {
            let used = headroom.used;
            tracing::warn!(
                account = %place.account, region = %place.region, used, quota,
                "AWS's quota {QUOTA_NAME:?} ({QUOTA_CODE}) is nearly used up: ask for more in Service Quotas, or delete what \
                 nobody needs",
            );
        }
    }

    /// After an hour; at every reading where the last one failed for the moment, or nothing is left: it may have been raised.
    fn is_due(&self, live: &LiveDirectory, place: &Place, now: Timestamp) -> bool {
        let known = self.known().get(place).cloned();
        known.is_none_or(|known| {
            let used_up = known.quota.is_some_and(|quota| live.used(place) >= quota);
            let passing = known.unread.as_ref().is_some_and(ControlError::is_passing);
            used_up || passing || now.duration_since(known.asked_at) >= EVERY
        })
    }

    fn note(&self, place: &Place, read: Result<usize, ControlError>, now: Timestamp) {
        let mut known = self.known();
        let before = known.remove(place);
        let (quota, failed_before, warned) =
            before.map_or((None, false, false), |known| (known.quota, known.unread.is_some(), known.warned));
        let (quota, unread) = match read {
            Ok(quota) => (Some(quota), None),
            Err(error) => (quota, Some(error)),
        };
        if let (Some(error), false) = (&unread, failed_before) {
            tracing::warn!(
                account = %place.account, region = %place.region, %error,
                "the quota of inference profiles cannot be read, and is not looked at: AWS keeps it itself; the role needs \
                 servicequotas:ListServiceQuotas to tell of it in time",
            );
        }
        known.insert(place.clone(), Known { quota, unread, asked_at: now, warned });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Place, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a quota is taken for what it was: nobody raises it often.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// A tenth left is little.
const TENTH: usize = 10;
