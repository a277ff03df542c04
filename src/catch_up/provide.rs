//! Everything that a child may have goes into its missing log, from where it is delivered: for a
//! new child, or one that has lost its files.
//!
//! STATE/provide/CHILD says that it is to be done, and how far it has come: it holds the path that
//! was put into the log last. Whoever does it has locked the file, and removes it at the end; after
//! a crash the next worker that looks goes on.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::conf::{Child, Site};
use crate::counters::MissingCounts;
use crate::error::Error;
use crate::escape;
use crate::fanout;
use crate::flock;
use crate::index::{self, Area, Walk};
use crate::missing_log::{self, Entry};
use crate::nginx::{detached, worker, Alarm, Level, Request};
use crate::store::{self, lend, lend_idle};

/// Files that one job in a thread puts into the log.
const STEP: usize = 500;

/// How long to wait before what could not be read is read again, at first; then twice as long. So often
/// that it is half a minute in all: what is still unreadable then is left out, and told.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 6;

/// The reason of such entries.
const PROVIDED: &str = "provided";

/// Whether an entry with this reason comes from a list of files, and not from a change.
pub(crate) fn is_listed(reason: &str) -> bool {
    // The others are those of compare (index/compare.rs).
    matches!(reason, PROVIDED | "missing" | "older" | "extra")
}

/// Has it begun by a worker that looks next. Whoever does it already stops: what was listed so far
/// may have been delivered, and lost. May block on a disk.
pub(crate) fn request(path: &Path, fsync: bool) -> io::Result<()> {
    let directory = lock(path)?;
    let draft = draft(path);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
    if let Err(error) = fs::rename(&draft, path) {
        _ = fs::remove_file(&draft);
        return Err(error);
    }
    if fsync {
        directory.sync_all()?;
    }
    Ok(())
}

