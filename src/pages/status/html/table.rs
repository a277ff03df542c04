//! The numbers: a table of this node's children, and what there is to know of the node itself.

use super::child::{ago, log_link, reach, under_way};
use super::health::State;
use super::units::{byte_rate, bytes, count, exact, name, rate, text};
use super::View;
use crate::pages::status::model::{Child, Failures, Node};

/// The columns, as page.css names them once more for narrow screens.
const HEAD: &str = "<thead><tr><th>Child<th>State<th>Last delivery<th>Missing<th>Oldest\
    <th>Under way<th>Delivered<th>Sent<th>Failures\n<tbody>\n";

/// This node's children, with all their numbers.
pub(super) fn children(node: &Node, view: &View) -> String {
    if node.children.is_empty() {
        return String::new();
    }
    let title = format!("Children of {}", name(&node.name));
    let rows: String = node.children.iter().map(|child| row(child, node.time, view)).collect();
    format!(
        "<section><h2 id=children>{title}</h2>\n\
         <div class=wide tabindex=0 role=region aria-labelledby=children>\n<table>\n\
         <caption>Since nginx was started on this node. An empty cell is none.</caption>\n\
         {HEAD}{rows}</table></div></section>\n"
    )
}

fn row(child: &Child, now: u64, view: &View) -> String {
    let state = State::of(child);
    let missing = &child.missing;
    let cells = [
        Some(format!("<i>{}</i> {}", state.sign(), reach(child, now))),
        child.last_delivery.map(|time| ago(time, now)),
        entries(child, view),
        missing.oldest.map(|time| ago(time, now)),
        Some(under_way(child, now).join("<br>")),
        delivered(child),
        sent(child),
        Some(failures(&child.failures)),
    ];
    let cells = cells.map(|cell| format!("<td>{}", cell.unwrap_or_default())).concat();
    format!("<tr class={}>\n<th scope=row>{}{cells}", state.class(), name(&child.name))
}

fn some(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

fn entries(child: &Child, view: &View) -> Option<String> {
    let missing = &child.missing;
    // Unservable ones are entries, too.
    let number = count(some(missing.entries.max(missing.unservable))?);
    let number = log_link(child, view, &number).unwrap_or(number);
    let said = format!("{number} ({})", sized(missing.bytes));
    Some(match missing.unservable {
        0 => said,
        some => format!("{said}, <em>{} unservable</em>", count(some)),
    })
}

fn delivered(child: &Child) -> Option<String> {
    let number = count(some(child.deliveries)?);
    Some(match child.deliveries_per_second {
        often if often > 0.0 => format!("{number} ({})", rate(often)),
        _ => number,
    })
}

fn sent(child: &Child) -> Option<String> {
    let size = sized(some(child.sent_bytes)?);
    Some(match child.bytes_per_second {
        speed if speed > 0.0 => format!("{size} ({})", byte_rate(speed)),
        _ => size,
    })
}

fn failures(failures: &Failures) -> String {
    let kinds = [
        (failures.unreachable, "unreachable"),
        (failures.timeout, "timeout"),
        (failures.refused, "refused"),
        (failures.interrupted, "interrupted"),
    ];
    let there = kinds.iter().filter(|(number, _)| *number > 0);
    let said: Vec<String> =
        there.map(|(number, kind)| format!("{} {kind}", count(*number))).collect();
    said.join(", ")
}

/// Bytes, with the exact number for whoever points at it.
fn sized(number: u64) -> String {
    format!("<span title=\"{} bytes\">{}</span>", count(number), bytes(number))
}

/// What there is to know of the node itself.
pub(super) fn facts(node: &Node) -> String {
    let changes = &node.changes;
    let facts = [
        ("Versions", format!("filedist {}, nginx {}", text(&node.version), text(&node.nginx))),
        ("nginx was started", ago(node.since, node.time)),
        ("Changes in flight", count(node.changes_in_flight)),
        ("Stored", format!("{} ({})", count(changes.stored), sized(changes.stored_bytes))),
        ("Deleted", count(changes.deleted)),
        ("Superseded", count(changes.superseded)),
        ("Failed", count(changes.failed)),
        ("As of", exact(node.time)),
    ];
    let items: String =
        facts.iter().map(|(what, said)| format!("<div><dt>{what}<dd>{said}</div>\n")).collect();
    let title = name(&node.name);
    format!("<section><h2>{title} itself</h2>\n<dl>\n{items}</dl></section>\n")
}
