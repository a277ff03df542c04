//! This node's own files: which path a request names, which version is there, and how another
//! one takes its place.

mod commit;
mod digest;
mod path;
mod version;

pub(crate) use commit::{put, remove, Published, Removed, Temporary};
pub(crate) use digest::Digest;
pub(crate) use path::{is_reserved, Target};
pub(crate) use version::{to_header, Wanted};
