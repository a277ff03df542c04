//! How the files of two nodes differ: two lists in order, side by side.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::File;

/// What a child has in another way than this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It has not got the file.
    Missing(File),
    /// It has an older version. The file is that of this node.
    Older(File),
    /// It has a newer version.
    Newer(File),
    /// It has a file that is not here.
    Extra(File),
    /// It has the same version, and another size.
    Differs(File),
}

impl Difference {
    /// In a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Difference::Missing(_) => "missing",
            Difference::Older(_) => "older",
            Difference::Newer(_) => "newer",
            Difference::Extra(_) => "extra",
            Difference::Differs(_) => "differs",
        }
    }

    /// That of this node, if it has one.
    pub(crate) fn file(&self) -> &File {
        match self {
            Difference::Missing(file)
            | Difference::Older(file)
            | Difference::Newer(file)
            | Difference::Extra(file)
            | Difference::Differs(file) => file,
        }
    }

    /// The child is to get the file of this node.
    pub(crate) fn is_owed(&self) -> bool {
        matches!(self, Difference::Missing(_) | Difference::Older(_))
    }
}

/// One of two lists.
#[derive(Debug, Default)]
pub(crate) struct Side {
    files: VecDeque<File>,
    ended: bool,
}

impl Side {
    /// The next files, up to the end of the list or not.
    pub(crate) fn push(&mut self, files: Vec<File>, end: bool) {
        self.files.extend(files);
        self.ended = end;
    }

    /// Nothing can be said before it has more.
    pub(crate) fn is_waiting(&self) -> bool {
        self.files.is_empty() && !self.ended
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Compare {
    pub(crate) here: Side,
    pub(crate) there: Side,
}

impl Compare {
    /// The next difference. None: one of the sides is waiting, or both are at their end.
    pub(crate) fn next(&mut self) -> Option<Difference> {
        loop {
            if self.here.is_waiting() || self.there.is_waiting() {
                return None;
            }
            let order = match (self.here.files.front(), self.there.files.front()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(here), Some(there)) => here.path.cmp(&there.path),
            };
            match order {
                Ordering::Less => {
                    return self.here.files.pop_front().map(Difference::Missing);
                }
                Ordering::Greater => {
                    return self.there.files.pop_front().map(Difference::Extra);
                }
                Ordering::Equal => {}
            }
            let (here, there) = (self.here.files.pop_front()?, self.there.files.pop_front()?);
            match there.version.cmp(&here.version) {
                Ordering::Less => return Some(Difference::Older(here)),
                Ordering::Greater => return Some(Difference::Newer(here)),
                Ordering::Equal if here.size != there.size => {
                    return Some(Difference::Differs(here));
                }
                Ordering::Equal => {}
            }
        }
    }

    /// Both lists are at their end.
    pub(crate) fn is_done(&self) -> bool {
        let done = |side: &Side| side.files.is_empty() && side.ended;
        done(&self.here) && done(&self.there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, version: u64, size: u64) -> File {
        File { path: path.into(), size, version }
    }

    fn here() -> Vec<File> {
        ["/a", "/b", "/d", "/e", "/f"].map(|path| file(path, 5, 1)).to_vec()
    }

    fn there() -> Vec<File> {
        vec![
            file("/b", 4, 1),
            file("/c", 5, 1),
            file("/d", 6, 1),
            file("/e", 5, 1),
            file("/f", 5, 2),
        ]
    }

    #[test]
    fn each_difference_is_told_in_order() {
        let expected = ["missing /a", "older /b", "extra /c", "newer /d", "differs /f"];
        // In whatever pieces they come.
        for (first, second) in [(0, 0), (1, 4), (5, 0), (3, 2), (5, 5)] {
            let mut compare = Compare::default();
            let mut told = Vec::new();
            let (mut here, mut there) = (here(), there());
            let (late_here, late_there) = (here.split_off(first), there.split_off(second));
            compare.here.push(here, false);
            compare.there.push(there, false);
            let mut take = |compare: &mut Compare| {
                while let Some(difference) = compare.next() {
                    let path = String::from_utf8_lossy(&difference.file().path).into_owned();
                    told.push(format!("{} {path}", difference.word()));
                }
            };
            take(&mut compare);
            assert!(!compare.is_done());
            compare.here.push(late_here, true);
            take(&mut compare);
            compare.there.push(late_there, true);
            take(&mut compare);
            assert!(compare.is_done());
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_list_that_has_ended_lacks_all_that_follows() {
        for (here, there, word) in [(2, 0, "missing"), (0, 2, "extra")] {
            let mut compare = Compare::default();
            let files = |count: usize| ["/a", "/b"].map(|path| file(path, 5, 1))[..count].to_vec();
            compare.here.push(files(here), true);
            assert!(compare.there.is_waiting() && !compare.is_done());
            assert_eq!(compare.next(), None);
            compare.there.push(files(there), true);
            assert!(!compare.there.is_waiting() && !compare.is_done());
            for path in ["/a", "/b"] {
                let difference = compare.next().unwrap();
                assert_eq!((difference.word(), difference.file()), (word, &file(path, 5, 1)));
            }
            assert_eq!((compare.next(), compare.is_done()), (None, true));
        }
    }

    #[test]
    fn what_both_have_is_told_as_it_is_here() {
        let here = file("/a", 5, 1);
        for (there, expected) in [
            (file("/a", 4, 2), Difference::Older(here.clone())),
            (file("/a", 6, 2), Difference::Newer(here.clone())),
            (file("/a", 5, 2), Difference::Differs(here.clone())),
        ] {
            let mut compare = Compare::default();
            compare.here.push(vec![here.clone()], true);
            compare.there.push(vec![there], true);
            assert_eq!(compare.next(), Some(expected));
        }
    }

    #[test]
    fn the_child_is_owed_what_it_lacks() {
        let file = file("/a", 1, 1);
        assert!(Difference::Missing(file.clone()).is_owed());
        assert!(Difference::Older(file.clone()).is_owed());
        assert!(!Difference::Newer(file.clone()).is_owed());
        assert!(!Difference::Extra(file.clone()).is_owed());
        assert!(!Difference::Differs(file).is_owed());
    }
}
