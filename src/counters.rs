//! What is counted of a node and of its children. The workers share it (zone.rs), so everything
//! here is a number that any of them may change at any time.
//!
//! Times are milliseconds since 1970; 0 is never.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Seconds over which a rate is the average.
const WINDOW: u64 = 10;
/// Seconds that a rate remembers: the window, the present one, and some to spare.
const SECONDS: usize = 16;
/// A missing log of fewer entries is counted after each attempt to deliver it, others as often as
/// this, in milliseconds: it takes a look at each file.
const SMALL: u64 = 10_000;
const OFTEN: u64 = 600_000;
/// Workers of which a node knows what they have under way.
const WORKERS: usize = 64;

/// How a delivery has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The child could not be reached, or broke off.
    Unreachable,
    /// It was too slow.
    Timeout,
    /// It has answered with an error.
    Refused,
    /// The upload, or the worker, ended before. Says nothing of the child.
    Interrupted,
}

/// A child.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct ChildCounts {
    /// [`UNKNOWN`], [`UP`] or [`DOWN`].
    state: AtomicU32,
    since: AtomicU64,
    /// When it was last asked anything, and it is known what came of that.
    contact: AtomicU64,
    last_delivery: AtomicU64,
    deliveries: AtomicU64,
    sent_bytes: AtomicU64,
    failures: [AtomicU64; 4],
    rate: Rate,
    pub(crate) missing: MissingCounts,
    /// When its missing log was begun to be delivered, and what was.
    pub(crate) catch_up: Progress,
    /// When everything was begun to be put into its missing log, and how many files were.
    pub(crate) provisioning: Progress,
}

const UNKNOWN: u32 = 0;
const UP: u32 = 1;
const DOWN: u32 = 2;

impl ChildCounts {
    /// The child has taken a change.
    pub(crate) fn delivered(&self, bytes: u64, now: u64) {
        self.last_delivery.store(now, Relaxed);
        self.deliveries.fetch_add(1, Relaxed);
        self.sent_bytes.fetch_add(bytes, Relaxed);
        self.rate.add(bytes, now);
        self.answered(now);
    }

    /// A delivery has failed.
    pub(crate) fn failed(&self, failure: Failure, now: u64) {
        if let Some(count) = self.failures.get(failure as usize) {
            count.fetch_add(1, Relaxed);
        }
        match failure {
            Failure::Refused => self.answered(now),
            Failure::Unreachable | Failure::Timeout => self.did_not_answer(now),
            Failure::Interrupted => {}
        }
    }

    /// It has said something, whatever it was.
    pub(crate) fn answered(&self, now: u64) {
        self.is_now(UP, now);
    }

    /// It has said nothing.
    pub(crate) fn did_not_answer(&self, now: u64) {
        self.is_now(DOWN, now);
    }

    fn is_now(&self, state: u32, now: u64) {
        self.contact.store(now, Relaxed);
        if self.state.swap(state, Relaxed) != state {
            self.since.store(now, Relaxed);
        }
    }

    /// Whether it answered when it was last asked, and since when.
    pub(crate) fn is_up(&self) -> Option<(bool, u64)> {
        match self.state.load(Relaxed) {
            UNKNOWN => None,
            state => Some((state == UP, self.since.load(Relaxed))),
        }
    }

    /// Nobody has asked it yet, and nobody need do so at once.
    pub(crate) fn is_new(&self, now: u64) {
        _ = self.contact.compare_exchange(0, now, Relaxed, Relaxed);
    }

    /// True for one of those who call this, who is to ask the child, when nobody has heard of it for
    /// `longest` milliseconds.
    pub(crate) fn claim_probe(&self, longest: u64, now: u64) -> bool {
        let contact = self.contact.load(Relaxed);
        contact.saturating_add(longest) <= now
            && self.contact.compare_exchange(contact, now, Relaxed, Relaxed).is_ok()
    }

