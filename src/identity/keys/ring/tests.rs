//! The ring: what a key is worth, and how a changed file is taken up.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::file::{KeyFile, KeyFileError};
use super::super::key::Key;
use super::super::record::{Amendment, Description};
use super::super::root::RootKey;
use super::super::store::{Amended, Answer, KeyStore};
use super::super::watched::WatchedFile;
use super::*;

const NOON: u64 = 1_795_262_400; // 2026-11-21T12:00:00Z

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn stamp(seconds: u64) -> Timestamp {
    Timestamp::try_from(at(seconds)).unwrap()
}

fn record(key: &Key) -> KeyRecord {
    KeyRecord::of(key, "alice", stamp(NOON))
}

fn standing(ring: &KeyRing, key: &Key, now: u64) -> Standing {
    ring.standing(&PresentedKey::parse(key.expose().as_bytes()).unwrap(), at(now))
}

async fn open(file: &KeyFile) -> Result<Arc<KeyRing>, KeyStoreError> {
    KeyRing::open(Arc::new(WatchedFile::new(file.clone()))).await.map(Arc::new)
}

/// A store that tells of changes when it is let, each once.
#[derive(Debug)]
struct Telling {
    let_on: Semaphore,
    changes: std::sync::Mutex<Vec<Vec<KeyRecord>>>,
    /// When it was told that keys were taken.
    used: std::sync::Mutex<Vec<(KeyId, Timestamp)>>,
}

impl Telling {
    /// What it tells of, the last first.
    fn of(changes: Vec<Vec<KeyRecord>>) -> (Arc<Self>, Arc<KeyRing>) {
        let changes = std::sync::Mutex::new(changes);
        let store = Arc::new(Self { let_on: Semaphore::new(0), changes, used: std::sync::Mutex::default() });
        let ring = Arc::new(KeyRing::waiting_for(Arc::clone(&store) as SharedKeyStore));
        (store, ring)
    }
}

impl KeyStore for Telling {
    fn read(&self) -> Answer<'_, Vec<KeyRecord>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn changed(&self) -> Answer<'_, Option<Vec<KeyRecord>>> {
        Box::pin(async {
            let told = self.changes.lock().unwrap().pop();
            self.let_on.acquire().await.unwrap().forget();
            Ok(told)
        })
    }

    fn add(&self, _: Vec<KeyRecord>) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn amend(&self, id: KeyId, _: Amendment) -> Answer<'_, Amended> {
        Box::pin(async move { Err(KeyStoreError::NoSuchKey { place: self.place(), id }) })
    }

    fn used(&self, used: Vec<(KeyId, Timestamp)>) -> Answer<'_, ()> {
        self.used.lock().unwrap().extend(used);
        Box::pin(async { Ok(()) })
    }

    fn place(&self) -> String {
        "here".to_owned()
    }
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_is_taken_up_all_the_same_and_in_its_order() {
    let key = Key::generate().unwrap();
    let revoked = KeyRecord { revoked: Some(stamp(NOON)), ..record(&key) };
    let (store, ring) = Telling::of(vec![vec![revoked], vec![record(&key)]]);
    for _ in 0..2 {
        tokio::select! {
            biased;
            _ = ring.refresh() => panic!("the store has not answered"),
            () = std::future::ready(()) => {}
        }
    }
    store.let_on.add_permits(3);
    assert!(matches!(ring.refresh().await, Refresh::Unchanged));
    assert!(matches!(standing(&ring, &key, NOON), Standing::Revoked { .. }));
}

#[tokio::test]
async fn a_revocation_that_was_seen_stays_also_where_the_store_has_lost_it() {
    let key = Key::generate().unwrap();
    let revoked = KeyRecord { revoked: Some(stamp(NOON)), ..record(&key) };
    let (store, ring) = Telling::of(vec![vec![record(&key)], vec![revoked]]);
    store.let_on.add_permits(2);
    for _ in 0..2 {
        assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 1 }));
        assert!(matches!(standing(&ring, &key, NOON), Standing::Revoked { .. }));
    }
}

