//! Tombstones: what is known of a path after a DELETE, so that a PUT which is older than that and
//! arrives later does not bring the file back.
//!
//! One symbolic link a path, DIRECTORY/XX/REST with the MD5 sum of the path in hexadecimal, whose
//! text is the version: made and replaced by one system call, read by one, and `ls -l` shows it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{symlink, DirBuilderExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::directory::sync_directory;
use super::temporary::{discard, with_temporary_name};
use crate::nginx::{Dir, Md5};

/// A directory of tombstones.
#[derive(Clone)]
pub(crate) struct Tombstones {
    path: &'static Path,
    /// The same, open: each PUT of a new file looks into it.
    directory: Option<Arc<Dir>>,
}

/// What putting a tombstone has changed.
pub(super) struct Buried {
    /// The version of the one in whose place it is.
    older: Option<u64>,
    /// Its directory was made for it.
    is_first: bool,
}

impl Tombstones {
    pub(crate) fn new(path: &'static Path) -> Tombstones {
        Tombstones { path, directory: Dir::open(path).ok().map(Arc::new) }
    }

    /// The version of the DELETE that the file at `path` has got last, if it is remembered.
    pub(crate) fn get(&self, path: &Path) -> io::Result<Option<u64>> {
        let name = name(path);
        let text = match &self.directory {
            Some(directory) => directory.read_link(&name),
            None => {
                fs::read_link(self.path.join(name)).map(|text| text.into_os_string().into_vec())
            }
        };
        match text {
            Ok(text) => Ok(String::from_utf8(text).ok().and_then(|text| text.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers that the file at `path` was deleted. After an error nothing has changed.
    pub(super) fn put(&self, path: &Path, version: u64) -> io::Result<Buried> {
        let name = self.path.join(name(path));
        let directory = name.parent().unwrap_or(self.path);
        let text = version.to_string();
        // Network file systems have an error of what they have done.
        let is_made = |name: &Path| fs::read_link(name).is_ok_and(|it| it.as_os_str() == &*text);
        let make = |name: &Path| match symlink(&text, name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && is_made(name) => Ok(()),
            other => other,
        };
        match make(&name) {
            Ok(()) => Ok(Buried { older: None, is_first: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match DirBuilder::new().mode(0o755).create(directory) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => make(&name).map(|()| Buried { older: None, is_first: true }),
                }
            }
            // An older one is there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let older = self.get(path)?;
                let ((), new) = with_temporary_name(|new| make(&directory.join(new)))?;
                let new = directory.join(new);
                match fs::rename(&new, &name) {
                    Err(error) if !is_made(&name) => {
                        discard(new);
                        Err(error)
                    }
                    _ => Ok(Buried { older, is_first: false }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What put() has done is on the disk when this returns.
    pub(super) fn sync(&self, path: &Path, buried: &Buried) -> io::Result<()> {
        if buried.is_first {
            sync_directory(self.path)?;
        }
        let name = self.path.join(name(path));
        sync_directory(name.parent().unwrap_or(self.path))
    }

    /// Undoes put(), as far as that is possible.
    pub(super) fn take_back(&self, path: &Path, buried: &Buried) {
        _ = match buried.older {
            Some(older) => self.put(path, older).map(drop),
            None => fs::remove_file(self.path.join(name(path))),
        };
    }

    /// Forgets those of one of the 256 directories that were made before `time`, and what a killed
    /// worker has left there.
    pub(crate) fn expire(&self, directory: u8, time: SystemTime) -> io::Result<()> {
        let directory = self.path.join(format!("{directory:02x}"));
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            // The link's own time, not the version's: that is of the node which gave it.
            if entry.metadata()?.modified()? < time {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// XX/REST for the file at `path`.
fn name(path: &Path) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or_default();
    let mut sum = Md5::new();
    sum.update(path.as_os_str().as_bytes());
    let bytes = sum.finish();
    let mut name: String =
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect();
    name.insert(2, '/');
    name
}
