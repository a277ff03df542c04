//! An open directory. What is in it is found without another walk along its path, and is in this
//! directory whatever becomes of the path (openat(2) and its kin).

use core::mem;
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{openat, Mode, OFlags};
use rustix::io::retry_on_intr;

/// See the module.
pub struct Dir(File);

/// What stat(2) tells of a name.
pub struct Stat {
    /// What it is (`S_IFMT`), and who may do what with it.
    pub mode: u32,
    /// Its mtime: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

impl Dir {
    /// Opens the directory.
    pub fn open(path: &Path) -> io::Result<Dir> {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path).map(Dir)
    }

    /// The directory itself, to be locked or synced.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Creates a file, to be read and written; `AlreadyExists` where something has the name.
    pub fn create_new(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        Ok(retry_on_intr(|| openat(&self.0, name, flags, mode))?.into())
    }

    /// What has the name, if it is a symbolic link, what that leads to.
    pub fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: the structure is valid as zeroes, and the kernel fills it; the name ends with NUL.
        unsafe {
            let mut stat: libc::stat = mem::zeroed();
            if libc::fstatat(self.0.as_raw_fd(), name.as_ptr(), &mut stat, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(Stat { mode: stat.st_mode, modified: (stat.st_mtime, stat.st_mtime_nsec) })
        }
    }

    /// Gives what has the name `from` the name `to`, in place of what had it.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let (from, to) = (CString::new(from.as_bytes())?, CString::new(to.as_bytes())?);
        let fd = self.0.as_raw_fd();
        // SAFETY: both names end with NUL and live across the call.
        match unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The text of the symbolic link with this name, or path below the directory, of at most 64
    /// bytes.
    pub fn read_link(&self, name: &str) -> io::Result<Vec<u8>> {
        let name = CString::new(name)?;
        let mut text = [0u8; 64];
        let fd = self.0.as_raw_fd();
        // SAFETY: the name ends with NUL; the kernel writes no more than it is told.
        let len =
            unsafe { libc::readlinkat(fd, name.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
        match usize::try_from(len) {
            Ok(len) => Ok(text.get(..len).unwrap_or_default().to_vec()),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Removes a file.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: as in rename().
        match unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
