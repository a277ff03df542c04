//! The missing log: what a child has not got yet, as a page of links that wget can follow.
//!
//! One directory a child, one file a day, one line an entry; docs/formats.md has the grammar.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::escape;

/// A change that one child has not got.
pub(crate) struct Entry<'a> {
    /// UTC year, month, day, hour, minute, second of the failure.
    pub(crate) time: [u32; 6],
    /// Whether the change stored a file or deleted one.
    pub(crate) deleted: bool,
    /// The request's path.
    pub(crate) path: &'a [u8],
    /// The change's version, nanoseconds since the epoch.
    pub(crate) version: u64,
    /// Why: a status, or `timeout`.
    pub(crate) reason: &'a str,
}

impl Entry<'_> {
    /// The line of the log. PUT lines are links, DELETE lines are not: there is nothing to fetch.
    fn line(&self) -> Vec<u8> {
        let [year, month, day, hour, minute, second] = self.time;
        let mut line = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z ")
            .into_bytes();
        if self.deleted {
            line.extend(b"DELETE ");
            line.extend(escape::html(self.path));
        } else {
            line.extend(b"PUT <a href=\"");
            // "//a/b" would be the path "/b" on a host "a".
            let link = escape::percent(self.path);
            match link.strip_prefix("//") {
                Some(rest) => line.extend(format!("/%2F{rest}").bytes()),
                None => line.extend(link.bytes()),
            }
            line.extend(b"\">");
            line.extend(escape::html(self.path));
            line.extend(b"</a>");
        }
        line.extend(format!(" {} {}<br>\n", self.version, self.reason).bytes());
        line
    }

    fn file_name(&self) -> String {
        let [year, month, day, ..] = self.time;
        format!("{year:04}-{month:02}-{day:02}.log.html")
    }
}

/// The directory of a child's log, named as in its `server` line; a slash (of a unix socket) is
/// percent-encoded.
pub(crate) fn directory(logs: &Path, child: &[u8]) -> PathBuf {
    let name = String::from_utf8_lossy(child).replace('%', "%25").replace('/', "%2F");
    logs.join(name)
}

/// Appends an entry with one write, so that lines of several workers do not mix.
pub(crate) fn append(logs: &Path, child: &[u8], entry: &Entry<'_>) -> io::Result<()> {
    let directory = directory(logs, child);
    let path = directory.join(entry.file_name());
    let open = || OpenOptions::new().append(true).create(true).mode(0o644).open(&path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
            open()?
        }
        other => other?,
    };
    let line = entry.line();
    match file.write(&line)? {
        n if n == line.len() => Ok(()),
        // The disk is full: a torn line ends before the next one, and readers skip it.
        _ => {
            _ = file.write(b"\n");
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8]) -> Entry<'_> {
        Entry {
            time: [2026, 11, 22, 11, 24, 5],
            deleted: false,
            path,
            version: 1763810645123456789,
            reason: "502",
        }
    }

    #[test]
    fn a_put_is_a_link() {
        assert_eq!(
            entry(b"/a/b.mp3").line(),
            b"2026-11-22T11:24:05Z PUT <a href=\"/a/b.mp3\">/a/b.mp3</a> 1763810645123456789 502<br>\n"
        );
    }

    #[test]
    fn a_delete_is_none() {
        let entry = Entry { deleted: true, reason: "timeout", ..entry(b"/a/c.mp3") };
        assert_eq!(
            entry.line(),
            b"2026-11-22T11:24:05Z DELETE /a/c.mp3 1763810645123456789 timeout<br>\n"
        );
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let line = entry(b"/a\n\"><script>\xff?#").line();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert!(!line.windows(7).any(|window| window == b"<script"));
        assert!(line.windows(31).any(|w| w == b"href=\"/a%0A%22%3E%3Cscript%3E%F"));
    }

    #[test]
    fn a_child_is_one_directory() {
        for (child, name) in [
            (&b"10.0.0.3:8080"[..], "10.0.0.3:8080"),
            (b"[::1]:8080", "[::1]:8080"),
            (b"unix:/run/c.sock", "unix:%2Frun%2Fc.sock"),
        ] {
            assert_eq!(directory(Path::new("/s"), child), Path::new("/s").join(name));
        }
    }

    #[test]
    fn a_link_stays_on_this_host() {
        let line = entry(b"//elsewhere/a").line();
        assert!(String::from_utf8(line).unwrap().contains("href=\"/%2Felsewhere/a\""));
    }

    #[test]
    fn creates_the_directory_and_appends() {
        let logs = std::env::temp_dir().join(format!("filedist-log-{}", std::process::id()));
        append(&logs, b"c:1", &entry(b"/one")).unwrap();
        append(&logs, b"c:1", &entry(b"/two")).unwrap();
        let text = std::fs::read_to_string(logs.join("c:1/2026-11-22.log.html")).unwrap();
        std::fs::remove_dir_all(&logs).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.ends_with(" 1763810645123456789 502<br>")));
    }
}
