//! The lines of a file, read through a buffer of constant size.

use std::fs::File;
use std::io;

use rustix::io::{pread, retry_on_intr};

use super::entry::LINE_MAX;

/// More than [`LINE_MAX`], so that it holds a whole line.
const BUFFER: usize = 64 * 1024;

/// A position in a file that others append to.
pub(super) struct Lines {
    buffer: Box<[u8]>,
    /// What was read and not yet taken: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Where in the file `start` is.
    offset: u64,
    /// Whether `start` is inside of a line that is too long.
    in_long_line: bool,
}

/// A line, without its newline.
pub(super) struct Line<'a> {
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// A line that is too long to be an entry comes as an empty one.
    pub(super) bytes: &'a [u8],
}

impl Lines {
    pub(super) fn new() -> Lines {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Lines { buffer, start: 0, end: 0, offset: 0, in_long_line: false }
    }

    /// Goes to the beginning of a line, of this file or another.
    pub(super) fn seek(&mut self, offset: u64) {
        (self.start, self.end, self.offset, self.in_long_line) = (0, 0, offset, false);
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How much of the file has been seen, with the beginning of a line that has no end yet.
    pub(super) fn seen(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// The next line that has a newline. `None`: there is none yet.
    pub(super) fn next(&mut self, file: &File) -> io::Result<Option<Line<'_>>> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            let newline = rest.iter().position(|&byte| byte == b'\n');
            match newline {
                Some(length) => return Ok(Some(self.take(length, 1))),
                None if rest.len() > LINE_MAX => {
                    self.in_long_line = true;
                    return Ok(Some(self.take(rest.len(), 0)));
                }
                None => {}
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let seen = self.seen();
            match retry_on_intr(|| pread(file, &mut self.buffer[self.end..], seen))? {
                0 => return Ok(None),
                count => self.end += count,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Takes a line of that length and its newline, or a part of one that is too long.
    fn take(&mut self, length: usize, newline: usize) -> Line<'_> {
        let (start, offset) = (self.start, self.offset);
        self.start += length + newline;
        self.offset += (length + newline) as u64;
        if self.in_long_line || length > LINE_MAX {
            self.in_long_line = newline == 0;
            return Line { offset, bytes: &[] };
        }
        Line { offset, bytes: &self.buffer[start..start + length] }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::missing_log::testing::Logs;

    /// The lines of `text` that are not empty, with their offsets.
    fn lines_of(text: &[u8], name: &str) -> Vec<(u64, Vec<u8>)> {
        let logs = Logs::new(name);
        fs::write(logs.join("a"), text).unwrap();
        let file = File::open(logs.join("a")).unwrap();
        let mut lines = Lines::new();
        let mut all = Vec::new();
        while let Some(line) = lines.next(&file).unwrap() {
            if !line.bytes.is_empty() {
                all.push((line.offset, line.bytes.to_vec()));
            }
        }
        all
    }

    #[test]
    fn lines_of_all_lengths_come_whole() {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for length in (1..=LINE_MAX).step_by(997).chain([LINE_MAX - 1, LINE_MAX, 1]) {
            expected.push((text.len() as u64, vec![b'a'; length]));
            text.resize(text.len() + length, b'a');
            text.push(b'\n');
        }
        assert!(lines_of(&text, "lines") == expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        for length in [LINE_MAX + 1, BUFFER, BUFFER + 1, 10 * BUFFER + 5] {
            let text = [&b"first\n"[..], &vec![b'a'; length], b"\nlast\n"].concat();
            let last = text.len() as u64 - 5;
            let expected = [(0, b"first".to_vec()), (last, b"last".to_vec())];
            assert_eq!(lines_of(&text, "lines-long"), expected);
        }
    }

    #[test]
    fn a_line_without_an_end_waits_for_it() {
        let logs = Logs::new("lines-end");
        fs::write(logs.join("a"), "one\ntw").unwrap();
        let file = File::options().read(true).write(true).open(logs.join("a")).unwrap();
        let mut lines = Lines::new();
        assert_eq!(lines.next(&file).unwrap().unwrap().bytes, b"one");
        assert!(lines.next(&file).unwrap().is_none());
        assert_eq!((lines.offset(), lines.seen()), (4, 6));
        file.write_all_at(b"o\n", 6).unwrap();
        assert_eq!(lines.next(&file).unwrap().unwrap().bytes, b"two");
    }
}
