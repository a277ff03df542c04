//! How the nodes are: the state of each, the sum of all, and which ones are sick.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::pages::status::model::{Child, Node};

/// How a child is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It did not answer when it was last asked.
    Down,
    /// It has not got everything.
    Behind,
    /// It takes changes, but does not say how it is.
    Silent,
    /// It was never asked.
    Unknown,
    /// It is up, and nothing is known to be missing.
    Well,
}

impl State {
    pub(super) fn of(child: &Child) -> State {
        if child.up == Some(false) {
            State::Down
        } else if is_lacking(child) {
            State::Behind
        } else if is_silent(child) {
            State::Silent
        } else if child.up.is_none() {
            State::Unknown
        } else {
            State::Well
        }
    }

    /// Whether somebody should look at it.
    pub(super) fn is_sick(self) -> bool {
        matches!(self, State::Down | State::Behind | State::Silent)
    }

    /// Its class in page.css.
    pub(super) fn class(self) -> char {
        match self {
            State::Down => 'd',
            State::Behind => 'b',
            State::Silent => 's',
            State::Unknown => 'u',
            State::Well => 'w',
        }
    }

    /// So that colour is not the only sign.
    pub(super) fn sign(self) -> char {
        match self {
            State::Down => '✕',
            State::Behind => '!',
            State::Silent => '~',
            State::Unknown => '?',
            State::Well => '✓',
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Behind => "behind",
            State::Silent => "no status",
            State::Unknown => "never asked",
            State::Well => "well",
        }
    }
}

/// Whether a node is known to be without something.
fn is_lacking(child: &Child) -> bool {
    child.missing.entries > 0 || child.missing.unservable > 0 || child.provisioning.is_some()
}

/// Whether it answers, but has no status page where its parent has one.
pub(super) fn has_no_page(child: &Child) -> bool {
    child.no_answer.as_deref() == Some("404")
}

fn is_silent(child: &Child) -> bool {
    child.no_answer.is_some() && !has_no_page(child)
}

/// A child somewhere in the tree.
pub(super) struct Place<'a> {
    pub(super) child: &'a Child,
    /// The nodes above it, the page's own first: as it calls itself, the others as their parents
    /// call them.
    pub(super) above: Vec<&'a str>,
    /// The clock of its parent, to which its times belong.
    pub(super) now: u64,
}

/// All that is known of a node and what is below it.
#[derive(Default)]
pub(super) struct Health<'a> {
    /// The node itself counts, and is up.
    pub(super) nodes: u64,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) unknown: u64,
    /// Do not say how they are; have no page to say it on.
    pub(super) silent: u64,
    pub(super) without_page: u64,
    /// Entries of all missing logs, their bytes, and the nodes that miss something.
    pub(super) missing: u64,
    pub(super) missing_bytes: u64,
    pub(super) lacking: u64,
    /// Those of them that are not down: their state is [`State::Behind`].
    pub(super) behind: u64,
    pub(super) unservable: u64,
    /// Those of any child.
    pub(super) states: BTreeSet<State>,
    /// The worst first.
    pub(super) sick: Vec<Place<'a>>,
}

impl<'a> Health<'a> {
    pub(super) fn of(node: &'a Node) -> Health<'a> {
        let mut health = Health { nodes: 1, up: 1, ..Health::default() };
        health.add_below(node, &mut vec![&node.name], node.time);
        health.sick.sort_by_key(|place| {
            let Place { child, .. } = place;
            (State::of(child), Reverse(child.missing.entries), child.since)
        });
        health
    }

    fn add_below(&mut self, node: &'a Node, above: &mut Vec<&'a str>, now: u64) {
        for child in &node.children {
            self.add(child);
            if State::of(child).is_sick() {
                self.sick.push(Place { child, above: above.clone(), now });
            }
            if let Some(below) = &child.node {
                above.push(&child.name);
                self.add_below(below, above, clock(below, now));
                above.pop();
            }
        }
    }

    fn add(&mut self, child: &Child) {
        let lacking = is_lacking(child);
        self.states.insert(State::of(child));
        self.nodes += 1;
        self.up += u64::from(child.up == Some(true));
        self.down += u64::from(child.up == Some(false));
        self.unknown += u64::from(child.up.is_none());
        self.silent += u64::from(child.up != Some(false) && is_silent(child));
        self.without_page += u64::from(child.up != Some(false) && has_no_page(child));
        self.lacking += u64::from(lacking);
        self.behind += u64::from(lacking && child.up != Some(false));
        // What a child says may be anything.
        self.missing = self.missing.saturating_add(child.missing.entries);
        self.missing_bytes = self.missing_bytes.saturating_add(child.missing.bytes);
        self.unservable = self.unservable.saturating_add(child.missing.unservable);
    }

    /// That of the worst node.
    pub(super) fn state(&self) -> State {
        self.states.first().copied().unwrap_or(State::Well)
    }
}

/// The clock of a node, or its parent's where it does not say.
pub(super) fn clock(node: &Node, parents: u64) -> u64 {
    if node.time == 0 {
        return parents;
    }
    node.time
}
