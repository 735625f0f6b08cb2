//! What every key store has to do, tried on each.

use std::sync::Arc;

use jiff::Timestamp;

use crate::budget::{EmbeddedKeys, SharedKeys, SharedOptions};
use crate::identity::keys::{
    Amended, Amendment, Description, Key, KeyFile, KeyId, KeyRecord, KeyStore, KeyStoreError, Proof, RootKey,
    WatchedFile,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_262_400 + seconds).unwrap()
}

fn bearer(principal: &str, seconds: i64) -> KeyRecord {
    KeyRecord::of(&Key::generate().unwrap(), principal, at(seconds))
}

/// Two gateways, or a gateway and a command, have the same keys: what one writes the other sees.
async fn conducts_itself(one: &dyn KeyStore, other: &dyn KeyStore) {
    assert_eq!(one.read().await.unwrap(), []);
    assert_eq!(other.changed().await.unwrap(), Some(vec![]), "all of it, at first");
    assert_eq!(other.changed().await.unwrap(), None);

    let plain = bearer("alice", 0);
    let root = RootKey::read(&"r".repeat(32)).unwrap();
    let full = KeyRecord {
        described: Some(Description {
            groups: vec!["eng".to_owned(), "ops".to_owned()],
            tags: [("UserEmail".to_owned(), "bob@example.com".to_owned())].into(),
        }),
        expires: Some(at(500)),
        replaces: Some(plain.id),
        note: "CI, \"quoted\"".to_owned(),
        ..KeyRecord::new(KeyId::generate().unwrap(), Proof::SigV4(root.id()), "bob@example.com", at(1))
    };
    one.add(vec![plain.clone(), full.clone()]).await.unwrap();
    assert_eq!(other.changed().await.unwrap(), Some(vec![plain.clone(), full.clone()]));
    assert_eq!(other.read().await.unwrap(), [plain.clone(), full.clone()]);
    assert_eq!(other.changed().await.unwrap(), None);

    let new = bearer("carol", 2);
    let twice = one.add(vec![new.clone(), plain.clone()]).await.unwrap_err();
    assert!(twice.to_string().contains(&plain.id.to_string()), "{twice}");
    assert_eq!(other.read().await.unwrap().len(), 2, "all or none");

    let revoked = KeyRecord { revoked: Some(at(10)), ..plain.clone() };
    assert_eq!(one.amend(plain.id, Amendment::Revoke(at(10))).await.unwrap(), Amended::Done(revoked.clone()));
    assert_eq!(other.amend(plain.id, Amendment::Revoke(at(20))).await.unwrap(), Amended::AsBefore(revoked.clone()));
    let sooner = KeyRecord { expires: Some(at(100)), ..full.clone() };
    assert_eq!(other.amend(full.id, Amendment::ExpireBy(at(100))).await.unwrap(), Amended::Done(sooner.clone()));
    assert_eq!(one.amend(full.id, Amendment::ExpireBy(at(200))).await.unwrap(), Amended::AsBefore(sooner.clone()));
    assert_eq!(other.changed().await.unwrap(), Some(vec![revoked, sooner.clone()]));
    let unknown = one.amend(new.id, Amendment::Revoke(at(0))).await.unwrap_err().to_string();
    assert!(unknown.contains(&new.id.to_string()) && unknown.contains("key list"), "{unknown}");
    assert!(!one.place().is_empty());
}

/// What became of a key in use is kept, and makes nobody read all keys again.
async fn remembers_use(one: &dyn KeyStore, other: &dyn KeyStore) {
    let key = bearer("alice", 0);
    one.add(vec![key.clone()]).await.unwrap();
    other.changed().await.unwrap();
    one.used(vec![(key.id, at(60))]).await.unwrap();
    assert_eq!(other.changed().await.unwrap(), None);
    let found = other.read().await.unwrap().into_iter().find(|record| record.id == key.id).unwrap();
    assert_eq!(found.used, Some(at(60)));
    one.amend(key.id, Amendment::Revoke(at(70))).await.unwrap();
    let found = other.read().await.unwrap().into_iter().find(|record| record.id == key.id).unwrap();
    assert_eq!((found.used, found.revoked), (Some(at(60)), Some(at(70))));
}

#[tokio::test]
async fn a_keys_file_is_a_key_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = || WatchedFile::new(KeyFile::new(folder.path().join("keys.json")));
    conducts_itself(&file(), &file()).await;
}

#[tokio::test]
async fn the_embedded_store_is_a_key_store_also_beside_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.db");
    let keys = || EmbeddedKeys::new(&path);
    conducts_itself(&keys(), &keys()).await;
    remembers_use(&keys(), &keys()).await;
    let options = crate::budget::EmbeddedOptions {
        path: path.clone(),
        durability: crate::budget::Durability::Process,
        retention: std::time::Duration::from_hours(24),
    };
    let (gateway, _) = crate::budget::EmbeddedStore::open(&options, Arc::new(crate::types::SystemClock)).unwrap();
    assert_eq!(keys().read().await.unwrap().len(), 3);
    keys().add(vec![bearer("dave", 5)]).await.unwrap();
    drop(gateway);
    assert_eq!(keys().read().await.unwrap().len(), 4);
    std::fs::write(folder.path().join("other.db"), "no database, and long enough to be taken for one").unwrap();
    let broken = EmbeddedKeys::new(&folder.path().join("other.db")).read().await.unwrap_err();
    assert!(matches!(broken, KeyStoreError::Store { .. }), "{broken}");
}

#[tokio::test]
async fn a_shared_server_is_a_key_store() {
    let server = super::server::Server::start();
    let keys = || SharedKeys::new(&SharedOptions::at(server.url())).unwrap();
    let (one, other) = (keys(), keys());
    conducts_itself(&one, &other).await;
    remembers_use(&one, &other).await;
    let away = SharedKeys::new(&SharedOptions::at("redis://127.0.0.1:1/".to_owned())).unwrap();
    assert!(matches!(away.read().await, Err(KeyStoreError::Store { .. })));
}
