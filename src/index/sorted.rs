//! A stack of sorted lists of names, in constant memory. What does not fit is in a scratch file.
//!
//! In memory names stand one after the other, those of the list on top last. When there is no
//! more room, the lists below the top go to the file, outermost first. If that does not suffice,
//! the list on top, which is being filled, goes there in sorted runs, and these are merged. So
//! the file is a stack as well.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::merge::Merge;
use super::scratch::{decode, encode, Scratch};

/// What [`Names`] may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of names in memory.
    pub(super) bytes: usize,
    /// How many names are in memory; 4 bytes for each.
    pub(super) names: usize,
    /// How many runs are merged at once.
    pub(super) runs: usize,
    /// Bytes that are read from the file at once, of each run.
    pub(super) buffer: usize,
}

/// Less than 2 MB in all. A run has about 50,000 names of 20 bytes, so that a directory of 1.6
/// million names is merged in one pass, and one of 50 million in two.
pub(super) const LIMITS: Limits =
    Limits { bytes: 1024 * 1024, names: 64 * 1024, runs: 32, buffer: 16 * 1024 };

/// Names that a call of [`Names::sort`] merges: less than a millisecond of work.
const PIECE: usize = 1024;

/// The stack. Each list is filled with [`Names::add`] after [`Names::push`], then sorted, then
/// taken from its beginning; others may be pushed and popped above it meanwhile.
pub(super) struct Names {
    limits: Limits,
    /// The names in memory, each after its length.
    bytes: Vec<u8>,
    /// Where they are in `bytes`, list after list, in the order of each list.
    order: Vec<u32>,
    lists: Vec<List>,
    /// Of the list on top, as long as it is not sorted.
    runs: VecDeque<Range<u64>>,
    merge: Option<Merge>,
    scratch: Scratch,
}

struct List {
    /// Where its names in memory begin in `bytes`, and in `order`.
    bytes: usize,
    order: usize,
    /// Where the next name is in `order`.
    next: usize,
    /// The names that follow those in memory.
    stored: Range<u64>,
    /// The names in memory are also in the file, from here on.
    copy_of: Option<u64>,
    /// Where in the file its part begins, if it has one.
    floor: Option<u64>,
}

impl Names {
    /// No list. `scratch` is a directory.
    pub(super) fn new(limits: Limits, scratch: PathBuf) -> Names {
        Names {
            limits,
            // Doubled again and again, it comes to no more than the limit.
            bytes: Vec::with_capacity(4096),
            order: Vec::with_capacity(256),
            lists: Vec::new(),
            runs: VecDeque::new(),
            merge: None,
            scratch: Scratch::new(scratch),
        }
    }

    /// Puts an empty list on top.
    pub(super) fn push(&mut self) {
        let (bytes, order) = (self.bytes.len(), self.order.len());
        let list = List { bytes, order, next: order, stored: 0..0, copy_of: None, floor: None };
        self.lists.push(list);
    }

    /// Adds a name to the list on top, which is not sorted yet.
    pub(super) fn add(&mut self, name: &[u8]) -> io::Result<()> {
        while !self.has_room_for(name) {
            if !self.store_outer()? && !self.store_run()? {
                break;
            }
        }
        let offset = u32::try_from(self.bytes.len()).map_err(io::Error::other)?;
        encode(&mut self.bytes, name)?;
        self.order.push(offset);
        Ok(())
    }

