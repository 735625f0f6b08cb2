//! When an issuer is asked for its keys, how, and what is taken for an answer.

use std::io::Write as _;

use super::*;

impl Place {
    async fn told(&self, token: &str) -> Result<Arc<Principal>, TokenFault> {
        self.issuers.verify(token, at(NOON)).await
    }

    fn lie(&self, lies: Lies) {
        *self.publisher.lies.lock().unwrap() = lies;
    }

    fn publish(&self, keys: Vec<Value>) {
        *self.publisher.keys.lock().unwrap() = keys;
    }

    fn be_down(&self, down: bool) {
        *self.publisher.down.lock().unwrap() = down;
    }

    fn be_slow(&self, delay: Duration) {
        *self.publisher.delay.lock().unwrap() = delay;
    }

    /// Why its keys cannot be had.
    fn unavailable(&self) -> String {
        match self.claims(&claims()) {
            Err(TokenFault::Unavailable(why)) => why,
            told => panic!("{told:?}"),
        }
    }
}

async fn pass(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn while_there_are_no_keys_it_is_asked_again_soon_and_then_less_often() {
    let place = Place::new(settings());
    let token = place.pair.sign(&claims());
    place.be_down(true);
    for (attempt, pause) in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0].into_iter().enumerate() {
        for _ in 0..3 {
            assert!(matches!(place.told(&token).await, Err(TokenFault::Unavailable(_))));
            assert_eq!(place.asked(), attempt + 1);
        }
        pass(pause - 0.01).await;
        assert!(place.told(&token).await.is_err());
        assert_eq!(place.asked(), attempt + 1, "not yet after {pause} s");
        pass(0.02).await;
    }
    place.be_down(false);
    assert!(place.told(&token).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_makes_it_be_asked_again_after_half_a_minute() {
    let place = Place::new(settings());
    assert!(place.told(&place.pair.sign(&claims())).await.is_ok());
    let next = Pair::new("two", Algorithm::ES256);
    let token = next.sign(&claims());
    place.publish(vec![next.published()]);
    pass(29.9).await;
    assert_eq!(place.told(&token).await.unwrap_err(), TokenFault::UnknownKey);
    assert_eq!(place.asked(), 2);
    pass(0.2).await;
    assert_eq!(place.told(&token).await.unwrap().name(), "alice@example.com");
    assert_eq!(place.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn with_keys_there_a_failure_does_not_make_it_be_asked_sooner() {
    let place = Place::new(settings());
    assert!(place.told(&place.pair.sign(&claims())).await.is_ok());
    let token = Pair::new("two", Algorithm::ES256).sign(&claims());
    place.be_down(true);
    pass(31.0).await;
    for _ in 0..3 {
        assert_eq!(place.told(&token).await.unwrap_err(), TokenFault::UnknownKey);
        pass(9.0).await;
    }
    assert_eq!(place.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn callers_who_hang_up_leave_the_question_to_those_who_come_after_them() {
    let place = Place::new(settings());
    let token = place.pair.sign(&claims());
    place.be_slow(Duration::from_secs(3));
    for _ in 0..50 {
        let hurried = tokio::time::timeout(Duration::from_millis(50), place.told(&token)).await;
        assert!(hurried.is_err(), "it hung up");
    }
    assert_eq!(place.asked(), 1, "one question, whoever waits for it");
    let (one, other) = tokio::join!(place.told(&token), place.told(&token));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(place.asked(), 2);

    // And what they leave behind counts: half a minute begins with it.
    let unknown = Pair::new("two", Algorithm::ES256).sign(&claims());
    pass(31.0).await;
    for _ in 0..50 {
        let _ = tokio::time::timeout(Duration::from_millis(200), place.told(&unknown)).await;
    }
    assert_eq!(place.told(&unknown).await.unwrap_err(), TokenFault::UnknownKey);
    assert_eq!(place.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn half_a_minute_begins_when_an_answer_has_come() {
    let place = Place::new(settings());
    assert!(place.told(&place.pair.sign(&claims())).await.is_ok());
    let unknown = Pair::new("two", Algorithm::ES256).sign(&claims());
    pass(31.0).await;
    place.be_slow(Duration::from_secs(10));
    for (pause, asked) in [(0.0, 4), (29.9, 4), (0.2, 6)] {
        pass(pause).await;
        assert_eq!(place.told(&unknown).await.unwrap_err(), TokenFault::UnknownKey);
        assert_eq!(place.asked(), asked, "after {pause} s more");
    }
}

#[test]
fn what_another_issuer_publishes_is_not_taken() {
    let place = Place::new(settings());
    place.lie(Lies { issuer: Some("https://evil.example.com"), ..Lies::default() });
    let why = place.unavailable();
    assert!(why.contains("is of another issuer, https://evil.example.com"), "{why}");
    assert_eq!(place.asked(), 1, "its keys are not even asked for");
}

#[test]
fn only_200_is_an_answer() {
    for status in [201, 203, 206, 304, 404, 500] {
        let place = Place::new(settings());
        place.lie(Lies { status: Some(status), ..Lies::default() });
        let why = place.unavailable();
        assert!(why.ends_with(&format!("was answered with {status}")), "{why}");
    }
}

#[test]
fn keys_are_asked_for_over_https_or_on_this_machine() {
    for (url, taken) in [
        ("https://issuer.example.com/keys", true),
        ("http://localhost:8080/keys", true),
        ("http://127.0.0.1/keys", true),
        ("http://[::1]:1/keys", true),
        ("http://issuer.example.com/keys", false),
        ("http://localhost.example.com/keys", false),
        ("http://127.0.0.1.example.com/keys", false),
        ("http://127.0.0.2/keys", false),
        ("ftp://localhost/keys", false),
        ("/keys", false),
        ("issuer.example.com/keys", false),
        ("", false),
    ] {
        let place = Place::new(IssuerSettings { jwks_url: Some(url.to_owned()), ..settings() });
        assert_eq!(place.claims(&claims()).is_ok(), taken, "{url}");
        assert_eq!(place.asked(), usize::from(taken), "{url}");
    }
    let place = Place::new(settings());
    place.lie(Lies { jwks_uri: Some("http://issuer.example.com/keys"), ..Lies::default() });
    assert_eq!(place.unavailable(), "http://issuer.example.com/keys is no https URL", "nor where discovery says so");
    assert_eq!(place.asked(), 1);
}

#[test]
fn the_token_of_a_file_is_shown_to_it_and_read_each_time() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "of-the-pod").unwrap();
    let place = Place::new(IssuerSettings { token_file: Some(file.path().to_owned()), ..settings() });
    assert!(place.claims(&claims()).is_ok());
    let shown = || std::mem::take(&mut *place.publisher.shown.lock().unwrap());
    assert_eq!(shown(), [Some("Bearer of-the-pod".to_owned()), Some("Bearer of-the-pod".to_owned())]);
    std::fs::write(file.path(), "anew").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(place.issuers.refresh());
    assert_eq!(shown(), [Some("Bearer anew".to_owned()), Some("Bearer anew".to_owned())]);

    let place = Place::new(settings());
    assert!(place.claims(&claims()).is_ok());
    assert_eq!(*place.publisher.shown.lock().unwrap(), [None, None], "without a file nothing is shown");
    let place = Place::new(IssuerSettings { token_file: Some("/nowhere/token".into()), ..settings() });
    assert!(place.unavailable().starts_with("/nowhere/token: "));
    assert_eq!(place.asked(), 0);
}

#[test]
fn a_key_signs_by_the_algorithm_that_is_published_with_it() {
    for (algorithm, taken) in [
        (json!("RS256"), true),
        (json!(null), true),
        (json!("RS512"), false),
        (json!("PS256"), false),
        (json!("ES256"), false),
        (json!("RSA-OAEP-256"), false),
        (json!("XX999"), false),
    ] {
        let place = Place::new(settings());
        let mut key = place.pair.published();
        key["alg"] = algorithm.clone();
        place.publish(vec![key]);
        let told = place.claims(&claims());
        assert_eq!(told.as_ref().err(), (!taken).then_some(&TokenFault::UnknownKey), "{algorithm}");
    }
}

#[test]
fn a_key_for_something_else_than_signatures_is_none() {
    for (purpose, taken) in [(json!("sig"), true), (json!(null), true), (json!("enc"), false), (json!("other"), false)]
    {
        let place = Place::new(settings());
        let mut key = place.pair.published();
        key["use"] = purpose.clone();
        place.publish(vec![key]);
        if taken {
            assert!(place.claims(&claims()).is_ok(), "{purpose}");
        } else {
            assert!(place.unavailable().contains("publishes no key that can be used"), "{purpose}");
        }
    }
}

#[test]
fn a_key_signs_by_the_algorithms_of_its_kind_where_none_is_published_with_it() {
    let place = Place::new(settings());
    let mut key = place.pair.published();
    key["alg"] = json!(null);
    place.publish(vec![key]);
    assert!(place.claims(&claims()).is_ok());
    let of_another_kind = Pair::new("one", Algorithm::ES256).sign(&claims());
    assert_eq!(place.verify(&of_another_kind, NOON).unwrap_err(), TokenFault::UnknownKey);
}

#[test]
fn a_key_without_an_id_is_none_for_a_token_that_names_one() {
    let place = Place::new(settings());
    let mut key = place.pair.published();
    key.as_object_mut().unwrap().remove("kid");
    place.publish(vec![key]);
    assert_eq!(place.claims(&claims()).unwrap_err(), TokenFault::UnknownKey);
    let nameless = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(), &place.pair.key).unwrap();
    assert!(place.verify(&nameless, NOON).is_ok());
}
