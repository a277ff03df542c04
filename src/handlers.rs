//! Which handler a request goes to, and what a refusal looks like.

mod delete;
mod get;
mod put;

use std::rc::Rc;

use crate::conf::LocConf;
use crate::error::{Error, Severity};
use crate::fanout::{Change, Fanout, Verb};
use crate::nginx::{self, Level, Method, Reply, Request, Status};
use crate::receipt::{Line, Outcome, Receipt, BETWEEN_NODES};

pub(crate) use get::method_not_allowed;

/// The content handler of a location with `filedist on`.
pub(crate) fn dispatch(r: Request) -> Status {
    let conf: &'static LocConf = r.conf();
    match r.method() {
        Method::Get => get::handle(r, conf),
        // Not 405 for a delivery; another module's subrequest has no body of its own to store.
        _ if !r.is_main() => nginx::pass(r, conf.next()).unwrap_or(405),
        Method::Put => change(r, conf, Verb::Store),
        Method::Delete => change(r, conf, Verb::Delete),
        Method::Other => method_not_allowed(r, "GET, HEAD, PUT, DELETE"),
    }
}

fn change(r: Request, conf: &'static LocConf, verb: Verb) -> Status {
    nginx::run(r, async move {
        let change = Rc::new(Change::of(&r, conf, verb));
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

/// The answer to a change that ended in `outcome` here and is with the children of `fanout`.
async fn receipt(change: &Change, status: u16, outcome: Outcome, mut fanout: Fanout) -> Reply {
    fanout.ended().await;
    let own = Line { node: &change.node, path: &change.path, outcome };
    let (version, children) = (Some(change.version()), fanout.receipts());
    reply(change, status, &Receipt { own, version, children })
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
    let level = match error.severity() {
        Severity::Info => Level::Info,
        Severity::Error => Level::Error,
    };
    r.log(level, format_args!("{error}"));
    let status = error.status();
    let outcome = Outcome::Failed(change.verb.text(), format!("{status} ({})", error.reason()));
    let own = Line { node: &change.node, path: &change.path, outcome };
    reply(change, status, &Receipt { own, version: None, children: Vec::new() })
}

/// Runs `work` where it may wait for a disk.
async fn blocking<T: Send + 'static>(
    r: Request,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    nginx::offload(r, work).await.unwrap_or(Err(NOT_RUN))
}

const NOT_RUN: Error = Error::Internal("the thread pool did not run a job");
