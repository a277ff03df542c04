//! `filedist_index`: the list of all files of the node, or of those below a directory.
//!
//! An operator may have put lists of his own below the location's root. What has no slash at its
//! end is such a file. A directory with an `index.html`, where no form is asked for, and one that is
//! none of the files', are left to nginx's own index and autoindex.

use std::sync::Arc;

use super::broken;
use super::query::Query;
use crate::conf::{LocConf, Site};
use crate::error::Error;
use crate::handlers::method_not_allowed;
use crate::index::{is_there, Area, Form, Walk};
use crate::nginx::{self, Alarm, Ending, Gone, Method, Reply, Request, Status, Stream, DECLINED};
use crate::store::lend_idle;

/// Files that one job in a thread lists. With hundreds of them, a GET that comes meanwhile waits longer; with
/// fewer, the list takes longer.
const STEP: usize = 40;

/// The content handler of a location with `filedist_index`.
pub(super) fn serve(r: Request, conf: &'static LocConf) -> Status {
    if r.method() != Method::Get {
        return method_not_allowed(r, "GET, HEAD");
    }
    if !r.uri().ends_with(b"/") {
        return DECLINED;
    }
    let Ok((path, _)) = r.map_to_path() else { return 500 };
    let format = Query::new(r.args()).value("format");
    if format.is_none() && nginx::path(path).join("index.html").is_file() {
        return DECLINED;
    }
    let Some(site) = conf.site() else { return 500 };
    let Some(form) = Form::of(format.as_deref()) else {
        return r.send(&Reply::error(400, "format is html, json or txt"));
    };
    let below = [b"/", r.below_location()].concat();
    let areas = site.server().areas(|_| true);
    if !is_there(&areas, &below) {
        return DECLINED;
    }
    nginx::run(r, async move {
        Ending::Sent(match list(r, site, &areas, &below, form).await {
            Ok(status) | Err(Gone(status)) => status,
        })
    })
}

/// Lists the files while it walks. What cannot be read ends the list without its end, for one that
/// silently lacks files would be taken for the truth.
async fn list(
    r: Request,
    site: &'static Site,
    areas: &Arc<[Area]>,
    below: &[u8],
    form: Form,
) -> Result<Status, Gone> {
    let mut text = Vec::new();
    form.begin(below, &mut text);
    let mut stream = Stream::start(r, form.media_type(), &[])?;
    stream.write(&text).await?;
    let scratch = site.directories().missing.into();
    let walk =
        Walk::new(Arc::clone(areas), below, None, scratch).excluding(site.server().excluded());
    let mut list = List { walk, form, text, files: 0 };
    let alarm = Alarm::lasting(r);
    loop {
        let step = lend_idle(r, list, List::step).await;
        let (again, end) = step.map_err(|error| broken(&r, &error))?;
        list = again;
        stream.write(&list.text).await?;
        if end.map_err(|error| broken(&r, &error))? {
            break;
        }
        alarm.step_aside().await;
    }
    if let Some(problem) = list.walk.problem() {
        return Err(broken(&r, &problem.error));
    }
    list.text.clear();
    form.end(list.files, &mut list.text);
    stream.write(&list.text).await?;
    Ok(stream.finish())
}

struct List {
    walk: Walk,
    form: Form,
    /// What is to be sent.
    text: Vec<u8>,
    files: u64,
}

impl List {
    /// Some more files. True at the end.
    fn step(&mut self) -> Result<bool, Error> {
        self.text.clear();
        let step = self.walk.next(STEP).map_err(Error::io("read", "a list of files".as_ref()))?;
        for file in &step.files {
            self.form.file(file, &mut self.text);
        }
        self.files += step.files.len() as u64;
        Ok(step.end)
    }
}
