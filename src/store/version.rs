//! Versions: when a change was accepted, in nanoseconds since the epoch. A file's version is its
//! mtime, so backups, `rsync -t` and nginx's Last-Modified and ETag know it.
//!
//! Where the file system does not keep nanoseconds, the mtime has the whole seconds of the version,
//! and an extended attribute has all of it. So only a file whose mtime is a whole second is asked
//! for one.

use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{fgetxattr, fsetxattr, getxattr, XattrFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::nginx::worker;

/// How far the clock of a parent may be ahead.
const MOST_AHEAD: Duration = Duration::from_secs(5 * 60);

/// How many nanoseconds later a version is at most than one that is ahead of the clock.
const MOST_APART: u64 = 1 << 16;

/// The version that a change is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A client makes it: now, or later than the one that is there.
    Next,
    /// The same, with a time that was looked up before.
    AtLeast(u64),
    /// A parent has passed it on.
    Exactly(u64),
}

impl Wanted {
    /// What Filedist-Version asks for.
    pub(crate) fn of_header(header: Option<&[u8]>) -> Result<Wanted, Error> {
        header.map_or(Ok(Wanted::Next), |header| {
            parse(header, SystemTime::now()).map(Wanted::Exactly)
        })
    }

    /// The version, where `present` is there.
    pub(crate) fn over(self, present: Option<u64>) -> u64 {
        match self {
            Wanted::Next => next(nanoseconds(SystemTime::now()), present),
            Wanted::AtLeast(least) => next(least, present),
            Wanted::Exactly(version) => version,
        }
    }

    /// The same with the present time fixed, and the version that it comes to unless a later one
    /// turns out to be there.
    pub(super) fn fixed(self) -> (Wanted, u64) {
        let version = self.over(None);
        match self {
            Wanted::Next => (Wanted::AtLeast(version), version),
            other => (other, version),
        }
    }
}

/// Later than `present`, and not before `least`. Where the clock is behind, two nodes or uploads
/// that go by the same `present` do not come to the same version.
fn next(least: u64, present: Option<u64>) -> u64 {
    match present {
        Some(present) if present >= least => present.saturating_add(1 + worker::random(MOST_APART)),
        _ => least,
    }
}

fn parse(header: &[u8], now: SystemTime) -> Result<u64, Error> {
    let version = std::str::from_utf8(header)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Version("Filedist-Version is no number of nanoseconds since 1970"))?;
    if version > nanoseconds(now + MOST_AHEAD) {
        return Err(Error::Version(
            "Filedist-Version is more than 5 minutes ahead: check the clocks of this node and its parent",
        ));
    }
    Ok(version)
}

/// The value of Filedist-Version.
pub(crate) fn to_header(version: u64) -> Vec<u8> {
    version.to_string().into_bytes()
}

/// The attribute of a file whose mtime is not all of its version: the version, in decimal.
const ATTRIBUTE: &str = "user.filedist.version";

const SECOND: u64 = 1_000_000_000;

/// Why a file cannot have a version.
pub(super) const LOST: &str = "the file system keeps neither nanoseconds of an mtime nor extended \
     attributes (user.*), so that versions are lost: put the files on one that does, as ext4, xfs, \
     btrfs and zfs do";

/// The version of the file at `path`.
pub(crate) fn of_path(path: &Path, metadata: &Metadata) -> io::Result<u64> {
    match metadata.is_file() {
        true => of_mtime_at(path, mtime(metadata)),
        // A symbolic link has no such attribute, and is not what it leads to.
        false => Ok(of_mtime(mtime(metadata))),
    }
}

/// The version of an open file.
pub(super) fn of_open(file: &File, metadata: &Metadata) -> io::Result<u64> {
    of(mtime(metadata), |text| fgetxattr(file, ATTRIBUTE, text))
}

/// The version of the file at `path`, which has this mtime: seconds, and nanoseconds.
pub(super) fn of_mtime_at(path: &Path, mtime: (i64, i64)) -> io::Result<u64> {
    of(mtime, |text| getxattr(path, ATTRIBUTE, text))
}

