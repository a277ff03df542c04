//! The missing log of one child, from its first entry to its last.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::count;
use super::entry::{self, Outcome};
use super::pace::Pace;
use crate::conf::{Child, Site, Turn};
use crate::error::Error;
use crate::flock;
use crate::missing_log::{self, Batch, Missed, Place, Reader, Tidy};
use crate::nginx::{detached, worker, Alarm, Level, Request};
use crate::store::lend;

/// Entries that are read at a time.
const BATCH: usize = 64;
/// So many refusals in a row end an attempt: the child is there, and takes nothing.
const REFUSALS: u32 = 32;
/// So many entries that something at the child is in the way of are asked for once more; it is to
/// take no more memory than that.
const BLOCKED: usize = 1000;
/// How long to wait for connections that the clients need now.
const BUSY: Duration = Duration::from_millis(200);

/// Delivers the child's missing log in the background, if nobody does so already.
pub(super) fn start(site: &'static Site, child: &'static Child) {
    let logs = site.directories().missing;
    child.begin();
    if missing_log::is_empty(logs, child.name()) {
        child.counts().missing.is_empty(worker::time());
        return child.caught_up();
    }
    let lock = match lock(site, child) {
        Ok(Some(lock)) => lock,
        // Another worker is at it. It may have looked before the newest entry came.
        Ok(None) => return child.leave(),
        Err(_) => return child.try_again(false, site.server().catch_up().max_backoff),
    };
    if !worker::has_spare_connections() {
        return child.leave();
    }
    let Some(server) = site.server().server() else { return };
    let Some(turn) = Turn::take(&child.catching_up) else { return child.leave() };
    child.counts().catch_up.begin(worker::time());
    let started = detached::start(server, b"", move |r| async move {
        let drain = Drain::new(r, site, child);
        drain.run().await;
        drop((lock, turn));
        // Another worker may have written an entry, and found the lock taken.
        site.hurry();
    });
    if started.is_err() {
        child.leave();
    }
}

/// The lock that says who delivers the child's log; it goes with the process.
fn lock(site: &Site, child: &Child) -> io::Result<Option<File>> {
    let path = site.lock(child.name());
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o644).open(path)?;
    Ok(flock::try_exclusive(&file)?.then_some(file))
}

/// Whether some process has locked a file.
pub(super) fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock::is_held(&file))
}

struct Drain {
    r: Request,
    site: &'static Site,
    child: &'static Child,
    /// The only share: who else has it looks whether the task is still there.
    bell: Rc<Alarm>,
    pace: Rc<Pace>,
    progress: Rc<Progress>,
}

/// What the requests of single entries tell.
struct Progress {
    child: &'static Child,
    bell: Weak<Alarm>,
    in_flight: Cell<usize>,
    /// Entries that went.
    done: Cell<u64>,
    /// Entries that stay.
    kept: Cell<u64>,
    refused_in_a_row: Cell<u32>,
    /// Entries that stay because no node has the file.
    unservable: Cell<u64>,
    away: Cell<bool>,
    /// Entries that something at the child was in the way of.
    blocked: RefCell<Vec<(Place, Missed)>>,
    /// The first entry that stays, and why.
    problem: RefCell<Option<String>>,
}

/// How an attempt ended.
enum End {
    /// Nothing is left that could be tried.
    Through,
    /// The child takes nothing now.
    Stopped,
    /// This worker is to exit.
    Exiting,
    /// The log cannot be read.
    Broken(io::Error),
}

impl Drain {
    fn new(r: Request, site: &'static Site, child: &'static Child) -> Drain {
        let bell = Alarm::new(r);
        let progress = Rc::new(Progress {
            child,
            bell: Rc::downgrade(&bell),
            in_flight: Cell::new(0),
            done: Cell::new(0),
            kept: Cell::new(0),
            refused_in_a_row: Cell::new(0),
            unservable: Cell::new(0),
            away: Cell::new(false),
            blocked: RefCell::default(),
            problem: RefCell::new(None),
        });
        let pace = Rc::new(Pace::new(site.server().catch_up().rate));
        Drain { r, site, child, bell, pace, progress }
    }

