//! What the workers' user has to own, and to be able to write to, before workers start. nginx's master
//! sees to it, which is root as a rule; all is a matter of some system calls a child and a day.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{fchown, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::flock;

/// The user of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// Gives what an earlier user of the workers has made in a state directory to the present one. nginx does
/// so with the five directories themselves only. Symbolic links, as tombstones are, belong to whoever
/// may write to their directory.
pub(crate) fn hand_over(directories: &[&Path], owner: Owner) -> io::Result<()> {
    for directory in directories {
        for path in entries(directory)? {
            hand_over_one(&path, owner)?;
            for path in entries(&path)? {
                hand_over_one(&path, owner)?;
            }
        }
    }
    Ok(())
}

/// The names in a directory; none where it is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::symlink_metadata(directory).is_ok_and(|it| it.is_dir()) {
        return Ok(Vec::new());
    }
    fs::read_dir(directory)?.map(|entry| entry.map(|it| it.path())).collect()
}

fn hand_over_one(path: &Path, owner: Owner) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if found.uid() == owner.user || !(found.is_file() || found.is_dir()) {
        return Ok(());
    }
    // What was opened is what is handed over: the old user may still be at work, and a file of several
    // names may be somebody else's.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    match found.is_dir() || found.is_file() && found.nlink() == 1 {
        true => fchown(&file, Some(owner.user), Some(owner.group)),
        false => Ok(()),
    }
}

/// Whether that user may make files in a directory, as far as its mode tells.
pub(crate) fn may_write(directory: &Path, owner: Owner) -> io::Result<bool> {
    let found = fs::metadata(directory)?;
    let bit = if found.uid() == owner.user {
        0o200
    } else if found.gid() == owner.group {
        0o020
    } else {
        0o002
    };
    Ok(owner.user == 0 || found.mode() & bit != 0)
}

/// Locks the state directory for one nginx, which is called `who`: as long as the file is open there or
/// in a process that it has forked. Or tells who has it. The same nginx may do so again: it is reloaded,
/// upgraded, or started while its old workers end; then there is no other lock.
pub(crate) fn claim(state: &Path, who: &str) -> io::Result<Result<Option<File>, String>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    let file = options.custom_flags(libc::O_NOFOLLOW).open(lock_file(state))?;
    if !flock::try_exclusive(&file)? {
        let other = holder(state)?;
        return Ok(if other == who { Ok(None) } else { Err(other) });
    }
    file.set_len(0)?;
    io::Write::write_all(&mut &file, format!("{who}\n").as_bytes())?;
    Ok(Ok(Some(file)))
}

/// Who has locked the state directory, if it is not `who`. For a configuration that is only tested.
pub(crate) fn claimed_by_other(state: &Path, who: &str) -> Option<String> {
    let file = File::open(lock_file(state)).ok()?;
    let is_locked = flock::is_held(&file);
    holder(state).ok().filter(|other| is_locked && other != who)
}

fn lock_file(state: &Path) -> PathBuf {
    state.join("lock")
}

fn holder(state: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(lock_file(state))?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("filedist-owner-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn one_nginx_has_a_state_directory() {
        let state = state("claim");
        let first = claim(&state, "a").unwrap().unwrap();
        assert_eq!(claim(&state, "b").unwrap().unwrap_err(), "a");
        assert_eq!(claimed_by_other(&state, "b").as_deref(), Some("a"));
        assert!(claim(&state, "a").unwrap().unwrap().is_none(), "the same again");
        assert_eq!(claimed_by_other(&state, "a"), None);
        drop(first);
        assert_eq!(claimed_by_other(&state, "b"), None);
        assert!(claim(&state, "b").unwrap().unwrap().is_some());
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn the_mode_tells_who_may_write() {
        let state = state("mode");
        let found = fs::metadata(&state).unwrap();
        let owner = Owner { user: found.uid() + 1, group: found.gid() + 1 };
        for (mode, may) in [(0o755, false), (0o757, true)] {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&state, permissions).unwrap();
            assert_eq!(may_write(&state, owner).unwrap(), may);
        }
        assert!(may_write(&state.join("none"), owner).is_err());
        fs::remove_dir_all(state).unwrap();
    }
}
