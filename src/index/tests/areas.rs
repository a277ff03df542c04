//! Which files are there, and where.

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::os::unix::net::UnixListener;

use crate::index::sorted::LIMITS;
use crate::index::testing::{area, paths, rest, unserved, walk, Tree, LITTLE};

#[test]
fn the_longest_prefix_decides() {
    let (files, music) = (Tree::new("walk-files"), Tree::new("walk-music"));
    for path in
        ["a", "a-b/c", "music/shadowed", "music2/d", "not/at/all", "not/but", "one", "one.x"]
    {
        files.file(path);
    }
    music.file("z/y");
    music.file("x");
    let areas = [
        unserved("/not/at/"),
        area("/", &*files),
        area("/music/", &*music),
        area("/far/down/here/", music.join("z")),
        area("/music/z/deep/", music.join("z")),
        unserved("/one"),
        unserved("/a-b"),
        area("/__readme.txt", files.join("a")),
        unserved("/__missing__/"),
        area("/__missing__/but/this/", music.join("z")),
        area("/gone.txt", files.join("missing")),
        area("/a", music.join("x")),
        area("/is_directory", &*music),
        unserved("/music/z/y/"),
    ];
    let expected = [
        "/__missing__/but/this/y",
        "/__readme.txt",
        "/a",
        "/a-b/c",
        "/far/down/here/y",
        "/music/x",
        "/music/z/deep/y",
        "/music/z/y",
        "/music2/d",
        "/not/but",
        "/one.x",
    ];
    assert_eq!(paths(&areas, "/"), expected);
    for limits in [LIMITS, LITTLE] {
        for (index, path) in expected.iter().enumerate() {
            let left = rest(&mut walk(limits, &areas, b"/", Some(path.as_bytes())));
            assert!(left.iter().eq(expected[index + 1..].iter().map(|path| path.as_bytes())));
        }
    }
    assert_eq!(paths(&areas, "/not/at/"), [""; 0]);
    assert_eq!(paths(&areas, "/a-b/"), ["/a-b/c"]);
    assert_eq!(
        paths(&areas[2..], "/"),
        [
            "/__missing__/but/this/y",
            "/__readme.txt",
            "/a",
            "/far/down/here/y",
            "/music/x",
            "/music/z/deep/y",
            "/music/z/y"
        ]
    );
}

#[test]
fn reserved_names_do_not_appear() {
    let tree = Tree::new("walk-reserved");
    for path in [".filedist.1.2", ".filedist.x/a", "a/.filedist.", ".filedist", "a/.b", "filedist."]
    {
        tree.file(path);
    }
    let areas = [
        area("/", &*tree),
        area("/.filedist.y/", &*tree),
        area("/.filedist.z", tree.join(".filedist")),
    ];
    assert_eq!(paths(&areas, "/"), ["/.filedist", "/a/.b", "/filedist."]);
    assert_eq!(paths(&areas, "/.filedist.x/"), [""; 0]);
}

#[test]
fn links_to_files_are_files() {
    let tree = Tree::new("walk-links");
    tree.file("d/a");
    fs::write(tree.join("d/a"), "four").unwrap();
    symlink("d/a", tree.join("link")).unwrap();
    symlink("nowhere", tree.join("broken")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    symlink("d", tree.join("directory")).unwrap();
    symlink("..", tree.join("d/up")).unwrap();
    UnixListener::bind(tree.join("socket")).unwrap();
    let areas = [area("/", &*tree)];
    assert_eq!(paths(&areas, "/"), ["/d/a", "/link"]);
    let files = walk(LIMITS, &areas, b"/", None).next(9).unwrap().files;
    assert_eq!((files[1].size, files[1].version), (4, files[0].version));
}

#[test]
fn a_file_has_its_size_and_its_mtime() {
    let tree = Tree::new("walk-stat");
    fs::write(tree.join("a"), "12345").unwrap();
    let files = walk(LIMITS, &[area("/", &*tree)], b"/", None).next(9).unwrap().files;
    let found = fs::metadata(tree.join("a")).unwrap();
    let version = found.mtime() as u64 * 1_000_000_000 + found.mtime_nsec() as u64;
    assert_eq!((files[0].size, files[0].version), (5, version));
}