    /// Since when the child does not answer, if it did not when it was last asked. None also for one
    /// of those who call this `longest` milliseconds after that: who finds out whether it is back.
    pub(crate) fn unreachable_since(&self, longest: u64, now: u64) -> Option<u64> {
        match self.is_up() {
            Some((false, since)) if !self.claim_probe(longest, now) => Some(since),
            _ => None,
        }
    }

    pub(crate) fn last_delivery(&self) -> Option<u64> {
        some(self.last_delivery.load(Relaxed))
    }

    /// Deliveries, and bytes of files in them.
    pub(crate) fn deliveries(&self) -> (u64, u64) {
        (self.deliveries.load(Relaxed), self.sent_bytes.load(Relaxed))
    }

    /// Those that have failed like this.
    pub(crate) fn failures(&self, failure: Failure) -> u64 {
        self.failures.get(failure as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// Deliveries and bytes a second.
    pub(crate) fn rate(&self, now: u64) -> (f64, f64) {
        self.rate.average(now)
    }
}

/// A missing log. It is counted while it changes, and anew now and then ([`MissingCounts::begin`]).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct MissingCounts {
    entries: AtomicU64,
    bytes: AtomicU64,
    oldest: AtomicU64,
    unservable: AtomicU64,
    /// Entries that were ever appended.
    appended: AtomicU64,
    /// When somebody has counted it.
    when: AtomicU64,
}

/// What was counted of a missing log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// The time of the first entry.
    pub(crate) oldest: u64,
}

impl MissingCounts {
    /// Entries more; `bytes` are of their files.
    pub(crate) fn appended(&self, entries: u64, bytes: u64, now: u64) {
        self.appended.fetch_add(entries, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        if self.entries.fetch_add(entries, Relaxed) == 0 {
            // To the second, as the log has it.
            self.oldest.store(now / 1000 * 1000, Relaxed);
        }
    }

    /// An entry less.
    pub(crate) fn cleared(&self, bytes: u64) {
        let less = |count: &AtomicU64, by: u64| {
            _ = count.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_sub(by)));
        };
        less(&self.entries, 1);
        less(&self.bytes, bytes);
    }

    /// To be asked for before the log is counted, and given to [`MissingCounts::counted`].
    pub(crate) fn begin(&self) -> u64 {
        self.appended.load(Relaxed)
    }

    /// What is in the log. If it grew meanwhile, nobody knows how much of that was counted: then it
    /// is not known yet, or what is known stays.
    pub(crate) fn counted(&self, begun: u64, counted: Counted, now: u64) {
        let grew = self.appended.load(Relaxed) != begun;
        if grew && self.is_known() {
            return;
        }
        if grew {
            self.entries.fetch_max(counted.entries, Relaxed);
            self.bytes.fetch_max(counted.bytes, Relaxed);
        } else {
            self.entries.store(counted.entries, Relaxed);
            self.bytes.store(counted.bytes, Relaxed);
            self.when.store(now, Relaxed);
        }
        self.oldest.store(counted.oldest, Relaxed);
    }

    /// Whether it is to be counted anew: a large one only now and then.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        let when = self.when.load(Relaxed);
        self.entries.load(Relaxed) < SMALL || when.saturating_add(OFTEN) <= now
    }

    /// Nothing is in it.
    pub(crate) fn is_empty(&self, now: u64) {
        self.counted(self.begin(), Counted::default(), now);
        self.unservable.store(0, Relaxed);
    }

    /// Whether it was ever counted.
    pub(crate) fn is_known(&self) -> bool {
        self.when.load(Relaxed) != 0
    }

    /// Entries for files that nobody has, as an attempt to deliver all has found.
    pub(crate) fn set_unservable(&self, entries: u64) {
        self.unservable.store(entries, Relaxed);
    }

    pub(crate) fn unservable(&self) -> u64 {
        self.unservable.load(Relaxed).min(self.entries.load(Relaxed))
    }

    pub(crate) fn get(&self) -> Counted {
        Counted {
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            oldest: self.oldest.load(Relaxed),
        }
    }
}

