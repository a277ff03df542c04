//! GET and HEAD: the local file, else the children.

use super::NOT_CONFIGURED;
use crate::conf::LocConf;
use crate::error::Error;
use crate::fanout::Via;
use crate::nginx::{Handler, Headers, Level, Reply, Request, Status, DECLINED};
use crate::store::{self, Present, Target, Wanted};

/// nginx's own handlers serve what is here; what is not goes to `proxy_pass`, which asks the
/// children in turn. Directories are for nginx's index and autoindex.
pub(super) fn handle(r: Request, conf: &LocConf) -> Status {
    let uri = r.uri();
    if store::is_reserved(uri) {
        return 404;
    }
    if let Some(version) = r.header("filedist-version") {
        return for_parent(r, conf, version);
    }
    if let Some(version) = r.header("filedist-newer") {
        match is_newer(r, conf, version) {
            Ok(true) => {}
            Ok(false) => return conf.next().map_or(404, |next| ask_children(r, conf, next)),
            Err(error) => return refuse(r, &error),
        }
    }
    let mut status = conf.media().map_or(DECLINED, |media| media.call(r));
    let Some(next) = conf.next() else { return status };
    if status == DECLINED && !uri.ends_with(b"/") {
        status = r.serve_here();
    }
    match status {
        404 => ask_children(r, conf, next),
        status => status,
    }
}

/// A parent's catch-up asks: HEAD, whether this version or a newer one is here (204, 404); GET, for
/// the file with its version.
fn for_parent(r: Request, conf: &LocConf, version: &[u8]) -> Status {
    answer_parent(r, conf, version).unwrap_or_else(|error| refuse(r, &error))
}

fn refuse(r: Request, error: &Error) -> Status {
    r.log(Level::Info, format_args!("{error}"));
    i32::from(error.status()) as Status
}

/// A parent that has deleted the file asks for one that was stored after that. Whether this node has
/// one, or a directory in its place.
fn is_newer(r: Request, conf: &LocConf, version: &[u8]) -> Result<bool, Error> {
    let tombstones = conf.site().ok_or(NOT_CONFIGURED)?.tombstones();
    let Wanted::Exactly(deleted) = Wanted::of_header(Some(version))? else { return Ok(true) };
    match Target::of(&r)?.present(&tombstones) {
        Ok(Present::File(version)) => Ok(version > deleted),
        Ok(Present::Nothing | Present::Deleted(_)) => Ok(false),
        Err(_) => Ok(true),
    }
}

/// The DELETE after which a file must have been stored that is not here: that of this node, or that of
/// the parent that asks.
fn deleted(r: &Request, conf: &LocConf) -> Option<u64> {
    let here = || {
        let tombstones = conf.site()?.tombstones();
        Target::of(r).ok()?.buried(&tombstones).ok()?.version()
    };
    let above = || match Wanted::of_header(r.header("filedist-newer")) {
        Ok(Wanted::Exactly(version)) => Some(version),
        _ => None,
    };
    here().max(above())
}

fn answer_parent(r: Request, conf: &LocConf, version: &[u8]) -> Result<Status, Error> {
    let Wanted::Exactly(version) = Wanted::of_header(Some(version))? else { return Ok(404) };
    let target = Target::of(&r)?;
    if r.is_head() {
        let tombstones = conf.site().ok_or(NOT_CONFIGURED)?.tombstones();
        let present = match target.present(&tombstones) {
            Err(Error::IsDirectory | Error::BelowFile) => return Ok(404),
            other => other?.version(),
        };
        let there = present.filter(|&there| there >= version);
        return Ok(there.map_or(404, |there| {
            r.send(&Reply {
                status: 204,
                content_type: "",
                headers: vec![("Filedist-Version", store::to_header(there))],
                body: Vec::new(),
            })
        }));
    }
    match (target.open()?, conf.next()) {
        (Some((file, version)), _) => {
            let version = store::to_header(version);
            Ok(r.send_file(file, vec![("Filedist-Version", version)]))
        }
        (None, Some(next)) => Ok(ask_children(r, conf, next)),
        (None, None) => Ok(404),
    }
}

/// Passes the request on, without a body: nginx would keep it on disk and send it to the children.
/// It carries the nodes that it has come through, as a change does: in a loop of nodes a missing
/// file would be asked for until no connection is left. Where the file was deleted, the children are
/// asked for a newer one: who has not got the DELETE yet still has the old one.
fn ask_children(r: Request, conf: &LocConf, next: Handler) -> Status {
    let node = conf.node_name(&r);
    let via = Via::of(&r);
    let been_here = via.names(&node);
    // A subrequest of another module has the client's header fields, to which this node has
    // added itself if it has asked for another file before.
    if been_here && r.is_main() {
        let error = via.loop_at(&node);
        r.log(Level::Error, format_args!("{error}"));
        return i32::from(error.status()) as Status;
    }
    let (mut drop, mut add) = (vec!["filedist-newer"], Vec::new());
    if !been_here {
        drop.push("filedist-via");
        add.push(("Filedist-Via", "filedist-via", via.then(&node)));
    }
    if let Some(version) = deleted(&r, conf) {
        add.push(("Filedist-Newer", "filedist-newer", store::to_header(version)));
    }
    match Headers::derive(r, &drop, &add) {
        Ok(headers) => r.set_headers(&headers),
        Err(_) => return 500,
    }
    if let (Some(site), Some(upstream)) = (conf.site(), conf.upstream()) {
        site.welcome_back(upstream);
    }
    next.call_without_body(r)
}

/// 405 with the methods that there are (RFC 9110 section 15.5.6).
pub(crate) fn method_not_allowed(r: Request, methods: &'static str) -> Status {
    r.send(&Reply {
        headers: vec![("Allow", methods.into())],
        ..Reply::error(405, &format!("use {methods}"))
    })
}
