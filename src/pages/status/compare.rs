//! `?compare=CHILD`: how the files of a child differ from those of this node. GET tells, POST also
//! puts what the child lacks, or has in an older version, into its missing log.
//!
//! The child's list of files is fetched into a file without a name. Then both are walked through
//! side by side, so that neither is ever in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::{pread, retry_on_intr};

use crate::catch_up;
use crate::conf::{self, LocConf, Page, Site, Turn};
use crate::error::Error;
use crate::escape;
use crate::fanout::{self, Via};
use crate::index::mapping::Mapping;
use crate::index::{self, Area, Broken, Compare, Difference, Reader, Walk};
use crate::missing_log::{self, Entry};
use crate::nginx::{
    self, Alarm, Ask, Ending, Gone, Level, Method, Reply, Request, Sink, Stream, Subrequest,
};
use crate::pages::broken;
use crate::store::{self, lend, lend_idle, Tombstones};

/// Files of each side that one job in a thread compares.
const STEP: usize = 1000;
/// The most bytes of a child's list: that of some ten million files. One that goes on and on must
/// not fill the disk.
const LIST: u64 = 1024 * 1024 * 1024;
/// Bytes of the child's list that are read at a time.
const PIECE: usize = 64 * 1024;

/// Compares with the child of that name.
pub(super) async fn compare(
    r: Request,
    conf: &'static LocConf,
    site: &'static Site,
    name: &[u8],
) -> Ending {
    let Some(child) = site.child(name) else {
        return refusal(404, "no such child: say compare=NAME, as in its \"server\" line");
    };
    // Each one writes a list to the disk.
    let Some(_turn) = Turn::take(&child.comparing) else {
        return refusal(503, "somebody compares with it just now: try again");
    };
    let list = match fetch(r, conf, site, child).await {
        Ok(list) => list,
        Err((status, why)) => return refusal(status, &why),
    };
    Ending::Sent(match tell(r, site, child, list).await {
        Ok(status) | Err(Gone(status)) => status,
    })
}

fn refusal(status: u16, why: &str) -> Ending {
    Reply::error(status, why).into()
}

/// The child's list of files; or a status, and why there is none.
async fn fetch(
    r: Request,
    conf: &LocConf,
    site: &'static Site,
    child: &conf::Child,
) -> Result<Arc<File>, (u16, String)> {
    let Some(index) = site.server().page(Page::Index) else {
        let why = "this needs \"filedist_index\" here and on the child, at the same path";
        return Err((409, why.into()));
    };
    let directory = site.directories().missing;
    let file = store::blocking(r, move || {
        store::scratch_file(directory).map_err(Error::io("open", directory))
    });
    let file = file.await.map(Arc::new).map_err(|error| {
        r.log(Level::Error, format_args!("{error}"));
        (error.status(), error.reason())
    })?;
    let mut uri = index.to_vec();
    if !uri.ends_with(b"/") {
        uri.push(b'/');
    }
    let via = Via::of(&r).then(&conf.node_name(&r));
    let headers = fanout::headers(r, &[("Filedist-Via", "filedist-via", via)]);
    let upstreams = site.server().upstreams().iter();
    let found = upstreams
        .filter_map(|upstream| {
            let peer = upstream.children().into_iter().find(|one| one.name() == child.name())?;
            Some((peer, site.server().way(*upstream)?))
        })
        .next();
    let (Some(headers), Some((peer, way))) = (headers, found) else {
        return Err((500, "the child cannot be asked".into()));
    };
    let into = Sink::File(Arc::clone(&file), LIST);
    let ask = Ask::Page(nginx::Page { way, uri, args: b"format=list".to_vec(), into });
    let subrequest = Subrequest::start(r, &peer, &ask, &headers);
    let subrequest = subrequest.map_err(|_| (500, "no memory".to_owned()))?;
    r.poll_again();
    let answer = subrequest.ended().await;
    fanout::note(site, child.name(), answer.from_child);
    match (answer.status, answer.from_child) {
        (200, true) => whole(r, file).await,
        (404, true) => Err((
            502,
            "the child has no index: it needs \"filedist_index\" at the same path".into(),
        )),
        (504, false) => Err((504, "the child does not answer in time".into())),
        (status, true) => Err((502, format!("the child's index says {status}"))),
        (_, false) => Err((502, "the child cannot be reached".into())),
    }
}

