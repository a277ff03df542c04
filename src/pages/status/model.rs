//! What a node says of itself and its children: the status in JSON, from which the other forms are
//! made and by which a parent shows the whole tree.
//!
//! Times are milliseconds since 1970. A field that an older node does not send has its default.

use serde::{Deserialize, Deserializer, Serialize};

/// The most bytes of a name that another node gives. The page shows it again and again.
const NAME: usize = 255;

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    /// What it calls itself: `filedist_name`, or its address and port.
    #[serde(deserialize_with = "name")]
    pub(crate) name: String,
    /// The module's version.
    #[serde(deserialize_with = "name")]
    pub(crate) version: String,
    /// nginx's version.
    #[serde(deserialize_with = "name")]
    pub(crate) nginx: String,
    /// Its clock when it said so.
    pub(crate) time: u64,
    /// Since when it counts: the start of nginx, not the last reload.
    pub(crate) since: u64,
    /// Uploads and deletes under way.
    pub(crate) changes_in_flight: u64,
    /// What became of changes that it was asked for, by clients and by its parent.
    pub(crate) changes: Changes,
    /// In the order of their `server` lines.
    pub(crate) children: Vec<Child>,
}

/// Changes that a node has answered, since it counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Changes {
    /// Files stored, and their bytes.
    pub(crate) stored: u64,
    pub(crate) stored_bytes: u64,
    /// Files deleted, or not there when they were to be deleted.
    pub(crate) deleted: u64,
    /// An equal or newer version was there.
    pub(crate) superseded: u64,
    /// Refused, or not possible.
    pub(crate) failed: u64,
}

/// A child, as its parent sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Child {
    /// As written in its `server` line.
    #[serde(deserialize_with = "name")]
    pub(crate) name: String,
    /// Whether it answered when it was last asked anything; none before that.
    pub(crate) up: Option<bool>,
    /// Since when it has been up or down.
    pub(crate) since: Option<u64>,
    /// When it last took a change.
    pub(crate) last_delivery: Option<u64>,
    /// Changes that it took, and bytes of files that it was sent, since the node counts.
    pub(crate) deliveries: u64,
    pub(crate) sent_bytes: u64,
    /// The same a second, on average over the last ten.
    pub(crate) deliveries_per_second: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) failures: Failures,
    pub(crate) missing: Missing,
    /// Its missing log is being delivered.
    pub(crate) catch_up: Option<CatchUp>,
    /// Everything is being put into its missing log.
    pub(crate) provisioning: Option<Provisioning>,
    /// What it says of itself, where the whole tree was asked for and it has answered.
    pub(crate) node: Option<Box<Node>>,
    /// Where the whole tree was asked for and it has not: "timeout", or a status.
    #[serde(deserialize_with = "reason")]
    pub(crate) no_answer: Option<String>,
}

/// Deliveries that have failed since the node counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Failures {
    /// The child could not be reached, or broke off.
    pub(crate) unreachable: u64,
    /// It was too slow.
    pub(crate) timeout: u64,
    /// It answered with an error.
    pub(crate) refused: u64,
    /// The upload, or the worker, ended before.
    pub(crate) interrupted: u64,
}

/// A missing log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Missing {
    pub(crate) entries: u64,
    /// Of the files that are to be sent for them, as far as they are here.
    pub(crate) bytes: u64,
    /// The time of the oldest entry.
    pub(crate) oldest: Option<u64>,
    /// Entries for a file that no node has any more.
    pub(crate) unservable: u64,
}

/// A missing log that is being delivered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CatchUp {
    pub(crate) since: u64,
    /// Entries that were delivered since then.
    pub(crate) done: u64,
}

/// A child that is being provided with everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Provisioning {
    pub(crate) since: u64,
    /// Files that were put into its missing log since then.
    pub(crate) listed: u64,
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(cut)
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|reason| reason.map(cut))
}

fn cut(mut text: String) -> String {
    let end = (0..=NAME.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or_default());
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut() {
        let long = "é".repeat(300);
        let text = format!(
            r#"{{"name":"{long}","version":"{long}","nginx":"{long}",
            "children":[{{"name":"{long}","no_answer":"{long}"}}]}}"#
        );
        let node: Node = serde_json::from_str(&text).unwrap();
        let child = &node.children[0];
        let reason = child.no_answer.as_ref().unwrap();
        for text in [&node.name, &node.version, &node.nginx, &child.name, reason] {
            assert_eq!(*text, "é".repeat(127));
        }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        assert_eq!(serde_json::from_str::<Node>("{}").unwrap(), Node::default());
        let node = serde_json::from_str::<Node>(r#"{"children":[{}]}"#).unwrap();
        assert_eq!(node.children, [Child::default()]);
    }
}
