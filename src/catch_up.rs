//! Catch-up: what a child has not got is delivered by the worker on its own account, and what a
//! killed worker had in hand is found again.
//!
//! Each worker looks after the children of its servers by the clock ([`look`]). Whoever gets the
//! lock of a child that has a missing log delivers it ([`drain`]): one request of the worker's own
//! for each entry ([`entry`]), which sends the present state of the path.

mod adopt;
mod drain;
mod entry;
mod pace;

use std::time::Duration;

use crate::conf::MainConf;
use crate::error::Error;
use crate::nginx::{worker, Level, Request};
use crate::store;

/// How often a worker looks after its children.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// At the start of a worker, before it serves anything.
pub(crate) fn begin(main: &'static MainConf) {
    for site in main.servers().filter_map(|server| server.site()) {
        adopt::look(main, site);
        // Somebody may have put lines into a log by hand.
        site.children().for_each(|child| child.leave());
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
        }
        for site in main.servers().filter_map(|server| server.site()) {
            if thoroughly {
                site.tidy_journal();
                adopt::look(main, site);
                adopt::forget(site);
            }
            if site.server().catch_up().enable {
                site.children().filter(|child| child.is_due()).for_each(|child| {
                    drain::start(site, child);
                });
            }
        }
    }
}

/// Lends `state` to a step of long work that may wait for a disk; it comes back with what the step
/// says.
async fn lend<S: Send + 'static, T: Send + 'static>(
    r: Request,
    mut state: S,
    step: impl FnOnce(&mut S) -> T + Send + 'static,
) -> Result<(S, T), Error> {
    store::blocking(r, move || {
        let said = step(&mut state);
        Ok((state, said))
    })
    .await
}
