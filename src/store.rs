//! This node's own files: which path a request names, which version is there, and how another
//! one takes its place.

mod commit;
mod digest;
mod directory;
mod lock;
mod path;
mod present;
mod remove;
mod temporary;
mod tombstone;
mod version;

pub(crate) use commit::{put, Commit, Committed, Published};
pub(crate) use digest::Digest;
pub(crate) use path::{is_reserved, Target};
pub(crate) use present::Present;
pub(crate) use remove::{remove, Removed};
pub(crate) use temporary::{is_temporary_of, Temporary};
pub(crate) use tombstone::Tombstones;
pub(crate) use version::{to_header, Wanted};
