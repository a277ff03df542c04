//! What a walk could not read.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::escape;

/// What could not be read: files may be missing from the walk.
#[derive(Debug)]
pub(crate) struct Problem {
    /// How many files and directories.
    pub(crate) count: u64,
    /// The URL path of the first one.
    pub(crate) path: Vec<u8>,
    /// Why, for the error log: it names the path on the disk.
    pub(crate) error: Error,
    /// Another walk may read some of it.
    pub(crate) may_pass: bool,
}

impl Problem {
    /// Adds one: a system call failed on `file`, which is `path` in the URL.
    pub(super) fn add(
        problem: &mut Option<Problem>,
        path: &[u8],
        call: &'static str,
        file: &Path,
        error: io::Error,
    ) {
        let may_pass = is_of_the_moment(&error);
        match problem {
            Some(problem) => {
                problem.count += 1;
                problem.may_pass |= may_pass;
            }
            None => {
                let error = Error::io(call, file)(error);
                *problem = Some(Problem { count: 1, path: path.to_vec(), error, may_pass });
            }
        }
    }
}

impl fmt::Display for Problem {
    /// For everybody: one line, without a path of this machine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { count, path, error, .. } = self;
        write!(f, "cannot read {}", escape::percent(path))?;
        if let Error::Io { source, .. } = error {
            let text = source.to_string();
            write!(f, ": {}", text.split(" (os error").next().unwrap_or_default())?;
        }
        match count {
            1 => Ok(()),
            _ => write!(f, ", and {} more", count - 1),
        }
    }
}

/// It may go better the next time: the machine is short of something, or its disk or network fails.
fn is_of_the_moment(error: &io::Error) -> bool {
    let error = error.raw_os_error().unwrap_or_default();
    let short = [libc::EINTR, libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE];
    let failing = [libc::EIO, libc::ESTALE, libc::ETIMEDOUT];
    short.contains(&error) || failing.contains(&error)
}

/// There is nothing: it has vanished, or it is a symbolic link that leads to nothing, or to itself.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}
