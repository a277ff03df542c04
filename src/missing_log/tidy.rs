//! Room that blanked entries take is given back.
//!
//! A day with no entry left is removed. One that is half blank or more is replaced by a copy of
//! its entries. Appending goes on meanwhile, but for the moment in which the file loses its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::copy::{self, Copy};
use super::entry::Missed;
use super::lines::Lines;
use super::{days, directory, lock};

/// Bytes read by a [`Tidy::step`].
const STEP: u64 = 1024 * 1024;

/// Tidies a child's log up, after a pass of a [`super::Reader`] has ended. A copy that a killed
/// process has left does not matter: the next one begins anew.
pub(crate) struct Tidy {
    directory: PathBuf,
    /// The day that is being tidied, or was last.
    name: String,
    day: Option<Day>,
    lines: Lines,
    survivors: u64,
    oldest: Option<[u32; 6]>,
}

struct Day {
    path: PathBuf,
    file: File,
    /// Entries that were found, and their bytes with the newlines.
    entries: u64,
    bytes: u64,
    /// When the first one was missed.
    oldest: Option<[u32; 6]>,
    copy: Option<Copy>,
}

impl Tidy {
    /// Begins with the first day. There need not be a log.
    pub(crate) fn open(logs: &Path, child: &[u8]) -> Tidy {
        Tidy {
            directory: directory(logs, child),
            name: String::new(),
            day: None,
            lines: Lines::new(),
            survivors: 0,
            oldest: None,
        }
    }

    /// Goes on, reading about 1 MiB. True when all is done. After an error the day is left as it
    /// is, and the next step goes on with the next day.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        let day = match self.day.take() {
            None => self.open_day()?,
            day => day,
        };
        let Some(mut day) = day else { return Ok(true) };
        let limit = self.lines.offset() + STEP;
        let done = match day.find_entries(&mut self.lines, limit) {
            Ok(true) if day.copy.is_some() => day.replace(&mut self.lines),
            Ok(true) => day.decide(&mut self.lines),
            other => other,
        };
        if let Ok(false) = done {
            self.day = Some(day);
            return Ok(false);
        }
        self.survivors += day.entries;
        self.oldest = first(self.oldest, day.oldest);
        done.map(|_| false)
    }

    /// Entries that are left, as far as they were there when the end of their day was read.
    pub(crate) fn survivors(&self) -> u64 {
        self.survivors
    }

    /// When the first of them was missed: UTC year, month, day, hour, minute, second.
    pub(crate) fn oldest(&self) -> Option<[u32; 6]> {
        self.oldest
    }

    /// The next day.
    fn open_day(&mut self) -> io::Result<Option<Day>> {
        copy::remove(&self.directory);
        for name in days(&self.directory)? {
            if name <= self.name {
                continue;
            }
            let path = self.directory.join(&name);
            self.name = name;
            match OpenOptions::new().read(true).write(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    self.lines.seek(0);
                    return Ok(Some(Day::new(path, file)));
                }
            }
        }
        Ok(None)
    }
}

impl Day {
    fn new(path: PathBuf, file: File) -> Day {
        Day { path, file, entries: 0, bytes: 0, oldest: None, copy: None }
    }

    /// Counts entries, and writes them to the copy if there is one. True at the end of the file.
    fn find_entries(&mut self, lines: &mut Lines, limit: u64) -> io::Result<bool> {
        while lines.offset() < limit {
            let Some(line) = lines.next(&self.file)? else { return Ok(true) };
            let Some(missed) = Missed::parse(line.bytes) else { continue };
            self.entries += 1;
            self.bytes += line.bytes.len() as u64 + 1;
            self.oldest = first(self.oldest, Some(missed.time));
            if let Some(copy) = &mut self.copy {
                copy.add(line.bytes)?;
            }
        }
        Ok(false)
    }

    /// Decides what becomes of the file. True when that is done.
    fn decide(&mut self, lines: &mut Lines) -> io::Result<bool> {
        if self.entries == 0 {
            return self.remove(lines);
        }
        if self.bytes > lines.seen() / 2 {
            return Ok(true);
        }
        let copy = Copy::create(&self.path)?;
        // Once more from the beginning.
        lines.seek(0);
        (self.entries, self.bytes, self.oldest, self.copy) = (0, 0, None, Some(copy));
        Ok(false)
    }

    fn remove(&self, lines: &Lines) -> io::Result<bool> {
        if lock(&self.file, &self.path)? {
            if !self.is_read(lines)? {
                self.file.unlock()?;
                return Ok(false);
            }
            fs::remove_file(&self.path)?;
        }
        Ok(true)
    }

    /// Puts the copy in the file's place. False where it is not up to date.
    fn replace(&mut self, lines: &mut Lines) -> io::Result<bool> {
        self.sync_copy()?;
        if !lock(&self.file, &self.path)? {
            return Ok(true);
        }
        if !self.is_read(lines)? {
            // Rather later, without appenders that wait for the disk.
            if self.copy.as_mut().is_some_and(Copy::once_more) {
                self.file.unlock()?;
                return Ok(false);
            }
            self.find_entries(lines, u64::MAX)?;
            self.sync_copy()?;
        }
        if let Some(copy) = &self.copy {
            copy.take_place_of(&self.path)?;
        }
        Ok(true)
    }

