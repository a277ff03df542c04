//! What a worker that was killed has left: intents in its journal, and temporary files.

use std::collections::HashSet;
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::entry::INTERRUPTED;
use crate::conf::{MainConf, Site};
use crate::error::Error;
use crate::fanout;
use crate::journal::{self, Intent, Left};
use crate::missing_log::{self, Entry};
use crate::nginx::{self, detached, worker, Alarm, Level, Request};
use crate::store::{self, lend};

/// How long a DELETE is remembered at least. Longer where a missing log has older entries.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Names that one job in a thread looks at.
const STEP: usize = 2000;

/// Between two walks, where something could not be read or removed: doubled from the first to the
/// last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));

/// Takes over from workers that have ended: each change that they had in hand becomes a line in
/// the missing log of every child that may not have it.
pub(super) fn look(main: &'static MainConf, site: &'static Site) {
    let directory = site.directories().journal;
    let cannot = |call, error| {
        worker::log(Level::Crit, format_args!("{}", Error::io(call, directory)(error)));
    };
    let mut ended = Vec::new();
    match journal::left(directory) {
        Ok(all) => {
            for left in all {
                match take_over(site, &left) {
                    Ok(()) => ended.push(left),
                    Err(error) => cannot("read", error),
                }
            }
        }
        Err(error) => cannot("open", error),
    }
    if ended.is_empty() {
        return;
    }
    match dead(directory, &ended) {
        Ok(workers) => sweep(main, site, ended, workers),
        Err(error) => cannot("read", error),
    }
}

fn take_over(site: &Site, left: &Left) -> io::Result<()> {
    let intents = left.intents()?;
    if intents.is_empty() {
        return Ok(());
    }
    let time = fanout::now();
    let mut children = Vec::new();
    for intent in &intents {
        for child in children_of(site, intent) {
            let entry = Entry {
                time,
                deleted: intent.deleted,
                path: &intent.path,
                version: intent.version,
                reason: INTERRUPTED,
                context: &intent.context,
            };
            site.missed(child, &entry, 0)?;
            if !children.contains(&child) {
                children.push(child);
            }
        }
    }
    for child in children {
        missing_log::sync(site.directories().missing, child, &time)?;
    }
    left.clear()
}

/// The children that the intent is about, as far as they are still configured.
fn children_of(site: &Site, intent: &Intent) -> Vec<&'static [u8]> {
    let upstreams = site.server().upstreams().iter();
    upstreams
        .filter(|upstream| upstream.name() == intent.upstream)
        .flat_map(|upstream| upstream.children())
        .map(|child| child.name())
        .collect()
}

/// The workers whose journals they are, but for those that have given one up and live on.
fn dead(journals: &Path, ended: &[Left]) -> io::Result<Vec<String>> {
    let mut dead = Vec::new();
    for left in ended {
        let worker = worker_of(left.worker());
        if worker != worker::name() && !journal::is_live(journals, worker, ended)? {
            dead.push(worker.to_owned());
        }
    }
    Ok(dead)
}

