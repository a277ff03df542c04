//! `filedist_status`: what an operator wants to know of this node, its children, and the tree.

mod compare;
mod digest;
mod html;
mod model;
mod node;
mod prometheus;
mod tree;

use super::query::Query;
use crate::conf::{LocConf, Page, Site};
use crate::fanout::Via;
use crate::handlers::method_not_allowed;
use crate::nginx::{self, Ending, Method, Reply, Request, Status};
use model::Node;
use serde::Serialize;
use tree::Said;

/// How long the node waits for the tree that nobody tells, in milliseconds.
const LONGEST: u64 = 5000;

/// The content handler of a location with `filedist_status`.
pub(super) fn serve(r: Request, conf: &'static LocConf) -> Status {
    let compares = Query::new(r.args()).has("compare");
    match (r.method(), conf.manages()) {
        (Method::Get, _) => {}
        (Method::Post, true) if compares => {}
        (_, true) if compares => return method_not_allowed(r, "GET, HEAD, POST"),
        _ => return method_not_allowed(r, "GET, HEAD"),
    }
    let Some(site) = conf.site() else { return 500 };
    if Via::of(&r).names(&conf.node_name(&r)) {
        // A loop of nodes is no tree.
        return 508;
    }
    nginx::run(r, async move { status(r, conf, site).await })
}

async fn status(r: Request, conf: &'static LocConf, site: &'static Site) -> Ending {
    let query = Query::new(r.args());
    // It may take long, and costs the children something.
    r.end_with_client();
    if let Some(child) = query.value("compare") {
        return compare::compare(r, conf, site, &child).await;
    }
    if query.has("digest") {
        return digest::digest(r, conf, site, &query).await.into();
    }
    let mut node = node::node(&r, conf, site);
    let is_tree = query.has("tree");
    if is_tree {
        for said in tree::ask::<Node>(r, conf, site, "tree&format=json", LONGEST).await {
            tell(site, &mut node, said);
        }
    }
    let reply = match query.value("format").as_deref() {
        Some(b"json") => json(&node),
        Some(b"prometheus") => {
            let content_type = "text/plain; version=0.0.4; charset=utf-8";
            reply(content_type, prometheus::metrics(&node).into_bytes())
        }
        None | Some(b"html") => {
            let missing = site.server().page(Page::Missing);
            let missing = missing.map(|prefix| String::from_utf8_lossy(prefix).into_owned());
            let view = html::View { whole: is_tree, missing };
            reply("text/html; charset=utf-8", html::page(&node, &view).into_bytes())
        }
        Some(_) => Reply::error(400, "format is html, json or prometheus"),
    };
    reply.into()
}

/// Adds what a child has said.
fn tell(site: &Site, node: &mut Node, said: Said<Node>) {
    let name = String::from_utf8_lossy(said.child);
    let Some(child) = node.children.iter_mut().find(|child| child.name == name) else { return };
    // That it has is news too.
    if let Some((up, since)) = site.child(said.child).and_then(|it| it.counts().is_up()) {
        (child.up, child.since) = (Some(up), Some(since));
    }
    match said.what {
        Ok(node) => child.node = Some(Box::new(node)),
        Err(why) => child.no_answer = Some(why),
    }
}

fn json<T: Serialize>(node: &T) -> Reply {
    let mut body = serde_json::to_vec(node).unwrap_or_default();
    body.push(b'\n');
    reply("application/json", body)
}

fn reply(content_type: &'static str, body: Vec<u8>) -> Reply {
    // What is true now is not in a moment.
    let headers = vec![("Cache-Control", b"no-store".to_vec())];
    Reply { status: 200, content_type, headers, body }
}
