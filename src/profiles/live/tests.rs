//! The directory in force, with a control plane that answers as it is told.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::profiles::Match;
use crate::profiles::control::{Asked, ControlPlane, Question, Reply, Service};
use crate::types::ModelName;

const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

type Pairs = Vec<(String, String)>;

/// Profiles by id, each with its tags; and whether the control plane is away.
#[derive(Debug, Default)]
struct Aws {
    profiles: Mutex<Vec<(String, Pairs)>>,
    account: Mutex<String>,
    away: AtomicBool,
    tagging: AtomicBool,
}

impl Aws {
    fn new(profiles: &[(&str, &str)]) -> Arc<Self> {
        let own = Self { account: Mutex::new("111122223333".to_owned()), ..Self::default() };
        own.set(profiles);
        own.tagging.store(true, Ordering::SeqCst);
        Arc::new(own)
    }

    /// Every profile with the value of its `UserEmail`.
    fn set(&self, profiles: &[(&str, &str)]) {
        let tags = |email: &str| {
            vec![("UserEmail".to_owned(), email.to_owned()), ("tollgate:source".to_owned(), SONNET.to_owned())]
        };
        *self.profiles.lock().unwrap() = profiles.iter().map(|(id, email)| ((*id).to_owned(), tags(email))).collect();
    }

    fn arn(&self, id: &str) -> String {
        format!("arn:aws:bedrock:us-east-1:{}:application-inference-profile/{id}", self.account.lock().unwrap())
    }

    fn answer(&self, question: &Question) -> (u16, serde_json::Value) {
        let profiles = self.profiles.lock().unwrap();
        let tags = |tags: &[(String, String)], names: [&str; 2]| -> Vec<_> {
            tags.iter().map(|(key, value)| json!({names[0]: key, names[1]: value})).collect()
        };
        match (question.service, question.path.as_str()) {
            (Service::Tagging, _) if !self.tagging.load(Ordering::SeqCst) => {
                (400, json!({"__type": "com.amazonaws#AccessDeniedException", "Message": "no"}))
            }
            (Service::Tagging | Service::Quotas, _) => {
                let list: Vec<_> = profiles
                    .iter()
                    .map(|(id, own)| json!({"ResourceARN": self.arn(id), "Tags": tags(own, ["Key", "Value"])}))
                    .collect();
                (200, json!({"ResourceTagMappingList": list, "PaginationToken": ""}))
            }
            (Service::Bedrock, "/listTagsForResource") => {
                let body: serde_json::Value = serde_json::from_slice(&question.body).unwrap();
                let found = profiles.iter().find(|(id, _)| body["resourceARN"] == self.arn(id));
                found.map_or((404, json!({"message": "gone"})), |(_, own)| {
                    (200, json!({"tags": tags(own, ["key", "value"])}))
                })
            }
            (Service::Bedrock, _) => {
                let list: Vec<_> = profiles
                    .iter()
                    .map(|(id, _)| {
                        json!({
                            "inferenceProfileArn": self.arn(id), "inferenceProfileName": id, "status": "ACTIVE",
                            "models": [{"modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{}", &SONNET[3..])}],
                        })
                    })
                    .collect();
                (200, json!({"inferenceProfileSummaries": list}))
            }
        }
    }
}

impl ControlPlane for Aws {
    fn ask(&self, question: Question) -> Asked {
        let answered = if self.away.load(Ordering::SeqCst) {
            Err("nobody is there".to_owned())
        } else {
            let (status, body) = self.answer(&question);
            Ok(Reply { status, error: None, body: Bytes::from(body.to_string()) })
        };
        Box::pin(std::future::ready(answered))
    }
}

struct Desk {
    aws: Arc<Aws>,
    live: Arc<LiveDirectory>,
    folder: TempDir,
}

