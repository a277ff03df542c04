//! Where a child of a server stands, as all workers know it (zone.rs), and as this one does.

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::counters::ChildCounts;
use crate::nginx::worker;
use crate::zone::ChildState;

/// The first time between two attempts; each one that fails doubles it.
const BACKOFF: Duration = Duration::from_secs(1);

/// A child of the server, in any of its upstreams.
pub(crate) struct Child {
    name: &'static [u8],
    state: &'static ChildState,
    /// This worker delivers its missing log now.
    pub(crate) catching_up: Cell<bool>,
    /// This worker asks whether it is there.
    pub(crate) probing: Cell<bool>,
    /// How many entries of the log the next attempt leaves for the one after it, because they
    /// stood in the way of the others.
    pub(crate) skip: Cell<u64>,
    /// This worker compares its files now.
    pub(crate) comparing: Cell<bool>,
    /// Since when it was up when this worker last cleared nginx's count of its failures.
    welcomed: Cell<u64>,
    /// The refusal that the error log had last, and when.
    refusal: RefCell<(String, u64)>,
}

/// While it is there, this worker does for a child what it does once at a time.
pub(crate) struct Turn(&'static Cell<bool>);

impl Turn {
    /// None while somebody else has it.
    pub(crate) fn take(taken: &'static Cell<bool>) -> Option<Turn> {
        (!taken.replace(true)).then_some(Turn(taken))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Child {
    pub(super) fn new(name: &'static [u8], state: &'static ChildState) -> Child {
        state.counts.is_new(worker::time());
        Child {
            name,
            state,
            catching_up: Cell::new(false),
            probing: Cell::new(false),
            skip: Cell::new(0),
            comparing: Cell::new(false),
            welcomed: Cell::new(0),
            refusal: RefCell::default(),
        }
    }

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

    /// Whether it may be that everything is to be put into its log. Asking takes it off.
    pub(crate) fn takes_provision(&self) -> bool {
        self.state.to_provide.swap(false, Relaxed)
    }

    /// Everything is to be put into its log: whoever looks next sees to it.
    pub(crate) fn provide(&self) {
        self.state.to_provide.store(true, Relaxed);
    }

    /// It has answered. Whether that is news for the delivery of its log, which is then due.
    pub(super) fn is_back(&self) -> bool {
        let is_back = self.state.away.load(Relaxed) && self.state.pending.load(Relaxed);
        if is_back {
            self.state.away.store(false, Relaxed);
            self.state.due.store(0, Relaxed);
        }
        is_back
    }

    /// Whether it has come back since this was last asked: nginx, which counts the failures in each
    /// worker, does not know that yet.
    pub(super) fn take_return(&self) -> bool {
        match self.state.counts.is_up() {
            Some((true, since)) => self.welcomed.replace(since) != since,
            _ => false,
        }
    }

    /// Whether the error log is to have this refusal: it is another one than the last, or a minute has
    /// gone.
    pub(crate) fn take_refusal(&self, reason: &str) -> bool {
        const OFTEN: u64 = 60_000;

        let now = worker::now();
        let mut last = self.refusal.borrow_mut();
        let is_news = last.0 != reason || last.1.saturating_add(OFTEN) <= now;
        if is_news {
            *last = (reason.to_owned(), now);
        }
        is_news
    }

    /// What is counted of it.
    pub(crate) fn counts(&self) -> &'static ChildCounts {
        &self.state.counts
    }
}
