//! One day's file: what is left in it, and what becomes of it.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;

use super::copy::Copy;
use crate::flock;
use crate::missing_log::entry::Missed;
use crate::missing_log::lines::Lines;
use crate::missing_log::lock;

/// Bytes read by a [`Day::step`]: a few milliseconds of a thread's time.
const STEP: u64 = 1024 * 1024;

pub(super) struct Day {
    path: PathBuf,
    file: File,
    /// Entries that were found.
    entries: u64,
    /// Their bytes, with the newlines.
    bytes: u64,
    copy: Option<Copy>,
}

/// What a file is under its lock.
enum Now {
    /// What was read, to the end.
    Read,
    /// Something was appended since.
    Longer,
    /// Not the one that was read: somebody has replaced or emptied it by hand.
    Another,
}

impl Day {
    /// The file at `path`, if it is there. `lines` is at its beginning then.
    pub(super) fn open(path: PathBuf, lines: &mut Lines) -> io::Result<Option<Day>> {
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        lines.seek(0);
        Ok(Some(Day { path, file, entries: 0, bytes: 0, copy: None }))
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Goes on, with a part of the file. True when it is tidy.
    pub(super) fn step(&mut self, lines: &mut Lines) -> io::Result<bool> {
        if !self.find_entries(lines, lines.offset() + STEP)? {
            return Ok(false);
        }
        match self.copy {
            Some(_) => self.replace(lines),
            None if self.entries == 0 => self.remove(lines),
            None if self.bytes > lines.seen() / 2 => Ok(true),
            None => {
                let copy = Some(Copy::create(&self.path)?);
                // Once more from the beginning.
                lines.seek(0);
                (self.entries, self.bytes, self.copy) = (0, 0, copy);
                Ok(false)
            }
        }
    }

    /// Counts entries, and writes them to the copy if there is one. True at the end of the file.
    fn find_entries(&mut self, lines: &mut Lines, limit: u64) -> io::Result<bool> {
        while lines.offset() < limit {
            let Some(line) = lines.next(&self.file)? else { return Ok(true) };
            if Missed::parse(line.bytes).is_none() {
                continue;
            }
            self.entries += 1;
            self.bytes += line.bytes.len() as u64 + 1;
            if let Some(copy) = &mut self.copy {
                copy.add(line.bytes)?;
            }
        }
        Ok(false)
    }

    /// Removes the file. False where something was appended.
    fn remove(&self, lines: &Lines) -> io::Result<bool> {
        match self.lock(lines)? {
            Now::Read => fs::remove_file(&self.path).map(|()| true),
            Now::Longer => flock::unlock(&self.file).map(|()| false),
            Now::Another => Ok(true),
        }
    }

    /// Puts the copy in the file's place. False where something was appended.
    fn replace(&mut self, lines: &mut Lines) -> io::Result<bool> {
        self.sync_copy()?;
        match self.lock(lines)? {
            Now::Read => {}
            // Rather without appenders that wait for the disk.
            Now::Longer if self.copy.as_mut().is_some_and(Copy::once_more) => {
                return flock::unlock(&self.file).map(|()| false);
            }
            Now::Longer => {
                self.find_entries(lines, u64::MAX)?;
                self.sync_copy()?;
            }
            Now::Another => return Ok(true),
        }
        if let Some(copy) = &self.copy {
            copy.take_place_of(&self.path)?;
        }
        Ok(true)
    }

    /// Takes the lock, when the end was read. A last line without a newline is then one whose
    /// append() never succeeded: it may go.
    fn lock(&self, lines: &Lines) -> io::Result<Now> {
        if !lock(&self.file, &self.path)? {
            return Ok(Now::Another);
        }
        Ok(match self.file.metadata()?.len().cmp(&lines.seen()) {
            Ordering::Equal => Now::Read,
            Ordering::Greater => Now::Longer,
            Ordering::Less => Now::Another,
        })
    }

    fn sync_copy(&mut self) -> io::Result<()> {
        self.copy.as_mut().map_or(Ok(()), Copy::sync)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::missing_log::testing::{put, Logs, NOON};

    const DAY: &str = "c/2026-11-22.log.html";

    /// A day with much that is blank and then these entries, read to its end. It is to be removed
    /// or replaced next.
    fn read_day(logs: &Logs, entries: &[&str]) -> (Day, Lines) {
        fs::create_dir(logs.join("c")).unwrap();
        fs::write(logs.join(DAY), " ".repeat(1000) + "\n").unwrap();
        logs.append(NOON, entries);
        let mut lines = Lines::new();
        let mut day = Day::open(logs.join(DAY), &mut lines).unwrap().unwrap();
        if !entries.is_empty() {
            assert!(!day.step(&mut lines).unwrap());
            assert!(day.copy.is_some());
        }
        assert!(day.find_entries(&mut lines, u64::MAX).unwrap());
        (day, lines)
    }

    fn names(logs: &Logs) -> Vec<String> {
        let text = fs::read_to_string(logs.join(DAY)).unwrap();
        let name = |line: &str| Missed::parse(line.as_bytes()).map(|missed| missed.path);
        text.lines().filter_map(name).map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn waits_for_who_appends() {
        for entries in [&[][..], &["/old"]] {
            let logs = Logs::new("day-wait");
            let (mut day, mut lines) = read_day(&logs, entries);
            let appender = OpenOptions::new().append(true).open(logs.join(DAY)).unwrap();
            flock::exclusive(&appender).unwrap();
            thread::scope(|scope| {
                let (done, is_done) = mpsc::channel();
                scope.spawn(move || {
                    while !day.step(&mut lines).unwrap() {}
                    done.send(()).unwrap();
                });
                is_done.recv_timeout(Duration::from_millis(50)).unwrap_err();
                io::Write::write_all(&mut &appender, &put(b"/new").line()).unwrap();
                drop(appender);
                is_done.recv().unwrap();
            });
            assert_eq!(names(&logs), [entries, &["/new"]].concat());
        }
    }

    #[test]
    fn lets_others_append_between_its_tries() {
        for entries in [&[][..], &["/old"]] {
            let logs = Logs::new("day-tries");
            let (mut day, mut lines) = read_day(&logs, entries);
            logs.append(NOON, &["/1"]);
            let done = match entries {
                [] => day.remove(&lines),
                _ => day.replace(&mut lines),
            };
            assert!(!done.unwrap());
            logs.append(NOON, &["/2"]);
            while !day.step(&mut lines).unwrap() {}
            assert_eq!(names(&logs), [entries, &["/1", "/2"]].concat());
        }
    }

    #[test]
    fn keeps_what_is_appended_while_it_copies() {
        let logs = Logs::new("day-rounds");
        let (mut day, mut lines) = read_day(&logs, &["/old"]);
        let mut expected = vec!["/old".to_string()];
        let mut rounds = 0;
        loop {
            // Always after the end was read.
            let path = format!("/{rounds}");
            logs.append(NOON, &[&path]);
            expected.push(path);
            if day.replace(&mut lines).unwrap() {
                break;
            }
            assert!(day.find_entries(&mut lines, u64::MAX).unwrap());
            rounds += 1;
        }
        assert_eq!(rounds, 3);
        assert_eq!(names(&logs), expected);
        assert_eq!(day.entries(), 5);
    }

    #[test]
    fn leaves_alone_what_it_has_not_read() {
        for entries in [&[][..], &["/old"]] {
            for is_removed in [false, true] {
                let logs = Logs::new("day-hand");
                let (mut day, mut lines) = read_day(&logs, entries);
                match is_removed {
                    true => fs::remove_file(logs.join(DAY)).unwrap(),
                    false => fs::write(logs.join(DAY), "").unwrap(),
                }
                logs.append(NOON, &["/new"]);
                while !day.step(&mut lines).unwrap() {}
                assert_eq!(names(&logs), ["/new"]);
            }
        }
    }
}
