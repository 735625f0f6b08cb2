//! How often STS is asked, by how many at once, and what becomes of Regions that cannot be reached.

use std::future::poll_fn;
use std::task::Poll;

use super::*;

const AUDIENCE: &str = "tollgate.example.com";

impl Place {
    async fn told(&self, token: &str) -> Told {
        self.logins.verify(token, at(NOON)).await
    }

    fn be_away(&self, host: Option<&'static str>) {
        *self.sts.away.lock().unwrap() = host;
    }

    fn be_slow(&self, delay: Duration) {
        *self.sts.delay.lock().unwrap() = delay;
    }
}

/// A token for a Region; the number makes it another one.
fn of(region: &str, number: u64) -> String {
    presign(&credentials(), region, AUDIENCE, Duration::from_secs(600 + number), at(NOON)).unwrap()
}

fn unproven(told: &Told) -> bool {
    match told {
        Err(fault @ LoginFault::Unavailable(Outage::Unproven { .. })) => fault.is_a_guess(),
        _ => false,
    }
}

fn outage(told: &Told) -> bool {
    match told {
        Err(fault @ LoginFault::Unavailable(Outage::Sts(_))) => !fault.is_a_guess(),
        _ => false,
    }
}

/// Waits for all of them at once.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, output) in &mut all {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if all.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

