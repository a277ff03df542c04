//! One change to one child.

use std::rc::Rc;

use super::change::{Change, Verb};
use crate::nginx::{Answer, Ask, Child, Headers, Request, Subrequest};
use crate::receipt::{self, Line, Outcome};

pub(super) struct Delivery {
    pub(super) child: Child,
    /// None if nginx could not make it.
    subrequest: Option<Rc<Subrequest>>,
    /// Its failure is in the missing log.
    pub(super) recorded: bool,
}

impl Delivery {
    pub(super) fn start(r: Request, child: Child, ask: &Ask, headers: &Headers) -> Delivery {
        let subrequest = Subrequest::start(r, &child, ask, headers).ok();
        Delivery { child, subrequest, recorded: false }
    }

    pub(super) fn wake(&self) {
        if let Some(subrequest) = &self.subrequest {
            subrequest.wake();
        }
    }

    /// None while it is under way; then why the child has not got the change, if so.
    pub(super) fn failure(&self, change: &Change) -> Option<Option<String>> {
        let Some(subrequest) = &self.subrequest else { return Some(Some("500".into())) };
        match subrequest.answer() {
            Some(answer) => Some(reason(&answer, change.verb)),
            None => {
                subrequest.rest();
                None
            }
        }
    }

    /// Closes it if it is under way, and says whether it was.
    pub(super) fn end(&self) -> bool {
        match &self.subrequest {
            Some(subrequest) if subrequest.answer().is_none() => {
                subrequest.abort();
                true
            }
            _ => false,
        }
    }

    /// The child's part of this node's receipt.
    pub(super) fn receipt(&mut self, change: &Change) -> receipt::Child {
        let answer = self.subrequest.as_ref().and_then(|subrequest| subrequest.answer());
        let failure = self.failure(change).flatten();
        if let (None, Some(answer)) = (&failure, answer) {
            if let Some(receipt) = change.form.receipt(answer.body) {
                return receipt::Child::Receipt(receipt);
            }
        }
        let outcome = match (failure, change.verb) {
            (Some(reason), verb) => Outcome::Failed(verb.text(), reason),
            (None, Verb::Store) => Outcome::Stored(self.length()),
            (None, Verb::Delete) => Outcome::Deleted,
        };
        receipt::Child::Line(Line {
            node: self.child.name().to_vec(),
            path: change.path.clone(),
            outcome,
        })
    }

    fn length(&self) -> u64 {
        self.subrequest.as_ref().map_or(0, |subrequest| subrequest.length())
    }
}

/// Why an answer is none that the child has got the change with. A child without the file has
/// got the DELETE.
fn reason(answer: &Answer, verb: Verb) -> Option<String> {
    match (answer.status, verb, answer.from_child) {
        (200..=299, _, true) | (404, Verb::Delete, true) => None,
        (504, _, false) => Some("timeout".into()),
        (status, ..) => Some(status.to_string()),
    }
}
