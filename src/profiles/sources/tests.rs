//! What AWS tells of a source, what is made of it, and how often it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::profiles::control::{Asked, ControlPlane, Question, Reply};
use crate::profiles::{LiveDirectory, ResolveError};
use crate::types::{ModelName, Tags};

const ARN: &str = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/own";
const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// A status and a body.
type Said = (u16, Value);

/// Says these two things of the profile, after a pause.
#[derive(Debug)]
struct Aws {
    tags: Mutex<Said>,
    profile: Mutex<Said>,
    asked: AtomicUsize,
}

impl ControlPlane for Aws {
    fn ask(&self, question: Question) -> Asked {
        assert_eq!(question.place.to_string(), "111122223333 in us-east-1");
        let (status, body) = if question.path == "/listTagsForResource" {
            self.tags.lock().unwrap().clone()
        } else {
            assert!(question.path.starts_with("/inference-profiles/arn%3Aaws%3A"), "{}", question.path);
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.profile.lock().unwrap().clone()
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Reply { status, error: None, body: Bytes::from(body.to_string()) })
        })
    }
}

fn tagged(source: &str) -> Said {
    (200, json!({ "tags": [{ "key": "tollgate:source", "value": source }] }))
}

fn untagged() -> Said {
    (200, json!({ "tags": [] }))
}

fn refused(status: u16, kind: &str) -> Said {
    (status, json!({ "__type": kind, "message": "so it is" }))
}

fn over(regions: &[&str]) -> Said {
    let model = |region: &&str| {
        let model = SONNET.trim_start_matches("us.");
        json!({ "modelArn": format!("arn:aws:bedrock:{region}::foundation-model/{model}") })
    };
    let models: Vec<_> = regions.iter().map(model).collect();
    let profile =
        json!({ "inferenceProfileArn": ARN, "inferenceProfileName": "n", "status": "ACTIVE", "models": models });
    (200, profile)
}

fn us() -> Said {
    over(&["us-east-1", "us-east-2", "us-west-2"])
}

fn owned() -> Arc<Unsourced> {
    let owners = Owners::Only { principals: vec!["alice".to_owned()], groups: vec![] };
    Arc::new(Unsourced { name: "mine".to_owned(), arn: ARN.parse().unwrap(), owners, aliases: vec!["m".to_owned()] })
}

fn desk(tags: Said, profile: Said) -> (Arc<Aws>, Arc<LiveDirectory>) {
    let aws = Arc::new(Aws { tags: Mutex::new(tags), profile: Mutex::new(profile), asked: AtomicUsize::new(0) });
    let listings = vec![Listing::Unsourced(owned())];
    let sources = Sources::new(&listings, Arc::clone(&aws) as SharedControlPlane, vec![]);
    let live = LiveDirectory::new(listings, Some(sources), vec![], None, at(0)).unwrap();
    (aws, Arc::new(live))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
}

fn resolve(live: &LiveDirectory, who: &str, text: &str) -> Result<String, ResolveError> {
    let principal = Principal::new(who, vec![], Tags::default());
    let name = ModelName::classify(text);
    let target = live.load().resolve(&principal, Operation::Converse, &name, text)?;
    Ok(target.profile().unwrap().source().to_string())
}

