//! What a worker keeps for one server with a state directory: its journal, and where each child
//! stands.

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering::Relaxed;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Directories, SrvConf};
use crate::error::Error;
use crate::journal::Journal;
use crate::missing_log::{self, Entry};
use crate::nginx::worker;
use crate::store::Tombstones;
use crate::zone::ChildState;

/// The first time between two attempts; each one that fails doubles it.
const BACKOFF: Duration = Duration::from_secs(1);

pub(crate) struct Site {
    server: &'static SrvConf,
    directories: Directories,
    /// Made when it is first needed: the disk may be full, and later not.
    journal: RefCell<Option<Arc<Journal>>>,
    /// An intent in it has to be dealt with as if this worker had ended.
    stuck: Cell<bool>,
    children: HashMap<&'static [u8], Child>,
    tombstones: Tombstones,
}

/// A child of the server, in any of its upstreams.
pub(crate) struct Child {
    name: &'static [u8],
    state: &'static ChildState,
    /// This worker delivers its missing log now.
    pub(crate) catching_up: Cell<bool>,
    /// How many entries of the log the next attempt leaves for the one after it, because they
    /// stood in the way of the others.
    pub(crate) skip: Cell<u64>,
}

impl Site {
    pub(super) fn new(server: &'static SrvConf, directories: Directories) -> Site {
        let zone = server.zone();
        let mut children = HashMap::new();
        for upstream in server.upstreams() {
            for child in upstream.children() {
                let name = child.name();
                let shared = zone.and_then(|zone| zone.child(directories.missing, name));
                // Without room in the zone a worker does without the others' knowledge.
                let state = shared.unwrap_or_else(|| Box::leak(Box::default()));
                let (catching_up, skip) = (Cell::new(false), Cell::new(0));
                children.insert(name, Child { name, state, catching_up, skip });
            }
        }
        let (journal, stuck) = (RefCell::new(None), Cell::new(false));
        let tombstones = Tombstones::new(directories.deleted);
        Site { server, directories, journal, stuck, children, tombstones }
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
        if let Some(journal) = &*self.journal.borrow() {
            journal.tidy();
        }
    }

    /// All children.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    /// The child of that name.
    pub(crate) fn child(&self, name: &[u8]) -> Option<&Child> {
        self.children.get(name)
    }

    /// Writes to a child's missing log.
    pub(crate) fn missed(&self, child: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        let appended = missing_log::append(self.directories.missing, child, entry);
        if let Some(child) = self.child(child) {
            child.state.pending.store(true, Relaxed);
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

    /// Has this worker look after its children now.
    pub(crate) fn hurry(&self) {
        if let Some(clock) = self.server.main().and_then(|main| main.clock()) {
            clock.hurry();
        }
    }

    /// A child has answered, whatever it said: if it was away, it is back.
    pub(crate) fn answered(&self, child: &[u8]) {
        let Some(Child { state, .. }) = self.child(child) else { return };
        if state.away.load(Relaxed) && state.pending.load(Relaxed) {
            state.away.store(false, Relaxed);
            state.due.store(0, Relaxed);
            self.hurry();
        }
    }
}

impl Child {
    /// As written in its `server` line.
    pub(crate) fn name(&self) -> &'static [u8] {
        self.name
    }

    /// Its missing log may have entries, and it is time to deliver them.
    pub(crate) fn is_due(&self) -> bool {
        self.state.pending.load(Relaxed)
            && !self.catching_up.get()
            && self.state.due.load(Relaxed) <= worker::now()
    }

    /// From now on only entries that are written later make it due.
    pub(crate) fn begin(&self) {
        self.state.pending.store(false, Relaxed);
    }

    /// All of its log was delivered.
    pub(crate) fn caught_up(&self) {
        self.state.away.store(false, Relaxed);
        self.state.failures.store(0, Relaxed);
        self.state.due.store(0, Relaxed);
    }

    /// Something is left of it. The next attempt is due after a time that grows with each failure
    /// to `longest`, and is not the same for all workers and children.
    pub(crate) fn try_again(&self, away: bool, longest: Duration) {
        let failures = self.state.failures.fetch_add(1, Relaxed).min(20);
        let backoff = BACKOFF.saturating_mul(1 << failures).min(longest).as_millis() as u64;
        let wait = backoff / 2 + worker::random(backoff / 2 + 1);
        self.state.away.store(away, Relaxed);
        self.state.due.store(worker::now() + wait, Relaxed);
        self.state.pending.store(true, Relaxed);
    }

    /// Its log may have entries that nobody has tried: whoever looks next does.
    pub(crate) fn leave(&self) {
        self.state.pending.store(true, Relaxed);
    }
}
