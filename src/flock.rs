//! The locks of flock(2). The kernel takes them from a process that ends.
//!
//! nginx's signal handlers do not restart system calls: in the event loop any call that waits may end with
//! EINTR. The standard library tries again for open, read, write and fsync, but not for these.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};

/// Takes the exclusive lock, waiting for who has it.
pub(crate) fn exclusive(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Takes the exclusive lock unless somebody has one; whether it did. Without waiting.
pub(crate) fn try_exclusive(file: &File) -> io::Result<bool> {
    is_free(|| file.try_lock())
}

/// Whether somebody has the exclusive lock.
pub(crate) fn is_held(file: &File) -> bool {
    is_free(|| file.try_lock_shared()).is_ok_and(|is_free| !is_free)
}

fn is_free(mut lock: impl FnMut() -> Result<(), TryLockError>) -> io::Result<bool> {
    loop {
        match lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => return Ok(false),
            // On a network file system this waits too, for the server.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
