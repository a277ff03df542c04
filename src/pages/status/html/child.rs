//! What is said of one child, in a few words each.

use std::path::Path;

use super::health::{has_no_page, State};
use super::units::{bytes, count, counted, exact, span, text};
use super::View;
use crate::escape::percent;
use crate::missing_log;
use crate::pages::status::model::{CatchUp, Child, Provisioning};

/// The facts that matter, as HTML. `now` is the clock of the child's parent.
pub(super) fn facts(child: &Child, now: u64) -> Vec<String> {
    let mut facts = vec![reach(child, now)];
    let missing = &child.missing;
    if missing.entries > 0 {
        let (entries, bytes) = (counted(missing.entries, "entry"), bytes(missing.bytes));
        facts.push(format!("<em>{entries} missing</em> ({bytes})"));
        facts.extend(missing.oldest.map(|oldest| format!("oldest {}", age(oldest, now))));
    }
    if missing.unservable > 0 {
        facts.push(format!("<em>{} unservable</em>", count(missing.unservable)));
    }
    facts.extend(under_way(child, now));
    match &child.no_answer {
        _ if has_no_page(child) => facts.push("no status page (404)".into()),
        Some(reason) if child.up != Some(false) => {
            facts.push(format!("<em>no status</em> ({})", text(reason)));
        }
        _ => (),
    }
    if child.up != Some(false) {
        facts.extend(child.last_delivery.map(|last| format!("last delivery {}", ago(last, now))));
    }
    facts
}

/// "down for 3 min".
pub(super) fn reach(child: &Child, now: u64) -> String {
    let word = match child.up {
        Some(true) => "up",
        Some(false) => "<em>down</em>",
        None => return State::Unknown.word().into(),
    };
    match child.since {
        Some(since) => format!("{word} for {}", age(since, now)),
        None => word.into(),
    }
}

/// "3 min", with the time itself for whoever points at it.
fn age(time: u64, now: u64) -> String {
    format!("<time title=\"{}\">{}</time>", exact(time), span(now.saturating_sub(time)))
}

/// "3 min ago".
pub(super) fn ago(time: u64, now: u64) -> String {
    format!("{} ago", age(time, now))
}

/// What is being done about what it misses.
pub(super) fn under_way(child: &Child, now: u64) -> Vec<String> {
    let catch_up = child.catch_up.iter().map(|run| catch_up(run, child.missing.entries, now));
    catch_up.chain(child.provisioning.iter().map(|run| provisioning(run, now))).collect()
}

/// What was delivered, what is left, and for how long at this speed.
fn catch_up(run: &CatchUp, left: u64, now: u64) -> String {
    let (done, all) = (run.done, run.done.saturating_add(left).max(1));
    let bar = format!("<progress value={done} max={all}></progress>");
    let mut said = format!("catch-up: {bar} {} delivered, {} left", count(done), count(left));
    if done > 0 && left > 0 {
        let rest = now.saturating_sub(run.since) as f64 / done as f64 * left as f64;
        said += &format!(", about {} to go", span(rest as u64));
    }
    said
}

fn provisioning(run: &Provisioning, now: u64) -> String {
    format!("provisioning: {} listed, began {}", counted(run.listed, "file"), ago(run.since, now))
}

/// A link to its missing log, where it is a child of this node and has one.
pub(super) fn log_link(child: &Child, view: &View, said: &str) -> Option<String> {
    if child.missing.entries == 0 && child.missing.unservable == 0 {
        return None;
    }
    let path = missing_log::directory(Path::new(view.missing.as_ref()?), child.name.as_bytes());
    let path = percent(path.as_os_str().as_encoded_bytes());
    Some(format!("<a href=\"{path}/\">{said}</a>"))
}
