//! One change to one child.

use std::rc::Rc;

use super::change::{Change, Verb};
use crate::nginx::{Answer, Ask, Child, Headers, Request, Subrequest};
use crate::receipt::{self, Line, Outcome};

pub(super) struct Delivery {
    pub(super) child: Child,
    subrequest: Option<Rc<Subrequest>>,
    end: Option<End>,
}

/// What became of a delivery.
pub(super) enum End {
    /// The child has the change; its receipt, if it gave one.
    Delivered(Option<String>),
    /// It has not: why, and whether its missing log says so.
    Failed { reason: String, recorded: bool },
}

impl Delivery {
    /// Without `headers`, and without memory for a subrequest, the delivery has failed.
    pub(super) fn start(
        r: Request,
        child: Child,
        ask: &Ask,
        headers: Option<&Headers>,
    ) -> Delivery {
        let start = |headers| Subrequest::start(r, &child, ask, headers).ok();
        let subrequest = headers.and_then(start);
        let end = match subrequest {
            Some(_) => None,
            None => Some(End::Failed { reason: "500".into(), recorded: false }),
        };
        Delivery { child, subrequest, end }
    }

    pub(super) fn wake(&self) {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            subrequest.wake();
        }
    }

    /// What became of it; none while it is under way.
    pub(super) fn end(&mut self, change: &Change) -> Option<&mut End> {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            match subrequest.answer() {
                Some(answer) => self.end = Some(End::of(answer, change)),
                None => subrequest.rest(),
            }
        }
        self.end.as_mut()
    }

    /// Closes it if it is under way.
    pub(super) fn abort(&mut self) {
        if let (None, Some(subrequest)) = (&self.end, &self.subrequest) {
            subrequest.abort();
            self.end = Some(End::Failed { reason: "interrupted".into(), recorded: false });
        }
    }

    /// The child's part of this node's receipt.
    pub(super) fn receipt<'a>(&self, change: &'a Change) -> receipt::Child<'a> {
        let verb = change.verb;
        let outcome = match &self.end {
            Some(End::Delivered(Some(receipt))) => return receipt::Child::Receipt(receipt.clone()),
            Some(End::Delivered(None)) if verb == Verb::Delete => Outcome::Deleted,
            Some(End::Delivered(None)) => Outcome::Stored(self.length()),
            Some(End::Failed { reason, .. }) => Outcome::Failed(verb.text(), reason.clone()),
            None => Outcome::Failed(verb.text(), String::new()),
        };
        receipt::Child::Line(Line { node: self.child.name(), path: &change.path, outcome })
    }

    fn length(&self) -> u64 {
        self.subrequest.as_ref().map_or(0, |subrequest| subrequest.length())
    }
}

impl End {
    fn of(answer: Answer, change: &Change) -> End {
        let reason = match (answer.status, change.verb, answer.from_child) {
            // A child without the file has got the DELETE.
            (200..=299, _, true) | (404, Verb::Delete, true) => {
                return End::Delivered(change.form.receipt(answer.body));
            }
            (504, _, false) => "timeout".into(),
            (status, ..) => status.to_string(),
        };
        End::Failed { reason, recorded: false }
    }
}
