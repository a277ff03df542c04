//! Room that blanked entries take is given back.
//!
//! A day with no entry left is removed. One that is half blank or more is replaced by a copy of
//! its entries. Appending goes on meanwhile, but for the moment in which the file loses its name.

mod copy;
mod day;

use std::io;
use std::path::{Path, PathBuf};

use self::day::Day;
use super::lines::Lines;
use super::{days, directory};

/// Tidies a child's log up, after a pass of a [`super::Reader`] has ended. A copy that a killed
/// process has left does not matter: the next one begins anew.
pub(crate) struct Tidy {
    directory: PathBuf,
    /// The day that is being tidied, or was last.
    name: String,
    day: Option<Day>,
    lines: Lines,
    survivors: u64,
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
        }
    }

    /// Goes on, reading about 1 MiB. True when all is done. After an error with a day, that day is
    /// left as it is and the next step goes on with the next one; a directory that cannot be read
    /// fails each time.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        let day = match self.day.take() {
            None => self.open_day()?,
            day => day,
        };
        let Some(mut day) = day else { return Ok(true) };
        let done = day.step(&mut self.lines);
        if let Ok(false) = done {
            self.day = Some(day);
            return Ok(false);
        }
        self.survivors += day.entries();
        done.map(|_| false)
    }

    /// Entries that are left, as far as they were there when the end of their day was read.
    pub(crate) fn survivors(&self) -> u64 {
        self.survivors
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
            if let Some(day) = Day::open(path, &mut self.lines)? {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::{symlink, MetadataExt};

    use super::*;
    use crate::missing_log::testing::{put, Logs, NOON};
    use crate::missing_log::{append, Entry, Reader};

    const DAY: &str = "c/2026-11-22.log.html";

    fn clear(logs: &Logs, paths: &[&str]) {
        for (place, missed) in Reader::open(logs, b"c").next(1000).unwrap().entries {
            if paths.iter().any(|path| path.as_bytes() == missed.path) {
                place.clear().unwrap();
            }
        }
    }

    fn tidy(logs: &Logs) -> u64 {
        let mut tidy = Tidy::open(logs, b"c");
        while !tidy.step().unwrap() {}
        assert!(!logs.join("c/.tidy").exists());
        tidy.survivors()
    }

    #[test]
    fn moves_between_threads() {
        fn moves<T: Send + 'static>() {}
        moves::<Tidy>();
    }

    #[test]
    fn no_log_is_tidy() {
        assert_eq!(tidy(&Logs::new("tidy-none")), 0);
    }

    #[test]
    fn a_blank_day_is_removed() {
        let logs = Logs::new("tidy-blank");
        logs.append(NOON, &["/1", "/2"]);
        append(&logs, b"c", &Entry { time: [2026, 11, 23, 1, 2, 3], ..put(b"/3") }).unwrap();
        clear(&logs, &["/1", "/2"]);
        // Torn lines, one of them the last.
        let mut file = OpenOptions::new().append(true).open(logs.join(DAY)).unwrap();
        file.write_all(b"2026-11-22T11:\n2026-11-22T11:24:05Z DELETE /a 5 502<br>").unwrap();
        assert_eq!(tidy(&logs), 1);
        assert_eq!(days(&logs.join("c")).unwrap(), ["2026-11-23.log.html"]);
    }

    #[test]
    fn a_day_that_is_half_blank_is_rewritten() {
        let logs = Logs::new("tidy-half");
        logs.append(NOON, &["/1", "/2", "/3", "/4"]);
        let before = fs::read_to_string(logs.join(DAY)).unwrap();
        clear(&logs, &["/1", "/3"]);
        assert_eq!(tidy(&logs), 2);
        let lines: Vec<&str> = before.lines().collect();
        let after = fs::read_to_string(logs.join(DAY)).unwrap();
        assert_eq!(after, format!("{}\n{}\n", lines[1], lines[3]));
        logs.append(NOON, &["/5"]);
        assert_eq!(tidy(&logs), 3);
    }

    #[test]
    fn a_day_that_is_less_blank_is_left() {
        let logs = Logs::new("tidy-left");
        logs.append(NOON, &["/1", "/2", "/3"]);
        clear(&logs, &["/2"]);
        let before = fs::metadata(logs.join(DAY)).unwrap();
        assert_eq!(tidy(&logs), 2);
        let after = fs::metadata(logs.join(DAY)).unwrap();
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));
    }

    #[test]
    fn a_day_that_vanishes_is_skipped() {
        let logs = Logs::new("tidy-gone");
        logs.append(NOON, &["/1"]);
        // As when it is removed just before open().
        symlink("nowhere", logs.join("c/2026-11-21.log.html")).unwrap();
        assert_eq!(tidy(&logs), 1);
    }

    #[test]
    fn an_error_does_not_keep_from_the_other_days() {
        let logs = Logs::new("tidy-error");
        logs.append(NOON, &["/1"]);
        clear(&logs, &["/1"]);
        fs::create_dir(logs.join("c/2026-11-21.log.html")).unwrap();
        let mut tidy = Tidy::open(&logs, b"c");
        tidy.step().unwrap_err();
        while !tidy.step().unwrap() {}
        assert!(!logs.join(DAY).exists());
    }

    #[test]
    fn a_copy_that_was_left_is_removed() {
        let logs = Logs::new("tidy-stale");
        logs.append(NOON, &["/1"]);
        fs::write(logs.join("c/.tidy"), "half").unwrap();
        assert_eq!(tidy(&logs), 1);
    }

    #[test]
    fn what_is_appended_between_any_two_steps_is_kept() {
        for when in 0.. {
            let logs = Logs::new("tidy-step");
            logs.append(NOON, &["/1", "/2"]);
            clear(&logs, if when % 2 == 0 { &["/1", "/2"] } else { &["/1"] });
            let mut tidy = Tidy::open(&logs, b"c");
            let mut steps = 0;
            while !tidy.step().unwrap() {
                if steps == when / 2 {
                    logs.append(NOON, &["/3"]);
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
