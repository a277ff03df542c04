//! The journal: the changes that a worker has under way, in case that it is killed.
//!
//! DIRECTORY/WORKER, locked while the worker lives, one line a change; docs/formats.md has the
//! grammar. The line is written before the change is published, and cleared when each child has
//! the change or an entry in its missing log.
//!
//! A file in which nothing is open is truncated. One slow change would keep it from that: a file
//! that is long and mostly cleared keeps what is open in it until that is closed, and new lines go
//! to DIRECTORY/WORKER+1 (+2, …). So no line ever moves, and none is lost on its way.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::escape;
use crate::flock;

/// A file of more bytes is long.
const LONG: u64 = 64 * 1024;

/// As long as it is shorter, closed lines stay in a file.
const SHORT: u64 = 16 * 1024;

/// A change that is on its way: this node may have it, and its children may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Nanoseconds since the epoch.
    pub(crate) version: u64,
    /// Whether the change deletes the file or stores one.
    pub(crate) deleted: bool,
    /// The request's path.
    pub(crate) path: Vec<u8>,
    /// The upstream whose servers are the children.
    pub(crate) upstream: Vec<u8>,
    /// What a delivery needs of the client's request (`conf/context.rs`): words without spaces in them.
    pub(crate) context: String,
}

impl Intent {
    fn line(&self) -> String {
        let verb = if self.deleted { "DELETE" } else { "PUT" };
        let (path, upstream) = (escape::percent(&self.path), escape::percent(&self.upstream));
        let space = if self.context.is_empty() { "" } else { " " };
        format!("{} {verb} {path} {upstream}{space}{}\n", self.version, self.context)
    }

    /// `None` for a line that is cleared, torn or malformed.
    fn parse(line: &[u8]) -> Option<Intent> {
        let line = line.strip_suffix(b"\n")?;
        if !line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let mut fields = line.splitn(5, |&byte| byte == b' ');
        let version = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let deleted = match fields.next()? {
            b"PUT" => false,
            b"DELETE" => true,
            _ => return None,
        };
        let path = escape::unpercent(fields.next()?)?;
        let upstream = escape::unpercent(fields.next()?)?;
        let context = fields.next().unwrap_or_default();
        let is_word = |word: &[u8]| word.len() > 1 && matches!(word.first(), Some(b'$' | b'@'));
        let is_context = context.is_empty() || context.split(|&byte| byte == b' ').all(is_word);
        let context = String::from_utf8(context.to_vec()).ok().filter(|_| is_context)?;
        Some(Intent { version, deleted, path, upstream, context })
    }
}

/// The intents of one worker.
pub(crate) struct Journal {
    directory: PathBuf,
    worker: String,
    lines: Mutex<Lines>,
}

struct Lines {
    /// Takes the new ones.
    current: Extent,
    /// Have an open one each.
    older: Vec<Extent>,
    /// The number of the last name that was tried.
    number: u64,
    /// The current file stays when the journal goes.
    kept: bool,
}

/// The lines of one file.
struct Extent {
    file: Arc<Named>,
    /// Where the next line goes.
    end: u64,
    /// Bytes of open lines.
    open: u64,
}

/// A file that is locked until it is closed.
struct Named {
    file: File,
    path: PathBuf,
    /// Whether the name is on the disk.
    synced: AtomicBool,
}

/// An intent that is in the journal. Dropping it leaves it there, for the recovery when this
/// worker has ended.
pub(crate) struct Open {
    journal: Arc<Journal>,
    file: Arc<Named>,
    offset: u64,
    length: u64,
}

