//! One entry of a missing log: the child gets what the path is now.

use core::cell::Cell;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::pace::Pace;
use super::provide;
use crate::conf::{LocConf, Site};
use crate::error::Error;
use crate::fanout::{self, Change, End, Verb};
use crate::missing_log::Missed;
use crate::nginx::{self, worker, Alarm, Ask, Child, Request, Source};
use crate::store::{self, Present, Target, Temporary, Tombstones};

/// What became of an entry.
pub(super) enum Outcome {
    /// The child has what the entry is about, or something newer. The entry goes; the file that it
    /// is about has so many bytes here.
    Done(u64),
    /// The child does not take it. The entry stays.
    Refused(String),
    /// It cannot be delivered for a reason that is not the child's. The entry stays.
    Kept(String),
    /// No node has the file. The entry stays.
    Unservable,
    /// The child is not there. The entry stays.
    Away(String),
    /// The child has a directory there, or a file in place of a directory: what it has missed may
    /// remove it. If nothing does, this is what became of the entry.
    Blocked(Box<Outcome>),
}

use Outcome::{Away, Blocked, Done, Kept, Refused, Unservable};

/// How often a delivery with a limited rate looks for more to send.
const STEP: Duration = Duration::from_millis(50);

/// The reason of entries that were taken over from the journal of a killed worker.
pub(super) const INTERRUPTED: &str = "interrupted";

/// What the path is on this node.
enum Local {
    File {
        file: Arc<File>,
        version: u64,
        length: u64,
    },
    /// There is no file; what was done to the path last, if that is known.
    None(Present),
    /// Neither can there be one: a directory is there, or a file in place of one of its directories.
    Replaced(Present),
}

impl Local {
    fn of(target: &Target, tombstones: &Tombstones) -> Result<Local, Error> {
        match target.present(tombstones) {
            Ok(Present::File(_)) => {}
            Ok(none) => return Ok(Local::None(none)),
            // "/a/" is no name of a file, whatever is there.
            Err(Error::IsDirectory) if !target.path.is_dir() => {
                return Ok(Local::None(Present::Nothing));
            }
            Err(Error::IsDirectory | Error::BelowFile) => {
                return Ok(Local::Replaced(target.buried(tombstones)?));
            }
            Err(error) => return Err(error),
        }
        let Some((file, version)) = target.open()? else {
            return Ok(Local::None(Present::Nothing));
        };
        let metadata = file.metadata().map_err(Error::io("fstat", &target.path))?;
        Ok(Local::File { file: Arc::new(file), version, length: metadata.len() })
    }
}

/// Delivers an entry in a request of its own, `r`, at the location that its path leads to.
pub(super) async fn deliver(
    r: Request,
    child: &'static [u8],
    missed: &Missed,
    pace: &Rc<Pace>,
) -> Outcome {
    let conf: &'static LocConf = r.conf();
    let children: Vec<Child> = conf.upstream().map(|u| u.children()).unwrap_or_default();
    let position = children.iter().position(|other| other.name() == child);
    let (Some(site), Some(position)) = (conf.site(), position) else {
        if provide::is_listed(&missed.reason) {
            // By its path it could not be told that a location by regular expression has it.
            return Done(0);
        }
        return Kept("its location has no such child any more".into());
    };
    if let Err(why) = conf.needs().restore(&r, &missed.context) {
        return Kept(why);
    }
    let target = match Target::of(&r) {
        Err(error) => return Kept(error.to_string()),
        Ok(target) => target,
    };
    let (name, mut others) = (child, children);
    let child = others.swap_remove(position);
    worker::shuffle(&mut others);
    let entry = Entry { r, conf, site, name, child, others, missed, pace };

    let (looked_at, tombstones) = (target.clone(), site.tombstones());
    let (known, replaced) =
        match store::blocking(r, move || Local::of(&looked_at, &tombstones)).await {
            Err(error) => return Kept(error.to_string()),
            Ok(Local::File { file, version, length }) => {
                return match entry.put(file, version, length).await {
                    Blocked(outcome) => {
                        entry.delete_above(target).await;
                        Blocked(outcome)
                    }
                    outcome => outcome,
                };
            }
            Ok(Local::None(known)) => (known, false),
            Ok(Local::Replaced(known)) => (known, true),
        };
    match (known, missed.deleted) {
        (Present::Deleted(version), false) => entry.delete(version).await,
        (known, true) => {
            // A directory leaves none, and has no version: a file of the child's is not meant.
            let remembered = known.version().unwrap_or(1);
            match entry.delete(missed.version.max(remembered)).await {
                // The version is of a clock that was wrong. It may have been taken back since.
                Refused(reason) if reason.starts_with("400") && remembered < missed.version => {
                    entry.delete(remembered).await
                }
                outcome => outcome,
            }
        }
        // What is there now was stored by a change of its own, and wherever another node still has
        // the file, it would be in the way.
        (_, false) if replaced => Done(0),
        (_, false) => entry.fetch(&target).await,
    }
}

