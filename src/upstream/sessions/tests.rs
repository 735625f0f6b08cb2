//! Sessions against a scripted STS, in paused time: the clock and the timers go together.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;

use super::role::tests::{principal, role};
use super::*;
use crate::types::Secret;
use crate::upstream::Loaded;

/// The clock by which timers go.
#[derive(Debug)]
struct Timers(Instant);

impl Clock for Timers {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + self.0.elapsed()
    }
}

/// Answers after a tenth of a second, with what was put in line or with a session of an hour.
#[derive(Debug)]
struct Script {
    clock: Arc<dyn Clock>,
    asked: Mutex<Vec<SessionRequest>>,
    line: Mutex<VecDeque<AssumeError>>,
    /// What is said whatever is in line.
    always: Mutex<Option<AssumeError>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Scripted(Arc<Script>);

impl AssumeRole for Scripted {
    fn assume<'a>(&'a self, request: &'a SessionRequest) -> Assumed<'a> {
        let script = Arc::clone(&self.0);
        Box::pin(async move {
            let at_once = script.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            script.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            let number = {
                let mut asked = script.asked.lock().unwrap();
                asked.push(request.clone());
                asked.len()
            };
            tokio::time::sleep(Duration::from_millis(100)).await;
            script.at_once.fetch_sub(1, Ordering::SeqCst);
            let error = script.always.lock().unwrap().clone().or_else(|| script.line.lock().unwrap().pop_front());
            error.map_or_else(
                || {
                    Ok(Loaded {
                        credentials: AwsCredentials {
                            access_key_id: format!("ASIA{number}"),
                            secret_access_key: Secret::new("s"),
                            session_token: Some(Secret::new("t")),
                        },
                        expires: Some(script.clock.now() + request.duration),
                    })
                },
                Err,
            )
        })
    }
}

impl Script {
    fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn always(&self, error: Option<AssumeError>) {
        *self.always.lock().unwrap() = error;
    }
}

fn open(role: AssumedRole) -> (Arc<Sessions>, Arc<Script>) {
    let clock: Arc<dyn Clock> = Arc::new(Timers(Instant::now()));
    let script = Arc::new(Script {
        clock: Arc::clone(&clock),
        asked: Mutex::default(),
        line: Mutex::default(),
        always: Mutex::default(),
        at_once: AtomicUsize::new(0),
        most_at_once: AtomicUsize::new(0),
    });
    (Sessions::new(vec![role], Box::new(Scripted(Arc::clone(&script))), clock), script)
}

fn personal() -> (Arc<Sessions>, Arc<Script>) {
    open(role("{principal}", &[("UserEmail", "{mail}")]))
}

fn person(number: usize) -> Principal {
    principal(&format!("p{number}"), &[("mail", &format!("p{number}@example.com"))])
}

fn account() -> AccountId {
    "111122223333".parse().unwrap()
}

/// The access key id of somebody's session, or why there is none.
async fn key_of(sessions: &Arc<Sessions>, principal: &Principal) -> Result<String, String> {
    let signing = sessions.of(&account(), principal).await.map_err(|error| error.to_string())?;
    Ok(signing.session().unwrap().0.access_key_id.clone())
}

fn counted(sessions: &Sessions, result: &str) -> u64 {
    let counts = sessions.counts();
    counts[0].asked.iter().find(|(name, _)| *name == result).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_thousand_first_calls_of_one_person_ask_once() {
    let (sessions, script) = personal();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let sessions = Arc::clone(&sessions);
        calls.spawn(async move { key_of(&sessions, &person(1)).await });
    }
    assert!(calls.join_all().await.iter().all(|key| *key == Ok("ASIA1".to_owned())));
    assert_eq!(key_of(&sessions, &person(2)).await, Ok("ASIA2".to_owned()));
    let asked = script.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|asked| asked.name.as_str()).collect::<Vec<_>>(), ["p1", "p2"]);
    assert_eq!(asked[0].tags, [("UserEmail".to_owned(), "p1@example.com".to_owned())]);

    // From then on a call waits for nothing.
    assert!(at_once(sessions.of(&account(), &person(1))).is_some());
    assert_eq!(script.times(), 2);
}

/// What a future answers without waiting.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_in_an_account_without_a_role_is_the_gateways_own() {
    let (sessions, script) = personal();
    let other = "999999999999".parse().unwrap();
    let signing = sessions.of(&other, &principal("nobody", &[])).await.unwrap();
    assert!(signing.session().is_none() && !sessions.refused(&signing));
    assert!(sessions.own(&other).await.unwrap().session().is_none());
    assert_eq!(script.times(), 0);
}

