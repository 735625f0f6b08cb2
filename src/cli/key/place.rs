//! The file of the store where there is none yet: whoever only reads makes none, and whoever makes one makes it for the gateway.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::Action;
use crate::config::{Settings, StoreKind};
use crate::identity::keys::{KeyFile, SharedKeyStore, WatchedFile};

/// What stands in for a store that is not there, for an action that makes none; nothing where the store itself is to be used, of which
/// the file is there then.
pub(super) fn prepare(settings: &Settings, action: &Action) -> Result<Option<SharedKeyStore>, String> {
    let path = &settings.store.path;
    if settings.store.kind != StoreKind::Embedded || settings.identity.keys_file.is_some() || path.exists() {
        return Ok(None);
    }
    match action {
        // A file without keys, which is read without being made. Nothing is written to it: there is no key to amend.
        Action::List { .. } | Action::Show { .. } | Action::Export | Action::Rotate(_) | Action::Revoke { .. } => {
            Ok(Some(Arc::new(WatchedFile::new(KeyFile::new(path)))))
        }
        Action::Create(_) | Action::Import { .. } | Action::Root { .. } => make(path).map(|()| None).map_err(|error| {
            let path = path.display();
            format!("{path} cannot be made: {error}; its folder must be there, and yours or the gateway's to write in")
        }),
    }
}

/// An empty file for whoever owns the folder: one that is root's would lock the gateway out. What the store puts beside it has its owner.
fn make(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    give(&file, path).inspect_err(|_| drop(fs::remove_file(path)))
}

fn give(file: &File, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, own) = (fs::metadata(folder)?, file.metadata()?);
    // Root alone can give a file away; for anybody else the file is theirs, in a folder that lets them write.
    if own.uid() != 0 || folder.uid() == 0 {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_its_folders_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let gateway = std::os::unix::fs::chown(folder.path(), Some(4_711), Some(4_712)).is_ok();
        let path = folder.path().join("tollgate.db");
        make(&path).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o600);
        if gateway {
            assert_eq!((made.uid(), made.gid()), (4_711, 4_712), "root gives it away");
        }
        make(&path).unwrap();
        assert!(make(Path::new("/nonexistent/tollgate.db")).is_err());
    }
}
