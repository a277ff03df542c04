//! A file goes, and its tombstone stays.
//!
//! All here may block on a disk: handlers run it through `nginx::offload`.

use std::fs;
use std::io;

use super::commit::{Commit, Committed};
use super::directory::{is_absent, root_is_there, sync_parents};
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
        Ok((what @ (Removed::Deleted | Removed::Absent), version)) => {
            if commit.fsync && what == Removed::Deleted {
                sync_parents(target, false)?;
            }
            Ok(Committed { what, version, intent })
        }
        other => {
            if let Some(intent) = intent {
                intent.close();
            }
            other.map(|(what, version)| Committed { what, version, intent: None })
        }
    }
}

fn unlink(target: &Target, wanted: Wanted, commit: &Commit) -> Result<(Removed, u64), Error> {
    let path = &target.path;
    let bury = |version| {
        let put = commit.tombstones.put(path, version, commit.fsync);
        put.map_err(Error::io("symlink", path))
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
                other => other.map_err(Error::io("rmdir", path))?,
            }
            Ok((Removed::Deleted, version))
        }
        Some(metadata) if !target.is_directory => {
            let present = version::of_path(path, &metadata).map_err(Error::io("getxattr", path))?;
            let version = wanted.over(Some(present));
            if present > version {
                return Ok((Removed::Superseded, version));
            }
            // First the tombstone: killed in between, the DELETE has not happened.
            bury(version)?;
            match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(Error::io("unlink", path))?,
            }
            Ok((Removed::Deleted, version))
        }
        _ if target.is_directory => {
            root_is_there(target)?;
            Ok((Removed::Absent, wanted.over(None)))
        }
        _ => {
            root_is_there(target)?;
            let buried = commit.tombstones.get(path).map_err(Error::io("readlink", path))?;
            let version = wanted.over(buried);
            match buried {
                Some(buried) if buried > version => return Ok((Removed::Superseded, version)),
                Some(buried) if buried == version => return Ok((Removed::Unchanged, version)),
                _ => {}
            }
            bury(version)?;
            Ok((Removed::Absent, version))
        }
    }
}