    /// Does a part of the work that sorts the list on top. True: it is done. A name that was
    /// added twice comes once.
    pub(super) fn sort(&mut self) -> io::Result<bool> {
        let Some(top) = self.lists.last_mut() else { return Ok(true) };
        if self.runs.is_empty() && self.merge.is_none() {
            sort(&self.bytes, &mut self.order, top.order);
            return Ok(true);
        }
        if self.order.len() > top.order {
            self.store_run()?;
            return Ok(false);
        }
        match &mut self.merge {
            Some(merge) => {
                if let Some(run) = merge.step(&mut self.scratch, PIECE)? {
                    self.runs.push_back(run);
                    self.merge = None;
                }
            }
            None if self.runs.len() > 1 => {
                let count = self.runs.len().min(self.limits.runs);
                let runs = self.runs.drain(..count);
                self.merge = Some(Merge::new(&self.scratch, runs, self.limits.buffer)?);
            }
            None => {
                top.stored = self.runs.pop_front().unwrap_or_default();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the first name of the list on top, which is sorted. False: it is empty.
    pub(super) fn next(&mut self, name: &mut Vec<u8>) -> io::Result<bool> {
        let Some(top) = self.lists.last() else { return Ok(false) };
        if top.next == self.order.len() && !top.stored.is_empty() {
            self.load()?;
        }
        let Some(top) = self.lists.last_mut() else { return Ok(false) };
        let Some(&offset) = self.order.get(top.next) else { return Ok(false) };
        top.next += 1;
        name.clear();
        name.extend_from_slice(name_at(&self.bytes, offset));
        Ok(true)
    }

    /// Removes the list on top, which is sorted.
    pub(super) fn pop(&mut self) -> io::Result<()> {
        let Some(top) = self.lists.pop() else { return Ok(()) };
        self.bytes.truncate(top.bytes);
        self.order.truncate(top.order);
        top.floor.map_or(Ok(()), |floor| self.scratch.truncate(floor))
    }

    fn has_room_for(&self, name: &[u8]) -> bool {
        self.bytes.len() + 2 + name.len() <= self.limits.bytes
            && self.order.len() < self.limits.names
    }

    /// Moves what is in memory of the lists below the top to the file. False: there is nothing.
    fn store_outer(&mut self) -> io::Result<bool> {
        let Some(&List { bytes, order, .. }) = self.lists.last() else { return Ok(false) };
        if bytes == 0 {
            return Ok(false);
        }
        let ends: Vec<usize> = self.lists.iter().skip(1).map(|list| list.order).collect();
        for (list, end) in self.lists.iter_mut().zip(ends) {
            let names = self.order.get(list.next..end).unwrap_or_default();
            match (list.copy_of, names.first()) {
                (Some(start), Some(&first)) => {
                    list.stored.start = start + (first as usize - list.bytes) as u64;
                }
                (None, Some(_)) => {
                    let start = self.scratch.end();
                    for &offset in names {
                        self.scratch.write(name_at(&self.bytes, offset))?;
                    }
                    list.stored = self.scratch.finish(start)?;
                    list.floor = Some(start);
                }
                (_, None) => {}
            }
            (list.bytes, list.order, list.next, list.copy_of) = (0, 0, 0, None);
        }
        self.bytes.drain(..bytes);
        self.order.drain(..order);
        for offset in &mut self.order {
            *offset -= bytes as u32;
        }
        if let Some(top) = self.lists.last_mut() {
            (top.bytes, top.order, top.next) = (0, 0, 0);
        }
        Ok(true)
    }

    /// Moves what is in memory of the list on top, which is not sorted, to the file as a run.
    /// Nothing of the lists below is in memory. False: nor is there anything of this one.
    fn store_run(&mut self) -> io::Result<bool> {
        let Some(top) = self.lists.last_mut() else { return Ok(false) };
        if self.order.len() == top.order {
            return Ok(false);
        }
        sort(&self.bytes, &mut self.order, top.order);
        let start = self.scratch.end();
        for &offset in &self.order {
            self.scratch.write(name_at(&self.bytes, offset))?;
        }
        top.floor.get_or_insert(start);
        self.runs.push_back(self.scratch.finish(start)?);
        self.bytes.clear();
        self.order.clear();
        Ok(true)
    }

    /// Reads names of the list on top. None is in memory, nor one of the lists below: they went to
    /// the file before this one did.
    fn load(&mut self) -> io::Result<()> {
        let mut most = self.limits.buffer;
        let Some(top) = self.lists.last_mut() else { return Ok(()) };
        loop {
            self.bytes.truncate(top.bytes);
            self.order.truncate(top.order);
            let mut range = top.stored.clone();
            self.scratch.read(&mut range, most, &mut self.bytes)?;
            let mut end = top.bytes;
            while let Some((_, length)) = self.bytes.get(end..).and_then(decode) {
                self.order.push(u32::try_from(end).map_err(io::Error::other)?);
                end += length;
            }
            // A name that is longer than the buffer.
            if end == top.bytes && !range.is_empty() {
                most *= 2;
                continue;
            }
            self.bytes.truncate(end);
            (top.next, top.copy_of) = (top.order, Some(top.stored.start));
            top.stored.start += (end - top.bytes) as u64;
            return Ok(());
        }
    }
}

/// Sorts what is in `order` from `start` on, and has each name there once.
fn sort(bytes: &[u8], order: &mut Vec<u32>, start: usize) {
    let names = order.get_mut(start..).unwrap_or_default();
    names.sort_unstable_by(|&a, &b| name_at(bytes, a).cmp(name_at(bytes, b)));
    let mut kept = start;
    for index in start..order.len() {
        if index == start || name_at(bytes, order[index]) != name_at(bytes, order[kept - 1]) {
            order[kept] = order[index];
            kept += 1;
        }
    }
    order.truncate(kept);
}

fn name_at(bytes: &[u8], offset: u32) -> &[u8] {
    let name = bytes.get(offset as usize..).and_then(decode);
    name.map_or(&[], |(name, _)| name)
}

#[cfg(test)]
mod tests;
