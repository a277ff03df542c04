//! A child of which nobody has heard for a while is asked whether it is there: so the status is
//! true where nothing is uploaded, and a child that is back gets what it has missed.

use std::time::Duration;

use crate::conf::{self, Site, Turn};
use crate::fanout::{self, Change, Verb};
use crate::nginx::{detached, worker, Ask, Child};

/// How long nobody has.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it has for its answer. One that hangs is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the children for which it is time, each in a request of its own.
pub(super) fn start(site: &'static Site) {
    let now = worker::time();
    for location in site.server().locations() {
        for peer in location.upstream.map(|upstream| upstream.children()).unwrap_or_default() {
            let Some(child) = site.child(peer.name()) else { continue };
            if !child.probing.get() && child.counts().claim_probe(SILENCE.as_millis() as u64, now) {
                ask(site, &location.prefix, child, peer);
            }
        }
    }
}

/// Any answer will do; to HEAD of a directory it is a short one.
fn ask(site: &'static Site, path: &[u8], child: &'static conf::Child, peer: Child) {
    let Some(server) = site.server().server() else { return };
    if !worker::has_spare_connections() {
        return;
    }
    let Some(turn) = Turn::take(&child.probing) else { return };
    _ = detached::start(server, path, move |r| async move {
        let change = Change::again(&r, r.conf(), Verb::Store, 0);
        let end = worker::now() + PATIENCE.as_millis() as u64;
        let patient = || match worker::now() < end {
            true => fanout::Pace::Same,
            false => fanout::Pace::GiveUp,
        };
        // An answer is noted there.
        let answer = fanout::ask(r, &peer, &change, &Ask::Head, patient).await;
        if answer.is_none() && worker::now() >= end {
            fanout::note(site, child.name(), false);
        }
        drop(turn);
    });
}
