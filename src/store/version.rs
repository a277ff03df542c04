//! Versions: when a change was accepted, in nanoseconds since the epoch. A file's version is its
//! mtime, so backups, `rsync -t` and nginx's Last-Modified and ETag know it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The version of a file that is there.
pub(crate) fn of_file(metadata: &Metadata) -> u64 {
    of_mtime(metadata.mtime(), metadata.mtime_nsec())
}

/// The version that an mtime is: seconds, and nanoseconds.
pub(super) fn of_mtime(seconds: i64, rest: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let rest = u64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// The mtime of a version.
pub(super) fn to_time(version: u64) -> SystemTime {
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
    fn the_header_is_digits_not_far_ahead() {
        let now = to_time(1_000_000_000_000_000_000);
        assert_eq!(parse(b"1000000000000000001", now).ok(), Some(1_000_000_000_000_000_001));
        for bad in [&b""[..], b"-1", b"+1", b"1.5", b" 1", b"99999999999999999999", b"\xff"] {
            assert_eq!(parse(bad, now).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(parse(b"1000000400000000000", now).unwrap_err().status(), 400);
    }
}
