//! What is still to be delivered, in the order in which it was missed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Missed;
use super::lines::Lines;
use super::{days, directory};

/// Bytes read by a call of [`Reader::next`]: a few milliseconds of a thread's time.
const CALL: u64 = 1024 * 1024;

/// Where in the log an entry is.
#[derive(Clone)]
pub(crate) struct Place {
    file: Arc<File>,
    offset: u64,
    length: usize,
}

impl Place {
    /// Blanks the entry: it was delivered. Others may append meanwhile; nobody may tidy up, else
    /// the entry may come back. A crash may bring it back too: it is then delivered again.
    pub(crate) fn clear(&self) -> io::Result<()> {
        // Cut short, it leaves what begins with a space and so is no entry.
        self.file.write_all_at(&vec![b' '; self.length], self.offset)
    }
}

/// Some entries.
pub(crate) struct Batch {
    /// In the order of the log.
    pub(crate) entries: Vec<(Place, Missed)>,
    /// Whether there is nothing more in the log now.
    pub(crate) end: bool,
}

/// One pass through a child's log. Gives each entry once, also those that are appended while it
/// is under way. It sees what [`super::Tidy`] puts in a file's place as new.
pub(crate) struct Reader {
    directory: PathBuf,
    /// The day that is being read.
    day: Option<Day>,
    lines: Lines,
    /// What was read of each day.
    read: BTreeMap<String, Read>,
}

struct Day {
    name: String,
    file: Arc<File>,
    inode: u64,
}

struct Read {
    inode: u64,
    /// Where the first line is that was not read.
    offset: u64,
    /// The size of the file then: it may end with a part of a line.
    size: u64,
}

impl Reader {
    /// A pass from the first entry on. There need not be a log.
    pub(crate) fn open(logs: &Path, child: &[u8]) -> Reader {
        Reader {
            directory: directory(logs, child),
            day: None,
            lines: Lines::new(),
            read: BTreeMap::new(),
        }
    }

    /// The next entries, `most` of them at most, in about 1 MiB of the log. There may be none
    /// before the end. After an error the next call tries again where this one failed.
    pub(crate) fn next(&mut self, most: usize) -> io::Result<Batch> {
        let mut batch = Batch { entries: Vec::new(), end: false };
        let mut left = CALL;
        while batch.entries.len() < most && left > 0 {
            if self.day.is_none() {
                self.day = self.open_day()?;
            }
            let Some(day) = &self.day else {
                batch.end = true;
                break;
            };
            let before = self.lines.offset();
            let Some(line) = self.lines.next(&day.file)? else {
                self.close_day();
                continue;
            };
            if let Some(missed) = Missed::parse(line.bytes) {
                let file = Arc::clone(&day.file);
                let place = Place { file, offset: line.offset, length: line.bytes.len() };
                batch.entries.push((place, missed));
            }
            left = left.saturating_sub(self.lines.offset() - before);
        }
        Ok(batch)
    }

