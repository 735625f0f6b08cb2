//! New keys: made, or made in the place of another.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::{Create, Desk, Rotate, expiry, told};
use crate::cli::{ExitCode, Streams};
use crate::identity::keys::{AccessKey, Amended, Amendment, Description, Key, KeyId, KeyRecord, Proof, RootKey};

/// A key that was made.
pub(super) struct Made {
    pub(super) credential: Credential,
    pub(super) record: KeyRecord,
    /// The key that it takes the place of, as it is now.
    pub(super) replaced: Option<KeyRecord>,
}

/// What its owner is shown, once.
pub(super) enum Credential {
    Bearer(Key),
    Access(AccessKey),
}

/// Makes a new root key: in a file of its own, or printed.
pub(super) fn root(out: Option<&Path>, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    if let Err(error) = getrandom::fill(bytes.as_mut_slice()) {
        writeln!(streams.err, "error: the system gives no randomness to make a key from: {error}")?;
        return Ok(ExitCode::Faulty);
    }
    let key = zeroize::Zeroizing::new(hex::encode(bytes.as_slice()) + "\n");
    match out {
        None => streams.out.write_all(key.as_bytes())?,
        Some(path) => {
            // An old one is never written over: the access keys that are made of it would be gone.
            let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let written = new.and_then(|mut file| file.write_all(key.as_bytes()).and_then(|()| file.sync_all()));
            if let Err(error) = written {
                writeln!(streams.err, "error: {} cannot be made: {error}", path.display())?;
                return Ok(ExitCode::Faulty);
            }
        }
    }
    let place = out.map_or_else(
        || "Keep it in a file that the gateway alone can read".to_owned(),
        |path| format!("It is in {}, for its owner alone to read; the gateway has to be that", path.display()),
    );
    writeln!(
        streams.err,
        "{place}. Name that file in [identity] root_key_files, and keep a copy: without it no access key that is made of it works any \
         more."
    )?;
    Ok(ExitCode::Fine)
}

impl Desk {
    pub(super) async fn create(&self, create: &Create, now: Timestamp) -> Result<Made, String> {
        let Create { principal, note, .. } = create;
        if principal.is_empty() || principal.len() > MAX_NAME_BYTES || principal.chars().any(char::is_control) {
            return Err(
                "--principal is empty, too long or has control characters: give the name of a principal".to_owned()
            );
        }
        if note.chars().count() > MAX_NOTE_CHARS || note.chars().any(char::is_control) {
            return Err(format!("--note takes one line of at most {MAX_NOTE_CHARS} characters"));
        }
        let described = self.described(create)?;
        let expires = expiry::of(&create.expiry, now)?;
        let root = if create.sigv4 { Some(self.root()?) } else { None };
        let (credential, id, proof) = new(root)?;
        let record =
            KeyRecord { described, expires, note: note.clone(), ..KeyRecord::new(id, proof, principal.as_str(), now) };
        self.keys.add(vec![record.clone()]).await.map_err(|error| told(&error))?;
        Ok(Made { credential, record, replaced: None })
    }

    pub(super) async fn rotate(&self, rotate: &Rotate, now: Timestamp) -> Result<Made, String> {
        let old = self.find(&rotate.id).await?;
        if old.revoked.is_some() || old.is_expired(now) {
            return Err(format!("key {} is not good any more: make a new one with `tollgate key create`", old.id));
        }
        let until = expiry::after("--overlap", &rotate.overlap, now)?;
        // Where nothing else is asked for it is good for as long as the old one was.
        let expires = match (expiry::of(&rotate.expiry, now)?, old.expires) {
            (Some(asked), _) => Some(asked),
            (None, None) => None,
            (None, Some(expires)) => {
                let lifetime = expires.duration_since(old.created);
                Some(now.checked_add(lifetime).map_err(|error| format!("the new key would end too late: {error}"))?)
            }
        };
        let root = match old.proof {
            Proof::Bearer(_) => None,
            Proof::SigV4(_) => Some(self.root()?),
        };
        let (credential, id, proof) = new(root)?;
        let record = KeyRecord { id, proof, created: now, expires, replaces: Some(old.id), used: None, ..old.clone() };
        // The new one first: if the second step fails, there are two good keys and not none.
        self.keys.add(vec![record.clone()]).await.map_err(|error| told(&error))?;
        let amended = self.keys.amend(old.id, Amendment::ExpireBy(until)).await.map_err(|error| told(&error))?;
        let (Amended::Done(replaced) | Amended::AsBefore(replaced)) = amended;
        Ok(Made { credential, record, replaced: Some(replaced) })
    }

    /// The groups and tags of a principal that the configuration does not list.
    fn described(&self, create: &Create) -> Result<Option<Description>, String> {
        let Create { principal, groups, tags, .. } = create;
        let listed = self.principals.as_ref().map(|known| known.contains(principal));
        let described = !groups.is_empty() || !tags.is_empty();
        match (listed, described) {
            (Some(true), true) => {
                return Err(format!(
                    "the configuration lists {principal}, with their groups and tags: leave out --group and --tag"
                ));
            }
            (Some(false), false) => {
                let known = self.principals.as_deref().unwrap_or_default();
                let known = if known.is_empty() { "none yet".to_owned() } else { shortened(known) };
                return Err(format!(
                    "the configuration has no principal `{principal}`: a key proves one of [[principals]] (there are: {known}), or \
                     whoever it describes itself, with --group or --tag"
                ));
            }
            (_, false) => return Ok(None),
            (Some(false) | None, true) => {}
        }
        let plain =
            |text: &str| !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control);
        if let Some(group) = groups.iter().find(|group| !plain(group)) {
            return Err(format!("--group {group:?} is no name of a group"));
        }
        let mut pairs = BTreeMap::new();
        for tag in tags {
            let pair = tag
                .split_once('=')
                .filter(|(key, value)| plain(key) && value.len() <= 256 && !value.contains(char::is_control));
            let (key, value) = pair.ok_or_else(|| format!("--tag {tag:?} is no tag: write KEY=VALUE"))?;
            if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("--tag {key} is there twice"));
            }
        }
        Ok(Some(Description { groups: groups.clone(), tags: pairs }))
    }

    /// The root key that new access keys are made of.
    fn root(&self) -> Result<&RootKey, String> {
        let Some(roots) = &self.roots else {
            return Err(
                "an access key needs a root key, and --keys-file reads no configuration that names one".to_owned()
            );
        };
        roots.newest().ok_or_else(|| {
            "an access key needs a root key: `tollgate key root --out root.key`, and in the configuration [identity] \
             root_key_files = [\"root.key\"]"
                .to_owned()
        })
    }
}

fn new(root: Option<&RootKey>) -> Result<(Credential, KeyId, Proof), String> {
    let failed = |error| format!("the system gives no randomness to make a key from: {error}");
    match root {
        None => {
            let key = Key::generate().map_err(failed)?;
            let (id, hash) = (key.id(), key.hash());
            Ok((Credential::Bearer(key), id, Proof::Bearer(hash)))
        }
        Some(root) => {
            let id = KeyId::generate().map_err(failed)?;
            Ok((Credential::Access(root.access_key(id)), id, Proof::SigV4(root.id())))
        }
    }
}

/// The first few of many names.
fn shortened(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(10).map(String::as_str).collect();
    let more = names.len() - first.len();
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

const MAX_NOTE_CHARS: usize = 200;
const MAX_NAME_BYTES: usize = 128;
