//! Which handler a request goes to, and what a refusal looks like.

mod delete;
mod get;
mod put;

use core::sync::atomic::Ordering::Relaxed;
use std::rc::Rc;

use crate::conf::{LocConf, Site};
use crate::error::{Error, Severity};
use crate::fanout::{Change, Fanout, Verb};
use crate::journal::Intent;
use crate::nginx::{self, Level, Method, Reply, Request, Status};
use crate::receipt::{Line, Outcome, Receipt, BETWEEN_NODES};
use crate::store::Commit;

pub(crate) use get::method_not_allowed;

/// The content handler of a location with `filedist on`.
pub(crate) fn dispatch(r: Request) -> Status {
    let conf: &'static LocConf = r.conf();
    if let Some(status) = nginx::pass(r, conf.next()) {
        return status;
    }
    match r.method() {
        Method::Get => get::handle(r, conf),
        // Another module's subrequest has no body of its own to store.
        _ if !r.is_main() => 405,
        Method::Put => change(r, conf, Verb::Store),
        Method::Delete => change(r, conf, Verb::Delete),
        Method::Post | Method::Other => method_not_allowed(r, "GET, HEAD, PUT, DELETE"),
    }
}

fn change(r: Request, conf: &'static LocConf, verb: Verb) -> Status {
    nginx::run(r, async move {
        let change = Rc::new(Change::of(&r, conf, verb));
        let _under_way = conf.site().map(Site::begin);
        let done = match verb {
            Verb::Store => put::handle(r, conf, &change).await,
            Verb::Delete => delete::handle(r, conf, &change).await,
        };
        match done {
            Ok(reply) => reply,
            Err(error) => refuse(&r, &change, &error),
        }
    })
}

/// The answer to a change that ended in `outcome` here and is with the children of `fanout`, if
/// it was one.
async fn receipt(change: &Change, status: u16, outcome: Outcome, fanout: Option<Fanout>) -> Reply {
    count(change, &outcome);
    let own = Line { node: &change.node, path: &change.path, outcome };
    let version = Some(change.version());
    let Some(mut fanout) = fanout else {
        return reply(change, status, &Receipt { own, version, children: Vec::new() });
    };
    fanout.ended().await;
    let (ok, failed) = fanout.tally();
    change.record(|record| (record.children_ok, record.children_failed) = (ok, failed));
    let children = fanout.receipts();
    reply(change, status, &Receipt { own, version, children })
}

/// Counts what became of a change at this node, and keeps it for the access log.
fn count(change: &Change, outcome: &Outcome) {
    if let Some(counts) = change.counts {
        let one = match outcome {
            Outcome::Stored(bytes) => {
                counts.stored_bytes.fetch_add(*bytes, Relaxed);
                &counts.stored
            }
            Outcome::Deleted | Outcome::Absent => &counts.deleted,
            Outcome::Superseded | Outcome::Unchanged => &counts.superseded,
            // The last two are of children.
            Outcome::Failed(..) | Outcome::Queued | Outcome::Unreachable(_) => &counts.failed,
        };
        one.fetch_add(1, Relaxed);
    }
    change.record(|record| {
        record.outcome = outcome.word();
        record.version = change.version();
    });
}

fn reply(change: &Change, status: u16, receipt: &Receipt<'_>) -> Reply {
    // A parent holds the receipt in one buffer.
    let limit = change.via.is_delivery().then_some(BETWEEN_NODES);
    Reply {
        status,
        content_type: change.form.media_type(),
        headers: Vec::new(),
        body: receipt.render(change.form, limit),
    }
}

fn refuse(r: &Request, change: &Change, error: &Error) -> Reply {
    let (status, outcome) = failure(r, change, error);
    count(change, &outcome);
    let own = Line { node: &change.node, path: &change.path, outcome };
    reply(change, status, &Receipt { own, version: None, children: Vec::new() })
}

/// Logs what has failed. The status of the answer, and its line.
fn failure(r: &Request, change: &Change, error: &Error) -> (u16, Outcome) {
    let level = match error.severity() {
        Severity::Info => Level::Info,
        Severity::Error => Level::Error,
    };
    r.log(level, format_args!("{error}"));
    let status = error.status();
    (status, Outcome::Failed(change.verb.text(), format!("{status} ({})", error.reason())))
}

/// What a change of the files at this location takes.
fn commit(conf: &LocConf, change: &Change) -> Result<Commit, Error> {
    let site = conf.site().ok_or(NOT_CONFIGURED)?;
    let fsync = conf.fsync();
    let mut journal = None;
    if let Some(upstream) = conf.upstream() {
        let intent = Intent {
            version: 0,
            deleted: change.verb == Verb::Delete,
            path: change.path.clone(),
            upstream: upstream.name().to_vec(),
            context: change.context()?.to_owned(),
        };
        journal = Some((site.journal(fsync)?, intent));
    }
    Ok(Commit { tombstones: site.tombstones(), journal, fsync })
}

const NOT_CONFIGURED: Error = Error::Internal("no state directory");
