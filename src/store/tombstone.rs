//! Tombstones: what is known of a path after a DELETE, so that a PUT which is older than that and
//! arrives later does not bring the file back.
//!
//! One symbolic link a path, DIRECTORY/XX/REST with the MD5 sum of the path in hexadecimal, whose
//! text is the version: made and replaced by one system call, read by one, and `ls -l` shows it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, DirBuilderExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::directory::sync_directory;
use super::temporary::with_temporary_name;
use crate::nginx::Md5;

/// A directory of tombstones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tombstones(&'static Path);

impl Tombstones {
    pub(crate) fn new(directory: &'static Path) -> Tombstones {
        Tombstones(directory)
    }

    /// The version of the DELETE that the file at `path` has got last, if it is remembered.
    pub(super) fn get(self, path: &Path) -> io::Result<Option<u64>> {
        match fs::read_link(self.name(path)) {
            Ok(text) => Ok(text.to_str().and_then(|text| text.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers that the file at `path` was deleted; with `sync`, on the disk.
    pub(super) fn put(self, path: &Path, version: u64, sync: bool) -> io::Result<()> {
        let name = self.name(path);
        let directory = name.parent().unwrap_or(self.0);
        let text = version.to_string();
        let make = |name: &Path| symlink(&text, name);
        match make(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match DirBuilder::new().mode(0o755).create(directory) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error)
                    }
                    _ => make(&name)?,
                }
                if sync {
                    sync_directory(self.0)?;
                }
            }
            // An older one is there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let ((), new) = with_temporary_name(directory, make)?;
                fs::rename(new, &name)?;
            }
            Err(error) => return Err(error),
        }
        match sync {
            true => sync_directory(directory),
            false => Ok(()),
        }
    }

    fn name(self, path: &Path) -> PathBuf {
        let mut sum = Md5::new();
        sum.update(path.as_os_str().as_bytes());
        let digits: String = sum.finish().iter().map(|byte| format!("{byte:02x}")).collect();
        let (directory, rest) = digits.split_at(2);
        self.0.join(directory).join(rest)
    }

    /// Forgets those of one of the 256 directories that were made before `time`, and what a killed
    /// worker has left there.
    pub(crate) fn expire(self, directory: u8, time: SystemTime) -> io::Result<()> {
        let directory = self.0.join(format!("{directory:02x}"));
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
