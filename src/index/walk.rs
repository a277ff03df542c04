//! The walk itself: from directory to directory, in the order of the URL paths.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::area;
use super::directory::{Directory, First};
use super::problem::{is_absence, Problem};
use super::sorted::{Limits, Names, LIMITS};
use super::{Area, File, Step};
use crate::store::version_of;

/// How long a step works, about.
const SLICE: Duration = Duration::from_millis(20);

/// Bytes of paths in a step: as many as there may be, and one path more.
const PATHS: usize = 64 * 1024;

/// What fsck has found, at the top of an ext file system: for root alone.
const LOST_FOUND: &[u8] = b"lost+found/";

/// How many entries of a directory are read between two looks at the clock.
const PIECE: usize = 128;

/// All files below a URL directory, in the order of their paths, byte by byte. Within a directory
/// that is the order of names, where the name of a directory ends with a slash.
///
/// A symbolic link to a file is that file, as for GET. One to a directory is not followed: a loop
/// would never end. What is neither is left out, as are names that are reserved, and what vanishes
/// while the walk is under way. What comes or goes meanwhile may be seen or not.
///
/// It may be moved to another thread between two steps.
pub(crate) struct Walk {
    areas: Arc<[Area]>,
    after: Option<Vec<u8>>,
    phase: Phase,
    /// From the directory where the walk began to the one that is listed, which is on top.
    levels: Vec<Level>,
    /// The names of each level that are left.
    names: Names,
    /// The URL path of the directory on top, and of what is looked at in it.
    url: Vec<u8>,
    /// The same on the disk. Where an area begins, its directory stands behind the path of the
    /// level below.
    disk: Vec<u8>,
    name: Vec<u8>,
    problem: Option<Problem>,
    slice: Duration,
    /// Names that are left out, with all below them.
    exclude: Arc<[Vec<u8>]>,
}

enum Phase {
    /// Nothing has been done yet.
    Start,
    /// The names in the directory on top are read.
    Reading(Directory),
    /// They are sorted.
    Sorting,
    /// They are looked at, one after the other.
    Listing,
    /// There are no more.
    End,
    /// The scratch file could not be written or read.
    Failed,
}

/// A directory.
struct Level {
    /// The length of its path in `url`, and of all that is in `disk`.
    url: usize,
    disk: usize,
    /// Where in `disk` its path begins, and where the directory of its area ends. `None`: it is
    /// there for what areas put below it.
    area: Option<(usize, usize)>,
    /// Areas put something below it.
    has_mounts: bool,
}

impl Walk {
    /// The files below the URL directory `below`, which ends with a slash, from the first one
    /// that comes after the path `after`; it need not exist. What comes before is not read.
    /// `scratch` is a directory in which an unnamed file may be made.
    pub(crate) fn new(
        areas: Arc<[Area]>,
        below: &[u8],
        after: Option<Vec<u8>>,
        scratch: PathBuf,
    ) -> Walk {
        Walk::within(LIMITS, SLICE, areas, below, after, scratch)
    }

    /// Leaves out what has one of these names, or is below it (`filedist_index exclude=`).
    pub(crate) fn excluding(self, names: Arc<[Vec<u8>]>) -> Walk {
        Walk { exclude: names, ..self }
    }

    pub(super) fn within(
        limits: Limits,
        slice: Duration,
        areas: Arc<[Area]>,
        below: &[u8],
        after: Option<Vec<u8>>,
        scratch: PathBuf,
    ) -> Walk {
        Walk {
            areas,
            after,
            phase: Phase::Start,
            levels: Vec::new(),
            names: Names::new(limits, scratch),
            url: below.to_vec(),
            exclude: Arc::new([]),
            disk: Vec::new(),
            name: Vec::new(),
            problem: None,
            slice,
        }
    }

    /// The next files: `limit` of them (not 0), or about 64 KB of paths, or what is found in about 20 ms,
    /// which may be none. It fails where the scratch file cannot be written or read; then the walk
    /// is over.
    pub(crate) fn next(&mut self, limit: usize) -> io::Result<Step> {
        let start = Instant::now();
        let (mut files, mut paths) = (Vec::new(), 0);
        while files.len() < limit && paths < PATHS && !matches!(self.phase, Phase::End) {
            match self.work() {
                Ok(None) => {}
                Ok(Some(file)) => {
                    paths += file.path.len();
                    files.push(file);
                }
                Err(error) => {
                    self.phase = Phase::Failed;
                    return Err(error);
                }
            }
            if start.elapsed() >= self.slice {
                break;
            }
        }
        Ok(Step { files, end: matches!(self.phase, Phase::End) })
    }

    /// What could not be read so far.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// A piece of work.
    fn work(&mut self) -> io::Result<Option<File>> {
        match &mut self.phase {
            Phase::Start => self.start()?,
            Phase::Reading(..) => self.read()?,
            Phase::Sorting => {
                if self.names.sort()? {
                    self.phase = Phase::Listing;
                }
            }
            Phase::Listing => return self.list(),
            Phase::End => {}
            Phase::Failed => return Err(io::Error::other("the walk has failed before")),
        }
        Ok(None)
    }

