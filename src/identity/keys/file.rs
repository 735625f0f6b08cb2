//! The keys file: JSON that `tollgate key` writes and a running server reads.
//!
//! A reader sees the whole old file or the whole new one, because a new file is written beside the old one and renamed over
//! it; writers take turns by a lock on `<file>.lock`, which stays there between times. The file is readable by its owner
//! only, and its owner stays the same: an administrator's `sudo tollgate key create` must not lock the server out.
//! A file that is missing is a file without keys. One that cannot be understood is an error, never an empty list.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::KeyId;
use super::record::{Amendment, KeyRecord};
use super::store::Amended;

/// Where keys are stored.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// A file that need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All records, in the order in which they were made.
    pub fn read(&self) -> Result<Vec<KeyRecord>, KeyFileError> {
        match self.open()? {
            Some(mut file) => self.read_from(&mut file),
            None => Ok(Vec::new()),
        }
    }

    /// Adds keys, all or none.
    pub fn add(&self, new: Vec<KeyRecord>) -> Result<(), KeyFileError> {
        self.change(|records| {
            for record in new {
                if records.iter().any(|own| own.id == record.id) {
                    return Err(KeyFileError::Twice { path: self.path.clone(), id: record.id });
                }
                records.push(record);
            }
            Ok(())
        })
    }

    /// Amends a key.
    pub fn amend(&self, id: KeyId, amendment: Amendment) -> Result<Amended, KeyFileError> {
        self.change(|records| {
            let own = records.iter_mut().find(|own| own.id == id);
            let record = own.ok_or_else(|| KeyFileError::NoSuchKey { path: self.path.clone(), id })?;
            let done = record.amend(amendment);
            Ok(if done { Amended::Done(record.clone()) } else { Amended::AsBefore(record.clone()) })
        })
    }

    /// Opens it for reading; `None` where there is none.
    pub(super) fn open(&self) -> Result<Option<File>, KeyFileError> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.read_error(error)),
        }
    }

    /// Reads the records from the file that [`KeyFile::open`] gave.
    pub(super) fn read_from(&self, file: &mut File) -> Result<Vec<KeyRecord>, KeyFileError> {
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| self.read_error(error))?;
        let malformed = |reason: String| KeyFileError::Malformed { path: self.path.clone(), reason };
        // The version first, by itself: a later version may have members that this one does not know.
        let versioned: Versioned = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if versioned.version != VERSION {
            return Err(KeyFileError::Version { path: self.path.clone(), version: versioned.version });
        }
        let stored: Stored = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let mut ids: Vec<_> = stored.keys.iter().map(|record| record.id).collect();
        ids.sort_unstable();
        let twice = ids.windows(2).find_map(|pair| pair.first().filter(|id| pair.get(1) == Some(id)));
        match twice {
            Some(id) => Err(KeyFileError::Twice { path: self.path.clone(), id: *id }),
            None => Ok(stored.keys),
        }
    }

    pub(super) fn read_error(&self, source: io::Error) -> KeyFileError {
        KeyFileError::Read { path: self.path.clone(), source }
    }

    /// Reads, changes and writes while no other writer does. Nothing is written where the change fails.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let write_error = |source| KeyFileError::Write { path: self.path.clone(), source };
        // A symbolic link (a mounted volume, a dotfiles folder) stays a link: what it points at is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let lock = OpenOptions::new().create(true).append(true).mode(MODE).open(beside(&path, ".lock"));
        let lock = lock.map_err(write_error)?;
        lock.lock().map_err(write_error)?;
        // A lock that root made must not keep the file's owner out; one that is another's already was opened all the same.
        drop(keep_owner(&path, &lock));
        let mut records = self.read()?;
        let result = change(&mut records)?;
        let mut text = serde_json::to_vec_pretty(&Stored { version: VERSION, keys: records })
            .map_err(io::Error::from)
            .map_err(write_error)?;
        text.push(b'\n');
        replace(&path, &text).map_err(write_error)?;
        Ok(result)
    }
}

/// Writes a new file and renames it over the old one. The lock is held, so the temporary name is nobody else's.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".new");
    match fs::remove_file(&temporary) {
        // Left behind by a writer that was killed.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
        file.write_all(text)?;
        keep_owner(path, &file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // The first error is the one to tell; a leftover is removed by the next writer.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    // Without this a crash could bring back the old file, and with it a key that was revoked.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Gives a new file the owner of the one it replaces.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Why the keys file cannot be used. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is there, but cannot be read.
    #[error("cannot read the keys file {}: {source}; it must be readable by the user that Tollgate runs as", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It, or its lock, cannot be written.
    #[error("cannot write the keys file {}: {source}; its folder must exist and be writable, as the user that owns the file", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what `tollgate key` writes.
    #[error("the keys file {} is malformed: {reason}; restore it from a backup, or move it away to start without keys", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// It is of another version.
    #[error("the keys file {} has version {version}, and this Tollgate knows version {VERSION}: use the Tollgate that wrote it", path.display())]
    Version {
        /// Its path.
        path: PathBuf,
        /// The version found.
        version: u32,
    },
    /// Two keys have the same id.
    #[error("the keys file {} has the key {id} twice; remove one of the two", path.display())]
    Twice {
        /// Its path.
        path: PathBuf,
        /// The id.
        id: KeyId,
    },
    /// No such key.
    #[error("there is no key {id} in {}; `tollgate key list` shows those there are", path.display())]
    NoSuchKey {
        /// Its path.
        path: PathBuf,
        /// The id that was asked for.
        id: KeyId,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    keys: Vec<KeyRecord>,
}

const VERSION: u32 = 1;

/// Read and written by the owner alone.
const MODE: u32 = 0o600;

#[cfg(test)]
mod tests;
