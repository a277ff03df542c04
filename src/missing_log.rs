//! The missing log: what a child has not got yet, as a page of links that wget can follow.
//!
//! One directory a child, one file a day, one line an entry; docs/formats.md has the grammar.
//! Any worker appends ([`append`]); one at a time, which its caller sees to, reads a child's log
//! ([`Reader`]), blanks what is delivered ([`Place::clear`]) and gives back the room ([`Tidy`]).
//!
//! Who appends or changes which file has the name of the day holds that file's exclusive lock
//! (flock), which ends with its process. All here may block on a disk.

mod append;
mod entry;
mod lines;
mod reader;
mod tidy;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::flock;

pub(crate) use append::{append, append_all, sync};
pub(crate) use entry::{timestamp, Entry, Missed};
pub(crate) use reader::{Batch, Place, Reader};
pub(crate) use tidy::Tidy;

/// The directory of a child's log, named as in its `server` line; a slash (of a unix socket) is
/// percent-encoded.
pub(crate) fn directory(logs: &Path, child: &[u8]) -> PathBuf {
    logs.join(directory_name(child))
}

/// The last name of [`directory`].
pub(crate) fn directory_name(child: &[u8]) -> String {
    String::from_utf8_lossy(child).replace('%', "%25").replace('/', "%2F")
}

