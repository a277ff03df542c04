//! A line more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::retry_on_intr;

use super::entry::{Entry, LINE_MAX};
use super::{day_file, directory, ends_with_line, lock};

/// How often the file or its directory may vanish between open() and lock() before we give up.
const TRIES: u32 = 100;

/// Appends an entry with one write. When it has returned, the entry is in the log, whatever
/// others do meanwhile and whoever is killed; after a crash of the machine, once [`sync`] has
/// returned.
pub(crate) fn append(logs: &Path, child: &[u8], entry: &Entry<'_>) -> io::Result<()> {
    append_all(logs, child, entry.time, core::slice::from_ref(entry))
}

/// The same for entries of one day, that of `time`, in one write: all of them or, when it fails,
/// any number of the first.
pub(crate) fn append_all(
    logs: &Path,
    child: &[u8],
    time: [u32; 6],
    entries: &[Entry<'_>],
) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for entry in entries {
        let line = entry.line();
        if line.len() > LINE_MAX {
            // No reader would take it.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        lines.extend(line);
    }
    let directory = directory(logs, child);
    let path = directory.join(day_file(&time));
    let mut file = open(&directory, &path)?;
    if !ends_with_line(&file).unwrap_or(false) {
        lines.insert(0, b'\n');
    }
    match retry_on_intr(|| rustix::io::write(&file, &lines))? {
        n if n == lines.len() => Ok(()),
        // The disk is full: a torn line ends before the next one, and readers skip it.
        _ => {
            _ = file.write_all(b"\n");
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        }
    }
}

/// The file, locked. It has its name until it is closed.
fn open(directory: &Path, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o644);
    for _ in 0..TRIES {
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            }
            Err(error) => return Err(error),
            Ok(file) if lock(&file, path)? => return Ok(file),
            Ok(_) => {}
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Makes what was appended at `time` outlast a crash of the machine: the lines of that day, and
/// the names of file and directory. What is not there any more has been delivered.
pub(crate) fn sync(logs: &Path, child: &[u8], time: &[u32; 6]) -> io::Result<()> {
    let directory = directory(logs, child);
    match File::open(directory.join(day_file(time))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?.sync_data()?,
    }
    // Any worker may have made them, so that nobody knows whether it was just now.
    File::open(&directory)?.sync_all()?;
    File::open(logs)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::missing_log::testing::{put, Logs, NOON};

    #[test]
    fn creates_the_directory_and_appends() {
        let logs = Logs::new("append");
        append(&logs, b"c:1", &put(b"/one")).unwrap();
        append(&logs, b"c:1", &put(b"/two")).unwrap();
        sync(&logs, b"c:1", &NOON).unwrap();
        let text = fs::read_to_string(logs.join("c:1/2026-11-22.log.html")).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.ends_with(" 1763810645123456789 502<br>")));
    }

    #[test]
    fn ends_a_torn_line_first() {
        let logs = Logs::new("append-torn");
        append(&logs, b"c", &put(b"/one")).unwrap();
        let path = logs.join("c/2026-11-22.log.html");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, whole.strip_suffix(b"<br>\n").unwrap()).unwrap();
        append(&logs, b"c", &put(b"/two")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(" 502\n2026"));
        assert!(text.ends_with(">/two</a> 1763810645123456789 502<br>\n"));
    }

    #[test]
    fn waits_for_who_tidies_up() {
        for is_replaced in [false, true] {
            let logs = Logs::new("append-wait");
            append(&logs, b"c", &put(b"/one")).unwrap();
            let path = logs.join("c/2026-11-22.log.html");
            let old = File::open(&path).unwrap();
            crate::flock::exclusive(&old).unwrap();
            thread::scope(|scope| {
                let (done, is_done) = mpsc::channel();
                let logs = &logs;
                scope.spawn(move || {
                    append(logs, b"c", &put(b"/two")).unwrap();
                    done.send(()).unwrap();
                });
                is_done.recv_timeout(Duration::from_millis(50)).unwrap_err();
                if is_replaced {
                    fs::copy(&path, logs.join("c/.tidy")).unwrap();
                    fs::rename(logs.join("c/.tidy"), &path).unwrap();
                } else {
                    fs::remove_dir_all(logs.join("c")).unwrap();
                }
                drop(old);
                is_done.recv().unwrap();
            });
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert_eq!(lines, if is_replaced { 2 } else { 1 });
        }
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let logs = Logs::new("append-long");
        let error = append(&logs, b"c", &put(&[b'/'; LINE_MAX])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn there_is_nothing_to_sync_of_what_is_gone() {
        let logs = Logs::new("append-gone");
        sync(&logs, b"c", &NOON).unwrap();
    }
}
