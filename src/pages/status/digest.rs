//! `?digest`: one number for the names, sizes and versions of all files of a node, so that two
//! nodes are seen to have the same.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tree;
use super::{Query, Reply};
use crate::conf::{LocConf, Site};
use crate::error::Error;
use crate::escape;
use crate::index::{Area, File, Walk};
use crate::nginx::{Alarm, Level, Md5, Request};
use crate::store::lend_idle;

/// Files that one job in a thread looks at.
const STEP: usize = 2000;
/// How long the node waits for the tree that nobody tells, in milliseconds.
const LONGEST: u64 = 600_000;

/// A node, as its parent sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Node {
    name: String,
    /// MD5 (RFC 1321) of a line a file, `VERSION SIZE PATH`, in the order of the paths. None where
    /// the node has not said, or could not read all of its files.
    digest: Option<String>,
    files: u64,
    bytes: u64,
    /// What its parent would have it be, where that is not the parent's own: the locations of the parent
    /// send it other files, or to other paths.
    expected: Option<String>,
    /// Why there is none.
    problem: Option<String>,
    children: Vec<Node>,
}

pub(super) async fn digest(
    r: Request,
    conf: &'static LocConf,
    site: &'static Site,
    query: &Query<'_>,
) -> Reply {
    let (mut names, mut children) = (Vec::new(), Vec::new());
    if query.has("tree") {
        let asked = tree::ask::<Node>(r, conf, site, "digest&tree&format=json", LONGEST);
        for said in asked.await {
            let name = String::from_utf8_lossy(said.child).into_owned();
            children.push(match said.what {
                Ok(node) => Node { name: format!("{name} ({})", node.name), ..node },
                Err(why) => Node { name, problem: Some(why), ..Node::default() },
            });
            names.push(said.child);
        }
    }
    let own = site.server().areas(|_| true);
    let sum = sum(r, site, Arc::clone(&own)).await;
    // Children with the same locations are sent the same.
    let mut known: Vec<(Arc<[Area]>, Option<String>)> = Vec::new();
    for (name, child) in names.iter().zip(&mut children) {
        let (areas, _) = site.server().areas_there(name);
        child.expected = match known.iter().find(|(other, _)| *other == areas) {
            _ if areas == own => None,
            Some((_, digest)) => digest.clone(),
            None => {
                let digest = self::sum(r, site, Arc::clone(&areas)).await.digest;
                known.push((areas, digest.clone()));
                digest
            }
        };
    }
    let name = String::from_utf8_lossy(&conf.node_name(&r)).into_owned();
    let node = Node { name, children, ..sum };
    match query.value("format").as_deref() {
        Some(b"json") => super::json(&node),
        _ => super::reply("text/plain; charset=utf-8", node.text().into_bytes()),
    }
}

/// Counts all files of these areas. What cannot be read is told in the answer and in the error log.
async fn sum(r: Request, site: &'static Site, areas: Arc<[Area]>) -> Node {
    count(r, site, areas).await.unwrap_or_else(|error| {
        r.log(Level::Error, format_args!("{error}"));
        Node { problem: Some(error.reason()), ..Node::default() }
    })
}

async fn count(r: Request, site: &'static Site, areas: Arc<[Area]>) -> Result<Node, Error> {
    let walk = Walk::new(areas, b"/", None, site.directories().missing.into())
        .excluding(site.server().excluded());
    let mut sum = Sum { walk, md5: Md5::new(), files: 0, bytes: 0 };
    let alarm = Alarm::lasting(r);
    loop {
        let (again, end) = lend_idle(r, sum, Sum::step).await?;
        sum = again;
        if end? {
            break;
        }
        alarm.step_aside().await;
    }
    if let Some(problem) = sum.walk.problem() {
        r.log(Level::Error, format_args!("{}", problem.error));
        return Ok(Node { problem: Some(problem.to_string()), ..Node::default() });
    }
    let digest = sum.md5.finish().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Node { digest: Some(digest), files: sum.files, bytes: sum.bytes, ..Node::default() })
}

struct Sum {
    walk: Walk,
    md5: Md5,
    files: u64,
    bytes: u64,
}

