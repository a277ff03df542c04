//! `filedist_missing`: the missing logs, for people and for `wget --recursive`.
//!
//! The logs themselves are files that nginx's static handler serves. A directory is a page of
//! links to what is in it and to nothing else: wget must not climb to the logs of other children.

mod manage;

use std::fs;
use std::io;

use crate::conf::{Child, LocConf, Site};
use crate::escape;
use crate::handlers::method_not_allowed;
use crate::nginx::{self, Level, Method, Reply, Request, Status, DECLINED};

/// The content handler of a location with `filedist_missing`.
pub(super) fn serve(r: Request, conf: &'static LocConf) -> Status {
    match (r.method(), conf.manages()) {
        (Method::Get, _) => {}
        (Method::Post | Method::Delete, true) => return manage::serve(r, conf),
        (_, true) => return method_not_allowed(r, "GET, HEAD, POST, DELETE"),
        (_, false) => return method_not_allowed(r, "GET, HEAD"),
    }
    if is_hidden(r.uri()) {
        return 404;
    }
    if !r.uri().ends_with(b"/") {
        // wget follows links in HTML only.
        r.set_content_type("text/html");
        return DECLINED;
    }
    let Ok((path, root)) = r.map_to_path() else { return 500 };
    let is_top = path.get(root..).is_none_or(|below| below.iter().all(|&byte| byte == b'/'));
    match names(path) {
        Ok(names) => r.send(&page(&names)),
        // Nothing was ever missing.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && (is_top || conf.site().is_some_and(|site| child(&r, site).is_some())) =>
        {
            r.send(&page(&[]))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => 404,
        Err(error) => {
            let shown = nginx::path(path).display();
            r.log(Level::Error, format_args!("opendir() \"{shown}\" failed: {error}"));
            500
        }
    }
}

/// The child whose log the path is that of, whether or not there is one.
fn child<'a>(r: &Request, site: &'a Site) -> Option<&'a Child> {
    let name = r.below_location();
    site.child_of_log(name.strip_suffix(b"/").unwrap_or(name))
}

/// The names in a directory, sorted; those of directories end with a slash. A directory here has
/// an entry for each child or for each day.
fn names(path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(nginx::path(path))? {
        let entry = entry?;
        let mut name = entry.file_name().into_encoded_bytes();
        if is_hidden(&name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            name.push(b'/');
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

/// The copy of a log that is being written.
fn is_hidden(path: &[u8]) -> bool {
    path.rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(b"."))
}

fn page(names: &[Vec<u8>]) -> Reply {
    let mut body = b"<!DOCTYPE html>\n<title>missing log</title>\n".to_vec();
    if names.is_empty() {
        body.extend(b"nothing is missing\n");
    }
    for name in names {
        // "./": the colon in "10.0.0.3:8080/" would end the scheme of a URL.
        body.extend(b"<a href=\"./");
        body.extend(escape::percent(name).bytes());
        body.extend(b"\">");
        body.extend(escape::html(name));
        body.extend(b"</a><br>\n");
    }
    Reply { status: 200, content_type: "text/html", headers: Vec::new(), body }
}
