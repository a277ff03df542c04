//! What cannot be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::index::sorted::LIMITS;
use crate::index::testing::{area, rest, walk, Tree, LITTLE, SLICE};
use crate::index::{Area, Walk};

#[test]
fn what_vanishes_is_skipped() {
    let tree = Tree::new("walk-vanish");
    for path in ["a", "b/x", "c", "d/x", "e/x", "f"] {
        tree.file(path);
    }
    let mut walk = walk(LIMITS, &[area("/", &*tree)], b"/", None);
    assert_eq!(walk.next(1).unwrap().files[0].path, b"/a");
    fs::remove_dir_all(tree.join("b")).unwrap();
    fs::remove_file(tree.join("c")).unwrap();
    fs::remove_dir_all(tree.join("d")).unwrap();
    fs::write(tree.join("d"), "").unwrap();
    assert_eq!(rest(&mut walk), [&b"/e/x"[..], b"/f"]);
    assert!(walk.problem().is_none());
}

#[test]
fn a_disk_that_is_not_there_is_a_problem() {
    let tree = Tree::new("walk-unmounted");
    tree.file("a");
    tree.file("is_file");
    let areas =
        [area("/", &*tree), area("/b/", tree.join("missing")), area("/c/", tree.join("is_file"))];
    let mut all = walk(LIMITS, &areas, b"/", None);
    assert_eq!(rest(&mut all), [&b"/a"[..], b"/is_file"]);
    let problem = all.problem().unwrap();
    assert_eq!((problem.count, &problem.path[..]), (2, &b"/b/"[..]));
    assert_eq!(problem.to_string(), "cannot read /b/: No such file or directory, and 1 more");
    let missing = tree.join("missing/");
    let log = format!("opendir() \"{}\" failed (2: No such file or directory)", missing.display());
    assert_eq!(problem.error.to_string(), log);

    // Also where the walk begins further down.
    let mut below = walk(LIMITS, &areas, b"/b/c/", None);
    assert!(rest(&mut below).is_empty());
    assert_eq!(below.problem().unwrap().count, 1);
}

#[test]
fn what_cannot_be_read_is_a_problem() {
    let tree = Tree::new("walk-long");
    tree.file("a");
    tree.file("z");
    // By its whole path it cannot be opened.
    let name = "d".repeat(255);
    let mut path = tree.to_path_buf();
    for _ in 0..16 {
        path.push(&name);
        if fs::create_dir(&path).is_err() {
            let (parent, last) = (path.parent().unwrap(), path.file_name().unwrap());
            let link = Tree::new("walk-long-link");
            symlink(parent, link.join("l")).unwrap();
            fs::create_dir(link.join("l").join(last)).unwrap();
            break;
        }
    }
    let mut walk = walk(LIMITS, &[area("/", &*tree)], b"/", None);
    assert_eq!(rest(&mut walk), [b"/a", b"/z"]);
    let problem = walk.problem().unwrap();
    assert_eq!(problem.count, 1);
    assert!(problem.to_string().ends_with("/: File name too long"), "{problem}");
}

#[test]
fn a_walk_without_its_scratch_file_fails() {
    let tree = Tree::new("walk-scratch");
    for number in 0..100 {
        tree.file(format!("{number}"));
    }
    let areas: Arc<[Area]> = [area("/", &*tree)].into();
    let scratch = tree.join("missing");
    let mut walk = Walk::within(LITTLE, SLICE, areas, b"/", None, scratch.clone());
    assert!(walk.next(10).is_err());
    // Names are lost by then.
    fs::create_dir(scratch).unwrap();
    assert!(walk.next(10).is_err());
}