impl Journal {
    /// A new journal, and its directory if there is none; with `sync` their names are on the disk.
    /// `worker` has no `+` and no leading dot. `AlreadyExists` if there is a journal of that name:
    /// it may hold what a dead worker left.
    pub(crate) fn create(directory: &Path, worker: &str, sync: bool) -> io::Result<Journal> {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        let current = Extent::create(directory, worker)?;
        if sync {
            current.file.sync(directory)?;
            File::open(directory.join(".."))?.sync_all()?;
        }
        let lines = Mutex::new(Lines { current, older: Vec::new(), number: 0, kept: false });
        Ok(Journal { directory: directory.to_owned(), worker: worker.to_owned(), lines })
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Has the file stay, as if the worker was killed: something else of its work is left.
    pub(crate) fn keep(&self) {
        self.lock().kept = true;
    }

    /// Empties the file, if nothing is open in it.
    pub(crate) fn tidy(&self) {
        let lines = &mut *self.lock();
        if lines.current.end > 0 {
            lines.current.empty();
        }
    }

    /// Writes an intent; with `sync` it is on the disk when this returns. When this fails, the
    /// intent is not in the journal.
    pub(crate) fn begin(self: &Arc<Self>, intent: &Intent, sync: bool) -> io::Result<Open> {
        let line = intent.line();
        let open = {
            let lines = &mut *self.lock();
            if lines.current.is_worn() {
                lines.number += 1;
                let name = format!("{}+{}", self.worker, lines.number);
                // Without a new file the old one gets longer: no reason to refuse a change.
                if let Ok(next) = Extent::create(&self.directory, &name) {
                    lines.older.push(std::mem::replace(&mut lines.current, next));
                }
            }
            let offset = lines.current.append(line.as_bytes())?;
            let file = Arc::clone(&lines.current.file);
            Open { journal: Arc::clone(self), file, offset, length: line.len() as u64 }
        };
        // No longer under the mutex: who does not ask for the disk does not wait for it.
        if sync {
            if let Err(error) = open.file.sync(&self.directory) {
                open.close();
                return Err(error);
            }
        }
        Ok(open)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Journal {
    /// A worker's clean end: a file in which nothing is open goes, any other stays.
    fn drop(&mut self) {
        let lines = self.lock();
        let current = Some(&lines.current).filter(|_| !lines.kept);
        for extent in lines.older.iter().chain(current).filter(|extent| extent.open == 0) {
            _ = fs::remove_file(&extent.file.path);
        }
    }
}

impl Open {
    /// Takes the intent out. If that fails the line stays, which is harmless: the recovery makes a
    /// missing-log entry of it, and catch-up finds that the child has the change.
    pub(crate) fn close(self) {
        let lines = &mut *self.journal.lock();
        let is_its = |extent: &Extent| Arc::ptr_eq(&extent.file, &self.file);
        if is_its(&lines.current) {
            lines.current.clear(&self);
        } else if let Some(i) = lines.older.iter().position(is_its) {
            lines.older[i].clear(&self);
            if lines.older[i].open == 0 {
                _ = fs::remove_file(&lines.older.swap_remove(i).file.path);
            }
        }
    }
}

impl Extent {
    fn create(directory: &Path, name: &str) -> io::Result<Extent> {
        let (path, synced) = (directory.join(name), AtomicBool::new(false));
        let file = create(&path, &directory.join(format!(".{name}")))?;
        Ok(Extent { file: Arc::new(Named { file, path, synced }), end: 0, open: 0 })
    }

    /// Whether it is long, and more than half of it cleared.
    fn is_worn(&self) -> bool {
        self.end > LONG && self.end > 2 * self.open
    }

    /// One write; at a position, so that it goes over the half line that a failed one may have
    /// left.
    fn append(&mut self, line: &[u8]) -> io::Result<u64> {
        let (file, offset) = (&self.file.file, self.end);
        if let Err(error) = file.write_all_at(line, offset) {
            _ = file.set_len(offset);
            return Err(error);
        }
        self.end += line.len() as u64;
        self.open += line.len() as u64;
        Ok(offset)
    }

    fn clear(&mut self, line: &Open) {
        self.open -= line.length;
        // To mark a line is several times faster than to cut the file.
        if self.end < SHORT || !self.empty() {
            _ = self.file.file.write_all_at(b"#", line.offset);
        }
    }

    /// Cuts the file, if nothing is open in it.
    fn empty(&mut self) -> bool {
        if self.open > 0 || self.file.file.set_len(0).is_err() {
            return false;
        }
        self.end = 0;
        true
    }
}

impl Named {
    /// Brings its lines to the disk, and its name if that is not there yet.
    fn sync(&self, directory: &Path) -> io::Result<()> {
        if !self.synced.load(Ordering::Acquire) {
            File::open(directory)?.sync_all()?;
            self.synced.store(true, Ordering::Release);
        }
        self.file.sync_data()
    }
}

/// A new file. It is locked as `draft` before it is renamed to `path`, so that `left` never sees
/// it unlocked while its worker lives.
fn create(path: &Path, draft: &Path) -> io::Result<File> {
    if path.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    loop {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(draft)?;
        let Err(error) = flock::try_exclusive(&file).and_then(|locked| match locked {
            true => fs::rename(draft, path),
            false => Err(ErrorKind::WouldBlock.into()),
        }) else {
            return Ok(file);
        };
        _ = fs::remove_file(draft);
        // `left` has locked or removed it: it looked like that of a dead worker.
        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotFound) {
            return Err(error);
        }
    }
}

/// A file whose worker has ended, locked as long as this value lives.
pub(crate) struct Left {
    path: PathBuf,
    name: String,
    file: File,
}

/// The journals of workers that have ended. Those of live ones are skipped, without waiting.
pub(crate) fn left(directory: &Path) -> io::Result<Vec<Left>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (path, Ok(name)) = (entry.path(), entry.file_name().into_string()) else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        if !flock::try_exclusive(&file)? {
            continue;
        }
        if name.starts_with('.') {
            // A draft: its worker was killed before its first line.
            _ = fs::remove_file(&path);
        } else if file.metadata()?.nlink() > 0 {
            // Otherwise another recovery has removed it since it was opened here.
            all.push(Left { path, name, file });
        }
    }
    Ok(all)
}

