//! A file goes, and its tombstone stays.
//!
//! All here may block on a disk: handlers run it through `nginx::offload`.

use std::fs;
use std::io;
use std::path::Path;

use super::commit::{Commit, Committed};
use super::directory::{done_but, is_absent, root_is_there, sync_parents, unsynced};
use super::lock::Lock;
use super::path::Target;
use super::version::{self, Wanted};
use crate::error::Error;

/// What remove() did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The file or the empty directory is gone.
    Deleted,
    /// Nothing was there.
    Absent,
    /// This DELETE has been here before.
    Unchanged,
    /// A newer version is there, or was deleted; nothing changes.
    Superseded,
}

/// Removes the file or the empty directory, unless a newer version is there, and remembers the
/// version of the DELETE.
pub(crate) fn remove(
    target: &Target,
    wanted: Wanted,
    mut commit: Commit,
) -> Result<Committed<Removed>, Error> {
    if target.path == target.root {
        return Err(Error::IsRoot);
    }
    let (wanted, likely) = wanted.fixed();
    let intent = commit.begin(likely)?;
    match unlink(target, wanted, &commit) {
        Ok(Unlinked { what: what @ (Removed::Deleted | Removed::Absent), version, unsynced }) => {
            let unsynced = match what {
                Removed::Deleted if commit.fsync => {
                    unsynced.or_else(|| sync_parents(target, false).err())
                }
                _ => unsynced,
            };
            Ok(Committed { what, version, intent, unsynced })
        }
        other => {
            if let Some(intent) = intent {
                intent.close();
            }
            let committed = |Unlinked { what, version, unsynced }| Committed {
                what,
                version,
                intent: None,
                unsynced,
            };
            other.map(committed)
        }
    }
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| is_absent(&error))
}

struct Unlinked {
    what: Removed,
    version: u64,
    unsynced: Option<Error>,
}

fn unlink(target: &Target, wanted: Wanted, commit: &Commit) -> Result<Unlinked, Error> {
    let path = &target.path;
    let tombstones = &commit.tombstones;
    let bury = |version| tombstones.put(path, version).map_err(Error::io("symlink", path));
    let unlinked = |what, version| Unlinked { what, version, unsynced: None };
    // Network file systems have an error of what they have done.
    let gone = |version, call, error| Unlinked {
        what: Removed::Deleted,
        version,
        unsynced: Some(done_but(call, path)(error)),
    };
    let _lock = Lock::take(target)?;
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(Error::io("lstat", path)(error)),
    };
    match metadata {
        Some(metadata) if metadata.is_dir() => {
            let version = wanted.over(None);
            match fs::remove_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOTEMPTY) => {
                    return Err(Error::NotEmpty);
                }
                Err(error) if is_gone(path) => return Ok(gone(version, "rmdir", error)),
                other => other.map_err(Error::io("rmdir", path))?,
            }
            Ok(unlinked(Removed::Deleted, version))
        }
        // Whoever made it may be using it.
        Some(metadata) if !metadata.is_file() && !metadata.is_symlink() => Err(Error::IsSpecial),
        Some(metadata) if !target.is_directory => {
            let present = version::of_path(path, &metadata).map_err(Error::io("getxattr", path))?;
            let version = wanted.over(Some(present));
            if present > version {
                return Ok(unlinked(Removed::Superseded, version));
            }
            // First the tombstone: killed in between, the DELETE has not happened.
            let buried = bury(version)?;
            let unlink = || match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => match is_gone(path) {
                    true => Ok(gone(version, "unlink", error)),
                    false => Err(Error::io("unlink", path)(error)),
                },
                _ => Ok(unlinked(Removed::Deleted, version)),
            };
            let synced = match commit.fsync {
                true => tombstones.sync(path, &buried).map_err(Error::io("fsync", path)),
                false => Ok(()),
            };
            // Else the file is there, and no DELETE. When it is evicted, that counts.
            synced.and_then(|()| unlink()).inspect_err(|_| tombstones.take_back(path, &buried))
        }
        _ if target.is_directory => {
            root_is_there(target)?;
            Ok(unlinked(Removed::Absent, wanted.over(None)))
        }
        _ => {
            root_is_there(target)?;
            let buried = tombstones.get(path).map_err(Error::io("readlink", path))?;
            let version = wanted.over(buried);
            match buried {
                Some(buried) if buried > version => {
                    return Ok(unlinked(Removed::Superseded, version))
                }
                Some(buried) if buried == version => {
                    return Ok(unlinked(Removed::Unchanged, version))
                }
                _ => {}
            }
            let buried = bury(version)?;
            let unsynced = match commit.fsync {
                true => tombstones.sync(path, &buried).map_err(unsynced(path)).err(),
                false => None,
            };
            Ok(Unlinked { what: Removed::Absent, version, unsynced })
        }
    }
}
