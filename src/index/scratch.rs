//! A file without a name, for what does not fit into memory: sorted runs of names. It vanishes
//! with the walk, or with the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::RESERVED;

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
            none => none.insert(create(&self.directory)?),
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

fn create(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
        Err(error) => match error.raw_os_error() {
            // EISDIR: a kernel or file system that takes O_TMPFILE for O_DIRECTORY.
            Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => {
                create_named(directory, &options)
            }
            _ => Err(error),
        },
        file => file,
    }
}

/// Where a file needs a name: it loses it at once.
fn create_named(directory: &Path, options: &OpenOptions) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 1000;

    let reserved = String::from_utf8_lossy(RESERVED);
    let mut options = options.clone();
    options.create_new(true);
    for _ in 0..TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{reserved}index.{}.{number}", process::id()));
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return fs::remove_file(&path).map(|()| file),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
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

    #[test]
    fn what_has_the_name_of_a_scratch_file_stays() {
        let tree = Tree::new("scratch-names");
        for number in 0..100 {
            tree.file(format!(".filedist.index.{}.{number}", process::id()));
        }
        let mut options = OpenOptions::new();
        create_named(&tree, options.read(true).write(true)).unwrap();
        assert_eq!(fs::read_dir(&*tree).unwrap().count(), 100);
    }

    #[test]
    fn the_file_has_no_name() {
        let tree = Tree::new("scratch-name");
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        for file in [create(&tree), create_named(&tree, &options)] {
            file.unwrap().write_all_at(b"a", 0).unwrap();
            assert_eq!(fs::read_dir(&*tree).unwrap().count(), 0);
        }
        assert!(create(&tree.join("missing")).is_err());
        assert!(create_named(&tree.join("missing"), &options).is_err());
    }
}
