//! The drawing of the tree: a tile for each node, those of its children in a group below it.

use std::fmt::Write;

use super::child::facts;
use super::health::{clock, Health, State};
use super::units::{counted, name, text};
use super::View;
use crate::pages::status::model::{Child, Node};

/// With more nodes than this, those that are well are tiles without a name.
const NAMED: u64 = 60;

/// The drawing of all that is known.
pub(super) fn drawing(node: &Node, health: &Health, view: &View) -> String {
    let title = if view.whole { "The tree" } else { "This node and its children" };
    let many = if health.nodes > NAMED { " many" } else { "" };
    let mut out = format!("<section><h2>{title}</h2>\n<ul class=\"tree{many}\">\n");
    let own = format!("<i>{}</i>{}", State::Well.sign(), name(&node.name));
    _ = writeln!(out, "<li class=g><span class=\"t w\">{own}</span>{}", sum(node));
    group(&mut out, node, "0", node.time);
    out + "</ul>\n" + &legend(health) + "</section>\n"
}

/// What the tiles mean that there are.
fn legend(health: &Health) -> String {
    let one = |state: &State| {
        format!("<span class={}>{} {}</span> ", state.class(), state.sign(), state.word())
    };
    let all: String = health.states.iter().map(one).collect();
    format!("<p class=legend>{all}\n")
}

/// The children of a node. `place` says where it is in the drawing, `now` is its clock.
fn group(out: &mut String, node: &Node, place: &str, now: u64) {
    if node.children.is_empty() {
        return;
    }
    out.push_str("<ul>\n");
    for (i, child) in node.children.iter().enumerate() {
        let place = format!("{place}.{i}");
        match &child.node {
            Some(below) if !below.children.is_empty() => {
                out.push_str("<li class=g>");
                tile(out, child, &place, now);
                _ = writeln!(out, "{}", sum(below));
                group(out, below, &place, clock(below, now));
            }
            _ => {
                out.push_str("<li>");
                tile(out, child, &place, now);
                out.push('\n');
            }
        }
    }
    out.push_str("</ul>\n");
}

fn tile(out: &mut String, child: &Child, place: &str, now: u64) {
    let state = State::of(child);
    let (class, sign, title) = (state.class(), state.sign(), text(&child.name));
    let facts = facts(child, now).join("<br>");
    _ = write!(
        out,
        "<details class=\"t {class}\" data-k={place}><summary title=\"{title}: {}\"><i>{sign}</i>{}\
         </summary><p>{facts}</details>",
        state.word(),
        name(&child.name),
    );
}

/// How many children a node has, and how many of them are sick.
fn sum(node: &Node) -> String {
    let sick = node.children.iter().filter(|child| State::of(child).is_sick()).count();
    let of = match node.children.len() {
        0 => return String::new(),
        1 => "1 child".into(),
        many => counted(many as u64, "children").trim_end_matches('s').to_owned(),
    };
    match sick {
        0 => format!(" <small>{of}</small>"),
        _ => format!(" <small>{of}, {sick} sick</small>"),
    }
}
