//! The mount table: where the files of a URL path are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Area;
use crate::store::is_reserved;

/// A part of the file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The directory of an area.
    pub(super) base: PathBuf,
    /// What follows below it.
    pub(super) rest: Vec<u8>,
}

/// The directory that a URL path with a slash at its end is mapped to. `None`: it is not served
/// from files.
pub(super) fn directory(areas: &[Area], url: &[u8]) -> Option<Place> {
    let is_above = |area: &&Area| area.prefix.ends_with(b"/") && url.starts_with(&area.prefix);
    let area = areas.iter().filter(is_above).max_by_key(|area| area.prefix.len())?;
    let rest = url.get(area.prefix.len()..)?.to_vec();
    Some(Place { base: area.directory.clone()?, rest })
}

/// The file that a URL path is mapped to. `None`: it is not served from files.
pub(crate) fn locate(areas: &[Area], url: &[u8]) -> Option<PathBuf> {
    if let Some(area) = mount(areas, url) {
        return area.directory.clone();
    }
    let slash = url.iter().rposition(|&byte| byte == b'/')?;
    let Place { base, rest } = directory(areas, url.get(..=slash)?)?;
    let name = url.get(slash + 1..)?;
    Some(base.join(OsStr::from_bytes(&rest)).join(OsStr::from_bytes(name)))
}

/// Whether a walk finds a directory there: in the file system, or above an area. It follows no
/// symbolic link to a directory, so none may be on the way.
pub(crate) fn is_there(areas: &[Area], url: &[u8]) -> bool {
    if areas.iter().any(|area| area.directory.is_some() && area.prefix.starts_with(url)) {
        return true;
    }
    let Some(Place { base: mut path, rest }) = directory(areas, url) else { return false };
    rest.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).all(|name| {
        path.push(OsStr::from_bytes(name));
        fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir())
    })
}

/// The area of exactly this URL path.
pub(super) fn mount<'a>(areas: &'a [Area], url: &[u8]) -> Option<&'a Area> {
    areas.iter().find(|area| area.prefix == url)
}

/// The names in the directory `url` that areas put there: mount points, and what leads to them;
/// with a slash for directories. A name may come more than once.
pub(super) fn names<'a>(areas: &'a [Area], url: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let below = areas.iter().filter_map(|area| area.prefix.strip_prefix(url));
    below.map(first_name).filter(|name| !name.is_empty())
}

/// The first name of a relative path, with the slash that follows it.
pub(super) fn first_name(path: &[u8]) -> &[u8] {
    let slash = path.iter().position(|&byte| byte == b'/');
    slash.map_or(path, |slash| &path[..=slash])
}

/// Whether the URL path is a directory that may be listed: no request reaches others.
pub(super) fn is_listed(url: &[u8]) -> bool {
    let Some(below) = url.strip_prefix(b"/") else { return false };
    let is_name = |name: &[u8]| {
        !matches!(name, b"/" | b"./" | b"../")
            && name.ends_with(b"/")
            && !name.contains(&0)
            && !is_reserved(&name[..name.len() - 1])
    };
    below.split_inclusive(|&byte| byte == b'/').all(is_name)
}

/// The path as bytes, with a slash at its end.
pub(super) fn with_slash(path: &Path) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    if !bytes.ends_with(b"/") {
        bytes.push(b'/');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::{area, unserved};

    #[test]
    fn a_file_is_where_its_area_is() {
        let areas = [
            area("/", "/srv/files"),
            area("/music/", "/big"),
            area("/readme.txt", "/srv/readme"),
            unserved("/one"),
            unserved("/missing/"),
        ];
        for (url, path) in [
            ("/a", Some("/srv/files/a")),
            ("/a/b/c", Some("/srv/files/a/b/c")),
            ("/music/a/b", Some("/big/a/b")),
            ("/music", Some("/srv/files/music")),
            ("/readme.txt", Some("/srv/readme")),
            ("/one", None),
            ("/one/a", Some("/srv/files/one/a")),
            ("/missing/a/b", None),
            ("a", None),
        ] {
            assert_eq!(locate(&areas, url.as_bytes()).as_deref(), path.map(Path::new), "{url}");
        }
    }
}
