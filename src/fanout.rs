//! A change on its way to the children: one delivery to each, all at once.

mod change;
mod delivery;

use core::future::{poll_fn, Future};
use core::pin::pin;
use core::task::Poll;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub(crate) use change::{Change, Verb, Via};
pub(crate) use delivery::End;
use delivery::{not_reachable, Delivery};

use crate::conf::{LocConf, Site};
use crate::counters::Failure;
use crate::error::Error;
use crate::journal::Open;
use crate::missing_log;
use crate::nginx::{self, worker, Alarm, Answer, Ask, Child, Headers, Level, Request, Subrequest};
use crate::receipt;

type Lines = Vec<(&'static [u8], [u32; 6])>;

/// The deliveries of one change. However it ends, each child has the change or a line in its
/// missing log, once [`accepted`](Fanout::accepted) was called; before that, dropping it closes
/// the deliveries and no child publishes anything.
pub(crate) struct Fanout {
    r: Request,
    change: Rc<Change>,
    site: Option<&'static Site>,
    fsync: bool,
    deliveries: Vec<Delivery>,
    accepted: bool,
    /// What the journal has until each child has the change or its line.
    intent: Option<Open>,
    /// Lines of missing logs, of which child and when, that may not be on the disk yet.
    unsynced: Lines,
    /// One could not be written: the intent stays in the journal.
    failed: bool,
}

impl Fanout {
    /// Starts the deliveries to all children; none on a leaf. The change has its version.
    pub(crate) fn start(r: Request, conf: &LocConf, change: &Rc<Change>, ask: &Ask) -> Fanout {
        let mut deliveries = Vec::new();
        if let Some(upstream) = conf.upstream() {
            let children = upstream.children().into_iter();
            if conf.acks_locally() {
                deliveries = children.map(Delivery::queued).collect();
            } else {
                let headers = change_headers(r, change);
                let site = conf.site();
                let start = |child| Delivery::start(r, site, child, ask, headers.as_ref());
                deliveries = children.map(start).collect();
                r.poll_again();
            }
        }
        Fanout {
            r,
            change: Rc::clone(change),
            site: conf.site(),
            fsync: conf.fsync(),
            deliveries,
            accepted: false,
            intent: None,
            unsynced: Vec::new(),
            failed: false,
        }
    }

    /// This node has the change: from now on a child that does not get it has it in its log.
    pub(crate) fn accepted(&mut self, intent: Option<Open>) {
        self.accepted = true;
        self.intent = intent;
        self.record();
    }

    /// More of the source may go out.
    pub(crate) fn wake(&self) {
        self.deliveries.iter().for_each(Delivery::wake);
    }

    /// Waits for `other` while deliveries are under way.
    pub(crate) async fn during<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|context| {
            self.record();
            other.as_mut().poll(context)
        })
        .await
    }

    /// Waits until each child has answered or failed, and its log says so.
    pub(crate) async fn ended(&mut self) {
        poll_fn(|_| match self.record() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        if let (true, false, Some(site)) = (self.fsync, self.unsynced.is_empty(), self.site) {
            let logs = site.directories().missing;
            let lines = self.unsynced.clone();
            match nginx::offload(self.r, move || sync(logs, &lines)).await {
                Ok(Ok(())) => self.unsynced.clear(),
                Ok(Err(error)) => self.cannot_sync(logs, error),
                Err(_) => self.failed = true,
            }
        }
        self.close();
    }

    fn cannot_sync(&mut self, logs: &Path, error: io::Error) {
        self.failed = true;
        self.r.log(Level::Crit, format_args!("{}", Error::io("fsync", logs)(error)));
    }

    /// Nothing is owed to the children any more.
    fn close(&mut self) {
        match (self.intent.take(), self.site) {
            (Some(intent), _) if !self.failed => intent.close(),
            (Some(_), Some(site)) => site.is_stuck(),
            _ => {}
        }
    }

    /// How many children have the change, and how many have failed to get it.
    pub(crate) fn tally(&self) -> (u64, u64) {
        let ok = self.deliveries.iter().filter(|delivery| delivery.has_it()).count();
        let failed = self.deliveries.iter().filter(|delivery| delivery.has_failed()).count();
        (ok as u64, failed as u64)
    }

    /// What became of the change at each child.
    pub(crate) fn receipts(&self) -> Vec<receipt::Child<'_>> {
        self.deliveries.iter().map(|delivery| delivery.receipt(&self.change)).collect()
    }

    /// Looks at each delivery, and logs a failure at once. True when all have ended.
    fn record(&mut self) -> bool {
        let mut all = true;
        let mut queued = false;
        for delivery in &mut self.deliveries {
            let name = delivery.child.name();
            let to_log = self.accepted && !delivery.recorded;
            let reason = match delivery.end(&self.change) {
                None => {
                    all = false;
                    continue;
                }
                Some(End::Failed(failure, reason)) if to_log => {
                    Some((*failure == Failure::Refused, reason.clone()))
                }
                Some(End::Queued) if to_log => {
                    queued = true;
                    Some((false, "queued".into()))
                }
                Some(End::Unreachable(since)) if to_log => {
                    Some((false, format!("queued ({})", not_reachable(*since))))
                }
                Some(_) => None,
            };
            let Some(site) = self.site else { continue };
            if let Some((is_refused, reason)) = reason {
                delivery.recorded = true;
                if is_refused && site.child(name).is_some_and(|child| child.take_refusal(&reason)) {
                    tell_refusal(&self.r, &self.change, name, &reason);
                }
                let time = now();
                self.unsynced.push((name, time));
                self.failed |= !log_missing(&self.r, site, &self.change, name, &reason, time);
            }
            if !delivery.counted {
                delivery.count(site.child(name), worker::time());
                if delivery.answered {
                    site.answered(name);
                }
            }
        }
        if let (true, Some(site)) = (queued, self.site) {
            site.hurry();
        }
        all
    }
}

