//! The names in a directory that a walk wants.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{statat, AtFlags, FileType, RawDir, RawDirEntry};
use rustix::io::Errno;

use super::area::first_name;
use crate::store::is_reserved;

/// What the kernel is asked for at a time, about a hundred names. With those 32 KB of readdir(3) a kernel
/// without preemption has the processor for half a millisecond, and a reader of files waits.
const PIECE: usize = 4096;

/// A directory that is being read.
pub(super) struct Directory {
    file: File,
    first: First,
    /// Of the last piece.
    found: VecDeque<Result<Found, Failure>>,
    is_read: bool,
}

/// The system call that has failed, and how.
type Failure = (&'static str, io::Error);

impl Directory {
    /// Its names from `first` on.
    pub(super) fn open(path: &Path, first: First) -> io::Result<Directory> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Directory { file, first, found: VecDeque::new(), is_read: false })
    }

    /// What the next entry comes to; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Found, Failure>> {
        if self.found.is_empty() && !self.is_read {
            self.read();
        }
        self.found.pop_front()
    }

    fn read(&mut self) {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut entries = RawDir::new(&self.file, &mut piece);
        loop {
            match entries.next() {
                Some(Ok(entry)) => match entry.file_name().to_bytes() {
                    b"." | b".." => {}
                    _ => self.found.push_back(self.look(&entry)),
                },
                Some(Err(Errno::INTR)) => {}
                Some(Err(error)) => {
                    self.found.push_back(Err(("getdents", error.into())));
                    self.is_read = true;
                }
                None => self.is_read = true,
            }
            if self.is_read || entries.is_buffer_empty() && !self.found.is_empty() {
                return;
            }
        }
    }

    fn look(&self, entry: &RawDirEntry<'_>) -> Result<Found, Failure> {
        let mut name = entry.file_name().to_bytes().to_vec();
        let kind = match entry.file_type() {
            // As a rule the directory itself tells, and there is no system call.
            FileType::Unknown => {
                let stat = statat(&self.file, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                FileType::from_raw_mode(stat.map_err(|error| ("lstat", error.into()))?.st_mode)
            }
            kind => kind,
        };
        match kind {
            FileType::Directory => name.push(b'/'),
            FileType::RegularFile | FileType::Symlink => {}
            _ => return Ok(None),
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
