//! The locks of flock(2). The kernel takes them from a process that ends.
//!
//! nginx's signal handlers do not restart system calls: in the event loop any call that waits may end with
//! EINTR. The standard library tries again for open, read, write and fsync, but not for these.

use std::fs::File;
use std::io;

// Those of `File` are younger than the oldest Rust that builds this (Cargo.toml).
use rustix::fs::{flock, FlockOperation};
use rustix::io::{retry_on_intr, Errno};

/// Takes the exclusive lock, waiting for who has it.
pub(crate) fn exclusive(file: &File) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(file, FlockOperation::LockExclusive))?)
}

/// Takes the exclusive lock unless somebody has one; whether it did. Without waiting.
pub(crate) fn try_exclusive(file: &File) -> io::Result<bool> {
    is_free(file, FlockOperation::NonBlockingLockExclusive)
}

/// Whether somebody has the exclusive lock.
pub(crate) fn is_held(file: &File) -> bool {
    is_free(file, FlockOperation::NonBlockingLockShared).is_ok_and(|is_free| !is_free)
}

/// Gives a lock back before the file is closed.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(file, FlockOperation::Unlock))?)
}

fn is_free(file: &File, operation: FlockOperation) -> io::Result<bool> {
    // On a network file system this waits too, for the server.
    match retry_on_intr(|| flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
