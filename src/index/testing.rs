//! What the tests of the index share: trees of files, and walks through them.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sorted::{Limits, LIMITS};
use super::{Area, Walk};

/// So little that nearly everything goes to the scratch file, and is merged several times.
pub(super) const LITTLE: Limits = Limits { bytes: 64, names: 6, runs: 3, buffer: 16 };

pub(super) const SLICE: Duration = Duration::from_secs(3600);

pub(super) fn area(prefix: &str, directory: impl AsRef<Path>) -> Area {
    Area { prefix: prefix.into(), directory: Some(directory.as_ref().into()) }
}

pub(super) fn unserved(prefix: &str) -> Area {
    Area { prefix: prefix.into(), directory: None }
}

pub(super) fn walk(limits: Limits, areas: &[Area], below: &[u8], after: Option<&[u8]>) -> Walk {
    let after = after.map(<[u8]>::to_vec);
    Walk::within(limits, SLICE, areas.into(), below, after, std::env::temp_dir())
}

/// The paths up to the end.
pub(super) fn rest(walk: &mut Walk) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    loop {
        let step = walk.next(7).unwrap();
        assert!(step.files.len() <= 7);
        paths.extend(step.files.into_iter().map(|file| file.path));
        if step.end {
            return paths;
        }
    }
}

/// All paths of a walk without problems, as text.
pub(super) fn paths(areas: &[Area], below: &str) -> Vec<String> {
    let mut walk = walk(LIMITS, areas, below.as_bytes(), None);
    let paths = rest(&mut walk);
    assert!(walk.problem().is_none(), "{:?}", walk.problem());
    paths.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
}

/// A directory for a test; it goes with this.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new(name: &str) -> Tree {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("filedist-{name}-{}-{number}", std::process::id());
        let tree = Tree(std::env::temp_dir().join(name));
        fs::create_dir(&tree.0).unwrap();
        tree
    }

    /// Makes a file, and the directories that it needs.
    pub(super) fn file(&self, path: impl AsRef<Path>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

impl Deref for Tree {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Numbers that look random, the same in each run (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}