impl Drop for Fanout {
    /// Where the request was ended under its handler (worker_shutdown_timeout, an error of
    /// nginx's), nobody will see the answers that are still to come.
    fn drop(&mut self) {
        if !self.record() {
            self.deliveries.iter_mut().for_each(Delivery::abort);
            self.record();
        }
        if let (true, true, Some(site)) = (self.intent.is_some(), self.fsync, self.site) {
            let logs = site.directories().missing;
            if let Err(error) = sync(logs, &self.unsynced) {
                self.cannot_sync(logs, error);
            }
        }
        self.close();
    }
}

/// What becomes of a delivery whose source is given out bit by bit.
pub(crate) enum Pace {
    /// More may go out.
    More,
    /// What may go out is the same as before.
    Same,
    /// It ends here.
    GiveUp,
}

/// Asks one child, which may have been away, and waits for its answer. None without memory.
/// `paced` is called again and again; it says whether more of the source may go out now, or that
/// the child is not to be waited for.
pub(crate) async fn ask(
    r: Request,
    child: &Child,
    change: &Change,
    ask: &Ask,
    mut paced: impl FnMut() -> Pace,
) -> Option<Answer> {
    struct Guard(Rc<Subrequest>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    /// How often it is looked whether this worker may go on.
    const SECOND: Duration = Duration::from_secs(1);

    let headers = change_headers(r, change)?;
    let alarm = Alarm::lasting(r);
    alarm.set(SECOND);
    let asked = Guard(Subrequest::start(r, child, ask, &headers).ok()?);
    poll_fn(|_| {
        if alarm.went_off() {
            if worker::time_is_up() {
                return Poll::Ready(None);
            }
            alarm.set(SECOND);
        }
        match paced() {
            Pace::More => asked.0.wake(),
            Pace::Same => {}
            Pace::GiveUp => return Poll::Ready(None),
        }
        match asked.0.answer() {
            Some(answer) => {
                let conf: &LocConf = r.conf();
                if let Some(site) = conf.site() {
                    note(site, child.name(), answer.from_child);
                }
                Poll::Ready(Some(answer))
            }
            None => {
                asked.0.rest();
                Poll::Pending
            }
        }
    })
    .await
}

/// The child has said something, or has not.
pub(crate) fn note(site: &Site, child: &[u8], answered: bool) {
    let Some(counts) = site.child(child).map(|child| child.counts()) else { return };
    if answered {
        counts.answered(worker::time());
        site.answered(child);
    } else {
        counts.did_not_answer(worker::time());
    }
}

fn sync(logs: &Path, lines: &Lines) -> io::Result<()> {
    lines.iter().try_for_each(|(child, time)| missing_log::sync(logs, child, time))
}

/// The header of a change.
fn change_headers(r: Request, change: &Change) -> Option<Headers> {
    let add = [
        ("Accept", "accept", change.form.media_type().as_bytes().to_vec()),
        ("Filedist-Version", "filedist-version", crate::store::to_header(change.version())),
        ("Filedist-Via", "filedist-via", change.via_here()),
    ];
    headers(r, &add)
}

/// The header of a request to a child: what the client has sent, but for what is about its own
/// answer or its own body, and `add`.
pub(crate) fn headers(
    r: Request,
    add: &[(&'static str, &'static str, Vec<u8>)],
) -> Option<Headers> {
    // A child's answer is read here, not by the client; and this node has decided that a change is
    // to be made.
    let drop = [
        "accept",
        "accept-encoding",
        "expect",
        "filedist-version",
        "filedist-via",
        "filedist-wait",
        "filedist-newer",
        "content-length",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
    ];
    Headers::derive(r, &drop, add).ok()
}

/// False if the line could not be written.
fn log_missing(
    r: &Request,
    site: &Site,
    change: &Change,
    child: &[u8],
    reason: &str,
    time: [u32; 6],
) -> bool {
    let entry = missing_log::Entry {
        time,
        deleted: change.verb == Verb::Delete,
        path: &change.path,
        version: change.version(),
        reason,
        // Without it the change was refused.
        context: change.context().unwrap_or_default(),
    };
    let Err(error) = site.missed(child, &entry, change.length()) else { return true };
    r.log(
        Level::Crit,
        format_args!(
            "{}; child \"{}\" lacks {} \"{}\"",
            Error::io("write", &site.log(child))(error),
            String::from_utf8_lossy(child),
            change.verb.method(),
            String::from_utf8_lossy(&change.path),
        ),
    );
    false
}

/// Tells the operator why a child has not taken a change.
fn tell_refusal(r: &Request, change: &Change, child: &[u8], reason: &str) {
    let hint = match reason {
        // nginx there has said so itself.
        "401" | "403" => ": its access rules do not let this node in",
        "405" => ": no location with \"filedist on\" takes it there",
        "413" => ": \"client_max_body_size\" is too small there",
        _ => "",
    };
    r.log(
        Level::Error,
        format_args!(
            "child \"{}\" refuses {} \"{}\": {reason}{hint}",
            String::from_utf8_lossy(child),
            change.verb.method(),
            String::from_utf8_lossy(&change.path),
        ),
    );
}

/// The time of an entry of a missing log.
pub(crate) fn now() -> [u32; 6] {
    nginx::utc(SystemTime::now())
}
