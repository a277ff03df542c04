//! The directories that files lie in.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::path::Target;
use crate::error::Error;

const DIRECTORY_MODE: u32 = 0o755;

/// The root must be there: when what is mounted on it is missing, files would go to the disk below
/// and everything would seem to be deleted.
pub(super) fn root_is_there(target: &Target) -> Result<(), Error> {
    fs::metadata(&target.root).map(drop).map_err(Error::io("stat", &target.root))
}

/// Makes the directories below the root.
pub(super) fn create_directory(target: &Target, directory: &Path) -> Result<(), Error> {
    root_is_there(target)?;
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(below_file("mkdir", directory))
}

pub(super) fn below_file(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.raw_os_error() {
        Some(libc::ENOTDIR | libc::EEXIST) => Error::BelowFile,
        _ => Error::io(call, &path)(error),
    }
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

/// What was done in a directory is on the disk when this returns.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The target's name is on the disk; with `made`, those of directories that may be new too. For a change
/// that was made: an error is [`Error::Unsynced`].
pub(super) fn sync_parents(target: &Target, made: bool) -> Result<(), Error> {
    for directory in target.parents().take(if made { usize::MAX } else { 1 }) {
        match sync_directory(directory) {
            // What was in it was deleted since, and that is for the one to sync who did it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(unsynced(directory))?,
        }
    }
    Ok(())
}

/// The error of a change that was made, and may not be in `directory` after a crash.
pub(super) fn unsynced(directory: &Path) -> impl FnOnce(io::Error) -> Error {
    done_but("fsync", directory)
}

/// The error of a change that was made all the same: `call` has told it of `path`.
pub(super) fn done_but(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Unsynced(Box::new(Error::io(call, &path)(error)))
}
