//! What a node serves about itself.

mod index;
mod missing;
mod query;
mod readme;
mod status;

use crate::conf::{LocConf, Page};
use crate::error::Error;
use crate::nginx::{Gone, Level, Method, Request, Status};

/// The content handler of a location with a page.
pub(crate) fn dispatch(r: Request) -> Status {
    if !r.is_main() {
        r.log(Level::Error, format_args!("a page of filedist is no part of another answer"));
        return 403;
    }
    let is_from_elsewhere =
        r.header("sec-fetch-site").is_some_and(|site| site != b"same-origin" && site != b"none");
    if r.method() != Method::Get && is_from_elsewhere {
        // A page of a stranger, in the browser of somebody who may (Fetch Metadata).
        r.log(Level::Error, format_args!("a page of another site asks for a change"));
        return 403;
    }
    let conf: &'static LocConf = r.conf();
    match conf.page() {
        Some(Page::Missing) => missing::serve(r, conf),
        Some(Page::Status) => status::serve(r, conf),
        Some(Page::Readme) => readme::serve(r, conf),
        Some(Page::Index) => index::serve(r, conf),
        None => 404,
    }
}

/// Ends an answer of which a part was sent.
fn broken(r: &Request, error: &Error) -> Gone {
    r.log(Level::Error, format_args!("{error}"));
    Gone::broken()
}
