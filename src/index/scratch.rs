//! A file without a name, for what does not fit into memory: sorted runs of names. It vanishes
//! with the walk, or with the process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::store::scratch_file;

/// Bytes that are written at once.
const BUFFER: usize = 64 * 1024;

/// Names one after the other, each after its length (16 bits, little endian). Grows at its end
/// and is cut off there, as a stack.
pub(super) struct Scratch {
    directory: PathBuf,
    /// Made when something is written.
    file: Option<File>,
    /// What is in the file.
    len: u64,
    /// What is not in it yet.
    pending: Vec<u8>,
}

impl Scratch {
    /// A file in `directory`.
    pub(super) fn new(directory: PathBuf) -> Scratch {
        Scratch { directory, file: None, len: 0, pending: Vec::new() }
    }

    /// Where the next name comes to stand.
    pub(super) fn end(&self) -> u64 {
        self.len + self.pending.len() as u64
    }

    /// Appends a name.
    pub(super) fn write(&mut self, name: &[u8]) -> io::Result<()> {
        encode(&mut self.pending, name)?;
        if self.pending.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends what was written since `start`: it can be read.
    pub(super) fn finish(&mut self, start: u64) -> io::Result<Range<u64>> {
        self.flush()?;
        Ok(start..self.len)
    }

    /// Appends the bytes of `range`, up to `most` of them, to `buffer`, and takes them out of
    /// `range`.
    pub(super) fn read(
        &self,
        range: &mut Range<u64>,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        let start = buffer.len();
        let left = range.end.saturating_sub(range.start);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        buffer.resize(start + count, 0);
        match &self.file {
            Some(file) => file.read_exact_at(&mut buffer[start..], range.start)?,
            None if count > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
        range.start += count as u64;
        Ok(())
    }

    /// Removes what is in the file from `end` on.
    pub(super) fn truncate(&mut self, end: u64) -> io::Result<()> {
        self.flush()?;
        if let (Some(file), true) = (&self.file, end < self.len) {
            file.set_len(end)?;
            self.len = end;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch_file(&self.directory)?),
        };
        file.write_all_at(&self.pending, self.len)?;
        self.len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Appends a name and its length.
pub(super) fn encode(buffer: &mut Vec<u8>, name: &[u8]) -> io::Result<()> {
    let length = u16::try_from(name.len()).map_err(io::Error::other)?;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(name);
    Ok(())
}

/// The name at the beginning of `bytes`, and how many of them it takes. `None`: it is not whole.
pub(super) fn decode(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    Some((rest.get(..length)?, 2 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::Tree;

    #[test]
    fn what_is_written_is_read_back() {
        let tree = Tree::new("scratch");
        let mut scratch = Scratch::new(tree.to_path_buf());
        scratch.write(b"below").unwrap();
        let start = scratch.end();
        let name = [b'a'; 255];
        for _ in 0..1000 {
            scratch.write(&name).unwrap();
        }
        assert!(scratch.pending.len() < BUFFER);
        let mut range = scratch.finish(start).unwrap();
        assert_eq!(range, 7..7 + 1000 * 257);
        let mut bytes = b"before".to_vec();
        scratch.read(&mut range, 300, &mut bytes).unwrap();
        assert_eq!((range.start, bytes.len()), (307, 306));
        assert_eq!(decode(&bytes[6..]), Some((&name[..], 257)));
        assert_eq!(decode(&bytes[6 + 257..]), None);
        scratch.read(&mut range, usize::MAX, &mut bytes).unwrap();
        assert_eq!((range.is_empty(), bytes.len()), (true, 6 + 1000 * 257));
    }

    #[test]
    fn what_is_cut_off_is_written_over() {
        let tree = Tree::new("scratch-cut");
        let mut scratch = Scratch::new(tree.to_path_buf());
        for name in [b"a", b"b", b"c"] {
            scratch.write(name).unwrap();
        }
        scratch.truncate(3).unwrap();
        scratch.write(b"d").unwrap();
        let mut bytes = Vec::new();
        let mut range = scratch.finish(0).unwrap();
        scratch.read(&mut range, 100, &mut bytes).unwrap();
        assert_eq!(bytes, b"\x01\0a\x01\0d");
        assert_eq!(scratch.file.unwrap().metadata().unwrap().len(), 6);
    }
}
