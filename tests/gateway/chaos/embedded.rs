//! One gateway after the other on one file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate::budget::StoreFile;

use super::*;

/// Lets many callers call until one gateway has answered `answers` times, and kills it.
async fn round(place: &Place, number: u64, answers: usize) -> usize {
    let (mut gateway, address) = place.gateway();
    let (over, answered, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (_, owner, _) = PROFILES[usize::try_from(caller % 3).unwrap()];
            let key = place.keys[owner].clone();
            let (over, answered, refused) = (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut next = caller + number;
                while !over.load(Ordering::Relaxed) {
                    match call(address, &key, next).await {
                        Some(200) => answered.fetch_add(1, Ordering::Relaxed),
                        Some(402) => refused.fetch_add(1, Ordering::Relaxed),
                        Some(other) => panic!("{other}"),
                        None => 0,
                    };
                    next += 1;
                }
            })
        })
        .collect();
    eventually("so many answers", async || (answered.load(Ordering::Relaxed) >= answers).then_some(())).await;
    gateway.kill();
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    refused.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_exceed_no_budget() {
    let rounds = number("TOLLGATE_CHAOS_ROUNDS", 3);
    let place = Place::new("").await;
    let mut refused = 0;
    for number in 0..rounds {
        let answers = 20 + usize::try_from(number * 37 % 50).unwrap();
        refused += round(&place, number, answers).await;
    }
    answered_to_the_end(&place).await;
    let (mut last, _) = place.gateway();
    last.stop();

    let file = StoreFile::open(&place.path("tollgate.db")).unwrap();
    let bill = file.bill().unwrap();
    let crashed = agree(&bill, &file.counters().unwrap(), &place.bedrock.received());
    assert!(crashed > 0, "no call ran at any kill: the run proves nothing");
    assert!(refused > 0, "alice's budget was never exhausted: the run proves nothing");
    println!("{rounds} kills, {} calls, {crashed} settled at their reservation, {refused} refused", bill.calls());
}

const CALLERS: u64 = 24;
