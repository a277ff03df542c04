//! One version of a file takes the place of another, whole or not at all.
//!
//! All here may block on a disk: handlers run it through `nginx::offload`.

use std::io;
use std::sync::Arc;

use super::directory::{done_but, sync_parents};
use super::lock::Lock;
use super::path::Target;
use super::present::Present;
use super::temporary::Temporary;
use super::tombstone::Tombstones;
use super::version::{self, Wanted};
use crate::error::Error;
use crate::flock;
use crate::journal::{Intent, Journal, Open};

/// How often a directory may be removed just when a file is to be put into it.
const TRIES: usize = 100;

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

impl Published {
    /// The file was not here in this version, and is now.
    pub(crate) fn is_change(self) -> bool {
        matches!(self, Published::Created | Published::Replaced)
    }
}

/// What a change of this node's files needs besides the file.
pub(crate) struct Commit {
    pub(crate) tombstones: Tombstones,
    /// Where the intent is written before the change is made; none on a leaf.
    pub(crate) journal: Option<(Arc<Journal>, Intent)>,
    /// The change is on the disk before it is answered (`filedist_fsync`).
    pub(crate) fsync: bool,
}

/// A change that was made, or turned out to be none.
pub(crate) struct Committed<T> {
    pub(crate) what: T,
    /// The version that the change has got.
    pub(crate) version: u64,
    /// What the journal has of a change that was made.
    pub(crate) intent: Option<Open>,
    /// Why the change may not be on the disk. It is one all the same: readers see it.
    pub(crate) unsynced: Option<Error>,
}

/// What a file has come to that was to take a place.
struct Replaced {
    what: Published,
    version: u64,
    /// Why it may not be on the disk.
    error: Option<Error>,
}

impl Commit {
    /// The intent of a change to `version`, on the disk.
    pub(super) fn begin(&mut self, version: u64) -> Result<Option<Open>, Error> {
        let Some((journal, intent)) = &mut self.journal else { return Ok(None) };
        intent.version = version;
        journal.begin(intent, self.fsync).map(Some).map_err(Error::io("write", journal.directory()))
    }
}

impl Temporary {
    /// Puts the file in the target's place, unless a newer version or this one is there.
    pub(crate) fn publish(
        mut self,
        target: &Target,
        wanted: Wanted,
        mut commit: Commit,
    ) -> Result<Committed<Published>, Error> {
        // What waits for the disk comes before the lock.
        let (wanted, likely) = wanted.fixed();
        let mut stamped = None;
        if commit.fsync {
            self.stamp(target, likely, true)?;
            stamped = Some(likely);
        }
        let intent = commit.begin(likely)?;
        match self.replace(target, wanted, &commit, stamped) {
            Ok(Replaced { what, version, error }) if what.is_change() => {
                let unsynced = error.or_else(|| match commit.fsync {
                    true => sync_parents(target, what == Published::Created).err(),
                    false => None,
                });
                Ok(Committed { what, version, intent, unsynced })
            }
            other => {
                if let Some(intent) = intent {
                    intent.close();
                }
                other.map(|Replaced { what, version, .. }| Committed {
                    what,
                    version,
                    intent: None,
                    unsynced: None,
                })
            }
        }
    }

    fn replace(
        &mut self,
        target: &Target,
        wanted: Wanted,
        commit: &Commit,
        stamped: Option<u64>,
    ) -> Result<Replaced, Error> {
        if let Some(directory) = self.beside() {
            let path = target.directory();
            flock::exclusive(directory.file()).map_err(Error::io("flock", path))?;
            let present = target.present_in(directory, &commit.tombstones)?;
            let replaced = self.replace_present(target, wanted, commit, stamped, present, None)?;
            // The lock went with the temporary name.
            return replaced.map_err(Error::io("rename", &target.path));
        }
        for _ in 0..TRIES {
            let mut lock = Lock::take(target)?;
            let present = target.present(&commit.tombstones)?;
            let lock = Some(&mut lock);
            match self.replace_present(target, wanted, commit, stamped, present, lock)? {
                // A DELETE has just removed the directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other.map_err(Error::io("rename", &target.path)),
            }
        }
        let gone = io::Error::from_raw_os_error(libc::ENOENT);
        Err(Error::io("rename", &target.path)(gone))
    }

    /// With the lock held; `lock` if the directory may have to be made. The inner error is that of
    /// the renaming.
    fn replace_present(
        &mut self,
        target: &Target,
        wanted: Wanted,
        commit: &Commit,
        stamped: Option<u64>,
        present: Present,
        lock: Option<&mut Lock>,
    ) -> Result<io::Result<Replaced>, Error> {
        let version = wanted.over(present.version());
        let replaced = |what, error| Ok(Ok(Replaced { what, version, error }));
        match present.version() {
            Some(present) if present > version => return replaced(Published::Superseded, None),
            Some(present) if present == version => return replaced(Published::Unchanged, None),
            _ => {}
        }
        if stamped != Some(version) {
            self.stamp(target, version, commit.fsync)?;
        }
        if let Some(lock) = lock {
            lock.make_directory(target)?;
        }
        let exists = matches!(present, Present::File(_));
        let published = if exists { Published::Replaced } else { Published::Created };
        match self.rename(target, exists) {
            Ok(error) => replaced(published, error.map(done_but("rename", &target.path))),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Gives the file its version.
    fn stamp(&self, target: &Target, version: u64, sync: bool) -> Result<(), Error> {
        version::stamp(self.file(), version, &target.path)?;
        match sync {
            true => self.file().sync_all().map_err(Error::io("fsync", &target.path)),
            false => Ok(()),
        }
    }
}

/// Stores a file of which all bytes are there. It has a name from the start: it exists for a few
/// system calls, and giving a name to one without costs two more.
pub(crate) fn put(
    target: &Target,
    bytes: &[u8],
    wanted: Wanted,
    commit: Commit,
) -> Result<Committed<Published>, Error> {
    // A directory in the target's place is found out before anything is made.
    if target.is_directory {
        return Err(Error::IsDirectory);
    }
    let temporary = match Temporary::create_beside(target)? {
        Some(temporary) => temporary,
        // The directory is made when it is known that the file will take its place there.
        None => Temporary::create(target)?,
    };
    temporary.write_at(0)(&[bytes]).map_err(Error::io("pwrite", &target.path))?;
    temporary.publish(target, wanted, commit)
}