    async fn run(&self) {
        let Drain { child, progress, .. } = self;
        if !child.counts().missing.is_known() {
            // nginx has just been started, and the log is of before.
            count::count(self.r, self.site, child).await;
        }
        let end = self.pass().await;
        self.until(|| progress.in_flight.get() == 0).await;
        progress.kept.set(progress.kept.get() + progress.blocked.take().len() as u64);
        let tidied = match end {
            End::Exiting => Ok(0),
            _ => self.tidy().await,
        };
        let skipped = child.skip.take();
        let counts = &child.counts().missing;
        if let (End::Through, 0) = (&end, skipped) {
            counts.set_unservable(progress.unservable.get());
        }
        match tidied {
            Ok(0) if !matches!(end, End::Exiting) => counts.is_empty(worker::time()),
            Ok(_) if counts.is_due(worker::time()) => {
                count::count(self.r, self.site, child).await;
            }
            _ => {}
        }
        let longest = self.site.server().catch_up().max_backoff;
        match (end, tidied) {
            (End::Exiting, _) => child.leave(),
            (End::Broken(error), _) | (_, Err(error)) => {
                let log = self.site.log(child.name());
                self.r.log(Level::Error, format_args!("{}", Error::io("read", &log)(error)));
                child.try_again(false, longest);
            }
            (End::Through, Ok(0)) => child.caught_up(),
            (End::Through, Ok(_)) if skipped > 0 => {
                // Now for those.
                child.leave();
            }
            (end, Ok(_)) => {
                self.report();
                let away = progress.away.get();
                if let (End::Stopped, false) = (end, away) {
                    // The next attempt begins behind those that this one has not got rid of.
                    child.skip.set(skipped + progress.kept.get());
                }
                child.try_again(away, longest);
            }
        }
    }

    /// One way through the log.
    async fn pass(&self) -> End {
        let Drain { child, progress, .. } = self;
        let mut reader = Reader::open(self.site.directories().missing, child.name());
        let mut skip = child.skip.get();
        loop {
            let read = lend(self.r, reader, |reader| reader.next(BATCH));
            let Ok((again, batch)) = read.await else { return End::Stopped };
            reader = again;
            let Batch { entries, end } = match batch {
                Ok(batch) => batch,
                Err(error) => return End::Broken(error),
            };
            let none = entries.is_empty();
            for (place, missed) in entries {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                self.until(|| progress.in_flight.get() < self.window()).await;
                while !worker::has_spare_connections() && !worker::is_exiting() {
                    self.bell.sleep(BUSY).await;
                }
                if worker::is_exiting() {
                    return End::Exiting;
                }
                if progress.is_stopped() {
                    return End::Stopped;
                }
                self.deliver(place, missed, false);
            }
            self.bell.step_aside().await;
            if end {
                self.until(|| progress.in_flight.get() == 0).await;
                if progress.is_stopped() {
                    return End::Stopped;
                }
                let mut blocked = progress.blocked.take();
                if none && blocked.is_empty() {
                    return End::Through;
                }
                // One by one: what is in the way of one may be what the one before it removes.
                blocked.sort_by_key(|(_, missed)| missed.version);
                for (place, missed) in blocked {
                    if worker::is_exiting() {
                        return End::Exiting;
                    }
                    if progress.is_stopped() {
                        return End::Stopped;
                    }
                    self.deliver(place, missed, true);
                    self.until(|| progress.in_flight.get() == 0).await;
                }
            }
        }
    }

    /// How many entries may be under way. The first one finds out whether the child is there.
    fn window(&self) -> usize {
        match self.progress.done.get() {
            0 => 1,
            _ => self.site.server().catch_up().concurrency,
        }
    }