/// A worker whose name begins like this has a journal that it has not given up; those in `left` are
/// none.
pub(crate) fn is_live(directory: &Path, worker: &str, left: &[Left]) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if !name.as_encoded_bytes().starts_with(worker.as_bytes())
            || left.iter().any(|left| left.path == path)
        {
            continue;
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        if !flock::try_exclusive(&file)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Left {
    /// The worker's name; several files may have the same.
    pub(crate) fn worker(&self) -> &str {
        self.name.split_once('+').map_or(&self.name, |(worker, _)| worker)
    }

    /// The open intents. A torn or malformed line is skipped: its writer never learnt that it was
    /// written.
    pub(crate) fn intents(&self) -> io::Result<Vec<Intent>> {
        let (mut file, mut text) = (&self.file, Vec::new());
        file.rewind()?;
        file.read_to_end(&mut text)?;
        Ok(text.split_inclusive(|&byte| byte == b'\n').filter_map(Intent::parse).collect())
    }

    /// Takes the intents out of it: somebody else has them now.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Removes the file, when what is open in it has been dealt with.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn directory(test: &str) -> PathBuf {
        let name = format!("filedist-journal-{}-{test}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn journal(directory: &Path, worker: &str) -> Arc<Journal> {
        Arc::new(Journal::create(directory, worker, false).unwrap())
    }

    fn intent(version: u64) -> Intent {
        let (path, upstream) = (b"/a/b.mp3".to_vec(), b"children".to_vec());
        Intent { version, deleted: version % 2 == 1, path, upstream, context: String::new() }
    }

    /// Removes the journals that are left. The versions of their intents, in order.
    fn recover(directory: &Path) -> Vec<u64> {
        let mut intents = Vec::new();
        for journal in left(directory).unwrap() {
            intents.extend(journal.intents().unwrap());
            journal.remove().unwrap();
        }
        let mut versions: Vec<_> = intents.iter().map(|intent| intent.version).collect();
        versions.sort();
        versions
    }

    /// The length of each file.
    fn lengths(directory: &Path) -> Vec<u64> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
    }

    #[test]
    fn a_line_is_plain_text() {
        assert_eq!(intent(176381064512345678).line(), "176381064512345678 PUT /a/b.mp3 children\n");
        assert_eq!(intent(7).line(), "7 DELETE /a/b.mp3 children\n");
    }

    #[test]
    fn any_byte_survives() {
        let path = (0..=255).chain(*b"\n9 PUT /x y\n").collect();
        for intent in [
            Intent { path, upstream: b" %\xff#".to_vec(), ..intent(u64::MAX) },
            Intent { path: Vec::new(), upstream: Vec::new(), ..intent(0) },
            Intent { context: "@/in/ $host=a.example $x=%24".into(), ..intent(1) },
        ] {
            let line = intent.line();
            assert_eq!(line.lines().count(), 1);
            assert_eq!(Intent::parse(line.as_bytes()), Some(intent));
        }
    }

    #[test]
    fn a_closed_intent_leaves_a_mark_and_then_an_empty_file() {
        let directory = directory("closed");
        for sync in [false, true] {
            let journal = Arc::new(Journal::create(&directory, "w", sync).unwrap());
            for version in 1..3 {
                let open = journal.begin(&intent(version), sync).unwrap();
                let text = fs::read_to_string(directory.join("w")).unwrap();
                assert_eq!(text, intent(version).line());
                journal.tidy();
                assert_eq!(fs::read_to_string(directory.join("w")).unwrap(), text, "open");
                open.close();
                let text = fs::read_to_string(directory.join("w")).unwrap();
                assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
                journal.tidy();
                assert_eq!(lengths(&directory), [0]);
            }
            drop(journal);
            assert!(lengths(&directory).is_empty(), "a clean end");
        }
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn an_open_intent_is_left() {
        let directory = directory("open");
        let journal = journal(&directory, "w");
        let intents: Vec<_> = (0..5).map(|i| journal.begin(&intent(i), i == 3).unwrap()).collect();
        for open in intents.into_iter().step_by(2) {
            open.close();
        }
        drop(journal);
        let all = left(&directory).unwrap();
        assert_eq!(all.iter().map(Left::worker).collect::<Vec<_>>(), ["w"]);
        for _ in 0..2 {
            assert_eq!(all[0].intents().unwrap(), [intent(1), intent(3)]);
        }
        assert!(left(&directory).unwrap().is_empty(), "held by this recovery");
        drop(all);
        let all = left(&directory).unwrap();
        all[0].clear().unwrap();
        assert_eq!(all[0].intents().unwrap(), []);
        drop(all);
        assert!(recover(&directory).is_empty());
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn skips_what_is_cleared_torn_or_malformed() {
        let directory = directory("torn");
        fs::create_dir(&directory).unwrap();
        let text =
            "1 PUT /a c\n#2 PUT /b c\n\n\0\0\n3 PUT /\0 c\n4 PUT /%4 c\n5 GET /c c\n6 PUT /c\n\
                    7 PUT /c c c\n8 DELETE /d c\n9 PUT /e chil";
        fs::write(directory.join("w"), text).unwrap();
        assert_eq!(recover(&directory), [1, 8]);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_half_written_line_is_overwritten() {
        let directory = directory("half");
        let journal = journal(&directory, "w");
        let first = journal.begin(&intent(1), false).unwrap();
        let file = OpenOptions::new().append(true).open(directory.join("w")).unwrap();
        io::Write::write(&mut &file, b"2 PUT /half").unwrap();
        drop((journal.begin(&intent(3), false).unwrap(), first, journal));
        assert_eq!(recover(&directory), [1, 3]);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_live_journal_is_not_left() {
        let directory = directory("live");
        assert!(left(&directory).unwrap().is_empty(), "without a directory");
        let journal = journal(&directory, "w");
        let open = journal.begin(&intent(1), false).unwrap();
        assert!(left(&directory).unwrap().is_empty());
        drop(journal);
        assert!(left(&directory).unwrap().is_empty(), "its intent lives");
        drop(open);
        let error = Journal::create(&directory, "w", false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(recover(&directory), [1]);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn removes_a_draft_and_ignores_a_directory() {
        let directory = directory("draft");
        fs::create_dir_all(directory.join("d")).unwrap();
        fs::write(directory.join(".w"), "").unwrap();
        assert!(left(&directory).unwrap().is_empty());
        drop(journal(&directory, "w"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn slow_changes_do_not_make_files_long() {
        let directory = directory("slow");
        let journal = journal(&directory, "w");
        let slow = journal.begin(&intent(0), false).unwrap();
        let mut last = journal.begin(&intent(1), false).unwrap();
        for i in 2..100_000 {
            // So that something is always open.
            let next = journal.begin(&intent(i), false).unwrap();
            std::mem::replace(&mut last, next).close();
            if i % 1000 == 0 {
                let lengths = lengths(&directory);
                let all: u64 = lengths.iter().sum();
                assert!(lengths.len() <= 3 && all < 3 * LONG, "{i}: {lengths:?}");
            }
        }
        drop((slow, last, journal));
        assert!(left(&directory).unwrap().iter().all(|left| left.worker() == "w"));
        assert_eq!(recover(&directory), [0, 99_999]);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn what_is_open_stays_in_one_file() {
        let directory = directory("long");
        let journal = journal(&directory, "w");
        let open: Vec<_> = (0..5000).map(|i| journal.begin(&intent(i), false).unwrap()).collect();
        assert_eq!(lengths(&directory).len(), 1);
        open.into_iter().for_each(Open::close);
        assert_eq!(lengths(&directory), [0]);
        drop(journal);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn threads_share_a_journal() {
        let directory = directory("threads");
        let journal = journal(&directory, "w");
        let run = |first| {
            for i in first..first + 3000 {
                let open = journal.begin(&intent(i), i % 100 == 50).unwrap();
                if i % 100 != 0 {
                    open.close();
                }
            }
        };
        thread::scope(|scope| {
            for i in 0..4 {
                scope.spawn(move || run(i * 3000));
            }
        });
        drop(journal);
        assert_eq!(recover(&directory), (0..12_000).step_by(100).collect::<Vec<_>>());
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn workers_and_recoveries_race() {
        let directory = directory("race");
        let workers = directory.clone();
        let worker = thread::spawn(move || {
            for i in 0..3000 {
                drop(journal(&workers, &format!("w{i}")).begin(&intent(i), false).unwrap());
            }
        });
        let recovery = || {
            let mut versions = Vec::new();
            while !worker.is_finished() {
                versions.extend(recover(&directory));
            }
            versions
        };
        let mut versions = thread::scope(|scope| {
            let other = scope.spawn(recovery);
            [recovery(), other.join().unwrap()].concat()
        });
        versions.extend(recover(&directory));
        versions.sort();
        assert_eq!(versions, (0..3000).collect::<Vec<_>>(), "each once");
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_draft_that_is_locked_elsewhere_is_made_again() {
        let directory = directory("again");
        thread::scope(|scope| {
            let work = || (0..2000).for_each(|_| drop(journal(&directory, "w")));
            let worker = scope.spawn(work);
            while !worker.is_finished() {
                // As `left` does, but for longer.
                if let Ok(draft) = File::open(directory.join(".w")) {
                    if flock::try_exclusive(&draft).is_ok_and(|locked| locked) {
                        thread::sleep(std::time::Duration::from_micros(50));
                    }
                }
            }
        });
        fs::remove_dir(&directory).unwrap();
    }
}
