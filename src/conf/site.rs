//! What a worker keeps for one server with a state directory: its journal, and its children.

use core::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Child, Directories, SrvConf};
use crate::counters::{Changing, NodeCounts};
use crate::error::Error;
use crate::journal::Journal;
use crate::missing_log::{self, Entry};
use crate::nginx::{worker, Upstream};
use crate::store::{self, Tombstones};

pub(crate) struct Site {
    server: &'static SrvConf,
    directories: Directories,
    /// Made when it is first needed: the disk may be full, and later not.
    journal: RefCell<Option<Arc<Journal>>>,
    /// An intent in it has to be dealt with as if this worker had ended.
    stuck: Cell<bool>,
    /// In the order of their `server` lines, each once.
    children: Vec<Child>,
    /// Where each is.
    places: HashMap<&'static [u8], usize>,
    tombstones: Tombstones,
    counts: &'static NodeCounts,
}

impl Site {
    pub(super) fn new(server: &'static SrvConf, directories: Directories) -> Site {
        let zone = server.zone();
        let (mut children, mut places) = (Vec::new(), HashMap::new());
        for child in server.upstreams().iter().flat_map(|upstream| upstream.children()) {
            let name = child.name();
            if places.contains_key(name) {
                continue;
            }
            let shared = zone.and_then(|zone| zone.child(directories.missing, name));
            // Without room in the zone a worker does without the others' knowledge.
            let state = shared.unwrap_or_else(|| Box::leak(Box::default()));
            places.insert(name, children.len());
            children.push(Child::new(name, state));
        }
        let counts = || NodeCounts::new(worker::time());
        let shared = zone.and_then(|zone| zone.node(directories.missing, counts));
        Site {
            server,
            directories,
            journal: RefCell::new(None),
            stuck: Cell::new(false),
            children,
            places,
            tombstones: Tombstones::new(directories.deleted),
            counts: shared.unwrap_or_else(|| Box::leak(Box::new(counts()))),
        }
    }

    /// What is counted of this node.
    pub(crate) fn counts(&self) -> &'static NodeCounts {
        self.counts
    }

    /// A change begins.
    pub(crate) fn begin(&self) -> Changing {
        self.counts.begin(worker::process(), worker::is_alive)
    }

    /// The server that it belongs to.
    pub(crate) fn server(&self) -> &'static SrvConf {
        self.server
    }

    /// What is in the state directory.
    pub(crate) fn directories(&self) -> &Directories {
        &self.directories
    }

    /// The DELETEs that are remembered.
    pub(crate) fn tombstones(&self) -> Tombstones {
        self.tombstones.clone()
    }

    /// This worker's journal.
    pub(crate) fn journal(&self, sync: bool) -> Result<Arc<Journal>, Error> {
        let mut present = self.journal.borrow_mut();
        if let Some(journal) = &*present {
            return Ok(Arc::clone(journal));
        }
        let directory = self.directories.journal;
        let mut journal = Journal::create(directory, worker::name(), sync);
        for number in 1..100 {
            match journal {
                // One that was given up, or, where one process does everything, of the
                // configuration before a reload.
                Err(ref error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let name = format!("{}-{number}", worker::name());
                    journal = Journal::create(directory, &name, sync);
                }
                _ => break,
            }
        }
        let journal = Arc::new(journal.map_err(Error::io("open", directory))?);
        *present = Some(Arc::clone(&journal));
        Ok(journal)
    }

    /// A missing log could not be written: the intent that is open for it is all that is left.
    pub(crate) fn is_stuck(&self) {
        self.stuck.set(true);
    }

    /// Looks after the journal. One with such an intent is given up: when the changes that are under
    /// way have ended, any worker takes it over, and writes what is missing.
    pub(crate) fn tidy_journal(&self) {
        if self.stuck.take() {
            self.journal.take();
        }
        // Without one nobody would know this worker's temporary files. Where there is no room for it, the
        // start, or the next change, has said so.
        if let Ok(journal) = self.journal(false) {
            journal.tidy();
        }
    }

    /// All children.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.iter()
    }

    /// The child of that name.
    pub(crate) fn child(&self, name: &[u8]) -> Option<&Child> {
        self.children.get(*self.places.get(name)?)
    }

    /// The child whose missing log has this name.
    pub(crate) fn child_of_log(&self, name: &[u8]) -> Option<&Child> {
        let is_it = |child: &&Child| missing_log::directory_name(child.name()).as_bytes() == name;
        self.children().find(is_it)
    }

    /// Writes to a child's missing log. `bytes` are those of the file that it will be sent.
    pub(crate) fn missed(&self, child: &[u8], entry: &Entry<'_>, bytes: u64) -> io::Result<()> {
        let appended = missing_log::append(self.directories.missing, child, entry);
        if let Some(child) = self.child(child) {
            if appended.is_ok() {
                child.counts().missing.appended(1, bytes, worker::time());
            }
            child.leave();
        }
        appended
    }

    /// The directory of a child's missing log.
    pub(crate) fn log(&self, child: &[u8]) -> PathBuf {
        missing_log::directory(self.directories.missing, child)
    }

    /// The file that is locked while a child's missing log is being delivered.
    pub(crate) fn lock(&self, child: &[u8]) -> PathBuf {
        missing_log::directory(self.directories.catch_up, child)
    }

    /// The file that says that everything is to go into a child's missing log.
    pub(crate) fn provide(&self, child: &[u8]) -> PathBuf {
        missing_log::directory(self.directories.provide, child)
    }

    /// Has this worker look after its children now.
    pub(crate) fn hurry(&self) {
        if let Some(clock) = self.server.main().and_then(|main| main.clock()) {
            clock.hurry();
        }
    }

    /// Has nginx ask those of the children again that have come back: it counts failures in each worker,
    /// and this one may not have heard of it.
    pub(crate) fn welcome_back(&self, upstream: Upstream) {
        let mut back = self.children().filter(|child| child.take_return()).peekable();
        if back.peek().is_none() {
            return;
        }
        let names: Vec<&[u8]> = back.map(Child::name).collect();
        let peers = upstream.children().into_iter();
        peers.filter(|peer| names.contains(&peer.name())).for_each(|peer| peer.clear_fails());
    }

    /// A child has answered, whatever it said: if it was away, it is back.
    pub(crate) fn answered(&self, child: &[u8]) {
        if self.child(child).is_some_and(Child::is_back) {
            self.hurry();
        }
    }
}

impl Drop for Site {
    /// The worker ends, or its configuration goes. By the journal its temporary files are found.
    fn drop(&mut self) {
        if let (true, Some(journal)) = (store::has_left_temporaries(), &*self.journal.borrow()) {
            journal.keep();
        }
    }
}