async fn pass(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn an_invented_region_counts_against_its_caller_and_is_not_looked_up_again_at_once() {
    let place = Place::new(settings());
    place.be_away(Some("zz-east-9"));
    for number in 0..10 {
        let told = place.told(&of("zz-east-9", number)).await;
        assert!(unproven(&told), "{told:?}");
    }
    assert_eq!(place.asked(), 1);
    let text = place.told(&of("zz-east-9", 0)).await.unwrap_err().caller_text();
    assert!(text.contains("\"zz-east-9\"") && text.contains("try again in some seconds"), "{text}");
    assert!(place.told(&of("eu-west-1", 0)).await.is_ok(), "other Regions go on");
    assert_eq!(place.asked(), 2);
    pass(5_000).await;
    assert!(unproven(&place.told(&of("zz-east-9", 0)).await));
    assert_eq!(place.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_has_answered_is_no_fault_of_its_callers_when_it_goes_away() {
    let place = Place::new(settings());
    // Any answer proves that there is such a Region.
    *place.sts.status.lock().unwrap() = Some(403);
    assert!(matches!(place.told(&of("eu-west-1", 0)).await, Err(LoginFault::Refused(_))));
    *place.sts.status.lock().unwrap() = None;
    place.be_away(Some("eu-west-1"));
    assert!(outage(&place.told(&of("eu-west-1", 1)).await));
    assert!(outage(&place.told(&of("eu-west-1", 2)).await));
    assert_eq!(place.asked(), 2, "the others fail fast");
    place.be_away(None);
    assert!(outage(&place.told(&of("eu-west-1", 1)).await));
    pass(5_000).await;
    assert!(place.told(&of("eu-west-1", 1)).await.is_ok());
    assert!(place.told(&of("eu-west-1", 2)).await.is_ok(), "and nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_names_is_no_invention() {
    let regions = vec!["eu-west-1".to_owned()];
    let endpoint = Some("https://vpce-0123.sts.eu-west-1.vpce.amazonaws.com".to_owned());
    for settings in [AwsLoginSettings { regions, ..settings() }, AwsLoginSettings { endpoint, ..settings() }] {
        let place = Place::new(settings);
        place.be_away(Some("eu-west-1"));
        assert!(outage(&place.told(&of("eu-west-1", 0)).await));
        assert!(outage(&place.told(&of("eu-west-1", 1)).await));
        assert_eq!(place.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_one_endpoint_whatever_region_is_named() {
    let endpoint = Some("https://sts.example.com".to_owned());
    let place = Place::new(AwsLoginSettings { endpoint, ..settings() });
    place.be_away(Some("sts.example.com"));
    assert!(outage(&place.told(&of("eu-west-1", 0)).await));
    assert!(outage(&place.told(&of("us-east-1", 0)).await));
    assert_eq!(place.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn invented_regions_take_no_turn_of_the_others_and_nobody_waits_for_long() {
    let place = Place::new(settings());
    assert!(place.told(&of("eu-west-1", 0)).await.is_ok());
    place.be_slow(Duration::from_mins(1));
    let invented: Vec<_> = (1..=30).map(|number| of(&format!("zz-east-{number}"), 0)).collect();
    let begun = tokio::time::Instant::now();
    let flood = join_all(invented.iter().map(|token| async {
        let told = place.told(token).await;
        (told, begun.elapsed().as_secs())
    }));
    let honest = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        place.be_slow(Duration::ZERO);
        assert_eq!(place.asked(), 9);
        assert!(place.told(&of("eu-west-1", 1)).await.is_ok());
        assert_eq!(begun.elapsed().as_secs(), 1);
    };
    let (flood, ()) = tokio::join!(flood, honest);
    let busy: Vec<_> = flood.iter().filter(|(told, _)| told.is_err()).collect();
    assert_eq!(busy.len(), 22);
    for (told, after) in busy {
        let fault = told.clone().unwrap_err();
        assert_eq!((&fault, fault.is_a_guess(), *after), (&LoginFault::Unavailable(Outage::Busy), false, 5));
        assert!(fault.caller_text().contains("Try again in some seconds"));
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_are_asked_about_at_once_and_the_rest_wait_for_five_seconds() {
    let place = Place::new(settings());
    assert!(place.told(&of("eu-west-1", 0)).await.is_ok());
    place.be_slow(Duration::from_secs(4));
    let tokens: Vec<_> = (1..=200).map(|number| of("eu-west-1", number)).collect();
    let told = join_all(tokens.iter().map(|token| place.told(token))).await;
    // A second batch begins after four seconds; a third would after eight.
    assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 128);
    assert_eq!(place.asked(), 129);
}

#[tokio::test(start_paused = true)]
async fn equal_tokens_wait_for_one_answer() {
    let place = Place::new(settings());
    place.be_slow(Duration::from_secs(1));
    let (one, other) = (of("eu-west-1", 0), of("eu-west-1", 1));
    let told = join_all((0..50).map(|number| place.told(if number % 2 == 0 { &one } else { &other }))).await;
    assert!(told.iter().all(Result::is_ok));
    assert_eq!(place.asked(), 2);

    // A refusal too, and an outage.
    let place = Place::new(settings());
    place.be_slow(Duration::from_secs(1));
    *place.sts.status.lock().unwrap() = Some(500);
    let told = join_all((0..50).map(|_| place.told(&one))).await;
    assert!(told.iter().all(outage));
    assert_eq!(place.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_who_hang_up_leave_the_answer_to_those_who_come_after_them() {
    let place = Place::new(settings());
    let token = of("eu-west-1", 0);
    place.be_slow(Duration::from_secs(3));
    for _ in 0..20 {
        assert!(tokio::time::timeout(Duration::from_millis(100), place.told(&token)).await.is_err(), "it hung up");
    }
    assert_eq!(place.asked(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    place.be_away(Some("eu-west-1"));
    assert!(place.told(&token).await.is_ok(), "it is known already");
    assert_eq!(place.asked(), 1);
    assert!(place.logins.0.asking.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_being_asked_about_takes_no_second_turn() {
    let place = Place::new(settings());
    place.be_slow(Duration::from_secs(7));
    // As many as there are turns in a Region that has not answered yet, and longer than anybody waits for one.
    let tokens: Vec<_> = (0..8).map(|number| of("eu-west-1", number)).collect();
    let told = join_all(tokens.iter().chain(&tokens).map(|token| place.told(token))).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(place.asked(), 8);
}

#[tokio::test(start_paused = true)]
async fn equal_tokens_that_have_waited_for_a_turn_are_asked_about_once() {
    // All turns become free in the same moment, and the second finds the first asking.
    let place = Place::new(settings());
    place.be_slow(Duration::from_secs(2));
    let tokens: Vec<_> = (0..8).chain([8, 8]).map(|number| of("eu-west-1", number)).collect();
    let told = join_all(tokens.iter().map(|token| place.told(token))).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(place.asked(), 9);

    // One turn becomes free, and the second finds the answer that the first has had.
    let place = Place::new(settings());
    place.be_slow(Duration::from_mins(1));
    let (slow, quick) = (&tokens[..7], &tokens[7..]);
    let first = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        place.be_slow(Duration::from_secs(2));
        join_all(quick.iter().map(|token| place.told(token))).await
    };
    let (_, told) = tokio::join!(join_all(slow.iter().map(|token| place.told(token))), first);
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(place.asked(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_away_is_told_so_before_and_after_a_turn_was_waited_for() {
    let place = Place::new(settings());
    place.be_away(Some("zz-east-9"));
    place.be_slow(Duration::from_secs(2));
    let tokens: Vec<_> = (0..9).map(|number| of("zz-east-9", number)).collect();
    let told = join_all(tokens.iter().map(|token| place.told(token))).await;
    assert!(told.iter().all(unproven), "{told:?}");
    assert_eq!(place.asked(), 8, "the ninth found it away when its turn came");

    // Others hold every turn now, and nobody waits for one to hear what is known.
    place.be_slow(Duration::from_mins(1));
    let others: Vec<_> = (1..=8).map(|number| of(&format!("zz-east-{number}"), 0)).collect();
    let known = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = tokio::time::Instant::now();
        assert!(unproven(&place.told(&of("zz-east-9", 9)).await));
        assert!(begun.elapsed().is_zero());
    };
    tokio::join!(join_all(others.iter().map(|token| place.told(token))), known);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_all_ends_the_pause_of_its_region() {
    let place = Place::new(settings());
    place.be_slow(Duration::from_secs(3));
    let slow = of("eu-west-1", 0);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        place.be_slow(Duration::ZERO);
        place.be_away(Some("eu-west-1"));
        assert!(unproven(&place.told(&of("eu-west-1", 1)).await));
        place.be_away(None);
        assert!(unproven(&place.told(&of("eu-west-1", 2)).await), "it is not asked for a while");
    };
    let (told, ()) = tokio::join!(place.told(&slow), meanwhile);
    assert!(told.is_ok());
    assert!(place.told(&of("eu-west-1", 2)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_known_of_regions_than_there_could_be() {
    let desk = Desk::new(&settings());
    let count = |of: &str| format!("{desk:?}").matches(of).count();
    for number in 0..600 {
        desk.note(&format!("there-{number}"), None);
        desk.note(&format!("gone-{number}"), Some("no such host"));
        assert!(count("gone-") <= 512);
    }
    assert_eq!(count("there-"), 512);
    pass(5_000).await;
    desk.note("gone-0", Some("no such host"));
    assert_eq!(count("gone-"), 1, "what is over is forgotten");
}
