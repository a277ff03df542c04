//! What a walk takes of a million files. To be run alone, with a directory in $WALK_ROOT:
//! `cargo test --release -- --ignored --nocapture --test-threads=1 index::tests::memory`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::index::testing::area;
use crate::index::Walk;

/// What of a line of /proc/self/status, in KB.
fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Walks through a directory of $WALK_ROOT that is made if it is missing; prints what it took.
fn measure(name: &str, fill: impl Fn(&Path)) {
    let root: PathBuf = std::env::var_os("WALK_ROOT").expect("WALK_ROOT: a directory").into();
    let directory = root.join(name);
    if !directory.exists() {
        fs::create_dir_all(&directory).unwrap();
        fill(&directory);
    }
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (memory("VmHWM"), Instant::now());
    let mut walk = Walk::new([area("/", directory)].into(), b"/", None, root);
    let (mut first, mut longest, mut files, mut end) = (None, Duration::ZERO, 0, false);
    while !end {
        let begun = Instant::now();
        let step = walk.next(1000).unwrap();
        longest = longest.max(begun.elapsed());
        files += step.files.len();
        end = step.end;
        if files > 0 {
            first.get_or_insert(start.elapsed());
        }
    }
    let (all, grown) = (start.elapsed(), memory("VmHWM") - before);
    println!(
        "{name}: {files} files, {grown} KB, first file after {:.3} s, all after {:.3} s, \
         {:.0} files/s, longest step {:.1} ms",
        first.unwrap_or_default().as_secs_f64(),
        all.as_secs_f64(),
        files as f64 / all.as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
    assert!(walk.problem().is_none());
    assert!(grown < 3072);
}

#[test]
#[ignore = "takes a million files; to be run alone"]
fn a_million_files_in_a_directory_take_little_memory() {
    measure("flat", |directory| {
        for number in 0..1_000_000u64 {
            let number = number * 7_368_787 % 1_000_000;
            fs::write(directory.join(format!("recording-{number:07}.mp3")), "").unwrap();
        }
    });
}

#[test]
#[ignore = "takes a million files; to be run alone"]
fn a_thousand_directories_take_little_memory() {
    measure("thousand", |directory| {
        for outer in 0..1000 {
            fs::create_dir(directory.join(format!("{outer:03}"))).unwrap();
            for inner in 0..1000 {
                let name = format!("{outer:03}/recording-{inner:07}.mp3");
                fs::write(directory.join(name), "").unwrap();
            }
        }
    });
}