/// A list without its end is refused: what it lacks would be taken for missing.
async fn whole(r: Request, file: Arc<File>) -> Result<Arc<File>, (u16, String)> {
    let checked = store::blocking(r, move || {
        let length = file.metadata().map_err(Error::io("fstat", "a list".as_ref()))?.len();
        let mut last = vec![0; length.min(32) as usize];
        let read = file.read_exact_at(&mut last, length.saturating_sub(32));
        read.map_err(Error::io("read", "a list".as_ref()))?;
        let lines = last.strip_suffix(b"\n").map(|text| text.rsplit(|&byte| byte == b'\n'));
        let line = lines.and_then(|mut lines| lines.next());
        Ok((line.is_some_and(|line| line.starts_with(b"end ")), file))
    });
    match checked.await {
        Ok((true, file)) => Ok(file),
        Ok((false, _)) => {
            Err((502, "the child's list breaks off, or is none: see its error log".into()))
        }
        Err(error) => Err((error.status(), error.reason())),
    }
}

/// Sends a line a difference, and in the end what they come to.
async fn tell(
    r: Request,
    site: &'static Site,
    child: &'static conf::Child,
    list: Arc<File>,
) -> Result<nginx::Status, Gone> {
    let repair = r.method() == Method::Post;
    let mut stream = Stream::start(r, "text/plain", &[("Cache-Control", b"no-store".to_vec())])?;
    let name = child.name();
    let (areas, mapping) = site.server().areas_there(name);
    let directory = site.directories().missing;
    let mut comparison = Comparison {
        walk: Walk::new(Arc::clone(&areas), b"/", None, directory.into())
            .excluding(site.server().excluded()),
        areas,
        mapping,
        tombstones: site.tombstones(),
        list,
        offset: 0,
        reader: Reader::default(),
        compare: Compare::default(),
        child: name,
        owed: Vec::new(),
        text: String::new(),
        sums: Sums::default(),
    };
    let alarm = Alarm::lasting(r);
    loop {
        let step = lend_idle(r, comparison, Comparison::step).await;
        let (again, mut step) = step.map_err(|error| broken(&r, &error))?;
        comparison = again;
        let ends = matches!(step, Ok(true));
        if repair && step.is_ok() && (ends || !comparison.owed.is_empty()) {
            let appended = lend(r, comparison, move |it| it.append(directory, ends)).await;
            let (again, appended) = appended.map_err(|error| broken(&r, &error))?;
            comparison = again;
            match appended {
                Ok(Appended { entries: 0, .. }) => {}
                Ok(Appended { entries, bytes }) => catch_up::appended(site, child, entries, bytes),
                Err(error) => {
                    // They are not what would be read from it.
                    comparison.text.clear();
                    step = Err(error);
                }
            }
        }
        stream.write(comparison.text.as_bytes()).await?;
        match step {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                stream.write(format!("error: {}\n", reason(&error)).as_bytes()).await?;
                return Err(broken(&r, &error));
            }
        }
        alarm.step_aside().await;
    }
    if let Some(problem) = comparison.walk.problem() {
        stream.write(format!("error: {problem}\n").as_bytes()).await?;
        return Err(broken(&r, &problem.error));
    }
    stream.write(comparison.sums.text(repair).as_bytes()).await?;
    Ok(stream.finish())
}

/// For the client: what is wrong with the child's list is not this node's affair.
fn reason(error: &Error) -> String {
    match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
            format!("the child's list: {source}")
        }
        _ => error.reason(),
    }
}

struct Comparison {
    walk: Walk,
    /// By the paths that the files have on the child.
    areas: Arc<[Area]>,
    mapping: Mapping,
    tombstones: Tombstones,
    list: Arc<File>,
    /// How much of it is read.
    offset: u64,
    reader: Reader,
    compare: Compare,
    child: &'static [u8],
    /// What it is owed, of the last step; what it has more may be one that was deleted here.
    owed: Vec<Difference>,
    /// What is to be sent.
    text: String,
    sums: Sums,
}

/// Differences of each kind.
#[derive(Default)]
struct Sums {
    files: u64,
    missing: u64,
    older: u64,
    newer: u64,
    extra: u64,
    differs: u64,
    appended: u64,
}

/// Entries put into the missing log, and the bytes of their files.
struct Appended {
    entries: u64,
    bytes: u64,
}

