//! The keys file: what is written, by whom it can be read, and what concurrent writers leave.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use jiff::Timestamp;

use super::super::key::Key;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(principal: &str) -> KeyRecord {
    KeyRecord::of(&Key::generate().unwrap(), principal, at("2026-11-21T12:00:00Z"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_missing_file_has_no_keys_and_reading_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(KeyFile::new(folder.path().join("keys.json")).read().unwrap(), []);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn records_are_read_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let plain = record("alice");
    let full = KeyRecord {
        expires: Some(at("2027-01-01T00:00:00Z")),
        note: "CI, \"quoted\"\n".to_owned(),
        ..record("bob@example.com")
    };
    file.add(vec![plain.clone()]).unwrap();
    file.add(vec![full.clone()]).unwrap();
    assert_eq!(file.read().unwrap(), [plain, full]);
    assert_eq!(names(folder.path()), ["keys.json", "keys.json.lock"], "no temporary file stays");
}

#[test]
fn the_file_is_its_owners_alone_also_where_it_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    KeyFile::new(&path).add(vec![record("alice")]).unwrap();
    assert_eq!((mode(&path), mode(&beside(&path, ".lock"))), (0o600, 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    KeyFile::new(&path).add(vec![record("alice")]).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn the_file_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let key = Key::generate().unwrap();
    file.add(vec![KeyRecord::of(&key, "alice", at("2026-11-21T12:00:00Z"))]).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.contains(&key.id().to_string()) && !text.contains(&key.expose()[16..59]), "{text}");
}

#[test]
fn a_key_is_revoked_once_and_the_first_time_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let (one, other) = (record("alice"), record("alice"));
    file.add(vec![one.clone()]).unwrap();
    file.add(vec![other.clone()]).unwrap();
    let revoked = KeyRecord { revoked: Some(at("2026-11-22T00:00:00Z")), ..one.clone() };
    assert_eq!(
        file.amend(one.id, Amendment::Revoke(at("2026-11-22T00:00:00Z"))).unwrap(),
        Amended::Done(revoked.clone())
    );
    assert_eq!(
        file.amend(one.id, Amendment::Revoke(at("2026-11-23T00:00:00Z"))).unwrap(),
        Amended::AsBefore(revoked.clone())
    );
    assert_eq!(file.read().unwrap(), [revoked.clone(), other.clone()]);

    let until = |time: &str| file.amend(other.id, Amendment::ExpireBy(at(time))).unwrap();
    let expiring = KeyRecord { expires: Some(at("2026-11-24T00:00:00Z")), ..other.clone() };
    assert_eq!(until("2026-11-24T00:00:00Z"), Amended::Done(expiring.clone()));
    assert_eq!(until("2026-11-25T00:00:00Z"), Amended::AsBefore(expiring.clone()), "nor is its time made longer");
    assert_eq!(file.read().unwrap(), [revoked, expiring]);
}

#[test]
fn an_unknown_key_cannot_be_revoked_and_a_known_one_not_be_added() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let known = record("alice");
    file.add(vec![known.clone()]).unwrap();
    let before = fs::read(file.path()).unwrap();
    let unknown = Key::generate().unwrap().id();
    assert!(
        matches!(file.amend(unknown, Amendment::Revoke(Timestamp::UNIX_EPOCH)), Err(KeyFileError::NoSuchKey { id, .. }) if id == unknown)
    );
    assert!(matches!(file.add(vec![known.clone()]), Err(KeyFileError::Twice { id, .. }) if id == known.id));
    assert_eq!(fs::read(file.path()).unwrap(), before, "a change that fails writes nothing");
}

#[test]
fn writers_take_turns_and_readers_never_see_half_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let file = KeyFile::new(&path);
                scope.spawn(move || (0..8).for_each(|_| file.add(vec![record(&format!("writer-{writer}"))]).unwrap()))
            })
            .collect();
        let mut most = 0;
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let now = KeyFile::new(&path).read().expect("a reader sees a whole file").len();
            assert!(now >= most, "a key that was there is gone");
            most = now;
        }
    });
    assert_eq!(KeyFile::new(&path).read().unwrap().len(), 32, "no writer overwrote another");
}

#[test]
fn a_writer_that_was_killed_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    fs::write(beside(&path, ".new"), "{ half").unwrap();
    KeyFile::new(&path).add(vec![record("alice")]).unwrap();
    assert_eq!(KeyFile::new(&path).read().unwrap().len(), 1);
    assert_eq!(names(folder.path()), ["keys.json", "keys.json.lock"]);
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
    KeyFile::new(&real).add(vec![record("alice")]).unwrap();
    symlink(&real, &link).unwrap();
    KeyFile::new(&link).add(vec![record("bob")]).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(KeyFile::new(&real).read().unwrap().len(), 2);
}

#[test]
fn a_file_that_cannot_be_understood_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("keys.json"));
    let one = record("alice");
    let json = serde_json::to_string(&one).unwrap();
    for (text, part) in [
        (String::new(), "is malformed: EOF"),
        ("[]".to_owned(), "is malformed"),
        (r#"{"keys":[]}"#.to_owned(), "missing field `version`"),
        (r#"{"version":2,"keys":[],"salt":"x"}"#.to_owned(), "has version 2"),
        (r#"{"version":1,"keys":[],"salt":"x"}"#.to_owned(), "unknown field `salt`"),
        (format!(r#"{{"version":1,"keys":[{json}"#), "EOF"),
        (format!(r#"{{"version":1,"keys":[{json},{json}]}}"#), "twice"),
        (format!(r#"{{"version":1,"keys":[{}]}}"#, json.replace("principal", "owner")), "unknown field `owner`"),
        (
            format!(r#"{{"version":1,"keys":[{}]}}"#, json.replace(r#""hash":""#, r#""hash":"0"#)),
            "64 hexadecimal digits",
        ),
        (
            format!(r#"{{"version":1,"keys":[{}]}}"#, json.replace(r#""hash":"#, r#""root":"0123abcd","hash":"#)),
            "either a hash or a root",
        ),
        (
            format!(r#"{{"version":1,"keys":[{}]}}"#, json.replace(r#""id":""#, r#""id":"-"#)),
            "twelve letters and digits",
        ),
    ] {
        fs::write(file.path(), &text).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("keys.json"), "{text}: {error}");
        assert!(file.add(vec![record("bob")]).is_err(), "{text}: a broken file is not overwritten");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("absent").join("keys.json"));
    let error = file.add(vec![record("alice")]).unwrap_err().to_string();
    assert!(error.contains("absent") && error.contains("folder must exist"), "{error}");
}