/// Something that takes its time.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Progress {
    since: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    pub(crate) fn begin(&self, now: u64) {
        self.done.store(0, Relaxed);
        self.since.store(now, Relaxed);
    }

    pub(crate) fn add(&self, done: u64) {
        self.done.fetch_add(done, Relaxed);
    }

    /// When it began, and what is done.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.since.load(Relaxed), self.done.load(Relaxed))
    }
}

/// Events and bytes of the last seconds.
#[derive(Debug, Default)]
#[repr(C)]
struct Rate {
    seconds: [Second; SECONDS],
}

#[derive(Debug, Default)]
#[repr(C)]
struct Second {
    /// Which one, since 1970.
    number: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Rate {
    /// Two workers that begin a second at once may lose an event: a rate is no total.
    fn add(&self, bytes: u64, now: u64) {
        let number = now / 1000;
        let Some(second) = self.seconds.get(number as usize % SECONDS) else { return };
        if second.number.swap(number, Relaxed) != number {
            second.events.store(0, Relaxed);
            second.bytes.store(0, Relaxed);
        }
        second.events.fetch_add(1, Relaxed);
        second.bytes.fetch_add(bytes, Relaxed);
    }

    /// Events and bytes a second over the window before the present second.
    fn average(&self, now: u64) -> (f64, f64) {
        let present = now / 1000;
        let (mut events, mut bytes) = (0, 0);
        for second in &self.seconds {
            let number = second.number.load(Relaxed);
            if number < present && number + WINDOW >= present {
                events += second.events.load(Relaxed);
                bytes += second.bytes.load(Relaxed);
            }
        }
        (events as f64 / WINDOW as f64, bytes as f64 / WINDOW as f64)
    }
}

/// A node.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct NodeCounts {
    since: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) stored_bytes: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) superseded: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Per worker, because a worker that is killed takes back nothing.
    in_flight: [InFlight; WORKERS],
}

#[derive(Debug, Default)]
#[repr(C)]
struct InFlight {
    /// The worker's process; 0 where there was none yet.
    process: AtomicU32,
    changes: AtomicU32,
}

impl NodeCounts {
    pub(crate) fn new(now: u64) -> NodeCounts {
        NodeCounts {
            since: AtomicU64::new(now),
            stored: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            superseded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            in_flight: core::array::from_fn(|_| InFlight::default()),
        }
    }

    /// Since when it counts.
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// A change begins in this worker, and ends when the value is dropped. Not counted where too
    /// many workers are alive.
    pub(crate) fn begin(&'static self, process: u32, is_alive: impl Fn(u32) -> bool) -> Changing {
        let changes = self.place(process, is_alive);
        if let Some(changes) = changes {
            changes.fetch_add(1, Relaxed);
        }
        Changing(changes)
    }

    fn place(&self, process: u32, is_alive: impl Fn(u32) -> bool) -> Option<&AtomicU32> {
        let owner = |place: &InFlight| place.process.load(Relaxed);
        if let Some(own) = self.in_flight.iter().find(|place| owner(place) == process) {
            return Some(&own.changes);
        }
        self.in_flight.iter().find_map(|place| {
            let owner = owner(place);
            let is_free = owner == 0 || !is_alive(owner);
            let taken =
                is_free && place.process.compare_exchange(owner, process, Relaxed, Relaxed).is_ok();
            taken.then(|| {
                place.changes.store(0, Relaxed);
                &place.changes
            })
        })
    }

    /// Changes that are under way in workers that are alive.
    pub(crate) fn in_flight(&self, is_alive: impl Fn(u32) -> bool) -> u64 {
        let alive = self.in_flight.iter().filter(|place| {
            let process = place.process.load(Relaxed);
            process != 0 && place.changes.load(Relaxed) > 0 && is_alive(process)
        });
        alive.map(|place| u64::from(place.changes.load(Relaxed))).sum()
    }
}

/// See [`NodeCounts::begin`].
pub(crate) struct Changing(Option<&'static AtomicU32>);

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(changes) = self.0 {
            changes.fetch_sub(1, Relaxed);
        }
    }
}

