//! DELETE: the local file first, then the children.

use std::rc::Rc;

use super::{commit, failure, receipt};
use crate::conf::LocConf;
use crate::error::Error;
use crate::fanout::{Change, Fanout};
use crate::nginx::{Ask, Body, Broken, Reply, Request};
use crate::receipt::Outcome;
use crate::store::{self, Removed, Target, Wanted};

pub(super) async fn handle(
    r: Request,
    conf: &'static LocConf,
    change: &Rc<Change>,
) -> Result<Reply, Error> {
    change.check_loop()?;
    if r.content_length().unwrap_or(0) > 0 {
        return Err(Error::UnexpectedBody);
    }
    if r.is_chunked() {
        // An HTTP/2 stream may end after its head without having said so there.
        let mut body = Body::read(r).map_err(|Broken(status)| Error::Body(status))?;
        if body.next().await.map_err(|Broken(status)| Error::Body(status))?.is_some() {
            return Err(Error::UnexpectedBody);
        }
    }
    let target = Target::of(&r)?;
    let wanted = Wanted::of_header(r.header("filedist-version"))?;
    let commit = commit(conf, change)?;
    let removed = store::blocking(r, move || store::remove(&target, wanted, commit)).await?;
    change.set_version(removed.version);

    let (status, outcome) = match (&removed.unsynced, removed.what) {
        (Some(error), _) => failure(&r, change, error),
        (None, Removed::Deleted) => (200, Outcome::Deleted),
        (None, Removed::Absent | Removed::Unchanged) => (404, Outcome::Absent),
        (None, Removed::Superseded) => (200, Outcome::Superseded),
    };
    let fanout = matches!(removed.what, Removed::Deleted | Removed::Absent).then(|| {
        let mut fanout = Fanout::start(r, conf, change, &Ask::Delete);
        fanout.accepted(removed.intent);
        fanout
    });
    Ok(receipt(change, status, outcome, fanout).await)
}