fn mtime(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// `attribute` reads the attribute.
fn of(
    mtime: (i64, i64),
    attribute: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<u64> {
    let version = of_mtime(mtime);
    if mtime.1 != 0 {
        return Ok(version);
    }
    let mut text = [0; 20];
    let text = match attribute(&mut text) {
        Ok(length) => text.get(..length),
        // There is none, none of ours, or none that this worker may know of.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE | Errno::ACCESS | Errno::PERM) => None,
        Err(error) => return Err(error.into()),
    };
    let all =
        text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
    // Where the seconds are others, somebody has changed the file since.
    Ok(all.filter(|all: &u64| all / SECOND == version / SECOND).unwrap_or(version))
}

/// The version that an mtime is.
fn of_mtime((seconds, rest): (i64, i64)) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let rest = u64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(SECOND).saturating_add(rest)
}

/// Gives a file of this node's own its version; `path` is for the error.
pub(super) fn stamp(file: &File, version: u64, path: &Path) -> Result<(), Error> {
    let set = |version| {
        let times = FileTimes::new().set_modified(to_time(version));
        file.set_times(times).map_err(Error::io("futimens", path))
    };
    let get =
        || file.metadata().and_then(|it| of_open(file, &it)).map_err(Error::io("fstat", path));
    set(version)?;
    if get()? == version {
        return Ok(());
    }
    set(version - version % SECOND)?;
    match fsetxattr(file, ATTRIBUTE, version.to_string().as_bytes(), XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => return Err(Error::Internal(LOST)),
        other => other.map_err(io::Error::from).map_err(Error::io("fsetxattr", path))?,
    }
    match get()? == version {
        true => Ok(()),
        false => Err(Error::Internal(LOST)),
    }
}

/// The mtime of a version.
fn to_time(version: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(version)
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_version_is_later_than_the_present_one() {
        assert_eq!(next(1000, None), 1000);
        assert_eq!(next(1000, Some(999)), 1000);
        for present in [1000, 5000] {
            let version = next(1000, Some(present));
            assert!(version > present && version <= present + MOST_APART, "{version}");
        }
        assert_eq!(next(1000, Some(u64::MAX)), u64::MAX);
    }

    #[test]
    fn the_attribute_counts_where_the_mtime_is_its_whole_seconds() {
        let of = |mtime, text: &'static [u8]| {
            of(mtime, |to| {
                let to = to.get_mut(..text.len()).ok_or(Errno::RANGE)?;
                to.copy_from_slice(text);
                Ok(text.len())
            })
        };
        assert_eq!(of((7, 0), b"7000000009").unwrap(), 7_000_000_009);
        for stale in
            [&b"8000000000"[..], b"6999999999", b"", b"x", b"-7", b"70000000090000000000000"]
        {
            assert_eq!(of((7, 0), stale).unwrap(), 7_000_000_000, "{stale:?}");
        }
        // One that does not count is not even asked for.
        assert_eq!(of((7, 1), b"7000000009").unwrap(), 7_000_000_001);
    }

    #[test]
    fn without_the_attribute_the_mtime_counts() {
        let fails = |errno| of((7, 0), |_| Err(errno));
        for none in [Errno::NODATA, Errno::OPNOTSUPP, Errno::ACCESS] {
            assert_eq!(fails(none).unwrap(), 7_000_000_000);
        }
        // Not with a disk that cannot be read: an older change would win.
        assert!(fails(Errno::IO).is_err());
    }

    #[test]
    fn the_header_is_digits_not_far_ahead() {
        let now = to_time(1_000_000_000_000_000_000);
        assert_eq!(parse(b"1000000000000000001", now).ok(), Some(1_000_000_000_000_000_001));
        for bad in [&b""[..], b"-1", b"+1", b"1.5", b" 1", b"99999999999999999999", b"\xff"] {
            assert_eq!(parse(bad, now).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(parse(b"1000000400000000000", now).unwrap_err().status(), 400);
    }
}
