//! The whole tree: each node asks its children, which ask theirs.
//!
//! A node tells its children how long it will wait (Filedist-Wait, in milliseconds), less than its
//! own parent waits for it: so it has answered, with what it has got by then, before it is given up
//! itself, and a dead grandchild does not make its parent look dead.

use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::conf::{self, LocConf, Site};
use crate::fanout::{self, Via};
use crate::nginx::{Alarm, Answer, Ask, Page, Request, Sink, Subrequest};

/// A node that has less time than this does not ask, in milliseconds.
const SHORTEST: u64 = 50;
/// A child that has not answered within so many milliseconds is down. Less says nothing; more is for what
/// takes its time.
const PROMPT: core::ops::RangeInclusive<u64> = 1000..=5000;
/// The most bytes of all answers: those of some thousand nodes.
const MOST: usize = 8 * 1024 * 1024;
/// The most objects and lists in them: a node takes up to 8. One that says nothing takes two
/// bytes in its parent's answer, and a thousand times as much here.
const PARTS: usize = 64 * 1024;

/// What a child has said of itself and its own children, or why it has not.
pub(super) struct Said<T> {
    /// As written in its `server` line.
    pub(super) child: &'static [u8],
    pub(super) what: Result<T, String>,
}

/// Asks each child for the same page with these arguments, and waits for them as long as the parent
/// of this node will wait, but not more than `longest` milliseconds.
pub(super) async fn ask<T: DeserializeOwned>(
    r: Request,
    conf: &LocConf,
    site: &'static Site,
    args: &str,
    longest: u64,
) -> Vec<Said<T>> {
    let told = r.header("filedist-wait").and_then(|text| std::str::from_utf8(text).ok());
    let wait = told.and_then(|text| text.parse().ok()).unwrap_or(longest).min(longest);
    if wait < SHORTEST {
        let unasked =
            |child: &conf::Child| Said { child: child.name(), what: Err("not asked".into()) };
        return site.children().map(unasked).collect();
    }
    let mut asked = start(r, conf, site, args, wait - (wait / 5).max(SHORTEST / 5));
    let alarm = Alarm::lasting(r);
    alarm.set(Duration::from_millis(wait));
    poll_fn(|_| {
        asked.iter_mut().for_each(Asked::look);
        match asked.iter().all(|one| one.answer.is_some()) || alarm.went_off() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let mut parts = PARTS;
    asked
        .iter()
        .map(|one| Said { child: one.child, what: one.said(site, wait, &mut parts) })
        .collect()
}

/// A child that is asked.
struct Asked {
    child: &'static [u8],
    subrequest: Rc<Subrequest>,
    answer: Option<Answer>,
}

/// Asks all children at once.
fn start(r: Request, conf: &LocConf, site: &'static Site, args: &str, wait: u64) -> Vec<Asked> {
    let add = [
        ("Filedist-Wait", "filedist-wait", wait.to_string().into_bytes()),
        ("Filedist-Via", "filedist-via", Via::of(&r).then(&conf.node_name(&r))),
    ];
    let Some(headers) = fanout::headers(r, &add) else { return Vec::new() };
    let mut asked: Vec<Asked> = Vec::new();
    let left = Rc::new(Cell::new(MOST));
    for upstream in site.server().upstreams() {
        let Some(way) = site.server().way(*upstream) else { continue };
        for child in upstream.children() {
            if asked.iter().any(|one| one.child == child.name()) {
                continue;
            }
            let (uri, args) = (r.uri().to_vec(), args.as_bytes().to_vec());
            let ask = Ask::Page(Page { way, uri, args, into: Sink::Memory(Rc::clone(&left)) });
            if let Ok(subrequest) = Subrequest::start(r, &child, &ask, &headers) {
                asked.push(Asked { child: child.name(), subrequest, answer: None });
            }
        }
    }
    r.poll_again();
    asked
}

impl Asked {
    fn look(&mut self) {
        if self.answer.is_none() {
            self.answer = self.subrequest.answer();
        }
    }

    /// After `wait` milliseconds at most.
    fn said<T: DeserializeOwned>(
        &self,
        site: &Site,
        wait: u64,
        parts: &mut usize,
    ) -> Result<T, String> {
        let nothing = || "no status".to_owned();
        let Some(answer) = &self.answer else {
            if PROMPT.contains(&wait) {
                fanout::note(site, self.child, false);
            }
            return Err("timeout".into());
        };
        fanout::note(site, self.child, answer.from_child);
        match (answer.status, answer.from_child) {
            (200, true) => {
                let own = answer.body.iter().filter(|&byte| b"{[".contains(byte)).count();
                *parts = parts.checked_sub(own).ok_or_else(nothing)?;
                serde_json::from_slice(&answer.body).map_err(|_| nothing())
            }
            (504, false) => Err("timeout".into()),
            (status, _) => Err(status.to_string()),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.subrequest.abort();
    }
}
