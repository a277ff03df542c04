//! One version of a file takes the place of another, whole or not at all.
//!
//! All here may block on a disk: handlers run it through `nginx::offload`.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::path::{Target, RESERVED};
use super::version::{self, Wanted};
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

    /// Creates the file with a name, in the target's own directory, which is made if need be.
    fn create_beside(target: &Target) -> Result<Temporary, Error> {
        let directory = target.path.parent().unwrap_or(&target.root);
        match Temporary::create_named(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_directory(target, directory)?;
                Temporary::create_named(directory).map_err(Error::io("open", directory))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::io("open", directory)(error))
            }
            other => other.map_err(below_file("open", directory)),
        }
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
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let (file, name) = with_temporary_name(directory, |name| options.open(name))?;
        Ok(Temporary { file: Arc::new(file), name: Some(name) })
    }

    /// The file, to be written and sent.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The writing of bytes from `offset` on; says how many they were.
    pub(crate) fn write_at(
        &self,
        offset: u64,
    ) -> impl FnOnce(&[&[u8]]) -> Result<u64, Error> + Send + 'static {
        let file = Arc::clone(&self.file);
        move |slices| {
            let mut end = offset;
            for bytes in slices {
                // The error names no path: the file may have none.
                file.write_all_at(bytes, end).map_err(Error::io("pwrite", Path::new("")))?;
                end += bytes.len() as u64;
            }
            Ok(end - offset)
        }
    }

    /// Puts the file in the target's place, unless a newer version or this one is there. Tells
    /// the version that it has got.
    pub(crate) fn publish(
        mut self,
        target: &Target,
        wanted: Wanted,
        zone: Zone,
    ) -> Result<(Published, u64), Error> {
        let _lock = zone.lock_commit(&target.path);
        let present = target.present_version()?;
        let version = wanted.over(present);
        match present {
            Some(present) if present > version => return Ok((Published::Superseded, version)),
            Some(present) if present == version => return Ok((Published::Unchanged, version)),
            _ => {}
        }
        let times = FileTimes::new().set_modified(version::to_time(version));
        self.file.set_times(times).map_err(Error::io("futimens", &target.path))?;
        match self.rename(target, present.is_some()) {
            // The directory is not there, or a DELETE has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_directory(target, target.path.parent().unwrap_or(&target.root))?;
                self.rename(target, false).map_err(Error::io("rename", &target.path))?;
            }
            other => other.map_err(Error::io("rename", &target.path))?,
        }
        let published = match present {
            Some(_) => Published::Replaced,
            None => Published::Created,
        };
        Ok((published, version))
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
            let directory = target.path.parent().unwrap_or(&target.root);
            let ((), name) = with_temporary_name(directory, |name| nginx::link(&self.file, name))?;
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

/// Stores a file of which all bytes are there. It has a name from the start: it exists for a few
/// system calls, and giving a name to one without costs two more.
pub(crate) fn put(
    target: &Target,
    bytes: &[u8],
    wanted: Wanted,
    zone: Zone,
) -> Result<(Published, u64), Error> {
    // A directory in the target's place is found out before anything is made.
    if target.is_directory {
        return Err(Error::IsDirectory);
    }
    let temporary = Temporary::create_beside(target)?;
    temporary.write_at(0)(&[bytes])?;
    temporary.publish(target, wanted, zone)
}

/// Removes the file or the empty directory, unless a newer version is there. Tells the version
/// that the DELETE has got.
pub(crate) fn remove(target: &Target, wanted: Wanted, zone: Zone) -> Result<(Removed, u64), Error> {
    let path = &target.path;
    if *path == target.root {
        return Err(Error::IsRoot);
    }
    let _lock = zone.lock_commit(path);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => {
            root_is_there(target)?;
            return Ok((Removed::Absent, wanted.over(None)));
        }
        other => other.map_err(Error::io("lstat", path))?,
    };
    let present = version::of_file(&metadata);
    let version = wanted.over(Some(present));
    let result = if metadata.is_dir() {
        fs::remove_dir(path)
    } else if target.is_directory {
        return Ok((Removed::Absent, version));
    } else if present > version {
        return Ok((Removed::Superseded, version));
    } else {
        fs::remove_file(path)
    };
    match result {
        Ok(()) => Ok((Removed::Deleted, version)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Removed::Absent, version)),
        Err(error) if error.raw_os_error() == Some(libc::ENOTEMPTY) => Err(Error::NotEmpty),
        Err(error) => Err(Error::io("unlink", path)(error)),
    }
}

impl Target {
    /// The version of the file that is there now. A directory is no target.
    pub(crate) fn present_version(&self) -> Result<Option<u64>, Error> {
        if self.is_directory {
            return Err(Error::IsDirectory);
        }
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(Error::IsDirectory),
            Ok(metadata) => Ok(Some(version::of_file(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(below_file("stat", &self.path)(error)),
        }
    }
}

/// The root must be there: when what is mounted on it is missing, files would go to the disk below
/// and everything would seem to be deleted.
fn root_is_there(target: &Target) -> Result<(), Error> {
    fs::metadata(&target.root).map(drop).map_err(Error::io("stat", &target.root))
}

/// Makes the directories below the root.
fn create_directory(target: &Target, directory: &Path) -> Result<(), Error> {
    root_is_there(target)?;
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(below_file("mkdir", directory))
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

/// Has `create` make something under a name that nothing has. A process that was killed may have
/// left names behind, and another may have its number now.
fn with_temporary_name<T>(
    directory: &Path,
    create: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 1000;

    let reserved = String::from_utf8_lossy(RESERVED);
    let mut result = Err(io::Error::from_raw_os_error(libc::EEXIST));
    for _ in 0..TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = directory.join(format!("{reserved}{}.{number}", nginx::pid()));
        result = create(&name).map(|made| (made, name));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    result
}