/// Whether a child's log has no day at all. A file of a day with nothing in it counts until it is
/// tidied up, as does a directory that cannot be read.
pub(crate) fn is_empty(logs: &Path, child: &[u8]) -> bool {
    match fs::read_dir(directory(logs, child)) {
        Ok(mut names) => !names.any(|name| name.map_or(true, |name| day_name(&name).is_some())),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes a child's log, whatever is in it.
pub(crate) fn remove(logs: &Path, child: &[u8]) -> io::Result<()> {
    let directory = directory(logs, child);
    for day in days(&directory)? {
        let path = directory.join(day);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        // Who appends to it has ended its line, or finds that the file is gone, and makes another.
        if lock(&file, &path)? {
            fs::remove_file(&path)?;
        }
    }
    _ = fs::remove_dir(&directory);
    Ok(())
}

/// Whether the log of any child has entries of a day before `time`. One that cannot be read may.
pub(crate) fn has_older(logs: &Path, time: [u32; 6]) -> bool {
    let first = day_file(&time);
    let is_older = |child: fs::DirEntry| match days(&child.path()) {
        Ok(days) => days.first().is_some_and(|day| *day < first),
        Err(_) => true,
    };
    match fs::read_dir(logs) {
        Ok(mut children) => children.any(|child| child.map_or(true, is_older)),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The names of the days in a child's directory, in order. None where there is no directory.
fn days(directory: &Path) -> io::Result<Vec<String>> {
    let names = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut days = Vec::new();
    for name in names {
        days.extend(day_name(&name?));
    }
    days.sort_unstable();
    Ok(days)
}

/// The name of the file for the day of a time.
fn day_file([year, month, day, ..]: &[u32; 6]) -> String {
    format!("{year:04}-{month:02}-{day:02}.log.html")
}

/// The name of a directory's entry, if it is one that [`day_file`] gives.
fn day_name(entry: &fs::DirEntry) -> Option<String> {
    let name = entry.file_name().into_string().ok()?;
    let day = name.strip_suffix(".log.html")?;
    has_form(day.as_bytes(), b"dddd-dd-dd").then_some(name)
}

/// Whether `text` has a digit for each `d` of `form`, and its other bytes as they are.
fn has_form(text: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    text.len() == form.len() && text.iter().zip(form).all(fits)
}

/// Takes the exclusive lock of a day's file, and tells whether the file still has its name: the
/// one that held the lock may have removed the file or put another in its place. Closing the file
/// gives the lock back.
fn lock(file: &File, path: &Path) -> io::Result<bool> {
    flock::exclusive(file)?;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        // While it is open no other file gets its number.
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the file ends with a whole line. Under the lock, one that is not whole never will be:
/// the disk was full, or the process that wrote it was killed.
fn ends_with_line(file: &File) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(offset) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, offset)?;
    }
    Ok(last == *b"\n")
}

#[cfg(test)]
mod testing {
    use std::ops::Deref;

    use super::*;

    pub(super) const NOON: [u32; 6] = [2026, 11, 22, 11, 24, 5];

    pub(super) fn put(path: &[u8]) -> Entry<'_> {
        let version = 1763810645123456789;
        Entry { time: NOON, deleted: false, path, version, reason: "502", context: "" }
    }

    /// A directory for a test; it goes with this.
    pub(super) struct Logs(PathBuf);

    impl Logs {
        pub(super) fn new(name: &str) -> Logs {
            let name = format!("filedist-{name}-{}", std::process::id());
            let logs = Logs(std::env::temp_dir().join(name));
            fs::create_dir(&logs.0).unwrap();
            logs
        }

        /// Appends PUTs of `paths` to the log of the child `c`.
        pub(super) fn append(&self, time: [u32; 6], paths: &[&str]) {
            for path in paths {
                append(self, b"c", &Entry { time, ..put(path.as_bytes()) }).unwrap();
            }
        }
    }

    impl Deref for Logs {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Logs {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::thread;

    use super::testing::{put, Logs, NOON};
    use super::*;

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
    fn a_log_is_empty_without_days() {
        let logs = Logs::new("empty");
        assert!(is_empty(&logs, b"c"));
        fs::create_dir(logs.join("c")).unwrap();
        fs::write(logs.join("c/.tidy"), "").unwrap();
        assert!(is_empty(&logs, b"c"));
        append(&logs, b"c", &put(b"/a")).unwrap();
        assert!(!is_empty(&logs, b"c"));
    }

    #[test]
    fn a_log_is_as_old_as_its_first_day() {
        let logs = Logs::new("older");
        assert!(!has_older(&logs, NOON));
        append(&logs, b"d", &Entry { time: [2026, 11, 23, 0, 0, 0], ..put(b"/b") }).unwrap();
        logs.append(NOON, &["/a"]);
        assert!(!has_older(&logs, [2026, 11, 22, 23, 59, 59]));
        assert!(has_older(&logs, [2026, 11, 23, 0, 0, 0]));
    }

    /// Delivers all that is in the log, but every third entry only when it is seen again.
    fn pass(
        logs: &Logs,
        seen: &mut BTreeMap<Vec<u8>, u32>,
        delivered: &mut BTreeMap<Vec<u8>, u32>,
    ) {
        let mut reader = Reader::open(logs, b"c");
        loop {
            let batch = reader.next(7).unwrap();
            for (place, missed) in batch.entries {
                let times = seen.entry(missed.path.clone()).or_default();
                *times += 1;
                if *times > 1 || missed.path.last().unwrap() % 3 != 0 {
                    place.clear().unwrap();
                    *delivered.entry(missed.path).or_default() += 1;
                }
            }
            if batch.end {
                break;
            }
        }
        let mut tidy = Tidy::open(logs, b"c");
        while !tidy.step().unwrap() {}
    }

    #[test]
    fn nothing_is_lost_while_many_append() {
        const APPENDERS: usize = 4;
        const EACH: usize = 3000;
        let logs = Logs::new("stress");
        let (mut seen, mut delivered) = (BTreeMap::new(), BTreeMap::new());
        thread::scope(|scope| {
            let logs = &logs;
            let appender = |appender| {
                scope.spawn(move || {
                    for number in 0..EACH {
                        let path = format!("/{appender} {number}");
                        let time = [2026, 11, 22 + (number * 3 / EACH) as u32, 0, 0, 0];
                        append(logs, b"c", &Entry { time, ..put(path.as_bytes()) }).unwrap();
                    }
                })
            };
            let appenders: Vec<_> = (0..APPENDERS).map(appender).collect();
            while appenders.iter().any(|appender| !appender.is_finished()) {
                pass(logs, &mut seen, &mut delivered);
            }
        });
        pass(&logs, &mut seen, &mut delivered);
        pass(&logs, &mut seen, &mut delivered);
        assert!(is_empty(&logs, b"c"));
        assert_eq!(delivered.len(), APPENDERS * EACH);
        assert!(delivered.values().all(|&times| times == 1));
    }
}
