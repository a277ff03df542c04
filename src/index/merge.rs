//! Several sorted runs of a scratch file become one.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;

use super::scratch::{decode, Scratch};

/// A merge that is under way. What it writes comes to stand at the end of the scratch file.
pub(super) struct Merge {
    inputs: Vec<Input>,
    heads: BinaryHeap<Head>,
    /// The name that was written last: names come once.
    last: Option<Vec<u8>>,
    /// Where the new run begins.
    start: u64,
}

/// A run that is read from its beginning.
struct Input {
    /// What is not in the buffer yet.
    left: Range<u64>,
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
    /// Bytes that are read at once.
    size: usize,
}

/// The first name of an input.
#[derive(PartialEq, Eq)]
struct Head {
    name: Vec<u8>,
    input: usize,
}

impl Ord for Head {
    /// The other way round: a heap gives the greatest.
    fn cmp(&self, other: &Head) -> Ordering {
        other.name.cmp(&self.name).then(other.input.cmp(&self.input))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    /// A merge of `runs`, with a buffer of `size` bytes for each.
    pub(super) fn new(
        scratch: &Scratch,
        runs: impl Iterator<Item = Range<u64>>,
        size: usize,
    ) -> io::Result<Merge> {
        let input = |left| Input { left, buffer: Vec::with_capacity(size), taken: 0, size };
        let mut inputs: Vec<Input> = runs.map(input).collect();
        let mut heads = BinaryHeap::with_capacity(inputs.len());
        for (number, input) in inputs.iter_mut().enumerate() {
            let mut name = Vec::new();
            if input.next(scratch, &mut name)? {
                heads.push(Head { name, input: number });
            }
        }
        Ok(Merge { inputs, heads, last: None, start: scratch.end() })
    }

    /// Merges the next `most` names. At the end it gives the new run.
    pub(super) fn step(
        &mut self,
        scratch: &mut Scratch,
        most: usize,
    ) -> io::Result<Option<Range<u64>>> {
        for _ in 0..most {
            let Some(mut head) = self.heads.peek_mut() else {
                return scratch.finish(self.start).map(Some);
            };
            if self.last.as_ref() != Some(&head.name) {
                scratch.write(&head.name)?;
                let last = self.last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(&head.name);
            }
            let number = head.input;
            if !self.inputs[number].next(scratch, &mut head.name)? {
                PeekMut::pop(head);
            }
        }
        Ok(None)
    }
}

impl Input {
    /// Takes the next name. False: there is none.
    fn next(&mut self, scratch: &Scratch, name: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if let Some((next, length)) = decode(&self.buffer[self.taken..]) {
                name.clear();
                name.extend_from_slice(next);
                self.taken += length;
                return Ok(true);
            }
            if self.left.is_empty() {
                return Ok(false);
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            // A name that is longer than the buffer makes it grow.
            let most = self.size.saturating_sub(self.buffer.len()).max(1);
            scratch.read(&mut self.left, most, &mut self.buffer)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::Tree;

    fn merged(runs: &[&[&str]], size: usize) -> Vec<String> {
        let tree = Tree::new("merge");
        let mut scratch = Scratch::new(tree.to_path_buf());
        let mut ranges = Vec::new();
        for run in runs {
            let start = scratch.end();
            for name in *run {
                scratch.write(name.as_bytes()).unwrap();
            }
            ranges.push(scratch.finish(start).unwrap());
        }
        let mut merge = Merge::new(&scratch, ranges.into_iter(), size).unwrap();
        let run = loop {
            if let Some(run) = merge.step(&mut scratch, 2).unwrap() {
                break run;
            }
        };
        let mut input = Input { left: run, buffer: Vec::new(), taken: 0, size: 100 };
        let (mut name, mut names) = (Vec::new(), Vec::new());
        while input.next(&scratch, &mut name).unwrap() {
            names.push(String::from_utf8(name.clone()).unwrap());
        }
        names
    }

    #[test]
    fn runs_become_one() {
        let long = "a".repeat(300);
        let runs: [&[&str]; 4] = [&["b", "d"], &[], &["a", &long, "c", "e", "f"], &["c-"]];
        for size in [1, 2, 3, 10, 1000] {
            assert_eq!(merged(&runs, size), ["a", &long, "b", "c", "c-", "d", "e", "f"]);
        }
        assert!(merged(&[], 10).is_empty());
    }

    #[test]
    fn a_name_comes_once() {
        assert_eq!(merged(&[&["", "a", "b"], &["a"], &["", "a", "c"]], 10), ["", "a", "b", "c"]);
    }
}