    /// The first day with something that was not read: a new one, or an old one to which somebody
    /// has appended, be it after midnight.
    fn open_day(&mut self) -> io::Result<Option<Day>> {
        let days = days(&self.directory)?;
        self.read.retain(|name, _| days.binary_search(name).is_ok());
        for name in days {
            // Not to append: pwrite() would ignore the offset.
            let path = self.directory.join(&name);
            let file = match OpenOptions::new().read(true).write(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let found = file.metadata()?;
            let inode = found.ino();
            let offset = match self.read.get(&name) {
                Some(read) if read.inode == inode && read.size == found.len() => continue,
                Some(read) if read.inode == inode && read.offset <= found.len() => read.offset,
                // A new one, or somebody has emptied it.
                _ => 0,
            };
            self.lines.seek(offset);
            return Ok(Some(Day { name, file: Arc::new(file), inode }));
        }
        Ok(None)
    }

    fn close_day(&mut self) {
        if let Some(day) = self.day.take() {
            let (offset, size) = (self.lines.offset(), self.lines.seen());
            self.read.insert(day.name, Read { inode: day.inode, offset, size });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::missing_log::testing::{put, Logs, NOON};

    const NEXT_DAY: [u32; 6] = [2026, 11, 23, 0, 0, 0];

    /// The paths up to the end.
    fn rest(reader: &mut Reader) -> Vec<String> {
        let mut paths = Vec::new();
        loop {
            let batch = reader.next(3).unwrap();
            assert!(batch.entries.len() <= 3);
            for (_, missed) in batch.entries {
                paths.push(String::from_utf8(missed.path).unwrap());
            }
            if batch.end {
                return paths;
            }
        }
    }

    #[test]
    fn moves_between_threads() {
        fn moves<T: Send + 'static>() {}
        moves::<(Reader, Place, Batch)>();
    }

    #[test]
    fn no_log_is_an_empty_one() {
        let logs = Logs::new("reader-none");
        assert!(rest(&mut Reader::open(&logs, b"c")).is_empty());
    }

    #[test]
    fn days_and_lines_come_in_order() {
        let logs = Logs::new("reader-order");
        logs.append(NEXT_DAY, &["/4", "/5"]);
        logs.append(NOON, &["/1", "/2", "/3"]);
        for name in [".tidy", "2026-11-2.log.html", "2026-11-21.log.html~", "x026-11-21.log.html"] {
            fs::copy(logs.join("c/2026-11-22.log.html"), logs.join("c").join(name)).unwrap();
        }
        assert_eq!(rest(&mut Reader::open(&logs, b"c")), ["/1", "/2", "/3", "/4", "/5"]);
    }

    #[test]
    fn what_is_appended_after_the_end_is_seen() {
        let logs = Logs::new("reader-end");
        let mut reader = Reader::open(&logs, b"c");
        assert!(rest(&mut reader).is_empty());
        logs.append(NOON, &["/1"]);
        assert_eq!(rest(&mut reader), ["/1"]);
        logs.append(NOON, &["/2"]);
        assert_eq!(rest(&mut reader), ["/2"]);
        // Midnight; one was late.
        logs.append(NEXT_DAY, &["/4"]);
        logs.append(NOON, &["/3"]);
        assert_eq!(rest(&mut reader), ["/3", "/4"]);
        logs.append(NOON, &["/5"]);
        assert_eq!(rest(&mut reader), ["/5"]);
        assert!(rest(&mut reader).is_empty());
    }

    #[test]
    fn a_line_is_read_when_it_has_ended() {
        let logs = Logs::new("reader-half");
        logs.append(NOON, &["/1", "/2"]);
        let path = logs.join("c/2026-11-22.log.html");
        let whole = fs::read(&path).unwrap();
        let (now, later) = whole.split_at(whole.len() - 9);
        fs::write(&path, now).unwrap();
        let mut reader = Reader::open(&logs, b"c");
        assert_eq!(rest(&mut reader), ["/1"]);
        assert!(rest(&mut reader).is_empty());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(later).unwrap();
        assert_eq!(rest(&mut reader), ["/2"]);
    }

    #[test]
    fn a_torn_line_is_skipped() {
        let logs = Logs::new("reader-torn");
        logs.append(NOON, &["/1"]);
        let path = logs.join("c/2026-11-22.log.html");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2026-11-22T11:24:05Z PUT <a href=\"/a\n").unwrap();
        logs.append(NOON, &["/2"]);
        assert_eq!(rest(&mut Reader::open(&logs, b"c")), ["/1", "/2"]);
    }

    #[test]
    fn a_day_that_vanishes_is_skipped() {
        let logs = Logs::new("reader-gone");
        logs.append(NOON, &["/1"]);
        logs.append(NEXT_DAY, &["/2"]);
        let mut reader = Reader::open(&logs, b"c");
        assert_eq!(reader.next(1).unwrap().entries.len(), 1);
        fs::remove_file(logs.join("c/2026-11-23.log.html")).unwrap();
        assert!(rest(&mut reader).is_empty());
        logs.append(NEXT_DAY, &["/3"]);
        assert_eq!(rest(&mut reader), ["/3"]);
        // As when it vanishes just before open().
        symlink("nowhere", logs.join("c/2026-11-21.log.html")).unwrap();
        assert!(rest(&mut reader).is_empty());
    }

    #[test]
    fn what_takes_the_place_of_a_day_is_new() {
        let logs = Logs::new("reader-replaced");
        logs.append(NOON, &["/1", "/2"]);
        let mut reader = Reader::open(&logs, b"c");
        assert_eq!(rest(&mut reader), ["/1", "/2"]);
        let path = logs.join("c/2026-11-22.log.html");
        let text = fs::read_to_string(&path).unwrap().lines().rev().collect::<Vec<_>>().join("\n");
        fs::write(logs.join("c/.tidy"), text + "\n").unwrap();
        fs::rename(logs.join("c/.tidy"), &path).unwrap();
        assert_eq!(rest(&mut reader), ["/2", "/1"]);
        // By hand.
        fs::write(&path, "").unwrap();
        assert!(rest(&mut reader).is_empty());
        logs.append(NOON, &["/3"]);
        assert_eq!(rest(&mut reader), ["/3"]);
    }

    #[test]
    fn a_clear_keeps_the_other_lines() {
        let logs = Logs::new("reader-clear");
        logs.append(NOON, &["/1", "/2", "/3"]);
        let path = logs.join("c/2026-11-22.log.html");
        let before = fs::read_to_string(&path).unwrap();
        let entries = Reader::open(&logs, b"c").next(9).unwrap().entries;
        logs.append(NOON, &["/4"]);
        entries[1].0.clear().unwrap();
        let after = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = before.lines().collect();
        let blank = " ".repeat(lines[1].len());
        assert_eq!(after.lines().collect::<Vec<_>>()[..3], [lines[0], &blank, lines[2]]);
        assert_eq!(rest(&mut Reader::open(&logs, b"c")), ["/1", "/3", "/4"]);
    }

    #[test]
    fn a_long_log_takes_no_more_memory() {
        let logs = Logs::new("reader-long");
        fs::create_dir(logs.join("c")).unwrap();
        let line = put(b"/some/where/a.mp3").line();
        fs::write(logs.join("c/2026-11-22.log.html"), line.repeat(200_000)).unwrap();
        let mut reader = Reader::open(&logs, b"c");
        let (size, mut count, mut end) = (reader.lines.size(), 0, false);
        while !end {
            let batch = reader.next(usize::MAX).unwrap();
            assert!(batch.entries.len() <= CALL as usize / line.len() + 1);
            count += batch.entries.len();
            end = batch.end;
        }
        assert_eq!(count, 200_000);
        assert_eq!((reader.lines.size(), reader.read.len()), (size, 1));
    }
}
