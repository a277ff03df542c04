//! Catch-up: what a child has not got is delivered by the worker on its own account, and what a
//! killed worker had in hand is found again.
//!
//! Each worker looks after the children of its servers by the clock ([`look`]). Whoever gets the
//! lock of a child that has a missing log delivers it ([`drain`]): one request of the worker's own
//! for each entry ([`entry`]), which sends the present state of the path.

mod adopt;
mod count;
mod drain;
mod entry;
mod pace;
mod probe;
pub(crate) mod provide;

use core::future::Future;
use std::time::Duration;

use crate::conf::{context, Child, MainConf, Site};
use crate::nginx::{detached, worker, Level, OutOfMemory, Request};
use crate::store;

/// How often a worker looks after its children.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Missing logs that a worker begins to count at a time.
const COUNTED: usize = 8;

/// Whether some worker delivers the child's missing log now.
pub(crate) fn is_delivering(site: &Site, child: &Child) -> bool {
    drain::is_locked(&site.lock(child.name()))
}

/// Entries were put into the child's missing log otherwise than by a delivery that has failed.
pub(crate) fn appended(site: &Site, child: &Child, entries: u64, bytes: u64) {
    child.counts().missing.appended(entries, bytes, worker::time());
    is_owed(site, child);
}

/// There are entries in the child's missing log that nobody has tried.
fn is_owed(site: &Site, child: &Child) {
    child.leave();
    site.hurry();
}

/// Whether everything is being put into the child's missing log.
pub(crate) fn is_providing(site: &Site, child: &Child) -> bool {
    site.provide(child.name()).exists()
}

/// Starts a request of the worker's own for a path, in the location that was kept for it
/// ([`context`]), or else the one that the path leads to. False if there is none any more.
fn start<F, T>(site: &Site, path: &[u8], context: &str, handler: F) -> Result<bool, OutOfMemory>
where
    F: FnOnce(Request) -> T,
    T: Future<Output = ()> + 'static,
{
    let Some(server) = site.server().server() else { return Ok(false) };
    let name = context::location(context);
    let location = name.as_ref().and_then(|name| site.server().location(name));
    match (name, location) {
        (Some(_), None) => Ok(false),
        (_, location) => detached::start_at(server, path, location, handler),
    }
}

/// At the start of a worker, before it serves anything.
pub(crate) fn begin(main: &'static MainConf) {
    for site in main.servers().filter_map(|server| server.site()) {
        adopt::look(main, site);
        for child in site.children() {
            // Somebody may have put lines into the log by hand; and a worker that was providing the
            // child may have been killed.
            child.leave();
            child.provide();
        }
        // Also where nothing is written to it: it tells that this worker lives.
        if let Err(error) = site.journal(false) {
            worker::log(Level::Crit, format_args!("{error}"));
        }
    }
}

/// What a worker does by the clock, and as soon as something has happened.
pub(crate) fn look(main: &'static MainConf) -> impl FnMut() {
    let mut looked = 0;
    move || {
        // What other workers have left is not looked for at each change.
        let now = worker::now();
        let thoroughly = now.saturating_sub(looked) >= INTERVAL.as_millis() as u64 / 2;
        if thoroughly {
            looked = now;
            store::remove_left();
        }
        for site in main.servers().filter_map(|server| server.site()) {
            if thoroughly {
                site.tidy_journal();
                adopt::look(main, site);
                adopt::forget(site);
            }
            site.children().filter(|child| child.takes_provision()).for_each(|child| {
                provide::start(site, child);
            });
            if site.server().catch_up().enable {
                site.children().filter(|child| child.is_due()).for_each(|child| {
                    drain::start(site, child);
                });
                if thoroughly {
                    probe::start(site);
                }
            } else {
                let is_new =
                    |child: &&Child| !child.counts().missing.is_known() && !child.catching_up.get();
                // Each takes a buffer; those of the next look come then.
                let some = site.children().filter(is_new).take(COUNTED);
                some.for_each(|child| count::start(site, child));
            }
        }
    }
}