#[tokio::test(start_paused = true)]
async fn the_tag_says_what_a_profile_was_made_from_and_the_models_where_they_leave_no_doubt() {
    let abroad = SONNET.replacen("us.", "eu.", 1);
    for (tags, profile, source) in [
        (tagged(SONNET), us(), Some(SONNET)),
        (untagged(), us(), Some(SONNET)),
        (refused(403, "AccessDeniedException"), us(), Some(SONNET)),
        (untagged(), over(&["us-east-1"]), Some(SONNET.trim_start_matches("us."))),
        (tagged(SONNET), over(&[]), Some(SONNET)),
        // A doubt, a tag that is no model, and tags that the models contradict.
        (untagged(), over(&["us-east-1", "eu-west-1"]), None),
        (untagged(), over(&[]), None),
        (tagged("nonsense"), us(), None),
        (tagged("us.amazon.nova-micro-v1:0"), us(), None),
        (tagged(&abroad), us(), None),
        (refused(404, "ResourceNotFoundException"), us(), None),
        (untagged(), refused(404, "ResourceNotFoundException"), None),
    ] {
        let (_, live) = desk(tags.clone(), profile.clone());
        assert!(matches!(resolve(&live, "alice", "mine"), Err(ResolveError::Awaited { .. })));
        live.refresh_sources(at(0)).await;
        for name in [ARN, "m", SONNET.trim_start_matches("us.")] {
            assert_eq!(resolve(&live, "alice", name).ok().as_deref(), source, "{tags:?} {profile:?} {name}");
            assert!(!matches!(resolve(&live, "alice", name), Err(ResolveError::Awaited { .. })), "AWS has answered");
            assert!(resolve(&live, "bob", name).is_err());
        }
        assert_eq!((live.unasked(), live.unknown_sources()), (None, usize::from(source.is_none())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_may_mean_it_leads_nowhere_else_until_it_is_known() {
    let (_, live) = desk(untagged(), us());
    assert_eq!((live.unasked(), live.unknown_sources()), (Some("mine"), 1));
    for name in ["mine", "m", "own", ARN, SONNET, "amazon.nova-lite-v1:0"] {
        assert!(matches!(resolve(&live, "alice", name), Err(ResolveError::Awaited { .. })), "{name}");
        assert!(!matches!(resolve(&live, "bob", name), Err(ResolveError::Awaited { .. })), "{name}: it is not theirs");
    }
    for name in ["other", &ARN.replace("/own", "/other")] {
        assert!(!matches!(resolve(&live, "alice", name), Err(ResolveError::Awaited { .. })), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_want_to_know_aws_is_asked_once() {
    let (aws, live) = desk(tagged(SONNET), us());
    let arn: ProfileArn = ARN.parse().unwrap();
    let mut wishes = tokio::task::JoinSet::new();
    for wish in 0..100 {
        let (live, arn) = (Arc::clone(&live), arn.clone());
        wishes.spawn(async move {
            match wish % 10 {
                0 => live.refresh_sources(at(0)).await,
                _ => live.learn_source(&arn, at(0)).await,
            }
            resolve(&live, "alice", "mine")
        });
    }
    for told in wishes.join_all().await {
        assert_eq!(told.as_deref(), Ok(SONNET), "it is in force when the wait is over");
    }
    assert_eq!(aws.asked.load(Ordering::SeqCst), 1);
    live.refresh_sources(at(3_599)).await;
    assert_eq!(aws.asked.load(Ordering::SeqCst), 1, "what is known is known for an hour");
    live.refresh_sources(at(3_600)).await;
    assert_eq!(aws.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_taken_for_an_answer_for_some_seconds_and_what_is_known_stays_known() {
    let (aws, live) = desk(tagged(SONNET), refused(403, "AccessDeniedException"));
    let arn: ProfileArn = ARN.parse().unwrap();
    let asked = |live: &Arc<LiveDirectory>, seconds| {
        let (live, arn) = (Arc::clone(live), arn.clone());
        async move { live.learn_source(&arn, at(seconds)).await }
    };
    for (seconds, times) in [(0, 1), (1, 1), (4, 1), (5, 2), (6, 2)] {
        asked(&live, seconds).await;
        assert_eq!(aws.asked.load(Ordering::SeqCst), times, "{seconds}");
        assert!(matches!(resolve(&live, "alice", "mine"), Err(ResolveError::Awaited { .. })));
    }
    let Source::Awaited(Some(ControlError::Denied(_))) = live.source_of(&owned()) else { panic!("AWS has denied it") };
    live.refresh_sources(at(19)).await;
    assert_eq!(aws.asked.load(Ordering::SeqCst), 2);
    *aws.profile.lock().unwrap() = us();
    live.refresh_sources(at(20)).await;
    assert_eq!(resolve(&live, "alice", "mine").as_deref(), Ok(SONNET));
    for said in [refused(503, "ServiceUnavailableException"), refused(403, "AccessDeniedException")] {
        *aws.profile.lock().unwrap() = said;
        live.refresh_sources(at(10_000)).await;
        assert_eq!(resolve(&live, "alice", "mine").as_deref(), Ok(SONNET));
    }
    // What is not there any more is nobody's.
    *aws.profile.lock().unwrap() = refused(404, "ResourceNotFoundException");
    live.refresh_sources(at(20_000)).await;
    assert!(matches!(resolve(&live, "alice", ARN), Err(ResolveError::NotYours { .. })));
}
