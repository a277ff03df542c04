//! A change on its way to the children: one delivery to each, all at once.

mod change;
mod delivery;

use core::future::{poll_fn, Future};
use core::pin::pin;
use core::task::Poll;
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use change::{Change, Verb, Via};
use delivery::{Delivery, End};

use crate::conf::LocConf;
use crate::error::Error;
use crate::missing_log;
use crate::nginx::{self, Ask, Headers, Level, Request};
use crate::receipt;

/// The deliveries of one change. However it ends, each child has the change or a line in its
/// missing log, once [`accepted`](Fanout::accepted) was called; before that, dropping it closes
/// the deliveries and no child publishes anything.
pub(crate) struct Fanout {
    r: Request,
    change: Rc<Change>,
    missing_logs: Option<&'static Path>,
    deliveries: Vec<Delivery>,
    accepted: bool,
}

impl Fanout {
    /// Starts the deliveries to all children; none on a leaf. The change has its version.
    pub(crate) fn start(r: Request, conf: &LocConf, change: &Rc<Change>, ask: &Ask) -> Fanout {
        let mut deliveries = Vec::new();
        if let Some(upstream) = conf.upstream() {
            let headers = headers(r, change);
            let start = |child| Delivery::start(r, child, ask, headers.as_ref());
            deliveries = upstream.children().into_iter().map(start).collect();
            r.poll_again();
        }
        let change = Rc::clone(change);
        Fanout { r, change, missing_logs: conf.missing_logs(), deliveries, accepted: false }
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

    /// Waits until each child has answered or failed.
    pub(crate) async fn ended(&mut self) {
        poll_fn(|_| match self.record() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// What became of the change at each child.
    pub(crate) fn receipts(&self) -> Vec<receipt::Child<'_>> {
        self.deliveries.iter().map(|delivery| delivery.receipt(&self.change)).collect()
    }

    /// Looks at each delivery, and logs a failure at once. True when all have ended.
    fn record(&mut self) -> bool {
        let mut all = true;
        for delivery in &mut self.deliveries {
            let name = delivery.child.name();
            match delivery.end(&self.change) {
                None => all = false,
                Some(End::Failed { reason, recorded }) if self.accepted && !*recorded => {
                    *recorded = true;
                    log_missing(&self.r, self.missing_logs, &self.change, name, reason);
                }
                Some(_) => {}
            }
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
    }
}

fn headers(r: Request, change: &Change) -> Option<Headers> {
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
        ("Filedist-Version", "filedist-version", crate::store::to_header(change.version())),
        ("Filedist-Via", "filedist-via", change.via_here()),
    ];
    Headers::derive(r, &drop, &add).ok()
}

fn log_missing(r: &Request, logs: Option<&Path>, change: &Change, child: &[u8], reason: &str) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let entry = missing_log::Entry {
        time: nginx::utc(since.as_secs() as i64),
        deleted: change.verb == Verb::Delete,
        path: &change.path,
        version: change.version(),
        reason,
    };
    // A location with children has a state directory: the configuration is refused without.
    let Some(logs) = logs else { return };
    if let Err(error) = missing_log::append(logs, child, &entry) {
        r.log(
            Level::Crit,
            format_args!(
                "{}; child \"{}\" lacks {} \"{}\"",
                Error::io("write", &missing_log::directory(logs, child))(error),
                String::from_utf8_lossy(child),
                change.verb.method(),
                String::from_utf8_lossy(&change.path),
            ),
        );
    }
}
