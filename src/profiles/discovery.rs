//! Discovery: what profiles there are in AWS, read again from time to time.
//!
//! A place is read whole: all its application inference profiles, and their tags from the Resource Groups Tagging API, or one by one
//! where that is not allowed or has no such endpoint. What was read replaces what was known of the place, at once; a place that cannot be read keeps
//! what is known of it, however old.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::control::{ControlError, Listed, Place, Service, SharedControlPlane, bedrock, tagging};
use super::fleet::{Interner, PlaceFound, Undetermined};
use super::{Discovery, Rule};
use crate::types::{ModelId, ModelName};

/// The tag that says what a profile was made from, which AWS does not tell.
pub const SOURCE_TAG: &str = "tollgate:source";

/// Why it is not known what a profile was made from, although AWS has answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// There is no such profile, or none that can be called.
    #[error("AWS knows no such profile: {0}")]
    Absent(String),
    /// Its models could be those of several sources.
    #[error("what it was made from is not known, as its models and their Regions leave a doubt: tag it {SOURCE_TAG}")]
    Models,
    /// The tag is no model's id.
    #[error("its tag {SOURCE_TAG} names no model: {0:?}")]
    NoModel(String),
    /// The tag and AWS's list of the models cannot both be true.
    #[error("its tag {SOURCE_TAG} says {tag}, which cannot be true, as AWS lists other models or Regions: {models}")]
    Contradicted {
        /// What the tag says.
        tag: String,
        /// The models that AWS lists, by ARN.
        models: String,
    },
}

/// Reads one place. `seen` is told now and then how many profiles have been listed.
pub async fn read_place(
    discovery: &Discovery,
    place: &Place,
    rules: &[Rule],
    seen: &(dyn Fn(usize) + Send + Sync),
    now: Timestamp,
) -> Result<PlaceFound, ControlError> {
    let Discovery { control, geographies, .. } = discovery;
    let listed = bedrock::list(control, place, seen).await?;
    if let Some(other) = listed.iter().find(|listed| !place.holds(&listed.arn)) {
        let Place { account, region } = place;
        let why =
            format!("AWS answered with {}, which is not of account {account} in {region}: look at the role", other.arn);
        return Err(ControlError::Denied(why));
    }
    let wanted = |key: &str| key.starts_with("tollgate:") || rules.iter().any(|rule| rule.profile_tag == key);
    let mut tags = match tagging::tags(control, place, &wanted).await {
        Err(ControlError::Denied(why)) => {
            tracing::debug!(why, "the tagging API is not allowed: each profile is asked for its tags");
            one_by_one(control, place, &listed, &wanted).await?
        }
        Err(ControlError::Unavailable(why)) if control.may_lack(Service::Tagging) => {
            tracing::debug!(why, "the tagging API has no such endpoint, perhaps: each profile is asked for its tags");
            one_by_one(control, place, &listed, &wanted).await?
        }
        answered => answered?,
    };
    let mut interner = Interner::default();
    let (mut found, mut undetermined) = (Vec::with_capacity(listed.len()), Vec::new());
    for profile in listed {
        let tags = tags.remove(profile.arn.as_str()).unwrap_or_default();
        let source = match source(&profile, &tags, geographies) {
            Ok(source) => source,
            Err(doubt) => {
                let arn = &profile.arn;
                match doubt {
                    Doubt::Contradicted { .. } => tracing::warn!(
                        %arn, %doubt, "the profile is nobody's until the tag is what it was made from, or is taken away",
                    ),
                    Doubt::Absent(_) | Doubt::Models | Doubt::NoModel(_) => {
                        tracing::debug!(%arn, %doubt, "the profile is nobody's");
                    }
                }
                undetermined.push(Undetermined { arn: profile.arn, name: profile.name });
                continue;
            }
        };
        found.push(interner.found(profile.arn, profile.name, source, tags));
    }
    Ok(PlaceFound { place: place.clone(), read_at: Some(now), found: found.into(), undetermined: undetermined.into() })
}