#[test]
fn a_key_is_live_until_the_instant_it_expires() {
    let key = Key::generate().unwrap();
    let expiring = KeyRecord { expires: Some(stamp(NOON + 60)), ..record(&key) };
    let ring = KeyRing::holding([expiring.clone()]);
    assert!(matches!(standing(&ring, &key, NOON + 59), Standing::Live(held) if held.record == expiring));
    assert!(matches!(standing(&ring, &key, NOON + 60), Standing::Expired { at } if at == stamp(NOON + 60)));
    let beyond = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 20_000);
    let presented = PresentedKey::parse(key.expose().as_bytes()).unwrap();
    assert!(matches!(ring.standing(&presented, beyond), Standing::Expired { at } if at == stamp(NOON + 60)));
}

#[test]
fn a_revoked_key_is_revoked_also_when_it_has_expired() {
    let key = Key::generate().unwrap();
    let ring =
        KeyRing::holding([KeyRecord { expires: Some(stamp(NOON)), revoked: Some(stamp(NOON + 100)), ..record(&key) }]);
    for now in [NOON - 1, NOON, NOON + 200] {
        assert!(matches!(standing(&ring, &key, now), Standing::Revoked { at } if at == stamp(NOON + 100)));
    }
}

#[test]
fn another_secret_under_a_known_id_learns_nothing_of_the_key() {
    let (known, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let mut stolen_id = record(&other);
    stolen_id.id = known.id();
    stolen_id.revoked = Some(stamp(NOON));
    let ring = KeyRing::holding([stolen_id]);
    assert!(matches!(standing(&ring, &known, NOON), Standing::WrongSecret));
    assert!(matches!(standing(&ring, &other, NOON), Standing::Unknown));
}

#[test]
fn an_access_key_is_no_bearer_key_whatever_secret_comes_with_its_id() {
    let key = Key::generate().unwrap();
    let root = RootKey::read(&"abcd".repeat(8)).unwrap().id();
    let ring = KeyRing::holding([KeyRecord::new(key.id(), Proof::SigV4(root), "alice", stamp(NOON))]);
    assert!(matches!(standing(&ring, &key, NOON), Standing::WrongSecret));
}

#[test]
fn a_hash_is_another_where_any_byte_of_it_differs() {
    let hash = KeyHash::new([7; 32]);
    assert!(hash.is(&KeyHash::new([7; 32])));
    for at in 0..32 {
        let mut other = [7; 32];
        other[at] = 6;
        assert!(!hash.is(&KeyHash::new(other)), "{at}");
    }
}

#[test]
fn only_live_keys_describe_people() {
    let described = |name: &str, change: fn(&mut KeyRecord)| {
        let described = Some(Description::default());
        let mut record = KeyRecord { described, principal: name.to_owned(), ..record(&Key::generate().unwrap()) };
        change(&mut record);
        record
    };
    let ring = KeyRing::holding([
        described("erin", |_| {}),
        described("later", |record| record.expires = Some(stamp(NOON + 60))),
        described("revoked", |record| record.revoked = Some(stamp(NOON))),
        record(&Key::generate().unwrap()),
    ]);
    let names = |now| {
        let mut names: Vec<_> = ring.described(at(now)).iter().map(|person| person.name().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(NOON + 59), ["erin", "later"]);
    assert_eq!(names(NOON + 60), ["erin"]);
}

#[tokio::test]
async fn a_store_is_told_once_of_each_minute_in_which_a_key_was_taken() {
    let (key, idle) = (Key::generate().unwrap(), Key::generate().unwrap());
    let records = || vec![record(&key), record(&idle)];
    let (store, ring) = Telling::of(vec![records(), records()]);
    store.let_on.add_permits(2);
    let told = || std::mem::take(&mut *store.used.lock().unwrap());
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 2 }));
    ring.note_used().await.unwrap();
    assert_eq!(told(), []);
    for now in [NOON + 61, NOON + 119] {
        assert!(matches!(standing(&ring, &key, now), Standing::Live(_)));
    }
    // What was taken before a look is told after it, and not a second time.
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 2 }));
    for expected in [vec![(key.id(), stamp(NOON + 60))], vec![]] {
        ring.note_used().await.unwrap();
        assert_eq!(told(), expected);
    }
    store.changes.lock().unwrap().push(records());
    store.let_on.add_permits(1);
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 2 }));
    ring.note_used().await.unwrap();
    assert_eq!(told(), [], "nor after the next look");
    assert!(matches!(standing(&ring, &key, NOON + 120), Standing::Live(_)));
    ring.note_used().await.unwrap();
    assert_eq!(told(), [(key.id(), stamp(NOON + 120))]);
}

