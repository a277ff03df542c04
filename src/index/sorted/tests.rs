//! The stack of sorted lists, against one that sorts in memory.

use std::collections::BTreeSet;

use super::{Limits, Names, LIMITS};
use crate::index::testing::{Random, Tree, LITTLE};

fn name(random: &mut Random) -> Vec<u8> {
    let length = if random.below(30) == 0 { LONGEST } else { 1 + random.below(4) };
    (0..length).map(|_| b'a' + random.below(3) as u8).collect()
}

const LONGEST: usize = 200;

fn push(names: &mut Names, random: &mut Random, most: usize) -> BTreeSet<Vec<u8>> {
    let mut list = BTreeSet::new();
    names.push();
    for _ in 0..random.below(most) {
        let name = name(random);
        names.add(&name).unwrap();
        check_size(names);
        list.insert(name);
    }
    while !names.sort().unwrap() {}
    list
}

/// Little more than the limits is in memory: a name that is longer than the buffer makes it grow.
fn check_size(names: &Names) {
    assert!(names.bytes.len() <= names.limits.bytes + 2 * LONGEST, "{}", names.bytes.len());
    let loaded = (names.limits.buffer + 2 * LONGEST) / 3;
    assert!(names.order.len() <= names.limits.names.max(loaded), "{}", names.order.len());
}

/// Takes a name of the list on top; false at its end.
fn take(names: &mut Names, list: &mut BTreeSet<Vec<u8>>) -> bool {
    let mut name = Vec::new();
    let found = names.next(&mut name).unwrap();
    check_size(names);
    assert_eq!(found.then_some(name), list.pop_first());
    found
}

#[test]
fn each_list_keeps_its_order_while_others_come_and_go() {
    let limits = [
        LITTLE,
        Limits { bytes: 1000, names: 10_000, runs: 2, buffer: 100 },
        Limits { bytes: 4000, names: 10_000, runs: 32, buffer: 1000 },
        Limits { bytes: 100_000, names: 160, runs: 4, buffer: 16 },
        LIMITS,
    ];
    for (seed, limits) in limits.into_iter().cycle().take(20).enumerate() {
        let tree = Tree::new("names");
        let mut random = Random::new(seed as u64);
        let mut names = Names::new(limits, tree.to_path_buf());
        let mut lists = Vec::new();
        for _ in 0..300 {
            match random.below(4) {
                0 if lists.len() < 30 => {
                    let most = [5, 50, 500][random.below(3)];
                    lists.push(push(&mut names, &mut random, most));
                }
                1 => {
                    names.pop().unwrap();
                    lists.pop();
                }
                _ => {
                    let Some(list) = lists.last_mut() else { continue };
                    for _ in 0..random.below(100) {
                        take(&mut names, list);
                    }
                }
            }
        }
        while let Some(mut list) = lists.pop() {
            while take(&mut names, &mut list) {}
            names.pop().unwrap();
        }
        assert_eq!(names.scratch.end(), 0);
    }
}

#[test]
fn no_more_runs_are_merged_at_once_than_may_be() {
    let tree = Tree::new("names-runs");
    let mut names = Names::new(LITTLE, tree.to_path_buf());
    names.push();
    for number in 100..400 {
        names.add(number.to_string().as_bytes()).unwrap();
    }
    while !names.sort().unwrap() {}
    // With the runs and a merge they would be there twice.
    assert!(names.scratch.end() > 3 * 300 * 5);
}

#[test]
fn deep_and_wide_lists_take_no_more_memory() {
    let tree = Tree::new("names-memory");
    let mut names = Names::new(LIMITS, tree.to_path_buf());
    for list in 0..40 {
        names.push();
        for number in 0..20_000 {
            names.add(format!("{list} {number:016}").as_bytes()).unwrap();
        }
        while !names.sort().unwrap() {}
        names.next(&mut Vec::new()).unwrap();
    }
    let (mut name, mut count) = (Vec::new(), 0);
    for _ in 0..40 {
        while names.next(&mut name).unwrap() {
            count += 1;
        }
        names.pop().unwrap();
    }
    assert_eq!(count, 40 * 19_999);
    let (bytes, order) = (names.bytes.capacity(), names.order.capacity());
    assert!(bytes <= LIMITS.bytes && order <= LIMITS.names, "{bytes}, {order}");
}

#[test]
fn an_empty_stack_has_no_names() {
    let mut names = Names::new(LIMITS, std::env::temp_dir());
    assert!(!names.next(&mut Vec::new()).unwrap());
    names.push();
    assert!(names.sort().unwrap());
    assert!(!names.next(&mut Vec::new()).unwrap());
    names.pop().unwrap();
    names.pop().unwrap();
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let mut names = Names::new(LIMITS, std::env::temp_dir());
    names.push();
    names.add(&[b'a'; 65535]).unwrap();
    assert!(names.add(&[b'a'; 65536]).is_err());
    assert!(names.sort().unwrap());
    let mut name = Vec::new();
    assert!(names.next(&mut name).unwrap());
    assert_eq!(name.len(), 65535);
    assert!(!names.next(&mut name).unwrap());
}
