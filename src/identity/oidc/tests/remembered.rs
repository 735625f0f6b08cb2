//! What is remembered of tokens that were verified: for how long, and how many.

use super::*;
use crate::types::Tags;

#[tokio::test]
async fn keys_that_are_as_before_leave_what_they_have_verified_and_others_do_not() {
    let place = Place::new(settings());
    let token = place.pair.sign(&claims());
    let known = |now| place.issuers.known(&token, at(now)).is_some();
    assert!(!known(NOON), "nobody has verified it yet");
    assert!(place.issuers.verify(&token, at(NOON)).await.is_ok());
    place.issuers.refresh().await;
    assert_eq!(place.asked(), 4);
    assert!(known(NOON + 659) && !known(NOON + 660));
    *place.publisher.keys.lock().unwrap() = vec![Pair::new("two", Algorithm::ES256).published()];
    place.issuers.refresh().await;
    assert!(!known(NOON));
}

#[test]
fn no_more_are_remembered_than_there_is_room_for_and_what_is_over_makes_room() {
    let place = Place::new(settings());
    let count = || place.issuers.verified.read().unwrap().len();
    let remember = |number: usize, now: i64| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        let issuer = Arc::clone(&place.issuers.issuers[0]);
        let principal = Arc::new(Principal::new("alice", vec![], Tags::default()));
        let verified = Verified { principal, until: NOON + 60, generation: issuer.generation(), issuer };
        place.issuers.remember(hash, verified, Timestamp::from_second(now).unwrap());
    };
    for number in 0..=MOST_REMEMBERED {
        remember(number, NOON);
    }
    assert_eq!(count(), MOST_REMEMBERED);
    remember(MOST_REMEMBERED, NOON + 60);
    assert_eq!(count(), 1, "the others are over");
    (0..MOST_REMEMBERED).for_each(|number| remember(number, NOON));
    assert!(place.claims(&claims()).is_ok());
    assert_eq!(count(), 1, "the others were verified by keys from before");
}
