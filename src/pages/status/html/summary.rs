//! The top of the page: how all is, what is to be done, and the sick nodes.

use super::child::{facts, log_link};
use super::health::{Health, Place, State};
use super::units::{bytes, count, counted, name};
use super::View;

/// So many sick nodes are in sight; the others fold out.
const IN_SIGHT: usize = 12;
/// So many are in the list at all: each with the names of all nodes above it.
const LISTED: usize = 1000;

/// How all is, in one line of text.
pub(super) fn verdict(health: &Health) -> String {
    let Health { nodes, up, down, unknown, .. } = *health;
    if health.state() == State::Well {
        return match nodes {
            1 => "This node is up. It has no children.".into(),
            _ => format!("All {} nodes are up and have everything.", count(nodes)),
        };
    }
    let mut said = format!("{}: {} up", counted(nodes, "node"), count(up));
    for (number, what) in [(down, "down"), (unknown, State::Unknown.word())] {
        if number > 0 {
            said += &format!(", {} {what}", count(number));
        }
    }
    said += ". ";
    said += &missing(health);
    if health.silent > 0 {
        said += &format!(" {} without status.", count(health.silent));
    }
    said
}

fn missing(health: &Health) -> String {
    let on = counted(health.lacking, "node");
    if health.lacking == 0 {
        return "Nothing is missing.".into();
    }
    if health.missing == 0 {
        return format!("Something is missing on {on}.");
    }
    format!(
        "{} ({}) missing on {on}.",
        counted(health.missing, "entry"),
        bytes(health.missing_bytes)
    )
}

/// What is to be done, for each kind of trouble that there is.
pub(super) fn advice(health: &Health) -> String {
    let all = [
        (
            health.down,
            "down",
            "see to the machine, or to nginx on it. Nothing is to be done on the parent: it keeps \
             what they miss, and delivers it when they are back. Nodes below them are not \
             counted.",
        ),
        (
            health.behind,
            "behind",
            "they are up, and are sent what they miss. Where a number does not fall, the parent's \
             error log says why.",
        ),
        (
            health.unservable,
            "unservable",
            "no node has these files any more. The missing logs name them (that of a node is on \
             its parent): PUT them again, or DELETE them.",
        ),
        (
            health.silent,
            "without status",
            "what is below is not known. See to <code>filedist_status</code> there, and to what \
             lies between.",
        ),
        (
            health.unknown,
            "never asked",
            "there was nothing to send since nginx was started. The next change shows whether \
             they are up.",
        ),
        (
            health.without_page,
            "without status page",
            "they answer 404 at the path of this page. What is below them is not known.",
        ),
    ];
    let there = all.iter().filter(|(number, ..)| *number > 0);
    let items: String = there
        .map(|(number, what, advice)| format!("<li><b>{} {what}:</b> {advice}\n", count(*number)))
        .collect();
    if items.is_empty() {
        return items;
    }
    format!("<section><h2>What to do</h2>\n<ul class=do>\n{items}</ul></section>\n")
}

/// The list of sick nodes.
pub(super) fn sick(health: &Health, view: &View) -> String {
    if health.sick.is_empty() {
        return String::new();
    }
    let number = counted(health.sick.len() as u64, "sick node");
    let items: Vec<String> =
        health.sick.iter().take(LISTED).map(|place| item(place, view)).collect();
    let (first, more) = items.split_at(items.len().min(IN_SIGHT));
    let mut out = format!("<section><h2>{number}</h2>\n<ol class=sick>\n{}</ol>\n", first.concat());
    if !more.is_empty() {
        let (number, items) = (count((health.sick.len() - IN_SIGHT) as u64), more.concat());
        out += &format!(
            "<details data-k=more><summary>{number} more</summary>\n<ol class=sick>\n{items}</ol></details>\n"
        );
    }
    out + "</section>\n"
}

fn item(place: &Place, view: &View) -> String {
    let state = State::of(place.child);
    let above: String = place.above.iter().map(|node| name(node) + " › ").collect();
    let (class, word, sign) = (state.class(), state.word(), state.sign());
    let child = name(&place.child.name);
    let mut facts = facts(place.child, place.now);
    // This node serves those of its own children only.
    if place.above.len() == 1 {
        facts.extend(log_link(place.child, view, "missing log"));
    }
    let facts = facts.join(" · ");
    format!(
        "<li class={class}><i title=\"{word}\">{sign}</i><div>{above}<b>{child}</b><p>{facts}</div>\n"
    )
}