    fn start(&mut self) -> io::Result<()> {
        self.phase = Phase::End;
        if let Some(after) = &self.after {
            if !after.starts_with(&self.url) {
                if *after > self.url {
                    return Ok(());
                }
                self.after = None;
            }
        }
        if !area::is_listed(&self.url)
            || self.url.split(|&byte| byte == b'/').any(|it| self.excludes(it))
        {
            return Ok(());
        }
        let place = area::directory(&self.areas, &self.url);
        let area = place.map(|place| {
            self.disk = area::with_slash(&place.base);
            let base = self.disk.len();
            self.disk.extend(place.rest);
            (0, base)
        });
        self.enter(area, true)
    }

    /// Opens the directory that `url` and `disk` name, and puts it on top.
    fn enter(&mut self, area: Option<(usize, usize)>, may_have_mounts: bool) -> io::Result<()> {
        let has_mounts = may_have_mounts && area::names(&self.areas, &self.url).next().is_some();
        let level = Level { url: self.url.len(), disk: self.disk.len(), area, has_mounts };
        self.levels.push(level);
        self.names.push();
        let first = First::of(self.after.as_deref(), &self.url);
        if has_mounts {
            for name in area::names(&self.areas, &self.url).filter(|name| first.wants(name)) {
                if !self.excludes(name) {
                    self.names.add(name)?;
                }
            }
        }
        self.phase = Phase::Sorting;
        if let Some((start, _)) = area {
            match Directory::open(path(&self.disk[start..]), first) {
                Ok(directory) => self.phase = Phase::Reading(directory),
                Err(error) => self.failed("opendir", start, error),
            }
        }
        Ok(())
    }

    fn excludes(&self, name: &[u8]) -> bool {
        let name = name.strip_suffix(b"/").unwrap_or(name);
        self.exclude.iter().any(|excluded| excluded == name)
    }

    /// The directory on top is that of an area.
    fn is_top(&self) -> bool {
        self.levels.last().is_some_and(|it| it.area.is_some_and(|(_, base)| it.disk == base))
    }

    fn read(&mut self) -> io::Result<()> {
        for _ in 0..PIECE {
            let Phase::Reading(directory) = &mut self.phase else { return Ok(()) };
            match directory.next() {
                None => self.phase = Phase::Sorting,
                Some(Ok(None)) => {}
                Some(Ok(Some(name))) => {
                    let is_left_out = self.excludes(&name) || self.is_top() && name == LOST_FOUND;
                    if !is_left_out {
                        self.names.add(&name)?;
                    }
                }
                Some(Err((call, error))) => {
                    let area = self.levels.last().and_then(|level| level.area);
                    self.failed(call, area.unwrap_or_default().0, error);
                }
            }
        }
        Ok(())
    }

    /// Looks at the next name of the directory on top.
    fn list(&mut self) -> io::Result<Option<File>> {
        let Some(level) = self.levels.last() else {
            self.phase = Phase::End;
            return Ok(None);
        };
        self.url.truncate(level.url);
        self.disk.truncate(level.disk);
        if !self.names.next(&mut self.name)? {
            self.names.pop()?;
            self.levels.pop();
            return Ok(None);
        }
        self.url.extend_from_slice(&self.name);
        let (mut area, has_mounts) = (level.area, level.has_mounts);
        match has_mounts.then(|| area::mount(&self.areas, &self.url)).flatten() {
            None => self.disk.extend_from_slice(&self.name),
            Some(mount) => {
                let start = self.disk.len();
                area = mount.directory.as_ref().map(|directory| {
                    self.disk.extend(directory.as_os_str().as_bytes());
                    if self.name.ends_with(b"/") && !self.disk.ends_with(b"/") {
                        self.disk.push(b'/');
                    }
                    (start, self.disk.len())
                });
            }
        }
        if self.name.ends_with(b"/") {
            if area.is_some() || has_mounts {
                self.enter(area, has_mounts)?;
            }
            return Ok(None);
        }
        Ok(area.and_then(|(start, _)| self.file(start)))
    }

    /// The file that `url` names, and `disk` from `start` on.
    fn file(&mut self, start: usize) -> Option<File> {
        let disk = path(&self.disk[start..]);
        let found = fs::metadata(disk).and_then(|found| Ok((version_of(disk, &found)?, found)));
        match found {
            Ok((version, found)) if found.is_file() => {
                Some(File { path: self.url.clone(), size: found.len(), version })
            }
            Ok(_) => None,
            Err(error) => {
                self.failed("stat", start, error);
                None
            }
        }
    }

    /// Remembers that `url` could not be read, which is `disk` from `start` on, unless it has
    /// vanished.
    fn failed(&mut self, call: &'static str, start: usize, error: io::Error) {
        if is_absence(&error) && self.has_base() {
            return;
        }
        Problem::add(&mut self.problem, &self.url, call, path(&self.disk[start..]), error);
    }

    /// Whether the directory of the area is there: where a disk is not mounted, all seems to have
    /// vanished.
    fn has_base(&self) -> bool {
        let Some(Level { area: Some((start, base)), .. }) = self.levels.last() else { return true };
        path(&self.disk[*start..*base]).is_dir()
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