fn place() -> Place {
    Place { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

impl Desk {
    fn new(aws: Arc<Aws>) -> Self {
        Self::in_folder(aws, TempDir::new().unwrap())
    }

    fn in_folder(aws: Arc<Aws>, folder: TempDir) -> Self {
        let discovery = Discovery {
            places: vec![place()],
            control: Arc::clone(&aws) as SharedControlPlane,
            file: folder.path().join("profiles.json"),
            every: Duration::from_mins(5),
            geographies: vec![],
        };
        let rule = Rule { profile_tag: "UserEmail".to_owned(), owner: Match::Tag("UserEmail".to_owned()) };
        let live = LiveDirectory::new(vec![], None, vec![rule], Some(discovery), at(0)).unwrap();
        Self { aws, live: Arc::new(live), folder }
    }

    async fn read(&self, seconds: u64) -> Result<usize, ControlError> {
        self.live.refresh(at(seconds)).await.remove(0).1
    }

    /// The id of the profile that somebody's call goes through.
    fn of(&self, email: &str) -> Option<String> {
        let tags = [("UserEmail".to_owned(), email.to_owned())].into_iter().collect();
        let who = Principal::new("x", vec![], tags);
        let name = ModelName::classify(SONNET);
        let target = self.live.load().resolve(&who, Operation::Converse, &name, SONNET).ok()?;
        Some(target.profile()?.arn().id().to_owned())
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
}

#[tokio::test]
async fn another_accounts_profiles_are_not_taken_for_this_ones() {
    let desk = Desk::new(Aws::new(&[("a1", "a@x")]));
    assert_eq!(desk.read(0).await, Ok(1));
    *desk.aws.account.lock().unwrap() = "999999999999".to_owned();
    assert!(matches!(desk.read(1).await, Err(ControlError::Denied(why)) if why.contains("look at the role")));
    assert_eq!(desk.of("a@x").as_deref(), Some("a1"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_stays_as_it_was_known_also_over_a_start() {
    let desk = Desk::new(Aws::new(&[("a1", "a@x")]));
    assert_eq!((desk.of("a@x"), desk.read(0).await), (None, Ok(1)));
    desk.aws.away.store(true, Ordering::SeqCst);
    desk.aws.set(&[("b1", "b@x")]);
    assert!(desk.read(60).await.unwrap_err().is_passing());
    assert_eq!((desk.of("a@x").as_deref(), desk.of("b@x")), (Some("a1"), None));
    let reading = &desk.live.readings()[0];
    assert_eq!(reading.read_at.map(SystemTime::from), Some(at(0)));
    let Desk { aws, folder, .. } = desk;
    let again = Desk::in_folder(aws, folder);
    assert_eq!(again.of("a@x").as_deref(), Some("a1"));
    again.aws.away.store(false, Ordering::SeqCst);
    assert_eq!(again.read(120).await, Ok(1));
    assert_eq!((again.of("a@x"), again.of("b@x").as_deref()), (None, Some("b1")));
}

#[tokio::test]
async fn tags_are_asked_for_one_by_one_where_the_tagging_api_is_not_allowed() {
    let ids: Vec<_> = (0..30).map(|number| (format!("p{number:02}"), format!("{number}@x"))).collect();
    let pairs: Vec<_> = ids.iter().map(|(id, email)| (id.as_str(), email.as_str())).collect();
    let desk = Desk::new(Aws::new(&pairs));
    desk.aws.tagging.store(false, Ordering::SeqCst);
    assert_eq!(desk.read(0).await, Ok(30));
    for (id, email) in pairs {
        assert_eq!(desk.of(email).as_deref(), Some(id));
    }
}

#[tokio::test]
async fn a_profile_that_was_made_here_is_known_before_aws_lists_it_and_for_ten_minutes_after() {
    let desk = Desk::new(Aws::new(&[("a1", "a@x")]));
    assert_eq!(desk.read(0).await, Ok(1));
    let tags = [("UserEmail".to_owned(), "b@x".to_owned())].into();
    let made = Found::of(desk.aws.arn("b1").parse().unwrap(), "b", &SONNET.parse().unwrap(), &tags);
    let now = Timestamp::try_from(at(10)).unwrap();
    desk.live.adopt(&place(), made, now).await.unwrap();
    assert_eq!(desk.of("b@x").as_deref(), Some("b1"));
    assert_eq!(desk.read(599).await, Ok(1));
    assert_eq!(desk.of("b@x").as_deref(), Some("b1"), "the list does not have it yet");
    assert!(desk.live.made_within(&desk.aws.arn("b1").parse().unwrap(), now, SignedDuration::from_secs(1)));
    assert_eq!(desk.read(611).await, Ok(1));
    assert_eq!(desk.of("b@x"), None, "it was deleted");
    assert_eq!(desk.of("a@x").as_deref(), Some("a1"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Somebody retags, makes and deletes profiles while the directory is read again and again: whoever asks meanwhile gets a
    /// profile that was theirs at some moment, and in the end what is theirs then.
    #[test]
    fn a_fleet_that_changes_while_it_is_read_never_gives_anybody_anothers_profile(
        steps in proptest::collection::vec(proptest::collection::vec((0..4_u8, 0..3_u8), 0..5), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::new(Aws::new(&[]));
            let mut ever: Vec<(String, String)> = vec![];
            for (moment, step) in steps.iter().enumerate() {
                let mut fleet: Vec<(String, String)> =
                    step.iter().map(|(id, owner)| (format!("p{id}"), format!("{owner}@x"))).collect();
                fleet.sort();
                fleet.dedup_by(|one, other| one.0 == other.0);
                ever.extend(fleet.iter().cloned());
                let pairs: Vec<_> = fleet.iter().map(|(id, email)| (id.as_str(), email.as_str())).collect();
                let reading = desk.live.refresh(at(u64::try_from(moment).unwrap()));
                let changing = async {
                    tokio::task::yield_now().await;
                    desk.aws.set(&pairs);
                };
                let asking = async {
                    for owner in 0..3 {
                        let email = format!("{owner}@x");
                        tokio::task::yield_now().await;
                        if let Some(id) = desk.of(&email) {
                            assert!(ever.contains(&(id, email)));
                        }
                    }
                };
                tokio::join!(reading, changing, asking);
                desk.read(1_000 + u64::try_from(moment).unwrap()).await.unwrap();
                for owner in 0..3 {
                    let email = format!("{owner}@x");
                    let theirs = fleet.iter().find(|(_, own)| *own == email).map(|(id, _)| id.clone());
                    assert_eq!(desk.of(&email), theirs);
                }
            }
        });
    }
}
