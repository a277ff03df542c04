//! The names in a directory that a walk wants.

use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::area::first_name;
use crate::store::is_reserved;

/// A directory that is being read.
pub(super) struct Directory {
    entries: ReadDir,
    first: First,
}

impl Directory {
    /// Its names from `first` on.
    pub(super) fn open(path: &Path, first: First) -> io::Result<Directory> {
        Ok(Directory { entries: fs::read_dir(path)?, first })
    }

    /// What the next entry comes to; `None` at the end. An error comes with the system call that
    /// has failed.
    pub(super) fn next(&mut self) -> Option<Result<Found, (&'static str, io::Error)>> {
        Some(match self.entries.next()? {
            Ok(entry) => self.look(&entry).map_err(|error| ("lstat", error)),
            Err(error) => Err(("readdir", error)),
        })
    }

    fn look(&self, entry: &DirEntry) -> io::Result<Found> {
        let mut name = entry.file_name().into_vec();
        // As a rule the directory itself tells, and there is no system call.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            name.push(b'/');
        } else if !kind.is_file() && !kind.is_symlink() {
            return Ok(None);
        }
        Ok(self.first.wants(&name).then_some(name))
    }
}

/// A name, with a slash for a directory; `None`: the walk does not want it.
pub(super) type Found = Option<Vec<u8>>;

/// From which name on a directory is listed. `None`: from the first one.
pub(super) struct First(Option<Vec<u8>>);

impl First {
    /// In the directory `url`, where the walk goes on after the path `after`.
    pub(super) fn of(after: Option<&[u8]>, url: &[u8]) -> First {
        First(after.and_then(|after| after.strip_prefix(url)).map(|rest| first_name(rest).to_vec()))
    }

    /// Whether the walk wants a name, or what is below it.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        let is_behind = self.0.as_deref().is_none_or(|first| {
            // What is below a directory may come after `after`, even if that is in it.
            name > first || name == first && name.ends_with(b"/")
        });
        is_behind && !is_reserved(name.strip_suffix(b"/").unwrap_or(name))
    }
}
