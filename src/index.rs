//! All files that this node serves, in the order of their paths: what an index page lists, and
//! what two nodes compare.
//!
//! A [`Walk`] takes constant memory, less than 3 MB, whatever the tree looks like. All here is
//! without nginx, and may block on a disk.

mod area;
mod compare;
mod directory;
mod form;
pub(crate) mod mapping;
mod merge;
mod problem;
mod scratch;
mod sorted;
mod walk;

use std::path::PathBuf;

pub(crate) use area::{is_there, locate};
pub(crate) use compare::{Compare, Difference};
pub(crate) use form::{Broken, Form, Reader};
pub(crate) use walk::Walk;

/// Where the files below a URL prefix are. Of several areas the longest prefix decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Area {
    /// A decoded URL path. With a slash at its end it stands for all below it, without one for
    /// this path alone.
    pub(crate) prefix: Vec<u8>,
    /// The directory that the prefix is mapped to, or the file, if it has no slash at its end.
    /// `None`: what is there is not served from files, and is left out.
    pub(crate) directory: Option<PathBuf>,
}

/// A file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its decoded URL path.
    pub(crate) path: Vec<u8>,
    /// In bytes.
    pub(crate) size: u64,
    /// In nanoseconds since 1970.
    pub(crate) version: u64,
}

/// Some files.
#[derive(Debug)]
pub(crate) struct Step {
    /// In the order of their paths, byte by byte.
    pub(crate) files: Vec<File>,
    /// Nothing follows.
    pub(crate) end: bool,
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