/// What a profile was made from: what its tag says, unless AWS's own list of its models contradicts that; without a tag, what the
/// models leave no doubt about. Price and residency go by it, so that a wrong one must not be believed.
pub(super) fn source(profile: &Listed, tags: &[(String, String)], geographies: &[String]) -> Result<ModelId, Doubt> {
    let Some((_, text)) = tags.iter().find(|(key, _)| key == SOURCE_TAG) else {
        return profile.source().map(|source| source.with_geographies(geographies)).ok_or(Doubt::Models);
    };
    let source = match ModelName::classify(text) {
        ModelName::Model(id) => id.with_geographies(geographies),
        ModelName::ApplicationProfile(_) | ModelName::Word(_) | ModelName::Refused(_) => {
            return Err(Doubt::NoModel(text.clone()));
        }
    };
    if profile.may_be_of(&source) {
        return Ok(source);
    }
    Err(Doubt::Contradicted { tag: text.clone(), models: profile.models.join(", ") })
}

/// The tags of every profile, some questions at a time.
async fn one_by_one(
    control: &SharedControlPlane,
    place: &Place,
    listed: &[Listed],
    wanted: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<HashMap<String, Vec<(String, String)>>, ControlError> {
    let mut all = HashMap::with_capacity(listed.len());
    let mut asking = JoinSet::new();
    let mut waiting = listed.iter();
    loop {
        while asking.len() < AT_ONCE
            && let Some(profile) = waiting.next()
        {
            let (control, place, arn) = (Arc::clone(control), place.clone(), profile.arn.clone());
            asking.spawn(async move {
                let tags = bedrock::tags(&control, &place, &arn).await;
                (arn, tags)
            });
        }
        let Some(answered) = asking.join_next().await else { return Ok(all) };
        let Ok((arn, tags)) = answered else {
            return Err(ControlError::Unavailable("a question was given up".to_owned()));
        };
        match tags {
            Ok(tags) => {
                let tags = tags.into_iter().filter(|(key, _)| wanted(key));
                all.insert(arn.to_string(), tags.collect());
            }
            // Deleted since it was listed: without tags it is nobody's.
            Err(ControlError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// How many profiles are asked for their tags at a time.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::profiles::control::{Asked, ControlPlane, Question, Reply};

    /// One profile; the tagging API does not take the credentials, or is perhaps not there.
    #[derive(Debug, Default)]
    struct Expired {
        may_lack: bool,
        tagging: AtomicU32,
        one_by_one: AtomicU32,
    }

    impl ControlPlane for Expired {
        fn ask(&self, question: Question) -> Asked {
            let (status, body) = match (question.service, question.path.as_str()) {
                (Service::Tagging, _) => {
                    self.tagging.fetch_add(1, Ordering::SeqCst);
                    (400, "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\"}")
                }
                (Service::Bedrock, "/inference-profiles") => (
                    200,
                    "{\"inferenceProfileSummaries\":[{\"inferenceProfileName\":\"n\",\"inferenceProfileArn\":\
                     \"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1\"}]}",
                ),
                (Service::Bedrock | Service::Quotas, _) => {
                    self.one_by_one.fetch_add(1, Ordering::SeqCst);
                    (200, "{}")
                }
            };
            Box::pin(std::future::ready(Ok(Reply { status, error: None, body: Bytes::from(body) })))
        }

        fn may_lack(&self, service: Service) -> bool {
            self.may_lack && service == Service::Tagging
        }
    }

    async fn read(control: &Arc<Expired>) -> Result<PlaceFound, ControlError> {
        let place = Place { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let discovery = Discovery {
            places: vec![place.clone()],
            control: Arc::clone(control) as SharedControlPlane,
            file: std::path::PathBuf::new(),
            every: std::time::Duration::from_mins(5),
            geographies: Vec::new(),
        };
        read_place(&discovery, &place, &[], &|_| (), Timestamp::UNIX_EPOCH).await
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_ran_out_do_not_make_discovery_ask_for_each_profiles_tags() {
        let expired = Arc::new(Expired::default());
        let read = read(&expired).await;
        assert!(matches!(read, Err(ControlError::Unavailable(_))), "{read:?}");
        let asked = (expired.tagging.load(Ordering::SeqCst), expired.one_by_one.load(Ordering::SeqCst));
        assert_eq!(asked, (5, 0), "asked again, others of the credentials may be there by then");
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_tagging_api_may_have_no_endpoint_each_profile_is_asked_for_its_tags() {
        let lacking = Arc::new(Expired { may_lack: true, ..Expired::default() });
        read(&lacking).await.unwrap();
        assert_eq!(lacking.one_by_one.load(Ordering::SeqCst), 1);
    }
}