/// What a request is called before it has its name: for as long as its directory is locked.
fn draft(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Removes a draft that a killed worker has left. False if the directory is locked.
fn tidy(path: &Path) -> io::Result<bool> {
    let draft = draft(path);
    if !draft.try_exists()? {
        return Ok(true);
    }
    let directory = File::open(path.parent().unwrap_or(path))?;
    if !flock::try_exclusive(&directory)? {
        return Ok(false);
    }
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Has it ended, wherever it is, and then `work` done before anything more is listed.
pub(crate) fn cancel(path: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let _lock = lock(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    work()
}

/// The directory of such requests, locked as long as it is open. Whoever puts something in a log for
/// one, or makes or removes one, holds the lock.
fn lock(path: &Path) -> io::Result<File> {
    let directory = File::open(path.parent().unwrap_or(path))?;
    flock::exclusive(&directory)?;
    Ok(directory)
}

/// Does it in the background, if it is to be done and nobody does.
pub(super) fn start(site: &'static Site, child: &'static Child) {
    let file = match open(&site.provide(child.name())) {
        Ok(Found::Nothing) => return,
        Ok(Found::Request(file)) => file,
        // Should that worker be killed, somebody has to go on.
        Ok(Found::Taken) => return child.provide(),
        Err(error) => {
            let path = site.provide(child.name());
            worker::log(Level::Crit, format_args!("{}", Error::io("open", &path)(error)));
            return child.provide();
        }
    };
    let Some(server) = site.server().server() else { return };
    child.counts().provisioning.begin(worker::time());
    let started = detached::start(server, b"", move |r| async move {
        if let Err(error) = provide(r, site, child, file).await {
            let name = String::from_utf8_lossy(child.name());
            r.log(Level::Error, format_args!("providing child \"{name}\" stopped: {error}"));
            // What it was about to tell may be in the log.
            child.leave();
        }
        // Once more after an error; else nothing is found.
        child.provide();
    });
    if started.is_err() {
        child.provide();
    }
}

enum Found {
    Nothing,
    Taken,
    Request(File),
}

/// The request, locked.
fn open(path: &Path) -> io::Result<Found> {
    if !tidy(path)? {
        return Ok(Found::Taken);
    }
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        other => other?,
    };
    if !flock::try_exclusive(&file)? {
        return Ok(Found::Taken);
    }
    // Who had it has removed it in between.
    Ok(if file.metadata()?.nlink() == 0 { Found::Nothing } else { Found::Request(file) })
}

async fn provide(
    r: Request,
    site: &'static Site,
    child: &'static Child,
    file: File,
) -> Result<(), Error> {
    let name = child.name();
    let areas = || site.server().areas(|location| location.has_child(name));
    let (logs, path) = (site.directories().missing, site.provide(name));
    let all = areas();
    let exclude = site.server().excluded();
    let counts = &child.counts().missing;
    let begun =
        store::blocking(r, move || Provide::new(all, exclude, logs, name, counts, path, file));
    let mut provide = begun.await?;
    let alarm = Alarm::new(r);
    let mut pause = PAUSE;
    loop {
        if worker::is_exiting() {
            return Ok(());
        }
        let (again, found) = lend_idle(r, provide, Provide::find).await?;
        let index::Step { files, end } = found?;
        let (again, listed) = lend(r, again, move |it| it.list(&files, end)).await?;
        provide = again;
        let Listed { files: listed, end } = listed?;
        if listed > 0 {
            child.counts().provisioning.add(listed);
            super::is_owed(site, child);
        }
        match end {
            End::NotYet => alarm.step_aside().await,
            End::Again => {
                alarm.sleep(pause).await;
                pause *= 2;
                provide.begin_again(areas());
            }
            End::Reached => break,
        }
    }
    if let Some(problem) = provide.walk.problem() {
        let name = String::from_utf8_lossy(name);
        r.log(Level::Error, format_args!("child \"{name}\" lacks files: {}", problem.error));
    }
    Ok(())
}

struct Provide {
    walk: Walk,
    /// Names that are left out.
    exclude: Arc<[Vec<u8>]>,
    /// Walks that are left.
    tries: u32,
    /// What was listed last before something could not be read, that may be read later.
    after: Option<Vec<u8>>,
    logs: PathBuf,
    child: &'static [u8],
    /// What is in its log.
    missing: &'static MissingCounts,
    path: PathBuf,
    file: File,
}

struct Listed {
    files: u64,
    end: End,
}

enum End {
    NotYet,
    /// There is a walk to come, from what could not be read on.
    Again,
    Reached,
}

impl Provide {
    fn new(
        areas: Arc<[Area]>,
        exclude: Arc<[Vec<u8>]>,
        logs: &Path,
        child: &'static [u8],
        missing: &'static MissingCounts,
        path: PathBuf,
        file: File,
    ) -> Result<Provide, Error> {
        let mut done = vec![0; file.metadata().map_or(0, |it| it.len() as usize)];
        file.read_exact_at(&mut done, 0).map_err(Error::io("read", &path))?;
        // Torn by a crash it is not whole, and all begins anew.
        let after = done.strip_suffix(b"\n").and_then(escape::unpercent);
        let walk = Walk::new(areas, b"/", after.clone(), logs.into());
        let walk = walk.excluding(Arc::clone(&exclude));
        let (logs, tries) = (logs.into(), TRIES - 1);
        Ok(Provide { walk, exclude, tries, after, logs, child, missing, path, file })
    }

    fn begin_again(&mut self, areas: Arc<[Area]>) {
        self.tries -= 1;
        let walk = Walk::new(areas, b"/", self.after.clone(), self.logs.clone());
        self.walk = walk.excluding(Arc::clone(&self.exclude));
    }

    fn find(&mut self) -> Result<index::Step, Error> {
        let step = self.walk.next(STEP).map_err(Error::io("read", &self.path))?;
        if !self.has_gap() {
            self.after = step.files.last().map(|file| file.path.clone()).or(self.after.take());
        }
        Ok(step)
    }

    /// Something could not be read that may be read later.
    fn has_gap(&self) -> bool {
        self.walk.problem().is_some_and(|problem| problem.may_pass)
    }

    /// Puts files into the child's log, the last of all if this is the `end`. They are counted under the
    /// lock: who drops the log drops what is counted of it.
    fn list(&mut self, files: &[index::File], end: bool) -> Result<Listed, Error> {
        let _lock = lock(&self.path).map_err(Error::io("lock", &self.path))?;
        let is_cancelled = self.file.metadata().is_ok_and(|it| it.nlink() == 0);
        if is_cancelled {
            return Ok(Listed { files: 0, end: End::Reached });
        }
        let time = fanout::now();
        let entries: Vec<Entry<'_>> = files
            .iter()
            .map(|index::File { path, version, .. }| Entry {
                time,
                deleted: false,
                path,
                version: *version,
                reason: PROVIDED,
                context: "",
            })
            .collect();
        let log = || Error::io("write", &missing_log::directory(&self.logs, self.child));
        missing_log::append_all(&self.logs, self.child, time, &entries).map_err(log())?;
        let bytes = files.iter().map(|file| file.size).sum();
        if !files.is_empty() {
            self.missing.appended(files.len() as u64, bytes, worker::time());
        }
        let end = match end {
            true if self.has_gap() && self.tries > 0 => End::Again,
            true => End::Reached,
            false => End::NotYet,
        };
        match &self.after {
            // First what is listed, then that it is.
            _ if matches!(end, End::Reached) => {
                missing_log::sync(&self.logs, self.child, &time).map_err(log())?;
                fs::remove_file(&self.path).map_err(Error::io("unlink", &self.path))?;
            }
            Some(after) => {
                let text = escape::percent(after) + "\n";
                let write = || {
                    self.file.set_len(0)?;
                    self.file.write_all_at(text.as_bytes(), 0)
                };
                write().map_err(Error::io("write", &self.path))?;
            }
            None => {}
        }
        Ok(Listed { files: files.len() as u64, end })
    }
}
