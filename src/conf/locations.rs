//! Which files a server has, and how its children are reached: what its locations say together.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nginx_sys::*;

use super::{LocConf, SrvConf};
use crate::index::mapping::{self, Mapped, Mapping};
use crate::index::Area;
use crate::nginx::{conf, Upstream, Way};

/// What is below a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The path, with a slash at its end; without one it is that path alone (`location = /a`).
    pub(crate) prefix: Vec<u8>,
    /// The directory, or file, that it leads to; none where it has not `filedist on`, or no one
    /// directory.
    pub(crate) directory: Option<PathBuf>,
    /// Where it is, and has to be; the rest of its path is made by the first upload.
    root: PathBuf,
    /// Whose servers get the files.
    pub(crate) upstream: Option<Upstream>,
    /// The prefix that these have there.
    there: Vec<u8>,
}

impl SrvConf {
    /// Where this node's files are; those of locations that are not `kept` are left out.
    pub(crate) fn areas(&self, kept: impl Fn(&Location) -> bool) -> Arc<[Area]> {
        let area = |location: &Location| Area {
            prefix: location.prefix.clone(),
            directory: location.directory.clone().filter(|it| kept(location) && location.has(it)),
        };
        self.locations.iter().map(area).collect()
    }

    /// Where the files are that go to the child of that name, by the paths that they have there; and what
    /// these are here.
    pub(crate) fn areas_there(&self, name: &[u8]) -> (Arc<[Area]>, Mapping) {
        let mapping = self.mapping(name);
        (mapping.areas(self.areas(|location| location.has_child(name))), mapping)
    }

    fn mapping(&self, name: &[u8]) -> Mapping {
        let mapped = |it: &Location| Mapped {
            here: it.prefix.clone(),
            there: it.has_child(name).then(|| it.there.clone()),
        };
        match self.has_uris() {
            true => Mapping::new(self.locations.iter().map(mapped).collect()),
            false => Mapping::default(),
        }
    }

    /// Some files have another path on a child. As a rule none has, and nothing is to be looked for.
    fn has_uris(&self) -> bool {
        self.locations.iter().any(|it| it.there != it.prefix)
    }

    /// Two prefixes whose files are the same on a child, the child, and their prefix there.
    pub(super) fn collision(&self) -> Option<[Vec<u8>; 4]> {
        if !self.has_uris() {
            return None;
        }
        let upstreams = self.upstreams.iter();
        let names: BTreeSet<&[u8]> =
            upstreams.flat_map(|it| it.children()).map(|child| child.name()).collect();
        names.into_iter().find_map(|name| {
            let mapping = self.mapping(name);
            let [outer, inner] = mapping.collision()?;
            let there = inner.there.clone().unwrap_or_default();
            Some([outer.here.clone(), inner.here.clone(), name.to_vec(), there])
        })
    }
}

impl Location {
    /// The directory is there, or should be. Where that cannot be found out, a walk finds out that it
    /// cannot, and tells.
    fn has(&self, directory: &Path) -> bool {
        let has_none = matches!(directory.try_exists(), Ok(false));
        !(has_none && matches!(self.root.try_exists(), Ok(true)))
    }

    /// Its files go to the child of that name.
    pub(crate) fn has_child(&self, name: &[u8]) -> bool {
        let children = self.upstream.map(|upstream| upstream.children()).unwrap_or_default();
        children.iter().any(|child| child.name() == name)
    }
}

/// Notes a location that is merged. Those by regular expression have no path of their own.
///
/// # Safety
///
/// `cf` is at the location of `conf`, which is merged.
pub(super) unsafe fn note(cf: *mut ngx_conf_t, conf: &LocConf) {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let core = &*conf::core_location(cf);
        let server = &mut *conf::server::<SrvConf>(cf);
        let is_on = conf.enable == 1;
        if let (true, Some(upstream), Some(next)) = (is_on, conf.upstream, conf.next) {
            if server.ways.iter().all(|(known, _)| *known != upstream) {
                server.ways.push((upstream, Way::new(conf::locations_of(cf), next)));
            }
        }
        let name = core.name.as_bytes();
        if let (true, 0, Some(_), Some(next)) = (is_on, core.noname(), conf.upstream, conf.next) {
            server.names.push((name.to_vec(), Way::new(conf::locations_of(cf), next)));
        }
        if core.noname() != 0 || core.named() != 0 || !(name.is_empty() || conf::has_prefix(core)) {
            return;
        }
        let is_exact = core.exact_match() != 0;
        if is_exact && name.ends_with(b"/") {
            return;
        }
        let prefix = prefix(core);
        let directory = is_on.then(|| directory(core, &prefix)).flatten();
        let upstream = conf.upstream.filter(|_| is_on);
        server.locations.retain(|other| other.prefix != prefix);
        let root = PathBuf::from(OsStr::from_bytes(core.root.as_bytes()));
        let uri = upstream.map_or(&b""[..], |_| conf::proxy_uri(cf));
        // Another one was refused.
        let there = there(core, uri).unwrap_or_else(|_| prefix.clone());
        server.locations.push(Location { prefix, directory, root, upstream, there });
    }
}

/// What a location has: all below it, with a slash at its end, or one path.
fn prefix(core: &ngx_http_core_loc_conf_t) -> Vec<u8> {
    // The server's own is for what no location matches.
    let mut prefix = core.name.as_bytes().to_vec();
    if core.exact_match() == 0 && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    prefix
}

/// The same on the children, which get it with the URI that `proxy_pass` has. The error says what to
/// write instead.
pub(super) fn there(core: &ngx_http_core_loc_conf_t, uri: &[u8]) -> Result<Vec<u8>, &'static str> {
    let prefix = prefix(core);
    match uri {
        b"" => Ok(prefix),
        uri => mapping::there(core.name.as_bytes(), &prefix, uri),
    }
}

/// What the location's prefix leads to; none if that depends on the request.
fn directory(core: &ngx_http_core_loc_conf_t, prefix: &[u8]) -> Option<PathBuf> {
    if !core.root_lengths.is_null() {
        return None;
    }
    let mut path = core.root.as_bytes().to_vec();
    if core.alias == 0 {
        path.extend(prefix);
    }
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    Some(PathBuf::from(OsStr::from_bytes(path.get(..end)?)))
}
