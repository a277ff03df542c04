//! One version of a file takes the place of another, whole or not at all.
//!
//! All here may block on a disk: handlers run it through `nginx::offload`.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::path::{Target, RESERVED};
use super::version;
use crate::error::Error;
use crate::nginx;
use crate::zone::Zone;

/// Files are for everybody to read: streaming servers read them from the disk.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// What publish() did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Nothing was there.
    Created,
    /// An older version was there.
    Replaced,
    /// A newer version is there, and stays.
    Superseded,
    /// This version is there.
    Unchanged,
}

/// What remove() did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The file or the empty directory is gone.
    Deleted,
    /// Nothing was there.
    Absent,
    /// A newer version is there, and stays.
    Superseded,
}

/// A file that is being written, in the file system of its target. It has no name if the file
/// system can do that; then nothing is left of it when the worker is killed.
pub(crate) struct Temporary {
    file: Arc<File>,
    /// Where it could not do without.
    name: Option<PathBuf>,
}

impl Temporary {
    /// Creates the file in the target's directory, or in the nearest one above that exists.
    pub(crate) fn create(target: &Target) -> Result<Temporary, Error> {
        for directory in target.parents() {
            match Temporary::create_in(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", directory)(error)),
                Ok(temporary) => return Ok(temporary),
            }
        }
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        Err(Error::io("open", &target.root)(missing))
    }

    fn create_in(directory: &Path) -> io::Result<Temporary> {
        match nginx::unnamed_file(directory, FILE_MODE) {
            Ok(file) => Ok(Temporary { file: Arc::new(file), name: None }),
            Err(error) => match error.raw_os_error() {
                // EISDIR: a kernel or file system that takes O_TMPFILE for O_DIRECTORY.
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => {
                    Temporary::create_named(directory)
                }
                _ => Err(error),
            },
        }
    }

    fn create_named(directory: &Path) -> io::Result<Temporary> {
        let name = temporary_name(directory);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&name)?;
        Ok(Temporary { file: Arc::new(file), name: Some(name) })
    }

    /// The file, to be written and sent.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Puts the file in the target's place, unless a newer version or this one is there.
    pub(crate) fn publish(
        mut self,
        target: &Target,
        version: u64,
        zone: Zone,
    ) -> Result<Published, Error> {
        let time = version::to_time(version);
        let times = FileTimes::new().set_modified(time).set_accessed(time);
        self.file.set_times(times).map_err(Error::io("futimens", &target.path))?;

        let _lock = zone.lock_commit(hash(&target.path));
        let present = match present_version(target)? {
            Some(present) if present > version => return Ok(Published::Superseded),
            Some(present) if present == version => return Ok(Published::Unchanged),
            present => present,
        };
        match self.rename(target, present.is_some()) {
            // The directory is not there, or a DELETE has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = target.path.parent().unwrap_or(&target.root);
                DirBuilder::new()
                    .recursive(true)
                    .mode(DIRECTORY_MODE)
                    .create(directory)
                    .map_err(below_file("mkdir", directory))?;
                self.rename(target, false).map_err(Error::io("rename", &target.path))?;
            }
            other => other.map_err(Error::io("rename", &target.path))?,
        }
        Ok(if present.is_some() { Published::Replaced } else { Published::Created })
    }

    fn rename(&mut self, target: &Target, exists: bool) -> io::Result<()> {
        if self.name.is_none() {
            if !exists {
                match nginx::link(&self.file, &target.path) {
                    // Something that stat() does not see: a symbolic link to nothing.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => return other,
                }
            }
            // link() takes no name that is in use, rename() does.
            let name = temporary_name(target.path.parent().unwrap_or(&target.root));
            nginx::link(&self.file, &name)?;
            self.name = Some(name);
        }
        if let Some(name) = &self.name {
            fs::rename(name, &target.path)?;
            self.name = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What cannot be removed is found by its name at the next start.
            _ = fs::remove_file(name);
        }
    }
}

/// Removes the file or the empty directory, unless a newer version is there.
pub(crate) fn remove(target: &Target, version: u64, zone: Zone) -> Result<Removed, Error> {
    let path = &target.path;
    if *path == target.root {
        return Err(Error::IsRoot);
    }
    let _lock = zone.lock_commit(hash(path));
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => return Ok(Removed::Absent),
        other => other.map_err(Error::io("lstat", path))?,
    };
    let result = if metadata.is_dir() {
        fs::remove_dir(path)
    } else if target.is_directory {
        return Ok(Removed::Absent);
    } else if version::of_file(&metadata) > version {
        return Ok(Removed::Superseded);
    } else {
        fs::remove_file(path)
    };
    match result {
        Ok(()) => Ok(Removed::Deleted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removed::Absent),
        Err(error) if error.raw_os_error() == Some(libc::ENOTEMPTY) => Err(Error::NotEmpty),
        Err(error) => Err(Error::io("unlink", path)(error)),
    }
}

/// The version of the target, if it is there. A directory is no target.
pub(super) fn present_version(target: &Target) -> Result<Option<u64>, Error> {
    if target.is_directory {
        return Err(Error::IsDirectory);
    }
    match fs::metadata(&target.path) {
        Ok(metadata) if metadata.is_dir() => Err(Error::IsDirectory),
        Ok(metadata) => Ok(Some(version::of_file(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(below_file("stat", &target.path)(error)),
    }
}

impl Target {
    /// The version that is there now.
    pub(crate) fn present_version(&self) -> Result<Option<u64>, Error> {
        present_version(self)
    }

    /// The version that is there now, whatever it is.
    pub(crate) fn any_version(&self) -> Option<u64> {
        fs::symlink_metadata(&self.path).ok().map(|metadata| version::of_file(&metadata))
    }
}

fn below_file(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.raw_os_error() {
        Some(libc::ENOTDIR | libc::EEXIST) => Error::BelowFile,
        _ => Error::io(call, &path)(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn temporary_name(directory: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let reserved = String::from_utf8_lossy(RESERVED);
    directory.join(format!("{reserved}{}.{number}", nginx::pid()))
}

fn hash(path: &Path) -> u64 {
    // The same in every worker: DefaultHasher::new() has fixed keys.
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}
