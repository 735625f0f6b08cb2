//! The keys file as a key store: it is looked at by its stamp, and read where that has changed.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{KeyFile, KeyFileError};
use super::key::KeyId;
use super::record::{Amendment, KeyRecord};
use super::store::{Amended, Answer, KeyStore, KeyStoreError};

/// A keys file, watched.
#[derive(Clone, Debug)]
pub struct WatchedFile(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    file: KeyFile,
    seen: Mutex<Option<Seen>>,
}

impl WatchedFile {
    /// Watches a file, which need not be there.
    pub fn new(file: KeyFile) -> Self {
        Self(Arc::new(Watched { file, seen: Mutex::new(None) }))
    }

    /// Does something with the file beside the runtime.
    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Watched) -> Result<T, KeyFileError> + Send + 'static,
    ) -> Answer<'_, T> {
        let watched = Arc::clone(&self.0);
        let place = self.place();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || act(&watched)).await {
                Ok(done) => Ok(done?),
                Err(error) => Err(KeyStoreError::Store { place, why: error.to_string() }),
            }
        })
    }
}

impl KeyStore for WatchedFile {
    fn read(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.with(|watched| watched.file.read())
    }

    fn changed(&self) -> Answer<'_, Option<Vec<KeyRecord>>> {
        self.with(|Watched { file, seen }| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.as_ref().is_some_and(|seen| seen.is_current(file)) {
                return Ok(None);
            }
            // Where the reading fails the file is looked at again the next time, because what was in the way (a permission,
            // a full table of open files) may leave no trace in it when it goes.
            *seen = None;
            let (now, records) = look(file)?;
            *seen = Some(now);
            Ok(Some(records))
        })
    }

    fn add(&self, records: Vec<KeyRecord>) -> Answer<'_, ()> {
        self.with(|watched| watched.file.add(records))
    }

    fn amend(&self, id: KeyId, amendment: Amendment) -> Answer<'_, Amended> {
        self.with(move |watched| watched.file.amend(id, amendment))
    }

    fn place(&self) -> String {
        self.0.file.path().display().to_string()
    }
}

/// The file that the ring's keys are from, and how it looked.
#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    /// Held open, so that its inode number cannot pass to a file that replaces it: a replacement always differs.
    _held: Option<File>,
}

impl Seen {
    fn is_current(&self, file: &KeyFile) -> bool {
        match fs::metadata(file.path()) {
            Ok(metadata) => self.stamp == Some(Stamp::of(&metadata)),
            Err(error) => error.kind() == io::ErrorKind::NotFound && self.stamp.is_none(),
        }
    }
}

/// Which file it is, and when it last changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens, notes how the opened file looks, and only then reads it: a change in between is seen at the next look.
fn look(file: &KeyFile) -> Result<(Seen, Vec<KeyRecord>), KeyFileError> {
    let Some(mut opened) = file.open()? else { return Ok((Seen { stamp: None, _held: None }, Vec::new())) };
    let stamp = Stamp::of(&opened.metadata().map_err(|error| file.read_error(error))?);
    let records = file.read_from(&mut opened)?;
    Ok((Seen { stamp: Some(stamp), _held: Some(opened) }, records))
}
