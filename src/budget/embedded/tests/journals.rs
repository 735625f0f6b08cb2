//! Where journals cannot be written, or are told of too little.

use super::*;

#[tokio::test]
async fn where_the_journal_cannot_be_written_a_hard_budget_refuses_and_the_next_call_asks_for_a_transaction() {
    let place = Place::new();
    let (store, _) = place.open();
    lock_book(&store.book).journal.as_mut().unwrap().spoil();
    let refused = reserve(&store, &booking("alice", 100)).await;
    assert!(matches!(&refused, Err(ReserveError::Store(error)) if error.0.contains("journal")), "{refused:?}");
    assert_eq!(usd(&store, "alice").await, (0, 0));
    reserve(&store, &booking("alice", 300)).await.unwrap();
    let rows = StoreFile::open(&place.options().path).unwrap().counters().unwrap();
    assert_eq!(dollars_of(&rows, None), (0, 300));
}

#[tokio::test]
async fn a_call_that_was_given_back_is_settled_at_nothing_by_the_next_start_too() {
    let place = Place::new();
    let (store, _) = place.open();
    let call = booking("alice", 300);
    reserve(&store, &call).await.unwrap();
    store.settle(released(&call));
    store.bill().await.unwrap();
    let killed = place.killed();
    store.close().await;
    drop(store);
    for place in [place, killed] {
        let (store, recovered) = place.open();
        assert_eq!((recovered, usd(&store, "alice").await), (Recovered::default(), (0, 0)));
    }
}

#[tokio::test]
async fn what_a_journal_could_not_be_told_of_is_not_counted_again_from_it() {
    let place = Place::new();
    let (store, _) = place.open();
    let (call, next) = (booking("alice", 300), booking("alice", 50));
    reserve(&store, &call).await.unwrap();
    lock_book(&store.book).journal.as_mut().unwrap().spoil();
    store.settle(settlement(&call, 100));
    store.bill().await.unwrap();
    let killed = place.killed();
    let (again, recovered) = killed.open();
    assert_eq!((recovered, usd(&again, "alice").await), (Recovered::default(), (100, 0)));
    reserve(&store, &next).await.unwrap();
    let (again, recovered) = place.killed().open();
    assert_eq!(recovered, Recovered { calls: 1, cost: Money::from_nanos(50) });
    assert_eq!(usd(&again, "alice").await, (150, 0));
}

#[tokio::test]
async fn without_a_next_journal_nothing_is_written_and_hard_budgets_refuse() {
    let place = Place::new();
    let (store, _) = place.open();
    let call = booking("alice", 300);
    reserve(&store, &call).await.unwrap();
    store.bill().await.unwrap();
    // A folder stands where the journal after the next would.
    let number = |path: &Path| path.to_str()?.rsplit_once("-journal-")?.1.parse::<u64>().ok();
    let files = || std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let last = files().filter_map(|path| number(&path)).max().unwrap();
    let mut name = place.options().path.into_os_string();
    name.push(format!("-journal-{}", last + 1));
    std::fs::create_dir(&name).unwrap();
    store.settle(settlement(&call, 100));
    assert!(store.bill().await.unwrap_err().0.contains("its next journal cannot be begun"));
    let refused = reserve(&store, &booking("alice", 10)).await;
    assert!(matches!(&refused, Err(ReserveError::Store(error)) if error.0.contains("journal")), "{refused:?}");
    std::fs::remove_dir(&name).unwrap();
    assert_eq!(store.bill().await.unwrap().cost().nanos(), 100);
    let (again, recovered) = place.killed().open();
    assert_eq!((recovered, usd(&again, "alice").await), (Recovered::default(), (100, 0)));
}
