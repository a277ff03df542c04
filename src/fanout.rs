//! A change on its way to the children: one delivery to each, all at once.

mod change;
mod delivery;

use core::future::{poll_fn, Future};
use core::pin::pin;
use core::task::Poll;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use change::{Change, Verb};
use delivery::Delivery;

use crate::conf::LocConf;
use crate::error::Error;
use crate::missing_log;
use crate::nginx::{self, Ask, Child, Headers, Level, Request};
use crate::receipt;

/// The deliveries of one change. However it ends, each child has the change or a line in its
/// missing log, once [`accepted`](Fanout::accepted) was called; before that, dropping it closes
/// the deliveries and no child publishes anything.
pub(crate) struct Fanout {
    r: Request,
    change: Change,
    missing_logs: &'static Path,
    deliveries: Vec<Delivery>,
    accepted: bool,
}

impl Fanout {
    /// Starts the deliveries to all children; none on a leaf.
    pub(crate) fn start(
        r: Request,
        conf: &LocConf,
        change: &Change,
        ask: &Ask,
    ) -> Result<Fanout, Error> {
        let missing_logs = conf.missing_logs().ok_or(Error::Internal("no state directory"))?;
        let mut fanout = Fanout {
            r,
            change: change.clone(),
            missing_logs,
            deliveries: Vec::new(),
            accepted: false,
        };
        let Some(upstream) = conf.upstream() else { return Ok(fanout) };
        let headers = headers(r, change)?;
        let children = upstream.children();
        fanout.deliveries.reserve_exact(children.len());
        for child in children {
            fanout.deliveries.push(Delivery::start(r, child, ask, &headers));
        }
        r.poll_again();
        Ok(fanout)
    }

    /// This node has the change: from now on a child that does not get it has it in its log.
    pub(crate) fn accepted(&mut self) {
        self.accepted = true;
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

    /// Waits until each child has answered or failed, and tells what became of it.
    pub(crate) async fn outcomes(mut self) -> Vec<receipt::Child> {
        poll_fn(|_| match self.record() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        self.deliveries.iter_mut().map(|delivery| delivery.receipt(&self.change)).collect()
    }

    /// Looks at each delivery, and logs a failure at once. True when all have ended.
    fn record(&mut self) -> bool {
        let mut all = true;
        for delivery in &mut self.deliveries {
            match delivery.failure(&self.change) {
                None => all = false,
                Some(Some(reason)) if self.accepted && !delivery.recorded => {
                    delivery.recorded = true;
                    log_missing(&self.r, self.missing_logs, &self.change, &delivery.child, &reason);
                }
                Some(_) => {}
            }
        }
        all
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.record();
        for delivery in &mut self.deliveries {
            if delivery.end() && self.accepted && !delivery.recorded {
                // The request was ended under the handler: worker_shutdown_timeout, or an error
                // of nginx's. Nobody will see the child's answer.
                let (r, logs) = (&self.r, self.missing_logs);
                log_missing(r, logs, &self.change, &delivery.child, "interrupted");
            }
        }
    }
}

fn headers(r: Request, change: &Change) -> Result<Headers, Error> {
    // A receipt is read here, not by the client; and this node has decided that the change is to
    // be made.
    let drop = [
        "accept",
        "accept-encoding",
        "expect",
        "filedist-version",
        "filedist-via",
        "content-length",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
    ];
    let add = [
        ("Accept", "accept", change.form.media_type().as_bytes().to_vec()),
        ("Filedist-Version", "filedist-version", crate::store::to_header(change.version)),
        ("Filedist-Via", "filedist-via", change.via_here()),
    ];
    Headers::derive(r, &drop, &add).map_err(|_| Error::Internal("no memory"))
}

fn log_missing(r: &Request, logs: &Path, change: &Change, child: &Child, reason: &str) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let entry = missing_log::Entry {
        time: nginx::utc(since.as_secs() as i64),
        deleted: change.verb == Verb::Delete,
        path: &change.path,
        version: change.version,
        reason,
    };
    if let Err(error) = missing_log::append(logs, child.name(), &entry) {
        let directory = missing_log::directory(logs, child.name());
        r.log(
            Level::Crit,
            format_args!(
                "{}; child \"{}\" lacks {} \"{}\"",
                Error::io("write", &directory)(error),
                String::from_utf8_lossy(child.name()),
                change.verb.method(),
                String::from_utf8_lossy(&change.path),
            ),
        );
    }
}
