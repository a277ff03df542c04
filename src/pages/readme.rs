//! `filedist_readme`: the commands of a node, with its own address, paths and children, to be
//! copied into a shell.

use std::fmt::Write;

use crate::conf::{LocConf, Page, Site};
use crate::escape;
use crate::handlers::method_not_allowed;
use crate::missing_log;
use crate::nginx::{Method, Reply, Request, Status};

/// The content handler of a location with `filedist_readme`.
pub(super) fn serve(r: Request, conf: &LocConf) -> Status {
    if r.method() != Method::Get {
        return method_not_allowed(r, "GET, HEAD");
    }
    let Some(site) = conf.site() else { return 500 };
    let readme = Readme {
        node: String::from_utf8_lossy(&conf.node_name(&r)).into_owned(),
        url: url(&r),
        files: files(site),
        missing: page(site, Page::Missing),
        index: page(site, Page::Index),
        status: page(site, Page::Status),
        manages: site.server().manages(Page::Missing),
        compares: site.server().manages(Page::Status),
        children: site.children().take(CHILDREN).map(|child| child.name()).map(Child::of).collect(),
        others: site.children().skip(CHILDREN).count(),
        root: root(site),
    };
    r.send(&Reply {
        status: 200,
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
        body: readme.text().into_bytes(),
    })
}

/// How the client has reached this node.
fn url(r: &Request) -> String {
    let is_plain = |host: &&[u8]| {
        // It goes into a shell.
        !host.is_empty()
            && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(byte))
    };
    let host = r.header("host").filter(is_plain).map(<[u8]>::to_vec);
    let host = host.unwrap_or_else(|| r.server_address());
    format!("{}://{}", r.scheme(), String::from_utf8_lossy(&host))
}

/// The path that files are stored below: the first of those that have children, else the first.
fn files(site: &Site) -> String {
    let locations = || {
        let locations = site.server().locations().iter();
        locations.filter(|it| it.directory.is_some() && it.prefix.ends_with(b"/"))
    };
    let first = locations().find(|it| it.upstream.is_some()).or_else(|| locations().next());
    escape::percent(first.map_or(&b"/"[..], |it| &it.prefix))
}

