//! A file that is being written, until it takes its place.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::mem;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::directory::below_file;
use super::path::{Target, RESERVED};
use super::version;
use crate::error::Error;
use crate::nginx::{self, worker, Dir};

/// Files are for everybody to read: streaming servers read them from the disk.
const FILE_MODE: u32 = 0o644;

/// How many there are with a name.
static NAMED: AtomicUsize = AtomicUsize::new(0);

/// A file that is being written, in the file system of its target. It has no name if file system and
/// kernel can do that; then nothing is left of it when the worker is killed.
pub(crate) struct Temporary {
    file: Arc<File>,
    name: Name,
}

/// What a temporary file is called.
enum Name {
    /// Nothing.
    None,
    /// This, where it could not do without.
    Path(PathBuf),
    /// This, in the target's own directory, which cannot be removed meanwhile.
    In(Dir, OsString),
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

    /// Creates the file with a name, in the target's own directory; none if that is missing.
    pub(super) fn create_beside(target: &Target) -> Result<Option<Temporary>, Error> {
        let path = target.directory();
        let directory = match Dir::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(below_file("open", path))?,
        };
        let create = |name: &str| directory.create_new(OsStr::new(name), FILE_MODE);
        let (file, name) = with_temporary_name(create).map_err(Error::io("open", path))?;
        Ok(Some(Temporary::new(file, Name::In(directory, name.into()))))
    }

    fn create_in(directory: &Path) -> io::Result<Temporary> {
        if let Some(file) = nginx::unnamed_file(directory, FILE_MODE)? {
            if nginx::can_link(&file) {
                return Ok(Temporary::new(file, Name::None));
            }
        }
        let (file, path) = create_named(directory, FILE_MODE)?;
        Ok(Temporary::new(file, Name::Path(path)))
    }

    fn new(file: File, name: Name) -> Temporary {
        if !matches!(name, Name::None) {
            NAMED.fetch_add(1, Ordering::Relaxed);
        }
        Temporary { file: Arc::new(file), name }
    }

    /// The target's own directory, where this is a file in it.
    pub(super) fn beside(&self) -> Option<&Dir> {
        match &self.name {
            Name::In(directory, _) => Some(directory),
            _ => None,
        }
    }

    /// The file, to be written and sent.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The writing of bytes from `offset` on; says how many they were.
    pub(crate) fn write_at(
        &self,
        offset: u64,
    ) -> impl FnOnce(&[&[u8]]) -> io::Result<u64> + Send + 'static {
        let file = Arc::clone(&self.file);
        move |slices| {
            let mut end = offset;
            for bytes in slices {
                file.write_all_at(bytes, end)?;
                end += bytes.len() as u64;
            }
            Ok(end - offset)
        }
    }

    /// Gives the file the target's name; `exists`: something seems to have it. An error that is no
    /// failure is told: network file systems have one of what they have done.
    pub(super) fn rename(
        &mut self,
        target: &Target,
        exists: bool,
    ) -> io::Result<Option<io::Error>> {
        match self.try_rename(target, exists) {
            Ok(()) => Ok(None),
            Err(error) if self.is_at(target) => {
                self.has_no_name();
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The target's name is that of this file.
    fn is_at(&self, target: &Target) -> bool {
        let inode = |it: Metadata| (it.dev(), it.ino());
        let there = fs::symlink_metadata(&target.path).map(inode);
        there.is_ok_and(|there| self.file.metadata().map(inode).is_ok_and(|own| own == there))
    }

    fn try_rename(&mut self, target: &Target, exists: bool) -> io::Result<()> {
        if let (Name::None, false) = (&self.name, exists) {
            match nginx::link(&self.file, &target.path) {
                // Something that stat() does not see: a symbolic link to nothing.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
        match &self.name {
            Name::None => {
                // link() takes no name that is in use, rename() does.
                let directory = target.directory();
                let link = |name: &str| {
                    let path = directory.join(name);
                    nginx::link(&self.file, &path).inspect_err(|error| {
                        if error.kind() != io::ErrorKind::AlreadyExists {
                            discard(path);
                        }
                    })
                };
                let ((), name) = with_temporary_name(link)?;
                self.name = Name::Path(directory.join(name));
                NAMED.fetch_add(1, Ordering::Relaxed);
                return self.try_rename(target, exists);
            }
            Name::Path(name) => fs::rename(name, &target.path)?,
            Name::In(directory, name) => directory.rename(name, target.name())?,
        }
        self.has_no_name();
        Ok(())
    }

    fn has_no_name(&mut self) {
        if !matches!(mem::replace(&mut self.name, Name::None), Name::None) {
            NAMED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Name {
    /// Removes the file, if it is there.
    fn remove(&self) -> io::Result<()> {
        let removed = match self {
            Name::None => return Ok(()),
            Name::Path(name) => fs::remove_file(name),
            Name::In(directory, name) => directory.remove(name),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        match self.name.remove() {
            Ok(()) => self.has_no_name(),
            Err(_) => left().push(mem::replace(&mut self.name, Name::None)),
        }
    }
}

/// Files that could not be removed.
static LEFT: Mutex<Vec<Name>> = Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<Name>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a file with a temporary name, now or later.
pub(super) fn discard(path: PathBuf) {
    let name = Name::Path(path);
    if name.remove().is_err() {
        NAMED.fetch_add(1, Ordering::Relaxed);
        left().push(name);
    }
}

/// Tries to remove once more what could not be removed: the disk may be well again.
pub(crate) fn remove_left() {
    left().retain(|name| {
        let removed = name.remove().is_ok();
        if removed {
            NAMED.fetch_sub(1, Ordering::Relaxed);
        }
        !removed
    });
}

/// A file of this worker's has a temporary name: one that is being written, or could not be removed.
/// A worker that is stopped ends without having dropped what its requests have.
pub(crate) fn has_left_temporaries() -> bool {
    NAMED.load(Ordering::Relaxed) > 0
}

/// A file that never gets a name, for what does not fit into memory: it vanishes when it is closed.
pub(crate) fn scratch_file(directory: &Path) -> io::Result<File> {
    const MODE: u32 = 0o600;

    if let Some(file) = nginx::unnamed_file(directory, MODE)? {
        return Ok(file);
    }
    let (file, path) = create_named(directory, MODE)?;
    fs::remove_file(path).map(|()| file)
}

fn create_named(directory: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(mode);
    let (file, name) = with_temporary_name(|name| options.open(directory.join(name)))?;
    Ok((file, directory.join(name)))
}

/// Whether files below a root can have versions. Where nothing can be made, nobody can tell.
/// nginx's master asks, before any worker has a name.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    /// A version with nanoseconds.
    const SOME: u64 = 1_234_567_890_123_456_789;

    let unnamed = nginx::unnamed_file(root, FILE_MODE).ok().flatten();
    let file = unnamed.map_or_else(
        || {
            let reserved = String::from_utf8_lossy(RESERVED);
            let name = root.join(format!("{reserved}{}.check", std::process::id()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&name)?;
            fs::remove_file(&name)?;
            io::Result::Ok(file)
        },
        Ok,
    );
    file.map_or(Ok(()), |file| version::stamp(&file, SOME, root))
}

/// The name is one that this worker gave to a temporary file.
pub(crate) fn is_temporary_of(name: &[u8], worker: &str) -> bool {
    let rest = name.strip_prefix(RESERVED).and_then(|name| name.strip_prefix(worker.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"."))
}

/// Has `create` make something under a name that nothing has, and that tells the worker: what it
/// leaves when it is killed is found by that.
pub(super) fn with_temporary_name<T>(
    create: impl Fn(&str) -> io::Result<T>,
) -> io::Result<(T, String)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 1000;

    let reserved = String::from_utf8_lossy(RESERVED);
    let mut result = Err(io::Error::from_raw_os_error(libc::EEXIST));
    for _ in 0..TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{reserved}{}.{number}", worker::name());
        result = create(&name).map(|made| (made, name));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_has_no_name() {
        let directory =
            std::env::temp_dir().join(format!("filedist-scratch-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = scratch_file(&directory).unwrap();
        file.write_all_at(b"a", 0).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert!(scratch_file(&directory.join("missing")).is_err());
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_temporary_name_is_one_that_nothing_has() {
        let taken = std::cell::RefCell::new(Vec::new());
        let create = |name: &str| {
            taken.borrow_mut().push(name.to_owned());
            match taken.borrow().len() {
                1..100 => Err(io::ErrorKind::AlreadyExists.into()),
                _ => Ok(()),
            }
        };
        let ((), name) = with_temporary_name(create).unwrap();
        let mut taken = taken.into_inner();
        assert_eq!(taken.last(), Some(&name));
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 100);
        assert!(is_temporary_of(name.as_bytes(), worker::name()));
    }
}