impl Sum {
    /// True at the end.
    fn step(&mut self) -> Result<bool, Error> {
        let step = self.walk.next(STEP).map_err(Error::io("read", "the files".as_ref()))?;
        for File { path, size, version } in &step.files {
            let line = format!("{version} {size} {}\n", escape::percent(path));
            self.md5.update(line.as_bytes());
            self.files += 1;
            self.bytes += size;
        }
        Ok(step.end)
    }
}

impl Node {
    /// A line a node, and what they come to.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut all = Vec::new();
        self.add_to(&mut text, self.digest.as_deref(), &mut all);
        if let [_, _, ..] = &all[..] {
            let others = all.iter().filter(|is_same| !**is_same).count();
            text += &match (&self.digest, others) {
                (Some(_), 0) => format!("same: all {} nodes have the same files\n", all.len()),
                (_, 0) => "different: nothing is known\n".to_owned(),
                (_, n) => format!("different: {n} of {} nodes\n", all.len()),
            };
        }
        text
    }

    /// Adds the node's line, and those of the nodes below it; and for each whether it has the files that it
    /// should have.
    fn add_to<'a>(&'a self, text: &mut String, like: Option<&'a str>, all: &mut Vec<bool>) {
        let clean = |text: &str| text.replace(char::is_control, "?");
        let name = clean(&self.name);
        let problem = clean(self.problem.as_deref().unwrap_or("unknown"));
        *text += &match self.digest.as_deref().map(clean) {
            Some(digest) => {
                format!("{digest} {} files {} bytes {name}\n", self.files, self.bytes)
            }
            None => format!("error: {name}: {problem}\n"),
        };
        let like = self.expected.as_deref().or(like);
        all.push(self.digest.as_deref() == like);
        for child in &self.children {
            child.add_to(text, like, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(digest: Option<&str>, children: Vec<Node>) -> Node {
        let digest = digest.map(str::to_owned);
        Node { name: "n".into(), digest, files: 2, bytes: 3, children, ..Node::default() }
    }

    #[test]
    fn one_node_is_a_line() {
        assert_eq!(node(Some("ab"), Vec::new()).text(), "ab 2 files 3 bytes n\n");
    }

    #[test]
    fn a_tree_is_the_same_or_not() {
        let leaf = |digest| node(Some(digest), Vec::new());
        let same = node(Some("ab"), vec![leaf("ab"), node(Some("ab"), vec![leaf("ab")])]);
        assert!(same.text().ends_with("same: all 4 nodes have the same files\n"));
        let other = node(Some("ab"), vec![leaf("ab"), node(Some("ab"), vec![leaf("cd")])]);
        assert!(other.text().ends_with("different: 1 of 4 nodes\n"));
        let silent = node(Some("ab"), vec![leaf("ab"), node(None, Vec::new())]);
        assert!(silent.text().contains("\nerror: n: unknown\n"));
        assert!(silent.text().ends_with("different: 1 of 3 nodes\n"));
        assert!(node(None, vec![node(None, Vec::new())]).text().ends_with("nothing is known\n"));
    }

    #[test]
    fn a_child_is_to_have_what_its_parent_sends_it() {
        let leaf = |digest| node(Some(digest), Vec::new());
        let expected = Some("cd".to_owned());
        let child = Node { expected, ..node(Some("cd"), vec![leaf("cd"), leaf("cd")]) };
        let tree = |child| node(Some("ab"), vec![leaf("ab"), child]).text();
        assert!(tree(child.clone()).ends_with("same: all 5 nodes have the same files\n"));
        let other = Node { digest: Some("ab".into()), ..child };
        assert!(tree(other).ends_with("different: 1 of 5 nodes\n"));
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let node = Node { name: "a\nb".into(), ..Node::default() };
        assert_eq!(node.text(), "error: a?b: unknown\n");
        let digest = Some("x\ny".into());
        assert_eq!(Node { digest, ..node.clone() }.text(), "x?y 0 files 0 bytes a?b\n");
        let problem = Some("x\ny".into());
        assert_eq!(Node { problem, ..node }.text(), "error: a?b: x?y\n");
    }
}