/// A time that is known.
fn some(time: u64) -> Option<u64> {
    (time != 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_unknown_until_it_was_asked() {
        let child = ChildCounts::default();
        assert_eq!(child.is_up(), None);
        child.failed(Failure::Interrupted, 5);
        assert_eq!(child.is_up(), None);
    }

    #[test]
    fn up_and_down_have_a_beginning() {
        let child = ChildCounts::default();
        child.delivered(7, 10);
        child.failed(Failure::Refused, 20);
        assert_eq!(child.is_up(), Some((true, 10)), "who refuses is there");
        child.failed(Failure::Timeout, 30);
        child.failed(Failure::Unreachable, 40);
        assert_eq!(child.is_up(), Some((false, 30)));
        child.answered(50);
        assert_eq!(child.is_up(), Some((true, 50)));
        assert_eq!(child.deliveries(), (1, 7));
        assert_eq!(child.failures(Failure::Timeout), 1);
        assert_eq!(child.last_delivery(), Some(10));
    }

    #[test]
    fn one_of_those_who_ask_gets_in_touch() {
        let child = ChildCounts::default();
        child.answered(100);
        assert!(!child.claim_probe(10, 109));
        assert!(child.claim_probe(10, 110));
        assert!(!child.claim_probe(10, 110), "somebody does");
        assert_eq!(child.is_up(), Some((true, 100)));
    }

    #[test]
    fn a_rate_is_that_of_the_last_ten_seconds() {
        let rate = Rate::default();
        for second in 100..130 {
            rate.add(50, second * 1000);
            rate.add(50, second * 1000 + 999);
        }
        assert_eq!(rate.average(130_000), (2.0, 100.0));
        assert_eq!(rate.average(135_000), (1.0, 50.0));
        assert_eq!(rate.average(200_000), (0.0, 0.0));
    }

    #[test]
    fn a_count_does_not_overwrite_what_came_meanwhile() {
        let missing = MissingCounts::default();
        missing.appended(2, 20, 5999);
        assert_eq!(missing.get().oldest, 5000);
        let begun = missing.begin();
        missing.appended(1, 10, 6);
        missing.counted(begun, Counted { entries: 2, bytes: 20, oldest: 4 }, 7);
        assert!(!missing.is_known(), "it may be one more");
        assert_eq!(missing.get(), Counted { entries: 3, bytes: 30, oldest: 4 });
        missing.counted(missing.begin(), Counted { entries: 5, bytes: 50, oldest: 3 }, 8);
        assert!(missing.is_known());
        let begun = missing.begin();
        missing.appended(1, 10, 6);
        missing.counted(begun, Counted { entries: 9, bytes: 9, oldest: 9 }, 9);
        assert_eq!(missing.get(), Counted { entries: 6, bytes: 60, oldest: 3 });
        missing.cleared(100);
        assert_eq!(missing.get(), Counted { entries: 5, bytes: 0, oldest: 3 });
        missing.is_empty(10);
        assert_eq!(missing.get(), Counted::default());
    }

    #[test]
    fn a_large_log_is_counted_now_and_then() {
        let missing = MissingCounts::default();
        missing.counted(0, Counted { entries: SMALL - 1, bytes: 0, oldest: 1 }, 1000);
        assert!(missing.is_due(1000));
        missing.counted(0, Counted { entries: SMALL, bytes: 0, oldest: 1 }, 1000);
        assert!(!missing.is_due(1000 + OFTEN - 1));
        assert!(missing.is_due(1000 + OFTEN));
    }

    #[test]
    fn what_a_dead_worker_had_does_not_count() {
        let node: &'static NodeCounts = Box::leak(Box::new(NodeCounts::new(1)));
        let (first, second) = (node.begin(1, |_| true), node.begin(2, |_| true));
        assert_eq!(node.in_flight(|_| true), 2);
        assert_eq!(node.in_flight(|process| process == 2), 1);
        std::mem::forget(first);
        let third = node.begin(3, |process| process == 2);
        assert_eq!(node.in_flight(|process| process != 1), 2);
        drop((second, third));
        assert_eq!(node.in_flight(|process| process != 1), 0);
    }
}
