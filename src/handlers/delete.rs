//! DELETE: the local file first, then the children.

use std::rc::Rc;

use super::{blocking, receipt};
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
    let zone = conf.zone().ok_or(Error::Internal("no shared memory"))?;
    let target = Target::of(&r)?;
    let wanted = Wanted::of_header(r.header("filedist-version"))?;
    let (removed, version) = blocking(r, move || store::remove(&target, wanted, zone)).await?;
    change.set_version(version);

    let mut fanout = Fanout::start(r, conf, change, &Ask::Delete);
    fanout.accepted();

    let (status, outcome) = match removed {
        Removed::Deleted => (200, Outcome::Deleted),
        Removed::Absent => (404, Outcome::Absent),
        Removed::Superseded => (200, Outcome::Superseded),
    };
    Ok(receipt(change, status, outcome, fanout).await)
}
