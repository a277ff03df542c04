//! The file that is written to take the place of a day's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Beside the day's file. A dot file is no day, and is not to be served. There is one at a time.
const NAME: &str = ".tidy";

/// Bytes after which they are written.
const PENDING: usize = 64 * 1024;

/// How often it is brought up to date before that is done under the lock.
const ROUNDS: u32 = 4;

/// A copy of a day's entries. Dropped, it is removed.
pub(super) struct Copy {
    path: PathBuf,
    file: File,
    /// What is still to be written.
    pending: Vec<u8>,
    /// How often it was up to date, and then no more.
    rounds: u32,
}

impl Copy {
    /// An empty one, for the file at `day`.
    pub(super) fn create(day: &Path) -> io::Result<Copy> {
        let path = day.with_file_name(NAME);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o644).open(&path)?;
        Ok(Copy { path, file, pending: Vec::new(), rounds: 0 })
    }

    /// Adds a line, which comes without its newline.
    pub(super) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        self.pending.extend(line);
        self.pending.push(b'\n');
        match self.pending.len() {
            0..PENDING => Ok(()),
            _ => self.flush(),
        }
    }

    /// Puts all on the disk: else a crash of the machine could leave a name without its lines.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    /// Whether to bring it up to date once more before those who append have to wait for that.
    pub(super) fn once_more(&mut self) -> bool {
        self.rounds += 1;
        self.rounds < ROUNDS
    }

    /// Gives it the name of the day's file.
    pub(super) fn take_place_of(&self, day: &Path) -> io::Result<()> {
        fs::rename(&self.path, day)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Where it has the name of a day, nothing has this one.
        _ = fs::remove_file(&self.path);
    }
}

/// Removes what a killed process has left in a child's directory. Mostly there is nothing.
pub(super) fn remove(directory: &Path) {
    _ = fs::remove_file(directory.join(NAME));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::missing_log::testing::Logs;

    #[test]
    fn has_all_lines_when_it_has_the_name() {
        let logs = Logs::new("copy");
        let day = logs.join("2026-11-22.log.html");
        let mut copy = Copy::create(&day).unwrap();
        let line = [b'a'; 999];
        for _ in 0..200 {
            copy.add(&line).unwrap();
        }
        copy.sync().unwrap();
        copy.take_place_of(&day).unwrap();
        drop(copy);
        assert_eq!(fs::read(&day).unwrap(), [&line[..], b"\n"].concat().repeat(200));
    }

    #[test]
    fn is_removed_unless_it_has_got_the_name() {
        let logs = Logs::new("copy-drop");
        let copy = Copy::create(&logs.join("2026-11-22.log.html")).unwrap();
        assert!(logs.join(NAME).exists());
        drop(copy);
        assert_eq!(fs::read_dir(&*logs).unwrap().count(), 0);
    }
}
