//! `filedist_missing manage`: POST puts everything into a child's missing log, DELETE drops the log.

use std::path::Path;

use crate::catch_up::provide;
use crate::conf::{Child, LocConf, Site};
use crate::counters::MissingCounts;
use crate::error::Error;
use crate::missing_log;
use crate::nginx::{self, Level, Method, Reply, Request, Status};
use crate::store;

/// The path is that of a child's directory.
pub(super) fn serve(r: Request, conf: &'static LocConf) -> Status {
    nginx::run(r, async move {
        let Some(site) = conf.site() else { return Reply::error(500, "no state directory") };
        let Some(child) = super::child(&r, site) else {
            return Reply::error(
                404,
                "no such child: the path is that of a child's missing log, and the \
                                 child is a server of the upstream",
            );
        };
        let done = match r.method() {
            Method::Delete => drop_log(r, site, child).await,
            _ => begin(r, conf, site, child).await,
        };
        done.unwrap_or_else(|error| {
            r.log(Level::Error, format_args!("{error}"));
            Reply::error(error.status(), &error.reason())
        })
    })
}

async fn begin(
    r: Request,
    conf: &LocConf,
    site: &'static Site,
    child: &'static Child,
) -> Result<Reply, Error> {
    let (path, fsync) = (site.provide(child.name()), conf.fsync());
    let requested = store::blocking(r, move || {
        provide::request(&path, fsync).map_err(Error::io("open", &path))
    });
    let requested = requested.await;
    // Also after an error: it may be requested all the same, or a draft may be left.
    child.provide();
    site.hurry();
    requested?;
    let name = String::from_utf8_lossy(child.name());
    Ok(Reply::text(202, &format!("everything is being put into the missing log of {name}")))
}

async fn drop_log(r: Request, site: &'static Site, child: &'static Child) -> Result<Reply, Error> {
    let (provide, logs, name) =
        (site.provide(child.name()), site.directories().missing, child.name());
    let counts = &child.counts().missing;
    store::blocking(r, move || drop_all(&provide, logs, name, counts)).await?;
    child.leave();
    let name = String::from_utf8_lossy(child.name());
    Ok(Reply::text(200, &format!("the missing log of {name} is dropped")))
}

fn drop_all(
    provide: &Path,
    logs: &Path,
    child: &[u8],
    counts: &MissingCounts,
) -> Result<(), Error> {
    let dropped = provide::cancel(provide, || {
        missing_log::remove(logs, child)?;
        counts.is_empty(nginx::worker::time());
        Ok(())
    });
    dropped.map_err(Error::io("unlink", &missing_log::directory(logs, child)))
}
