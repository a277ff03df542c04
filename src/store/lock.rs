//! Who changes a path is alone with it: on any worker, in any thread, of this nginx or of one that
//! takes its place, in any server that has the same files.
//!
//! What is locked (flock(2)) is the directory that the path lies in. The kernel takes the lock from
//! a process that dies. Where the directory is missing, the nearest one above that exists is locked
//! until it is made, so that a DELETE of nothing and a PUT that makes the directory meet there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::directory::{below_file, create_directory, is_absent};
use super::path::Target;
use crate::error::Error;
use crate::flock;

/// Held while one path is looked at and changed.
pub(super) struct Lock {
    _held: File,
    /// The target's own directory, when the first one is further up.
    _below: Option<File>,
    /// The target's own directory exists.
    has_directory: bool,
}

impl Lock {
    /// Waits until nobody else changes the target.
    pub(super) fn take(target: &Target) -> Result<Lock, Error> {
        loop {
            let mut below = None;
            for directory in target.parents() {
                match lock(directory) {
                    Ok(Some(held)) => match below {
                        None => return Ok(Lock { _held: held, _below: None, has_directory: true }),
                        // Made while this waited.
                        Some(below) if is_there(below)? => break,
                        Some(_) => {
                            return Ok(Lock { _held: held, _below: None, has_directory: false })
                        }
                    },
                    // Removed while this waited.
                    Ok(None) => break,
                    // A part of the path that is a file is for the caller to find.
                    Err(error) if is_absent(&error) && *directory != *target.root => {
                        below = Some(directory);
                    }
                    Err(error) => return Err(Error::io("open", directory)(error)),
                }
            }
        }
    }

    /// Makes the target's directory, if it is missing.
    pub(super) fn make_directory(&mut self, target: &Target) -> Result<(), Error> {
        if self.has_directory {
            return Ok(());
        }
        let directory = target.directory();
        loop {
            create_directory(target, directory)?;
            match lock(directory) {
                Ok(Some(held)) => {
                    self._below = Some(held);
                    self.has_directory = true;
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(below_file("open", directory)(error)),
            }
        }
    }
}

/// None if the directory was removed before it was locked.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(directory)?;
    flock::exclusive(&file)?;
    Ok((file.metadata()?.nlink() > 0).then_some(file))
}

fn is_there(directory: &Path) -> Result<bool, Error> {
    match std::fs::metadata(directory) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io("stat", directory)(error)),
    }
}