#[tokio::test]
async fn a_revocation_is_seen_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let ring = open(&file).await.unwrap();
    assert!(ring.is_empty());
    assert!(matches!(ring.refresh().await, Refresh::Unchanged));

    let key = Key::generate().unwrap();
    file.add(vec![record(&key)]).unwrap();
    assert!(matches!(standing(&ring, &key, NOON), Standing::Unknown), "not before a look");
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 1 }));
    assert!(matches!(standing(&ring, &key, NOON), Standing::Live(held) if held.record == record(&key)));
    assert!(matches!(ring.refresh().await, Refresh::Unchanged));

    file.amend(key.id(), Amendment::Revoke(stamp(NOON + 5))).unwrap();
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 1 }));
    assert!(matches!(standing(&ring, &key, NOON), Standing::Revoked { at } if at == stamp(NOON + 5)));
}

#[tokio::test]
async fn a_replacement_of_the_same_length_is_seen_however_soon_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let keys: Vec<_> = (0..30).map(|_| Key::generate().unwrap()).collect();
    let ring = open(&file).await.unwrap();
    for key in &keys {
        // Each file has one key and the same size, and the inode of the one before last is free again.
        drop(fs::remove_file(file.path()));
        file.add(vec![record(key)]).unwrap();
        assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 1 }));
        assert!(matches!(standing(&ring, key, NOON), Standing::Live(_)));
    }
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_keys_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let key = Key::generate().unwrap();
    file.add(vec![record(&key)]).unwrap();
    let good = fs::read(file.path()).unwrap();
    let ring = open(&file).await.unwrap();

    OpenOptions::new().append(true).open(file.path()).unwrap().write_all(b"oops").unwrap();
    let Refresh::Broken(error) = ring.refresh().await else { panic!("it says so") };
    assert!(error.to_string().contains("malformed"), "{error}");
    assert!(matches!(ring.refresh().await, Refresh::StillBroken));
    assert!(matches!(standing(&ring, &key, NOON), Standing::Live(_)));

    fs::write(file.path(), "{").unwrap();
    assert!(matches!(ring.refresh().await, Refresh::Broken(_)), "a new reason is told");
    fs::write(file.path(), good).unwrap();
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 1 }));
    assert!(matches!(ring.refresh().await, Refresh::Unchanged));
}

#[tokio::test]
async fn a_file_that_is_taken_away_takes_its_keys_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let key = Key::generate().unwrap();
    file.add(vec![record(&key)]).unwrap();
    let ring = open(&file).await.unwrap();
    fs::remove_file(file.path()).unwrap();
    assert!(matches!(ring.refresh().await, Refresh::Reloaded { keys: 0 }));
    assert!(matches!(standing(&ring, &key, NOON), Standing::Unknown));
    assert!(matches!(ring.refresh().await, Refresh::Unchanged));
}

#[tokio::test]
async fn a_broken_file_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    fs::write(&path, "nonsense").unwrap();
    assert!(matches!(open(&KeyFile::new(path)).await, Err(KeyStoreError::File(KeyFileError::Malformed { .. }))));
}
