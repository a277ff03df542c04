//! A file that is being written, until it takes its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::directory::{below_file, create_directory};
use super::path::{Target, RESERVED};
use crate::error::Error;
use crate::nginx::{self, worker};

/// Files are for everybody to read: streaming servers read them from the disk.
const FILE_MODE: u32 = 0o644;

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
    pub(super) fn create_beside(target: &Target) -> Result<Temporary, Error> {
        let directory = target.directory();
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

    /// Gives the file the target's name; `exists`: something seems to have it.
    pub(super) fn rename(&mut self, target: &Target, exists: bool) -> io::Result<()> {
        if self.name.is_none() {
            if !exists {
                match nginx::link(&self.file, &target.path) {
                    // Something that stat() does not see: a symbolic link to nothing.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => return other,
                }
            }
            // link() takes no name that is in use, rename() does.
            let directory = target.directory();
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
            // What cannot be removed is found by its name when this worker has ended.
            _ = fs::remove_file(name);
        }
    }
}

/// The name is one that this worker gave to a temporary file.
pub(crate) fn is_temporary_of(name: &[u8], worker: &str) -> bool {
    let rest = name.strip_prefix(RESERVED).and_then(|name| name.strip_prefix(worker.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"."))
}

/// Has `create` make something under a name that nothing has, and that tells the worker: what it
/// leaves when it is killed is found by that.
pub(super) fn with_temporary_name<T>(
    directory: &Path,
    create: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 1000;

    let reserved = String::from_utf8_lossy(RESERVED);
    let mut result = Err(io::Error::from_raw_os_error(libc::EEXIST));
    for _ in 0..TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = directory.join(format!("{reserved}{}.{number}", worker::name()));
        result = create(&name).map(|made| (made, name));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    result
}