#[tokio::test(start_paused = true)]
async fn everybody_shares_a_session_that_takes_nothing_from_them_and_so_does_the_gateway() {
    let (sessions, script) = open(role("tollgate", &[("Via", "tollgate")]));
    for number in 0..3 {
        assert_eq!(key_of(&sessions, &person(number)).await, Ok("ASIA1".to_owned()));
    }
    assert!(sessions.own(&account()).await.unwrap().session().is_some());
    assert_eq!((script.times(), sessions.counts()[0].sessions), (1, 1));
    // Where people have sessions of their own, the gateway has one beside them.
    let (sessions, script) = personal();
    key_of(&sessions, &person(1)).await.unwrap();
    sessions.own(&account()).await.unwrap();
    let asked = script.asked.lock().unwrap();
    assert_eq!((asked[1].name.as_str(), asked[1].tags.len()), ("tollgate-discovery", 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_lacks_a_tag_is_refused_and_sts_is_not_asked() {
    let (sessions, script) = personal();
    let error = sessions.of(&account(), &principal("eve", &[])).await.unwrap_err();
    assert!(matches!(&error, UpstreamError::Untaggable(lacking) if lacking.part == "mail"), "{error}");
    assert_eq!((script.times(), sessions.counts()[0].sessions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_renewed_ahead_of_its_expiry_and_the_rest_is_forgotten() {
    let (sessions, script) = personal();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&sessions).keep_fresh(stop.clone()));
    key_of(&sessions, &person(1)).await.unwrap();
    key_of(&sessions, &person(2)).await.unwrap();
    let begun = Instant::now();
    let mut renewed = None;
    while begun.elapsed() < Duration::from_mins(80) {
        // Never a call that waits, never a session that has expired.
        let signing = at_once(sessions.of(&account(), &person(1))).unwrap().unwrap();
        let (_, session) = signing.0.as_ref().unwrap();
        assert!(session.is_good(sessions.clock.now()));
        if script.times() > 2 {
            renewed.get_or_insert(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let after = renewed.unwrap();
    assert!((Duration::from_mins(45)..Duration::from_mins(49)).contains(&after), "{after:?}");
    assert_eq!(script.times(), 3, "the one that nobody used was not renewed");
    assert_eq!(sessions.counts()[0].sessions, 1);
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_waits_for_its_turn_holds_up_no_caller() {
    let (sessions, script) = personal();
    let busy = sessions.few_turns.acquire_many(u32::try_from(FEW_TURNS).unwrap()).await.unwrap();
    key_of(&sessions, &person(1)).await.unwrap();
    tokio::time::sleep(Duration::from_mins(50)).await;
    // In use, and looked at more than once.
    for _ in 0..3 {
        assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA1".to_owned()));
        sessions.look();
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let renewals = Arc::strong_count(&sessions) - 1;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let begun = Instant::now();
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA2".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(busy);
    tokio::time::sleep(LOOK_EVERY).await;
    assert_eq!((renewals, script.times()), (1, 2), "one waits for a turn, and by then there is nothing to do");
    // Another time it is renewed.
    tokio::time::sleep(Duration::from_mins(50)).await;
    key_of(&sessions, &person(1)).await.unwrap();
    sessions.look();
    tokio::time::sleep(LOOK_EVERY).await;
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA3".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn while_sts_is_away_good_sessions_serve_and_expired_ones_do_not() {
    let (sessions, script) = personal();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&sessions).keep_fresh(stop.clone()));
    key_of(&sessions, &person(1)).await.unwrap();
    script.always(Some(AssumeError::Unavailable("down".to_owned())));
    let error = key_of(&sessions, &person(2)).await.unwrap_err();
    assert!(error.contains("down") && error.contains("p2"), "{error}");
    let begun = Instant::now();
    // The last seconds of its hour are left alone.
    while begun.elapsed() < Duration::from_secs(3_580) {
        assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA1".to_owned()));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(key_of(&sessions, &person(1)).await.is_err());
    // It was asked, and not in a hurry: three times in half a minute from three quarters of the hour on.
    let times = script.times();
    assert!((30..=130).contains(&times), "{times}");
    assert_eq!(counted(&sessions, "unavailable") + 1, times as u64);

    script.always(None);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(key_of(&sessions, &person(1)).await.is_ok());
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_met_again_by_everybody() {
    let (sessions, script) = personal();
    script.always(Some(AssumeError::Unavailable("down".to_owned())));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        let sessions = Arc::clone(&sessions);
        calls.spawn(async move { key_of(&sessions, &person(number)).await });
    }
    let begun = Instant::now();
    assert!(calls.join_all().await.iter().all(Result::is_err));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(script.times() <= TURNS * 3, "{}", script.times());
    // One outage, however many met it: it is tried again in a moment.
    script.always(None);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(key_of(&sessions, &person(0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_sts_denies_is_remembered_for_a_while_and_longer_each_time() {
    let (sessions, script) = personal();
    let denied = AssumeError::Denied("AccessDenied: not authorized to perform: sts:TagSession".to_owned());
    script.always(Some(denied));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(10) {
        let error = key_of(&sessions, &person(1)).await.unwrap_err();
        assert!(error.contains("sts:TagSession"), "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let times = script.times();
    assert!((10..=15).contains(&times), "{times} in ten minutes");
    assert_eq!(counted(&sessions, "denied"), times as u64);
    // Somebody else's is asked for all the same, and once it is allowed all is well.
    script.always(None);
    assert!(key_of(&sessions, &person(2)).await.is_ok());
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(key_of(&sessions, &person(1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out() {
    let (sessions, script) = personal();
    let throttled = AssumeError::Throttled("Throttling: Rate exceeded".to_owned());
    script.line.lock().unwrap().extend([throttled.clone(), throttled]);
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA3".to_owned()));
    assert_eq!((counted(&sessions, "throttled"), counted(&sessions, "ok")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_people_ask_once_each_a_few_at_a_time_and_stay_bounded() {
    let (sessions, script) = personal();
    for _ in 0..2 {
        // In groups that wait for STS no longer than a call does.
        for group in 0..10 {
            let mut calls = tokio::task::JoinSet::new();
            for number in 0..1_000 {
                let sessions = Arc::clone(&sessions);
                calls.spawn(async move { key_of(&sessions, &person(group * 1_000 + number)).await });
            }
            let keys = calls.join_all().await;
            assert!(keys.iter().all(Result::is_ok), "{:?}", keys.iter().find(|key| key.is_err()));
        }
    }
    assert_eq!((script.times(), sessions.counts()[0].sessions), (10_000, 10_000));
    assert!(script.most_at_once.load(Ordering::SeqCst) <= TURNS);
}

#[test]
fn those_that_were_used_longest_ago_make_room() {
    let personal = DashMap::new();
    let role = role("{principal}", &[("UserEmail", "{mail}")]);
    let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    for number in 0..30_000 {
        let someone = person(number);
        if personal.len() >= MOST {
            make_room(&personal);
        }
        let entry = Entry::new(role.request(&someone).unwrap());
        entry.current(at(number as u64));
        personal.insert(role.key(&someone).unwrap(), entry);
        assert!(personal.len() <= MOST);
        if let Some(first) = personal.get(&role.key(&person(0)).unwrap()) {
            first.current(at(number as u64));
        }
    }
    assert!(personal.contains_key(&role.key(&person(0)).unwrap()), "what is in use stays");
    assert!(personal.len() > MOST * 8 / 10);
    // All of one second: room is made all the same, and no more than is needed.
    for entry in &personal {
        entry.current(at(1_000_000));
    }
    let before = personal.len();
    make_room(&personal);
    assert_eq!(before - personal.len(), before / 10 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_bedrock_does_not_take_is_fetched_anew_once() {
    let (sessions, script) = personal();
    let signing = sessions.of(&account(), &person(1)).await.unwrap();
    // Quite new: STS is not asked by every call that is refused.
    assert!(sessions.refused(&signing));
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA1".to_owned()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..100 {
        assert!(sessions.refused(&signing));
    }
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA2".to_owned()));
    // Calls that were under way with the old one change nothing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(sessions.refused(&signing));
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA2".to_owned()));
    assert_eq!(script.times(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_fetched_to_its_end_for_a_caller_who_left() {
    let (sessions, script) = personal();
    let left = tokio::time::timeout(Duration::from_millis(10), key_of(&sessions, &person(1))).await;
    assert!(left.is_err());
    assert_eq!(key_of(&sessions, &person(1)).await, Ok("ASIA1".to_owned()));
    assert_eq!(script.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_longer_than_its_session_is_signed_with_the_newest() {
    let (sessions, script) = personal();
    let signing = sessions.of(&account(), &person(1)).await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(signing.clone().newest(sessions.clock.now()).is_err());
    key_of(&sessions, &person(1)).await.unwrap();
    let newest = signing.newest(sessions.clock.now()).unwrap();
    assert_eq!((newest.session().unwrap().0.access_key_id.as_str(), script.times()), ("ASIA2", 2));
}