    /// Waits for `condition`, which entries that end may bring about.
    async fn until(&self, condition: impl Fn() -> bool) {
        poll_fn(|_| match condition() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Delivers an entry in a request of its own; `again` if something was in the way of it before.
    fn deliver(&self, place: Place, missed: Missed, again: bool) {
        let (path, context) = (missed.path.clone(), missed.context.clone());
        let job = Job::new(&self.progress, place, missed, again);
        let (child, pace) = (self.child.name(), Rc::clone(&self.pace));
        let ended = Rc::new(RefCell::new(Some(job)));
        let kept = Rc::clone(&ended);
        let started = super::start(self.site, &path, &context, move |r| async move {
            let Some(mut job) = ended.take() else { return };
            let outcome = entry::deliver(r, child, &job.missed, &pace).await;
            job.outcome = Some(outcome);
        });
        let why = match started {
            Ok(true) => return,
            Ok(false) => Outcome::Kept("no location for it".into()),
            Err(_) => Outcome::Away("no memory".into()),
        };
        if let Some(mut job) = kept.take() {
            job.outcome = Some(why);
        }
    }

    /// Removes what has nothing left in it. Tells how many entries are left.
    async fn tidy(&self) -> io::Result<u64> {
        let mut tidy = Tidy::open(self.site.directories().missing, self.child.name());
        loop {
            let step = lend(self.r, tidy, Tidy::step);
            let Ok((again, done)) = step.await else { return Ok(1) };
            if done? {
                return Ok(again.survivors());
            }
            tidy = again;
            self.bell.step_aside().await;
        }
    }

    /// Tells the operator of entries that the child does not take.
    fn report(&self) {
        let Progress { kept, problem, away, .. } = &*self.progress;
        let Some(first) = problem.borrow_mut().take() else { return };
        let name = String::from_utf8_lossy(self.child.name());
        match away.get() {
            true => self.r.log(Level::Info, format_args!("child \"{name}\" is away: {first}")),
            false => self.r.log(
                Level::Error,
                format_args!(
                    "{} entries of the missing log of child \"{name}\" could not be delivered, \
                     the first: {first}",
                    kept.get()
                ),
            ),
        }
    }
}

impl Progress {
    fn is_stopped(&self) -> bool {
        self.away.get() || self.refused_in_a_row.get() >= REFUSALS
    }

    /// An entry has ended: it goes, or it stays.
    fn ended(&self, place: &Place, missed: &Missed, outcome: Option<Outcome>) {
        let reason = match outcome {
            Some(Outcome::Done(bytes)) => match place.clear() {
                Ok(()) => {
                    let counts = self.child.counts();
                    counts.missing.cleared(bytes);
                    counts.catch_up.add(1);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Some(Outcome::Refused(reason)) => {
                self.refused_in_a_row.set(self.refused_in_a_row.get() + 1);
                Some(reason)
            }
            Some(Outcome::Kept(reason)) => Some(reason),
            Some(Outcome::Unservable) => {
                self.unservable.set(self.unservable.get() + 1);
                Some("no node has it any more".into())
            }
            Some(Outcome::Away(reason)) => {
                self.away.set(true);
                Some(reason)
            }
            Some(Outcome::Blocked(outcome)) => return self.ended(place, missed, Some(*outcome)),
            None => Some("interrupted".into()),
        };
        match reason {
            None => {
                self.done.set(self.done.get() + 1);
                self.refused_in_a_row.set(0);
            }
            Some(reason) => {
                self.kept.set(self.kept.get() + 1);
                let method = if missed.deleted { "DELETE" } else { "PUT" };
                let path = String::from_utf8_lossy(&missed.path);
                self.problem
                    .borrow_mut()
                    .get_or_insert_with(|| format!("{method} \"{path}\": {reason}"));
            }
        }
    }
}

/// An entry under way. When this goes, its end is told, whatever it was.
struct Job {
    progress: Rc<Progress>,
    place: Place,
    missed: Missed,
    again: bool,
    outcome: Option<Outcome>,
}

impl Job {
    fn new(progress: &Rc<Progress>, place: Place, missed: Missed, again: bool) -> Job {
        progress.in_flight.set(progress.in_flight.get() + 1);
        Job { progress: Rc::clone(progress), place, missed, again, outcome: None }
    }

    /// Has the entry asked for once more at the end of the log. False if it was, or there are too many.
    fn postpone(&self) -> bool {
        let mut blocked = self.progress.blocked.borrow_mut();
        if self.again || blocked.len() == BLOCKED {
            return false;
        }
        blocked.push((self.place.clone(), self.missed.clone()));
        true
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let outcome = self.outcome.take();
        let Job { progress, place, missed, .. } = &*self;
        progress.in_flight.set(progress.in_flight.get() - 1);
        if !matches!(outcome, Some(Outcome::Blocked(_))) || !self.postpone() {
            progress.ended(place, missed, outcome);
        }
        if let Some(bell) = progress.bell.upgrade() {
            bell.ring();
        }
    }
}