/// The directory that they are in, for a shell.
fn root(site: &Site) -> Option<String> {
    let prefix = files(site);
    let location =
        site.server().locations().iter().find(|it| escape::percent(&it.prefix) == prefix)?;
    Some(quoted(&location.directory.as_ref()?.to_string_lossy()))
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._+,:=@".contains(c);
    match word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn page(site: &Site, page: Page) -> Option<String> {
    site.server().page(page).map(escape::percent)
}

/// The most children that commands are printed for.
const CHILDREN: usize = 10;

/// A child's names, percent-encoded.
struct Child {
    name: String,
    /// That of its missing log.
    log: String,
}

impl Child {
    fn of(name: &[u8]) -> Child {
        let log = missing_log::directory_name(name);
        Child { name: escape::percent(name), log: escape::percent(log.as_bytes()) }
    }
}

struct Readme {
    node: String,
    /// Scheme, host and port.
    url: String,
    /// A path with a slash at its end; so are the next three, where there is such a page.
    files: String,
    missing: Option<String>,
    index: Option<String>,
    status: Option<String>,
    manages: bool,
    compares: bool,
    children: Vec<Child>,
    /// How many there are besides.
    others: usize,
    /// Quoted for a shell.
    root: Option<String>,
}

impl Readme {
    /// Lines that begin with `#` are text, all others are commands.
    fn text(&self) -> String {
        let Readme { node, url, files, .. } = self;
        let node: String = node.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut text = format!("# {node}: files at {url}{files}");
        match self.children.len() + self.others {
            0 => text += ", no children.\n",
            1 => text += ", 1 child.\n",
            n => _ = writeln!(text, ", {n} children."),
        }
        self.change(&mut text);
        self.look(&mut text);
        self.catch_up(&mut text);
        self.provide(&mut text);
        if self.others > 0 {
            _ = writeln!(text, "\n# Likewise for {} more children.", self.others);
        }
        if let Some(root) = &self.root {
            text += "\n# Remove directories that have become empty, on this node:\n";
            _ = writeln!(text, "find {root} -mindepth 1 -type d -empty -delete");
        }
        text
    }

    fn change(&self, text: &mut String) {
        let file = format!("{}{}filedist-example.txt", self.url, self.files);
        *text +=
            "\n# Store a file here and on all nodes below. What became of it is a line a node:\n";
        *text += "echo hello > /tmp/filedist-example.txt\n";
        _ = writeln!(text, "curl -T /tmp/filedist-example.txt {file}");
        *text += "\n# The same, told in JSON:\n";
        _ = writeln!(
            text,
            "curl -H 'Accept: application/json' -T /tmp/filedist-example.txt {file}; echo"
        );
        *text += "\n# Read it, wherever it is:\n";
        _ = writeln!(text, "curl {file}");
        *text += "\n# Delete it everywhere:\n";
        _ = writeln!(text, "curl -X DELETE {file}");
    }

    fn look(&self, text: &mut String) {
        let url = &self.url;
        if let Some(status) = &self.status {
            *text += "\n# How this node and its children are; the whole tree (in a browser, too); for Prometheus:\n";
            _ = writeln!(text, "curl '{url}{status}?format=json'");
            _ = writeln!(text, "curl '{url}{status}?tree&format=json'");
            _ = writeln!(text, "curl '{url}{status}?format=prometheus'");
            *text += "\n# Whether the whole tree has the same files:\n";
            _ = writeln!(text, "curl '{url}{status}?digest&tree'");
        }
        if let Some(index) = &self.index {
            *text += "\n# All files of this node, for people, programs and scripts:\n";
            _ = writeln!(text, "curl {url}{index}");
            _ = writeln!(text, "curl '{url}{index}?format=json'");
            _ = writeln!(text, "curl '{url}{index}?format=txt'");
        }
    }

    fn catch_up(&self, text: &mut String) {
        let (url, Some(missing)) = (&self.url, &self.missing) else { return };
        if self.children.is_empty() {
            return;
        }
        *text += "\n# What the children lack. They get it by themselves when they are back:\n";
        _ = writeln!(text, "curl {url}{missing}");
        *text += "\n# Fetch it by hand on a child whose nginx does not run, in the directory of its files:\n";
        for Child { log, .. } in &self.children {
            _ = writeln!(
                text,
                "wget -q --recursive --level=2 -nH -N --unlink -e robots=off \
                 --restrict-file-names=nocontrol {url}{missing}{log}/"
            );
        }
        // As wget names it.
        let directory = escape::unpercent(missing.trim_matches('/').as_bytes()).unwrap_or_default();
        if !directory.is_empty() {
            let directory = quoted(&format!("./{}", String::from_utf8_lossy(&directory)));
            _ = writeln!(text, "rm -rf {directory}");
        }
    }

    fn provide(&self, text: &mut String) {
        let url = &self.url;
        if let (Some(missing), true) = (&self.missing, self.manages) {
            for Child { name, log } in &self.children {
                _ = write!(
                    text,
                    "\n# {name} is new, or has lost its files: give it everything that it has not got:\n\
                     curl -X POST {url}{missing}{log}/\n\
                     # It need not get what it has missed:\n\
                     curl -X DELETE {url}{missing}{log}/\n"
                );
            }
        }
        if let (Some(status), Some(_)) = (&self.status, &self.index) {
            for Child { name: child, .. } in &self.children {
                _ = write!(
                    text,
                    "\n# How the files of {child} differ from those of this node:\n\
                     curl '{url}{status}?compare={child}'\n"
                );
                if self.compares {
                    _ = write!(
                        text,
                        "# Have it get what it lacks, or has in an older version:\n\
                         curl -X POST '{url}{status}?compare={child}'\n"
                    );
                }
            }
        }
    }
}
