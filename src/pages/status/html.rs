//! The status as a page for people: one file that needs nothing from elsewhere.
//!
//! How all is, what to do, the sick nodes, a drawing of the tree, then the numbers. Names and
//! numbers come from other nodes: names are escaped, sums saturate, and the browser is told to run
//! this script only.

mod child;
mod health;
mod summary;
mod table;
mod tree;
mod units;

use health::{Health, State};
use units::{name, text};

use super::model::Node;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The SHA-256 of both in base64, without which the browser does not take them. After a change
/// t/status_page.t says what they have to be.
const SCRIPT_HASH: &str = "i6kQjjpGq8/INodIKgDZ7LdcplT6fWmQF+CXOzot/Ks=";
const STYLE_HASH: &str = "A6Ce3Va6ESg5twwdD26hCVPGLXz8e5I+sItpyxISZ2w=";

/// What was asked for, and what else there is on this node.
pub(super) struct View {
    /// Children say of themselves how they are, and so on.
    pub(super) whole: bool,
    /// The path of the missing logs, as in "/__missing__/", if they are served.
    pub(super) missing: Option<String>,
}

/// The page of a node.
pub(super) fn page(node: &Node, view: &View) -> String {
    let health = Health::of(node);
    let verdict = summary::verdict(&health);
    let (title, main) = (text(&node.name), main(node, view, &health, &verdict));
    let (sign, icon) = (health.state().sign(), icon(health.state()));
    format!(
        "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; \
         script-src 'sha256-{SCRIPT_HASH}'; style-src 'sha256-{STYLE_HASH}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n\
         <title>{sign} {title}: {verdict}</title>\n\
         <link rel=icon href=\"{icon}\">\n\
         <noscript><meta http-equiv=refresh content=5></noscript>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n\
         <p id=lost role=alert hidden></p>\n<p id=news role=status></p>\n{main}\
         <script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// What the script replaces.
fn main(node: &Node, view: &View, health: &Health, verdict: &str) -> String {
    let name = name(&node.name);
    let state = health.state();
    let (class, sign) = (state.class(), state.sign());
    let (tree, node_only, json) = match view.whole {
        true => ("<b>whole tree</b>", "<a href=\"?\">this node only</a>", "?tree&amp;format=json"),
        false => ("<a href=\"?tree\">whole tree</a>", "<b>this node only</b>", "?format=json"),
    };
    let links = format!(
        "{tree} {node_only} <a href=\"{json}\">JSON</a> \
         <a href=\"?format=prometheus\">Prometheus</a>"
    );
    let drawing = tree::drawing(node, health, view);
    let (advice, sick) = (summary::advice(health), summary::sick(health, view));
    let (children, facts) = (table::children(node, view), table::facts(node));
    format!(
        "<main>\n<header><h1>{name}</h1><nav>{links}</nav></header>\n\
         <p id=verdict class={class}><i>{sign}</i> <span>{verdict}</span>\n\
         <div class=first>\n<div>{advice}{sick}</div>\n{drawing}</div>\n{children}{facts}</main>\n"
    )
}

/// The tab's icon: the sign of the state, on its colour.
fn icon(state: State) -> String {
    let (colour, sign) = match state {
        State::Down => ("b3261e", state.sign()),
        State::Behind => ("9a5b00", state.sign()),
        State::Silent => ("5b3fa0", state.sign()),
        State::Unknown => ("5f6672", state.sign()),
        State::Well => ("1e7a3c", state.sign()),
    };
    format!(
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>\
         <rect width='16' height='16' rx='3' fill='%23{colour}'/><text x='8' y='13' fill='white' \
         font-size='14' text-anchor='middle'>{sign}</text></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::model::{CatchUp, Child, Missing, Provisioning};
    use super::*;

    const NOW: u64 = 1_795_356_245_000;

    fn child(name: &str, up: Option<bool>, entries: u64) -> Child {
        let missing = Missing { entries, bytes: entries * 1000, ..Missing::default() };
        Child { name: name.into(), up, missing, ..Child::default() }
    }

    fn node(name: &str, children: Vec<Child>) -> Node {
        Node { name: name.into(), time: NOW, children, ..Node::default() }
    }

    fn parent(name: &str, children: Vec<Child>) -> Child {
        Child { node: Some(Box::new(node(name, children))), ..child(name, Some(true), 0) }
    }

    fn whole(node: &Node) -> String {
        page(node, &View { whole: true, missing: Some("/__missing__/".into()) })
    }

    /// What is between the style and the script.
    fn content(node: &Node) -> String {
        let page = whole(node);
        page.split_once("<main>").unwrap().1.split_once("</main>").unwrap().0.to_owned()
    }

    fn verdict(children: Vec<Child>) -> String {
        let page = content(&node("root", children));
        let (_, rest) = page.split_once("<span>").unwrap();
        rest.split_once("</span>").unwrap().0.to_owned()
    }

    #[test]
    fn the_verdict_says_how_many_are_up_and_what_is_missing() {
        let (up, down) = (Some(true), Some(false));
        assert_eq!(verdict(vec![]), "This node is up. It has no children.");
        assert_eq!(verdict(vec![child("a", up, 0)]), "All 2 nodes are up and have everything.");
        assert_eq!(
            verdict(vec![child("a", down, 0)]),
            "2 nodes: 1 up, 1 down. Nothing is missing."
        );
        assert_eq!(
            verdict(vec![child("a", down, 12_344), parent("b", vec![child("c", up, 1)])]),
            "4 nodes: 3 up, 1 down. 12,345 entries (12.3 MB) missing on 2 nodes."
        );
        let silent = Child { no_answer: Some("timeout".into()), ..child("a", up, 0) };
        assert_eq!(verdict(vec![silent]), "2 nodes: 2 up. Nothing is missing. 1 without status.");
        let new = Child { provisioning: Some(Provisioning::default()), ..child("a", up, 0) };
        assert_eq!(verdict(vec![new]), "2 nodes: 2 up. Something is missing on 1 node.");
    }

    #[test]
    fn a_child_that_was_never_asked_is_not_down() {
        let never = vec![child("a", None, 0)];
        assert_eq!(verdict(never.clone()), "2 nodes: 1 up, 1 never asked. Nothing is missing.");
        let page = content(&node("root", never));
        assert!(page.contains("<details class=\"t u\""), "{page}");
        assert!(!page.contains("class=sick") && !page.contains("\"t d\""), "{page}");
    }

    #[test]
    fn a_child_without_a_status_page_is_well() {
        let leaf = Child { no_answer: Some("404".into()), ..child("a", Some(true), 0) };
        let page = content(&node("root", vec![leaf]));
        assert!(page.contains("All 2 nodes are up"), "{page}");
        assert!(page.contains("no status page (404)") && !page.contains("class=sick"), "{page}");
    }

    #[test]
    fn the_worst_comes_first_with_its_path() {
        let children = vec![
            child("well", Some(true), 0),
            parent("mid", vec![child("gone", Some(false), 1), child("lost", Some(false), 2)]),
            child("behind", Some(true), 9),
        ];
        let page = content(&node("root", children));
        let (sick, _) = page.split_once("class=sick>").unwrap().1.split_once("</ol>").unwrap();
        let items: Vec<&str> = sick.split("<li ").skip(1).collect();
        assert_eq!(items.len(), 3);
        assert!(items[0].contains("<bdi>root</bdi> › <bdi>mid</bdi> › <b><bdi>lost</bdi></b>"));
        assert!(items[1].contains("<bdi>gone</bdi>"), "{}", items[1]);
        assert!(items[2].contains("<bdi>root</bdi> › <b><bdi>behind</bdi></b>"), "{}", items[2]);
    }

    #[test]
    fn missing_logs_of_own_children_are_linked() {
        let below = parent("mid", vec![child("deep", Some(true), 1)]);
        let unix = child("unix:/run/a%b\"c", Some(false), 2);
        let tree = node("root", vec![child("10.0.0.3:8080", Some(true), 1), unix, below]);
        let page = content(&tree);
        assert!(page.contains("<a href=\"/__missing__/10.0.0.3:8080/\">"), "{page}");
        assert!(
            page.contains("<a href=\"/__missing__/unix:%252Frun%252Fa%2525b%22c/\">"),
            "{page}"
        );
        assert!(!page.contains("__missing__/mid") && !page.contains("__missing__/deep"));
        let none = super::page(&tree, &View { whole: true, missing: None });
        assert!(!none.contains("__missing__"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let name = "</title></bdi><script>\"'&";
        let child = Child {
            no_answer: Some(name.into()),
            node: Some(Box::new(node(name, vec![child(name, Some(false), 1)]))),
            ..child(name, Some(true), 1)
        };
        let hostile = Node { version: name.into(), nginx: name.into(), ..node(name, vec![child]) };
        let page = whole(&hostile);
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
        assert_eq!(page.matches("</title>").count(), 1);
        assert_eq!(page.matches("</bdi>").count(), page.matches("<bdi>").count());
        assert!(page.contains("&lt;/title&gt;&lt;/bdi&gt;&lt;script&gt;&quot;'&amp;"));
    }

    #[test]
    fn numbers_of_others_may_be_anything() {
        let missing = Missing {
            entries: u64::MAX,
            bytes: u64::MAX,
            oldest: Some(u64::MAX),
            unservable: u64::MAX,
        };
        let wild = Child {
            since: Some(u64::MAX),
            deliveries_per_second: f64::MAX,
            bytes_per_second: f64::MAX,
            catch_up: Some(CatchUp { since: 0, done: u64::MAX }),
            missing,
            ..child("a", Some(true), 0)
        };
        let page = content(&node("root", vec![wild.clone()]));
        assert!(page.contains(&format!("<progress value={0} max={0}>", u64::MAX)), "{page}");
        assert_eq!(
            verdict(vec![wild.clone(), wild]),
            "3 nodes: 3 up. 18,446,744,073,709,551,615 entries (18446.7 PB) missing on 2 nodes."
        );
    }

    #[test]
    fn three_hundred_nodes_are_less_than_300_kilobytes() {
        let busy = |i: usize| Child {
            since: Some(NOW - 1_000_000),
            last_delivery: Some(NOW - 10_000),
            deliveries: 123_456,
            sent_bytes: 123_456_789,
            deliveries_per_second: 1.5,
            bytes_per_second: 1e6,
            catch_up: (i % 10 == 0).then_some(CatchUp { since: NOW - 10_000, done: 12 }),
            ..child(&format!("10.0.{}.{}:8080", i / 100, i % 100), Some(i % 10 != 1), i as u64 % 10)
        };
        let flat = whole(&node("root", (0..300).map(busy).collect()));
        assert!(flat.len() < 300_000, "{}", flat.len());
        let groups = |i: usize| parent(&format!("m{i}"), (0..29).map(busy).collect());
        let deep = whole(&node("root", (0..10).map(groups).collect()));
        assert!(deep.len() < 200_000, "{}", deep.len());
    }

    #[test]
    fn nothing_is_from_elsewhere() {
        let page = whole(&node("root", vec![child("a", Some(false), 1)]));
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for reference in ["://", "\"//", " src=", "url(", "@import", " style=", "unsafe-"] {
            assert!(!page.contains(reference), "{reference}\n{page}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
