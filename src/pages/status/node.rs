//! This node and its children, as they are counted.

use core::sync::atomic::Ordering::Relaxed;

use super::model::{CatchUp, Changes, Child, Failures, Missing, Node, Provisioning};
use crate::catch_up;
use crate::conf::{self, LocConf, Site};
use crate::counters::Failure;
use crate::nginx::{self, worker, Request};

/// What is known of this node.
pub(super) fn node(r: &Request, conf: &LocConf, site: &Site) -> Node {
    let (now, counts) = (worker::time(), site.counts());
    Node {
        name: text(&conf.node_name(r)),
        version: env!("CARGO_PKG_VERSION").into(),
        nginx: nginx::version().into(),
        time: now,
        since: counts.since(),
        changes_in_flight: counts.in_flight(worker::is_alive),
        changes: Changes {
            stored: counts.stored.load(Relaxed),
            stored_bytes: counts.stored_bytes.load(Relaxed),
            deleted: counts.deleted.load(Relaxed),
            superseded: counts.superseded.load(Relaxed),
            failed: counts.failed.load(Relaxed),
        },
        children: site.children().map(|one| child(site, one, now)).collect(),
    }
}

fn child(site: &Site, child: &conf::Child, now: u64) -> Child {
    let counts = child.counts();
    let up = counts.is_up();
    let (deliveries, sent_bytes) = counts.deliveries();
    let (deliveries_per_second, bytes_per_second) = counts.rate(now);
    let missing = counts.missing.get();
    let is_caught_up = || {
        let (since, done) = counts.catch_up.get();
        catch_up::is_delivering(site, child).then_some(CatchUp { since, done })
    };
    let is_provided = || {
        let (since, listed) = counts.provisioning.get();
        catch_up::is_providing(site, child).then_some(Provisioning { since, listed })
    };
    Child {
        name: text(child.name()),
        up: up.map(|(up, _)| up),
        since: up.map(|(_, since)| since),
        last_delivery: counts.last_delivery(),
        deliveries,
        sent_bytes,
        deliveries_per_second,
        bytes_per_second,
        failures: Failures {
            unreachable: counts.failures(Failure::Unreachable),
            timeout: counts.failures(Failure::Timeout),
            refused: counts.failures(Failure::Refused),
            interrupted: counts.failures(Failure::Interrupted),
        },
        missing: Missing {
            entries: missing.entries,
            bytes: missing.bytes,
            oldest: Some(missing.oldest).filter(|_| missing.entries > 0),
            unservable: counts.missing.unservable(),
        },
        catch_up: is_caught_up(),
        provisioning: is_provided(),
        node: None,
        no_answer: None,
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
