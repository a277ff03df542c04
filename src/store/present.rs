//! What is known of a path.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::directory::{below_file, is_absent};
use super::path::Target;
use super::tombstone::Tombstones;
use super::version;
use crate::error::Error;
use crate::nginx::Dir;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// Nothing.
    Nothing,
    /// A file is there, in this version.
    File(u64),
    /// A file was deleted, by a DELETE with this version.
    Deleted(u64),
}

impl Present {
    /// The version of what was done to the path last.
    pub(crate) fn version(self) -> Option<u64> {
        match self {
            Present::Nothing => None,
            Present::File(version) | Present::Deleted(version) => Some(version),
        }
    }
}

impl Target {
    /// What is there now. A directory is no target.
    pub(crate) fn present(&self, tombstones: &Tombstones) -> Result<Present, Error> {
        if self.is_directory {
            return Err(Error::IsDirectory);
        }
        let found = fs::metadata(&self.path);
        let found = found.and_then(|file| Ok((file.mode(), version::of_path(&self.path, &file)?)));
        self.known(found, tombstones)
    }

    /// The same, looked for in the directory that the target lies in.
    pub(super) fn present_in(
        &self,
        directory: &Dir,
        tombstones: &Tombstones,
    ) -> Result<Present, Error> {
        let found = directory.stat(self.name());
        let version = |mtime| version::of_mtime_at(&self.path, mtime);
        let found = found.and_then(|file| Ok((file.mode, version(file.modified)?)));
        self.known(found, tombstones)
    }

    /// `found`: the mode and the version of what is there.
    fn known(
        &self,
        found: io::Result<(u32, u64)>,
        tombstones: &Tombstones,
    ) -> Result<Present, Error> {
        match found {
            Ok((mode, version)) => match mode & libc::S_IFMT {
                libc::S_IFREG => Ok(Present::File(version)),
                libc::S_IFDIR => Err(Error::IsDirectory),
                _ => Err(Error::IsSpecial),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.buried(tombstones),
            Err(error) => Err(below_file("stat", &self.path)(error)),
        }
    }

    /// What is known of a file that is not there.
    pub(crate) fn buried(&self, tombstones: &Tombstones) -> Result<Present, Error> {
        let buried = tombstones.get(&self.path).map_err(Error::io("readlink", &self.path))?;
        Ok(buried.map_or(Present::Nothing, Present::Deleted))
    }

    /// What is known of files that were where the directories above are: how many names the path
    /// has from there on, and the version of the DELETE.
    pub(crate) fn buried_above(&self, tombstones: &Tombstones) -> Result<Vec<(usize, u64)>, Error> {
        let mut all = Vec::new();
        let above = self.parents().take_while(|parent| *parent != self.root);
        for (names, path) in (1..).zip(above) {
            let version = tombstones.get(path).map_err(Error::io("readlink", path))?;
            all.extend(version.map(|version| (names, version)));
        }
        Ok(all)
    }

    /// The file that is there, to be read, and its version; none where there is no file.
    pub(crate) fn open(&self) -> Result<Option<(File, u64)>, Error> {
        // A pipe would wait for somebody who writes.
        let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = match open {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("open", &self.path)(error)),
        };
        let metadata = file.metadata().map_err(Error::io("fstat", &self.path))?;
        let version =
            version::of_open(&file, &metadata).map_err(Error::io("fgetxattr", &self.path))?;
        Ok(metadata.is_file().then_some((file, version)))
    }
}
