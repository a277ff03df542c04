//! One change to one child.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::change::{Change, Verb};
use crate::conf::{self, Site};
use crate::counters::Failure;
use crate::missing_log;
use crate::nginx::{self, worker, Answer, Ask, Child, Headers, Request, Subrequest};
use crate::receipt::{self, Line, Outcome};

pub(super) struct Delivery {
    pub(super) child: Child,
    subrequest: Option<Rc<Subrequest>>,
    end: Option<End>,
    /// The child said something.
    pub(super) answered: bool,
    /// What became of it was counted.
    pub(super) counted: bool,
    /// The missing log has what the child has not.
    pub(super) recorded: bool,
}

/// What became of a delivery.
pub(crate) enum End {
    /// The child has the change; its receipt, if it gave one.
    Delivered(Option<String>),
    /// It has not, and why.
    Failed(Failure, String),
    /// It was not asked (`filedist_ack local`): that is left to catch-up.
    Queued,
    /// It was not asked, since it has not answered since then (milliseconds since 1970): that is left to
    /// catch-up.
    Unreachable(u64),
}

impl Delivery {
    /// Without `headers`, and without memory for a subrequest, the delivery has failed.
    pub(super) fn start(
        r: Request,
        site: Option<&Site>,
        child: Child,
        ask: &Ask,
        headers: Option<&Headers>,
    ) -> Delivery {
        if let Some(since) = site.and_then(|site| unreachable_since(site, &child)) {
            return Delivery::ended(child, End::Unreachable(since));
        }
        let start = |headers| Subrequest::start(r, &child, ask, headers).ok();
        let subrequest = headers.and_then(start);
        let end = subrequest.is_none().then(|| End::Failed(Failure::Interrupted, "500".into()));
        Delivery { child, subrequest, end, answered: false, counted: false, recorded: false }
    }

    /// One that is left to catch-up.
    pub(super) fn queued(child: Child) -> Delivery {
        Delivery::ended(child, End::Queued)
    }

    fn ended(child: Child, end: End) -> Delivery {
        Delivery {
            child,
            subrequest: None,
            end: Some(end),
            answered: false,
            counted: false,
            recorded: false,
        }
    }

    pub(super) fn wake(&self) {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            subrequest.wake();
        }
    }

    /// What became of it; none while it is under way.
    pub(super) fn end(&mut self, change: &Change) -> Option<&End> {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            match subrequest.answer() {
                Some(answer) => {
                    self.answered = answer.from_child;
                    self.end = Some(End::of(answer, change));
                }
                None => subrequest.rest(),
            }
        }
        self.end.as_ref()
    }

    /// Counts what became of it, when it has ended.
    pub(super) fn count(&mut self, child: Option<&conf::Child>, now: u64) {
        let (Some(end), false) = (&self.end, self.counted) else { return };
        self.counted = true;
        if let Some(child) = child {
            end.count(child, self.length(), now);
        }
    }

    /// The child has the change.
    pub(super) fn has_it(&self) -> bool {
        matches!(self.end, Some(End::Delivered(_)))
    }

    /// It has not got it, and should have.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.end, Some(End::Failed(..) | End::Unreachable(_)))
    }

    /// Closes it if it is under way.
    pub(super) fn abort(&mut self) {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            subrequest.abort();
            self.end = Some(End::Failed(Failure::Interrupted, "interrupted".into()));
        }
    }

    /// The child's part of this node's receipt.
    pub(super) fn receipt<'a>(&self, change: &'a Change) -> receipt::Child<'a> {
        let verb = change.verb;
        let outcome = match &self.end {
            Some(End::Delivered(Some(receipt))) => return receipt::Child::Receipt(receipt.clone()),
            Some(End::Delivered(None)) if verb == Verb::Delete => Outcome::Deleted,
            Some(End::Delivered(None)) => Outcome::Stored(self.length()),
            Some(End::Failed(_, reason)) => Outcome::Failed(verb.text(), reason.clone()),
            Some(End::Queued) => Outcome::Queued,
            Some(End::Unreachable(since)) => Outcome::Unreachable(not_reachable(*since)),
            None => Outcome::Failed(verb.text(), String::new()),
        };
        receipt::Child::Line(Line { node: self.child.name(), path: &change.path, outcome })
    }

    fn length(&self) -> u64 {
        self.subrequest.as_ref().map_or(0, |subrequest| subrequest.length())
    }
}

/// Since when the child, which is not to be asked now, has not answered.
fn unreachable_since(site: &Site, child: &Child) -> Option<u64> {
    let longest = child.fail_timeout()?.as_millis() as u64;
    site.child(child.name())?.counts().unreachable_since(longest, worker::time())
}

/// Says why a child was not asked.
pub(super) fn not_reachable(since: u64) -> String {
    let time = nginx::utc(SystemTime::UNIX_EPOCH + Duration::from_millis(since));
    format!("not reachable since {}", missing_log::timestamp(&time))
}

impl End {
    /// What an answer means.
    pub(crate) fn of(answer: Answer, change: &Change) -> End {
        match (answer.status, change.verb, answer.from_child) {
            (200..=299, _, true) => {
                let receipt = change.form.receipt(answer.body);
                // A child that says yes before it has everything has not stored it, unless it had
                // it before.
                if answer.early && !receipt.as_ref().is_some_and(|text| change.form.is_moot(text)) {
                    return End::Failed(Failure::Refused, "502".into());
                }
                End::Delivered(receipt)
            }
            // A child without the file has got the DELETE.
            (404, Verb::Delete, true) => End::Delivered(change.form.receipt(answer.body)),
            (504, _, false) => End::Failed(Failure::Timeout, "timeout".into()),
            (status, _, true) => {
                let words = change.form.receipt(answer.body).and_then(|it| change.form.words(&it));
                let reason = match words {
                    Some(words) => format!("{status} ({words})"),
                    None => status.to_string(),
                };
                End::Failed(Failure::Refused, reason)
            }
            (status, _, false) => End::Failed(Failure::Unreachable, status.to_string()),
        }
    }

    /// Counts it for the child, to which `bytes` were sent.
    pub(crate) fn count(&self, child: &conf::Child, bytes: u64, now: u64) {
        match self {
            End::Delivered(_) => child.counts().delivered(bytes, now),
            End::Failed(failure, _) => child.counts().failed(*failure, now),
            End::Queued | End::Unreachable(_) => {}
        }
    }
}