/// Removes the temporary files of workers that have ended, in the background, again until none can
/// be left; then their journals, whose locks are held until then.
fn sweep(main: &'static MainConf, site: &'static Site, ended: Vec<Left>, workers: Vec<String>) {
    let Some(server) = site.server().server() else { return };
    // What is not begun, or not finished, is begun again by the next worker that looks.
    _ = detached::start(server, b"", move |r| async move {
        let journals = site.directories().journal;
        let alarm = Alarm::new(r);
        let (mut pause, longest) = PAUSES;
        loop {
            let walked = walk(r, &alarm, places(main, site), workers.clone()).await;
            let Err(error) = walked.and_then(|()| remove(&ended, journals)) else { return };
            let what = "removing what a worker has left that has ended";
            r.log(Level::Error, format_args!("{what}: {error}; again in {} s", pause.as_secs()));
            if worker::is_exiting() {
                return;
            }
            alarm.sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    });
}

/// Where temporary files may be: below the roots and in the state directory.
fn places(main: &MainConf, site: &Site) -> Vec<PathBuf> {
    let state = site.directories();
    let state = [state.deleted, state.missing].map(PathBuf::from);
    main.roots().iter().cloned().chain(state).collect()
}

fn remove(ended: &[Left], journals: &Path) -> Result<(), Error> {
    ended.iter().try_for_each(Left::remove).map_err(Error::io("unlink", journals))
}

/// The worker whose journal has this name: `PID-TIME`, or `PID-TIME-N` for a further one.
fn worker_of(journal: &str) -> &str {
    journal.match_indices('-').nth(1).map_or(journal, |(end, _)| &journal[..end])
}

async fn walk(
    r: Request,
    alarm: &Alarm,
    roots: Vec<PathBuf>,
    workers: Vec<String>,
) -> Result<(), Error> {
    let mut walk =
        Walk { roots, workers, open: Vec::new(), followed: HashSet::new(), problem: None };
    loop {
        let (again, more) = lend(r, walk, Walk::step).await?;
        if !more {
            return again.problem.map_or(Ok(()), Err);
        }
        walk = again;
        alarm.step_aside().await;
    }
}

/// A walk through directories, which remembers where it is and no more.
struct Walk {
    roots: Vec<PathBuf>,
    workers: Vec<String>,
    /// The directories from a root down to the present one.
    open: Vec<(PathBuf, ReadDir)>,
    /// Directories that symbolic links lead to, by device and number: each is looked at once, or a link
    /// to one above it would have no end.
    followed: HashSet<(u64, u64)>,
    /// The first thing that could not be done.
    problem: Option<Error>,
}

impl Walk {
    /// Looks at some more names. False at the end.
    fn step(&mut self) -> bool {
        for _ in 0..STEP {
            let Some((path, directory)) = self.open.last_mut() else {
                let Some(root) = self.roots.pop() else { return false };
                self.enter(root);
                continue;
            };
            match directory.next() {
                None => drop(self.open.pop()),
                Some(Err(error)) => {
                    let error = Error::io("readdir", path)(error);
                    self.problem.get_or_insert(error);
                    self.open.pop();
                }
                Some(Ok(entry)) => self.look(&entry),
            }
        }
        true
    }

    fn look(&mut self, entry: &DirEntry) {
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
            self.enter(entry.path());
        } else if self.is_left(entry.file_name().as_encoded_bytes()) {
            let path = entry.path();
            self.note("unlink", &path, fs::remove_file(&path));
        } else if kind.is_ok_and(|kind| kind.is_symlink()) {
            self.follow(entry.path());
        }
    }

    /// PUT goes through links to directories.
    fn follow(&mut self, link: PathBuf) {
        let Ok(found) = fs::metadata(&link) else { return };
        if found.is_dir() && self.followed.insert((found.dev(), found.ino())) {
            self.enter(link);
        }
    }

    fn enter(&mut self, path: PathBuf) {
        if let Some(directory) = self.note("opendir", &path, fs::read_dir(&path)) {
            self.open.push((path, directory));
        }
    }

    /// What is gone by now is as good as removed. A directory that this user may not read has nothing
    /// of ours in it.
    fn note<T>(&mut self, call: &'static str, path: &Path, done: io::Result<T>) -> Option<T> {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                if !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) {
                    self.problem.get_or_insert(Error::io(call, path)(error));
                }
                None
            }
        }
    }

    fn is_left(&self, name: &[u8]) -> bool {
        self.workers.iter().any(|worker| store::is_temporary_of(name, worker))
    }
}

/// Forgets old DELETEs, a few directories of them an hour.
pub(super) fn forget(site: &'static Site) {
    // One of 256 directories every minute or so.
    if worker::random(60) != 0 {
        return;
    }
    let directory = worker::random(256) as u8;
    let Some(server) = site.server().server() else { return };
    let (tombstones, logs) = (site.tombstones(), site.directories().missing);
    _ = detached::start(server, b"", move |r| async move {
        let forget = move || {
            let Some(time) = SystemTime::now().checked_sub(REMEMBERED) else { return Ok(()) };
            if missing_log::has_older(logs, nginx::utc(time)) {
                return Ok(());
            }
            tombstones.expire(directory, time)
        };
        if let Ok(Err(error)) = nginx::offload(r, forget).await {
            r.log(Level::Error, format_args!("forgetting old deletes failed: {error}"));
        }
    });
}
