//! `rate=`: how many bytes a second the catch-up of one child sends.

use core::cell::Cell;

use crate::nginx::worker;

/// A bucket that fills with the rate and holds what comes in a quarter of a second, or one byte at
/// least.
pub(super) struct Pace {
    /// Bytes a second; none is no limit.
    rate: Option<u64>,
    bytes: Cell<u64>,
    filled: Cell<u64>,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Pace {
        Pace { rate, bytes: Cell::new(0), filled: Cell::new(worker::now()) }
    }

    /// There is a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// How many bytes may be sent now, of those that are left to send.
    pub(super) fn take(&self, left: u64) -> u64 {
        let Some(rate) = self.rate else { return left };
        let now = worker::now();
        let added = (now - self.filled.get()).saturating_mul(rate) / 1000;
        if added > 0 {
            self.filled.set(now);
            self.bytes.set((self.bytes.get() + added).min((rate / 4).max(1)));
        }
        let taken = left.min(self.bytes.get());
        self.bytes.set(self.bytes.get() - taken);
        taken
    }
}
