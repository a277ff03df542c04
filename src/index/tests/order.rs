//! Order, and where a walk begins and stops.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use crate::index::sorted::LIMITS;
use crate::index::testing::{area, paths, rest, walk, Random, Tree, LITTLE};
use crate::index::{Area, Walk};

/// Names of bytes around the slash.
fn name(random: &mut Random) -> Vec<u8> {
    let longest = if random.below(20) == 0 { 200 } else { 3 };
    let length = 1 + random.below(longest);
    let name: Vec<u8> = (0..length).map(|_| b"ab-.0 \n\xff\x01~+,"[random.below(12)]).collect();
    match &name[..] {
        b"." | b".." => b"...".to_vec(),
        _ => name,
    }
}

/// Fills a directory; gives the paths of the files, in order.
fn fill(tree: &Tree, random: &mut Random) -> Vec<Vec<u8>> {
    let mut directories = vec![Vec::new()];
    let mut paths = Vec::new();
    for _ in 0..80 {
        let directory = &directories[random.below(directories.len())];
        let path = [&directory[..], b"/", &name(random)].concat();
        let on_disk = tree.join(OsString::from_vec(path[1..].to_vec()));
        if on_disk.exists() || path.len() > 1000 {
            continue;
        }
        if random.below(3) == 0 {
            fs::create_dir(on_disk).unwrap();
            directories.push(path);
        } else {
            fs::write(on_disk, "").unwrap();
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

#[test]
fn moves_between_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<Walk>();
}

#[test]
fn paths_come_in_order() {
    for seed in 0..25 {
        let tree = Tree::new("walk-order");
        let expected = fill(&tree, &mut Random::new(seed));
        for limits in [LIMITS, LITTLE] {
            let mut walk = walk(limits, &[area("/", &*tree)], b"/", None);
            assert!(rest(&mut walk) == expected, "seed {seed}, {limits:?}");
            assert!(walk.problem().is_none());
        }
    }
}

#[test]
fn a_walk_goes_on_after_any_path() {
    for seed in 0..5 {
        let tree = Tree::new("walk-after");
        let mut random = Random::new(seed);
        let expected = fill(&tree, &mut random);
        let areas = [area("/", &*tree)];
        // Paths that are there, that are not there, of directories, and beginnings of paths.
        let mut afters = expected.clone();
        for path in &expected {
            afters.push(path[..random.below(path.len())].to_vec());
            afters.push([&path[..], &name(&mut random)].concat());
            afters.push([&path[..], b"/", &name(&mut random)].concat());
        }
        afters.push(b"/\xff\xff".to_vec());
        for after in afters {
            let left: Vec<_> = expected.iter().filter(|path| **path > after).cloned().collect();
            for limits in [LIMITS, LITTLE] {
                let mut walk = walk(limits, &areas, b"/", Some(&after));
                assert!(rest(&mut walk) == left, "seed {seed}, after {after:?}");
            }
        }
    }
}

#[test]
fn what_comes_before_is_not_read() {
    let tree = Tree::new("walk-skip");
    tree.file("b/b");
    // Reading it would be a problem.
    let areas = [area("/", &*tree), area("/a/", tree.join("missing"))];
    let mut walk = walk(LIMITS, &areas, b"/", Some(b"/a0"));
    assert_eq!(rest(&mut walk), [b"/b/b"]);
    assert!(walk.problem().is_none());
}

#[test]
fn a_walk_may_begin_further_down() {
    let tree = Tree::new("walk-below");
    for path in ["a", "b/c", "b/d/e", "b-", "b0", "bc"] {
        tree.file(path);
    }
    let areas = [area("/", &*tree), area("/x/y/", tree.join("b"))];
    assert_eq!(paths(&areas, "/b/"), ["/b/c", "/b/d/e"]);
    assert_eq!(paths(&areas, "/x/"), ["/x/y/c", "/x/y/d/e"]);
    assert_eq!(paths(&areas, "/x/y/d/"), ["/x/y/d/e"]);
    for nothing in ["/a/", "/missing/", "/b", "b/", "", "//", "/b/../", "/./", "/b//", "/b/\0/"] {
        assert_eq!(paths(&areas, nothing), [""; 0], "{nothing:?}");
    }
    for (after, count) in [(&b"/a"[..], 2), (b"/b/", 2), (b"/b/c", 1), (b"/b0", 0), (b"/b-", 2)] {
        assert_eq!(rest(&mut walk(LIMITS, &areas, b"/b/", Some(after))).len(), count);
    }
}

#[test]
fn a_step_ends_in_time() {
    let tree = Tree::new("walk-slice");
    for number in 0..300 {
        tree.file(format!("{number}"));
    }
    let areas: Arc<[Area]> = [area("/", &*tree)].into();
    let mut walk = Walk::within(LITTLE, Duration::ZERO, areas, b"/", None, std::env::temp_dir());
    let (mut steps, mut files) = (0, 0);
    loop {
        let step = walk.next(usize::MAX).unwrap();
        steps += 1;
        files += step.files.len();
        assert!(step.files.len() <= 1);
        if step.end {
            break;
        }
    }
    assert_eq!(files, 300);
    assert!(steps > 300);
}

#[test]
fn a_step_has_no_more_paths_than_fit() {
    let tree = Tree::new("walk-paths");
    let directory = vec!["d".repeat(200); 10].join("/");
    for number in 0..100 {
        tree.file(format!("{directory}/{number}"));
    }
    let mut walk = walk(LIMITS, &[area("/", &*tree)], b"/", None);
    let step = walk.next(usize::MAX).unwrap();
    assert!(step.files.len() < 50 && !step.end);
    assert_eq!(step.files.len() + rest(&mut walk).len(), 100);
}