impl Comparison {
    /// True at the end.
    fn step(&mut self) -> Result<bool, Error> {
        self.text.clear();
        self.owed.clear();
        if self.compare.here.is_waiting() {
            let step = self.walk.next(STEP).map_err(Error::io("read", "a list".as_ref()))?;
            self.sums.files += step.files.len() as u64;
            self.compare.here.push(step.files, step.end);
        }
        if self.compare.there.is_waiting() {
            self.read().map_err(Error::io("read", "the child's list".as_ref()))?;
        }
        while let Some(difference) = self.compare.next() {
            self.sums.add(&difference);
            let file = difference.file();
            let path = self.here(file);
            self.text += &format!("{} {}\n", difference.word(), escape::percent(&path));
            if difference.is_owed() || matches!(difference, Difference::Extra(_)) {
                self.owed.push(difference);
            }
        }
        Ok(self.compare.is_done())
    }

    /// The next piece of the child's list.
    fn read(&mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let length = retry_on_intr(|| pread(&self.list, &mut *piece, self.offset))?;
        self.offset += length as u64;
        let invalid = |Broken(why)| io::Error::new(io::ErrorKind::InvalidData, why);
        if length == 0 {
            self.reader.end().map_err(invalid)?;
        }
        let mut files =
            self.reader.read(piece.get(..length).unwrap_or_default()).map_err(invalid)?;
        // What no path here leads to is not this node's affair.
        files.retain(|file| self.mapping.here(&file.path).is_some());
        self.compare.there.push(files, length == 0);
        Ok(())
    }

    /// The path of a file on this node.
    fn here<'a>(&self, file: &'a index::File) -> Cow<'a, [u8]> {
        self.mapping.here(&file.path).unwrap_or(Cow::Borrowed(&file.path))
    }

    /// Puts what the child is owed into its missing log.
    fn append(&mut self, logs: &Path, end: bool) -> Result<Appended, Error> {
        let time = fanout::now();
        let (mut owed, mut bytes) = (Vec::new(), 0);
        for difference in &self.owed {
            let (file, reason) = (difference.file(), difference.word());
            let deleted = !difference.is_owed();
            let version = match deleted {
                false => file.version,
                true => match self.deleted(file)? {
                    Some(version) => version,
                    None => continue,
                },
            };
            bytes += if deleted { 0 } else { file.size };
            owed.push((self.here(file), deleted, version, reason));
        }
        let entries: Vec<Entry<'_>> = owed
            .iter()
            .map(|(path, deleted, version, reason)| Entry {
                time,
                deleted: *deleted,
                path,
                version: *version,
                reason,
                context: "",
            })
            .collect();
        let write = || {
            missing_log::append_all(logs, self.child, time, &entries)?;
            if end {
                missing_log::sync(logs, self.child, &time)?;
            }
            Ok(())
        };
        write().map_err(Error::io("write", &missing_log::directory(logs, self.child)))?;
        self.sums.appended += entries.len() as u64;
        Ok(Appended { entries: entries.len() as u64, bytes })
    }

    /// The version of the DELETE that a file of the child has missed, if it was deleted here in this
    /// version or a newer one. What was evicted here is not deleted.
    fn deleted(&self, file: &index::File) -> Result<Option<u64>, Error> {
        let Some(path) = index::locate(&self.areas, &file.path) else { return Ok(None) };
        let version = self.tombstones.get(&path).map_err(Error::io("readlink", &path))?;
        Ok(version.filter(|&version| version >= file.version))
    }
}

impl Sums {
    fn add(&mut self, difference: &Difference) {
        *match difference {
            Difference::Missing(_) => &mut self.missing,
            Difference::Older(_) => &mut self.older,
            Difference::Newer(_) => &mut self.newer,
            Difference::Extra(_) => &mut self.extra,
            Difference::Differs(_) => &mut self.differs,
        } += 1;
    }

    fn text(&self, repair: bool) -> String {
        let Sums { files, missing, older, newer, extra, differs, appended } = self;
        let mut text = match missing + older + newer + extra + differs {
            0 => format!("same: {files} files\n"),
            _ => format!(
                "different: of {files} files here {missing} missing, {older} older, {newer} newer, \
                 {differs} of another size; {extra} extra\n"
            ),
        };
        if repair && *appended > 0 {
            text += &format!("{appended} are in its missing log now\n");
        }
        text
    }
}