struct Entry<'a> {
    r: Request,
    conf: &'static LocConf,
    site: &'static Site,
    name: &'static [u8],
    child: Child,
    /// The other children of the same location.
    others: Vec<Child>,
    missed: &'a Missed,
    pace: &'a Rc<Pace>,
}

impl Entry<'_> {
    fn change(&self, verb: Verb, version: u64) -> Change {
        Change::again(&self.r, self.conf, verb, version)
    }

    async fn put(&self, file: Arc<File>, version: u64, length: u64) -> Outcome {
        let change = self.change(Verb::Store, version);
        match self.has(&change).await {
            Ok(true) => return Done(length),
            Ok(false) => {}
            Err(outcome) => return outcome,
        }
        let mut answer = self.send(&change, &file, length).await;
        if is_conflict(&answer) && self.make_room(version).await {
            answer = self.send(&change, &file, length).await;
        }
        let blocked = is_conflict(&answer);
        match self.outcome(&change, answer, length) {
            outcome if blocked => Blocked(Box::new(outcome)),
            // It has just answered: it is this file that it cannot take.
            Away(reason) => Refused(reason),
            outcome => outcome,
        }
    }

    async fn send(&self, change: &Change, file: &Arc<File>, length: u64) -> Option<nginx::Answer> {
        let source = Rc::new(Source::file(Arc::clone(file), length));
        let alarm = Alarm::lasting(self.r);
        let sent = Cell::new(0);
        let paced = || {
            let left = length - sent.get();
            let more = self.pace.take(left);
            sent.set(sent.get() + more);
            source.set_ready(sent.get());
            if self.pace.is_limited() && more < left {
                if worker::is_exiting() {
                    // It may take hours; the next worker begins anew.
                    return fanout::Pace::GiveUp;
                }
                alarm.set(STEP);
            }
            if more > 0 {
                fanout::Pace::More
            } else {
                fanout::Pace::Same
            }
        };
        let ask = Ask::Put(Rc::clone(&source));
        fanout::ask(self.r, &self.child, change, &ask, paced).await
    }

    /// Has the child remove an empty directory that it has in the file's place: that leaves no
    /// tombstone by which it would be known. What is there by now may be newer, and stays. True if
    /// the file may find room.
    async fn make_room(&self, version: u64) -> bool {
        let change = self.change(Verb::Delete, version.saturating_sub(1));
        let answer = self.ask(&self.child, &change, &Ask::Delete).await;
        answer.is_some_and(|answer| answer.status == 200 && answer.from_child)
    }

    /// Has the child delete what was deleted here of the directories above, when they were files:
    /// one that has missed no DELETE, but has got files otherwise, may have one in their place.
    async fn delete_above(&self, target: Target) {
        let tombstones = self.site.tombstones();
        let buried = store::blocking(self.r, move || target.buried_above(&tombstones)).await;
        for (names, version) in buried.unwrap_or_default() {
            let path = above(&self.missed.path, names).to_vec();
            let reason = "409".into();
            let context = self.missed.context.clone();
            let missed =
                Missed { time: 0, deleted: true, path: path.clone(), version, reason, context };
            let (child, pace) = (self.name, Rc::clone(self.pace));
            // The entry is tried again whatever comes of it.
            _ = super::start(self.site, &path, &self.missed.context, move |r| async move {
                deliver(r, child, &missed, &pace).await;
            });
        }
    }

    async fn delete(&self, version: u64) -> Outcome {
        let change = self.change(Verb::Delete, version);
        match self.ask(&self.child, &change, &Ask::Delete).await {
            // The child has a directory with something in it: the change is of a time when there
            // was a file, or this node has evicted what is in it.
            answer if is_conflict(&answer) => Blocked(Box::new(Done(0))),
            answer => self.outcome(&change, answer, 0),
        }
    }

    /// Asks something that is sent at once, or has no body.
    async fn ask(&self, child: &Child, change: &Change, ask: &Ask) -> Option<nginx::Answer> {
        fanout::ask(self.r, child, change, ask, || fanout::Pace::Same).await
    }

    /// What the answer to a delivery of so many bytes means.
    fn outcome(&self, change: &Change, answer: Option<nginx::Answer>, bytes: u64) -> Outcome {
        let Some(answer) = answer else { return Kept("not finished".into()) };
        let from_child = answer.from_child;
        let end = End::of(answer, change);
        if let Some(child) = self.site.child(self.child.name()) {
            end.count(child, bytes, worker::time());
        }
        match end {
            End::Failed(_, reason) if !from_child => Away(reason),
            End::Failed(_, reason) => Refused(reason),
            End::Delivered(_) | End::Queued | End::Unreachable(_) => Done(bytes),
        }
    }

    /// The child has this version, or a newer one.
    async fn has(&self, change: &Change) -> Result<bool, Outcome> {
        match self.ask(&self.child, change, &Ask::Head).await {
            None => Err(Kept("no memory".into())),
            Some(answer) if !answer.from_child => Err(self.outcome(change, Some(answer), 0)),
            Some(answer) => {
                let there = number(answer.version).is_some_and(|there| there >= change.version());
                Ok(answer.status == 204 && there)
            }
        }
    }

    /// The file was evicted here: another child may have it.
    async fn fetch(&self, target: &Target) -> Outcome {
        let change = self.change(Verb::Store, self.missed.version);
        match self.has(&change).await {
            Ok(true) => return Done(0),
            Ok(false) => {}
            Err(outcome) => return outcome,
        }
        let mut silent = None;
        for other in &self.others {
            if worker::is_exiting() {
                return Kept("not finished".into());
            }
            let target = target.clone();
            let file = match store::blocking(self.r, move || Temporary::create(&target)).await {
                Ok(temporary) => Arc::clone(temporary.file()),
                Err(error) => return Kept(error.to_string()),
            };
            let ask = Ask::Get(Arc::clone(&file));
            let Some(answer) = self.ask(other, &change, &ask).await else {
                return Kept("no memory".into());
            };
            match (answer.status, answer.from_child, number(answer.version)) {
                (200, true, Some(version)) if answer.whole && version >= self.missed.version => {
                    let Ok(metadata) = file.metadata() else { return Kept("fstat".into()) };
                    return match self.put(file, version, metadata.len()).await {
                        // Which are not here.
                        Done(_) => Done(0),
                        outcome => outcome,
                    };
                }
                (404, true, _) => {}
                (status, ..) => silent = Some(status),
            }
        }
        match silent {
            Some(status) => Kept(format!("not here, and another child says {status}")),
            // It was never acknowledged, and nobody has it: it has not happened.
            None if self.missed.reason == INTERRUPTED => Done(0),
            None => Unservable,
        }
    }
}

/// The child has something else there than a file, or a file where there should be a directory.
fn is_conflict(answer: &Option<nginx::Answer>) -> bool {
    answer.as_ref().is_some_and(|answer| answer.status == 409 && answer.from_child)
}

/// The path without so many names at its end.
fn above(path: &[u8], names: usize) -> &[u8] {
    (0..names).fold(path, |path, _| {
        let slash = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let end = path[..slash].iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        &path[..end]
    })
}

/// The version that an answer names.
fn number(header: Option<Vec<u8>>) -> Option<u64> {
    String::from_utf8(header?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn names_are_cut_off_at_the_end() {
        for (names, expected) in [(0, "/a//b/c"), (1, "/a//b"), (2, "/a"), (3, ""), (4, "")] {
            assert_eq!(above(b"/a//b/c", names), expected.as_bytes());
        }
    }
}
