//! This node's own files: which path a request names, which version is there, and how another
//! one takes its place.

mod commit;
mod digest;
mod directory;
mod lock;
mod owner;
mod path;
mod present;
mod remove;
mod temporary;
mod tombstone;
mod version;

pub(crate) use commit::{put, Commit, Committed, Published};
pub(crate) use digest::Digest;
pub(crate) use owner::{claim, claimed_by_other, hand_over, may_write, Owner};
pub(crate) use path::{is_reserved, Target};
pub(crate) use present::Present;
pub(crate) use remove::{remove, Removed};
pub(crate) use temporary::{
    check as check_root, has_left_temporaries, is_temporary_of, remove_left, scratch_file,
    Temporary,
};
pub(crate) use tombstone::Tombstones;
pub(crate) use version::{of_path as version_of, to_header, Wanted};

use crate::error::Error;
use crate::nginx::{self, Request};

/// What has become of a job that the thread pool did not take or did not finish.
pub(crate) const NOT_RUN: Error = Error::Internal("the thread pool did not run a job");

/// Runs `work` where it may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    r: Request,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    nginx::offload(r, work).await.unwrap_or(Err(NOT_RUN))
}

/// Lends `state` to a step of long work that may wait for a disk; it comes back with what the step
/// says.
pub(crate) async fn lend<S: Send + 'static, T: Send + 'static>(
    r: Request,
    state: S,
    step: impl FnOnce(&mut S) -> T + Send + 'static,
) -> Result<(S, T), Error> {
    nginx::offload(r, lent(state, step)).await.map_err(|_| NOT_RUN)
}

/// The same for a step that may wait until nobody else wants the processor, and holds no lock.
pub(crate) async fn lend_idle<S: Send + 'static, T: Send + 'static>(
    r: Request,
    state: S,
    step: impl FnOnce(&mut S) -> T + Send + 'static,
) -> Result<(S, T), Error> {
    nginx::offload_idle(r, lent(state, step)).await.map_err(|_| NOT_RUN)
}

fn lent<S, T>(mut state: S, step: impl FnOnce(&mut S) -> T) -> impl FnOnce() -> (S, T) {
    move || {
        let said = step(&mut state);
        (state, said)
    }
}