    /// Whether nothing was appended since the end was read. Under the lock, a last line without a
    /// newline is one that never was appended whole: it may go.
    fn is_read(&self, lines: &Lines) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() == lines.seen())
    }

    /// On the disk before it has the name: a crash of the machine must not empty the file.
    fn sync_copy(&mut self) -> io::Result<()> {
        self.copy.as_mut().map_or(Ok(()), Copy::sync)
    }
}

/// The earlier one of two times, either of which may be missing.
fn first(one: Option<[u32; 6]>, other: Option<[u32; 6]>) -> Option<[u32; 6]> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::missing_log::testing::{put, Logs, NOON};
    use crate::missing_log::{append, Entry, Reader};

    const DAY: &str = "c/2026-11-22.log.html";

    fn append_all(logs: &Logs, paths: &[&str]) {
        for path in paths {
            append(logs, b"c", &put(path.as_bytes())).unwrap();
        }
    }

    fn clear(logs: &Logs, paths: &[&str]) {
        for (place, missed) in Reader::open(logs, b"c").next(1000).unwrap().entries {
            if paths.iter().any(|path| path.as_bytes() == missed.path) {
                place.clear().unwrap();
            }
        }
    }

    fn tidy(logs: &Logs) -> (u64, Option<[u32; 6]>) {
        let mut tidy = Tidy::open(logs, b"c");
        while !tidy.step().unwrap() {}
        assert!(!logs.join("c/.tidy").exists());
        (tidy.survivors(), tidy.oldest())
    }

    #[test]
    fn moves_between_threads() {
        fn moves<T: Send + 'static>() {}
        moves::<Tidy>();
    }

    #[test]
    fn no_log_is_tidy() {
        assert_eq!(tidy(&Logs::new("tidy-none")), (0, None));
    }

    #[test]
    fn a_blank_day_is_removed() {
        let logs = Logs::new("tidy-blank");
        append_all(&logs, &["/1", "/2"]);
        append(&logs, b"c", &Entry { time: [2026, 11, 23, 1, 2, 3], ..put(b"/3") }).unwrap();
        clear(&logs, &["/1", "/2"]);
        // Torn lines, one of them the last.
        let mut file = OpenOptions::new().append(true).open(logs.join(DAY)).unwrap();
        file.write_all(b"2026-11-22T11:\n2026-11-22T11:24:05Z DELETE /a 5 502<br>").unwrap();
        assert_eq!(tidy(&logs), (1, Some([2026, 11, 23, 1, 2, 3])));
        assert_eq!(days(&logs.join("c")).unwrap(), ["2026-11-23.log.html"]);
    }

    #[test]
    fn a_day_that_is_half_blank_is_rewritten() {
        let logs = Logs::new("tidy-half");
        append_all(&logs, &["/1", "/2", "/3", "/4"]);
        let before = fs::read_to_string(logs.join(DAY)).unwrap();
        clear(&logs, &["/1", "/3"]);
        assert_eq!(tidy(&logs), (2, Some(NOON)));
        let lines: Vec<&str> = before.lines().collect();
        let after = fs::read_to_string(logs.join(DAY)).unwrap();
        assert_eq!(after, format!("{}\n{}\n", lines[1], lines[3]));
        append_all(&logs, &["/5"]);
        assert_eq!(tidy(&logs), (3, Some(NOON)));
    }

    #[test]
    fn a_day_that_is_less_blank_is_left() {
        let logs = Logs::new("tidy-left");
        append_all(&logs, &["/1", "/2", "/3"]);
        clear(&logs, &["/2"]);
        let before = fs::metadata(logs.join(DAY)).unwrap();
        assert_eq!(tidy(&logs), (2, Some(NOON)));
        let after = fs::metadata(logs.join(DAY)).unwrap();
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));
    }

    #[test]
    fn a_copy_that_was_left_is_removed() {
        let logs = Logs::new("tidy-stale");
        append_all(&logs, &["/1"]);
        fs::write(logs.join("c/.tidy"), "half").unwrap();
        assert_eq!(tidy(&logs), (1, Some(NOON)));
    }

    #[test]
    fn what_is_appended_between_any_two_steps_is_kept() {
        for when in 0.. {
            let logs = Logs::new("tidy-step");
            append_all(&logs, &["/1", "/2"]);
            clear(&logs, if when % 2 == 0 { &["/1", "/2"] } else { &["/1"] });
            let mut tidy = Tidy::open(&logs, b"c");
            let mut steps = 0;
            while !tidy.step().unwrap() {
                if steps == when / 2 {
                    append_all(&logs, &["/3"]);
                }
                steps += 1;
            }
            if steps <= when / 2 {
                break;
            }
            let left = Reader::open(&logs, b"c").next(9).unwrap().entries;
            let left: Vec<&[u8]> = left.iter().map(|(_, missed)| &missed.path[..]).collect();
            let expected: &[&[u8]] = if when % 2 == 0 { &[b"/3"] } else { &[b"/2", b"/3"] };
            assert_eq!(left, expected);
        }
    }
}
