//! The file that a request names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::nginx::{self, Request};

/// What the names of the module's own temporary files begin with.
pub(super) const RESERVED: &[u8] = b".filedist.";

/// The longest name of a file, NAME_MAX of all usual file systems.
const NAME_MAX: usize = 255;

/// A path below the location's root that PUT and DELETE may change.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Without a slash at the end.
    pub(crate) path: PathBuf,
    /// The root that it lies below.
    pub(crate) root: PathBuf,
    /// The request's path ends with a slash.
    pub(crate) is_directory: bool,
}

impl Target {
    /// Maps the request's path as nginx does for GET, and refuses what must not be changed.
    pub(crate) fn of(r: &Request) -> Result<Target, Error> {
        let (path, root) = r.map_to_path().map_err(|_| Error::Internal("no memory"))?;
        let root = path.get(..root).unwrap_or(path);
        // A root without a slash at its end ("alias /srv/a" in "location /a") is cut off within a
        // name.
        let cut = root.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        check_names(path.get(cut..).unwrap_or_default())?;
        let target = Target {
            path: nginx::path(without_slash(path)).into(),
            root: nginx::path(without_slash(root)).into(),
            is_directory: path.ends_with(b"/"),
        };
        // "alias /srv/a" makes "/srv/a-b" of "/a-b".
        if !target.path.starts_with(&target.root) {
            return Err(Error::OutsideRoot);
        }
        target.check_symlinks(r)?;
        Ok(target)
    }

    /// The directory that it lies in.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.root)
    }

    /// Its name in that directory.
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// The directories from the target's own up to the root.
    pub(super) fn parents(&self) -> impl Iterator<Item = &Path> {
        self.path.ancestors().skip(1).take_while(|parent| parent.starts_with(&self.root))
    }

    /// `disable_symlinks` holds for the part of the path that exists. To be asked again before the
    /// path is used: an upload takes its time.
    pub(crate) fn check_symlinks(&self, r: &Request) -> Result<(), Error> {
        if !r.checks_symlinks() {
            return Ok(());
        }
        for path in self.path.ancestors().take_while(|path| path.starts_with(&self.root)) {
            match nginx::symlinks_allow(*r, path).map_err(|_| Error::Internal("no memory"))? {
                Ok(()) => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ELOOP | libc::EMLINK) => return Err(Error::Symlink),
                    Some(libc::ENOENT | libc::ENOTDIR) => {}
                    _ => return Err(Error::io("open", path)(error)),
                },
            }
        }
        Ok(())
    }
}

fn without_slash(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    path.get(..end).unwrap_or(path)
}

/// The last name of a path is one of the module's own temporary files.
pub(crate) fn is_reserved(uri: &[u8]) -> bool {
    let start = uri.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    uri.get(start..).is_some_and(|name| name.starts_with(RESERVED))
}

fn check_names(below_root: &[u8]) -> Result<(), Error> {
    for name in below_root.split(|&byte| byte == b'/') {
        if name == b".." {
            return Err(Error::OutsideRoot);
        }
        if name.starts_with(RESERVED) {
            return Err(Error::ReservedName);
        }
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_dot_dot_and_reserved_names() {
        assert!(check_names(b"/a/b.mp3").is_ok());
        assert!(check_names(b"/a..b/.c/...").is_ok());
        assert_eq!(check_names(b"/a/../b").unwrap_err().status(), 400);
        assert_eq!(check_names(&[b'a'; 256]).unwrap_err().status(), 400);
        assert!(check_names(&[b'a'; 255]).is_ok());
        assert_eq!(check_names(b"..").unwrap_err().status(), 400);
        assert_eq!(check_names(b"/.filedist.1.2/a").unwrap_err().status(), 403);
    }

    #[test]
    fn knows_its_own_temporary_files() {
        assert!(is_reserved(b"/a/.filedist.1.2"));
        assert!(!is_reserved(b"/a/filedist.1.2"));
        assert!(!is_reserved(b"/.filedist.1/a"));
        assert!(!is_reserved(b"/"));
    }

    #[test]
    fn parents_end_at_the_root() {
        let target = Target {
            path: "/srv/files/a/b/c".into(),
            root: "/srv/files".into(),
            is_directory: false,
        };
        let parents: Vec<_> = target.parents().collect();
        assert_eq!(parents, ["/srv/files/a/b", "/srv/files/a", "/srv/files"].map(Path::new));
    }
}
