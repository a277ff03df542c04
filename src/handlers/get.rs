//! GET and HEAD: the local file, else the children.

use crate::conf::LocConf;
use crate::nginx::{Reply, Request, Status, DECLINED};
use crate::store;

/// nginx's own handler serves what is here; what is not goes to `proxy_pass`, which asks the
/// children in turn. Directories are for nginx's index and autoindex.
pub(super) fn handle(r: Request, conf: &LocConf) -> Status {
    let uri = r.uri();
    if store::is_reserved(uri) {
        return 404;
    }
    let (Some(next), Some(local)) = (conf.next(), conf.static_handler()) else { return DECLINED };
    if uri.ends_with(b"/") {
        return DECLINED;
    }
    match local.call(r) {
        404 => next.call(r),
        status => status,
    }
}

/// 405 with the methods that there are (RFC 9110 section 15.5.6).
pub(crate) fn method_not_allowed(r: Request, methods: &'static str) -> Status {
    r.send(&Reply {
        status: 405,
        content_type: "text/plain",
        headers: vec![("Allow", methods.into())],
        body: format!("error: use {methods}\n").into_bytes(),
    })
}
