//! `filedist_state`: a directory of one server's own, apart from the files that are served.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use nginx_sys::*;

use super::merge::{refuse, Refused};
use super::{Directories, LocConf, MainConf, SrvConf};
use crate::error::Error;
use crate::nginx::conf;
use crate::store;

/// The server's state directory, which no other server may use.
///
/// # Safety
///
/// `cf` is at the location of `child`.
pub(super) unsafe fn claim_state(cf: *mut ngx_conf_t, child: &mut LocConf) -> Result<(), Refused> {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let main = &mut *conf::main::<MainConf>(cf);
        let server = &mut *conf::server::<SrvConf>(cf);
        if server.state.is_null() {
            return Err(refuse(
                cf,
                format_args!(
                    "\"filedist on\" without \"filedist_state\": name a directory of this \
                     server's own, outside of \"root\", for example \"filedist_state \
                     /var/lib/nginx/filedist;\""
                ),
            ));
        }
        let state = conf::directory(server.state).map(real_path).unwrap_or_default();
        let this: *mut SrvConf = server;
        if main.states.iter().any(|(path, user)| *path == state && *user != this) {
            return Err(refuse(
                cf,
                format_args!(
                    "two servers use the state directory \"{}\": give each its own \
                     \"filedist_state\"",
                    state.display()
                ),
            ));
        }
        if !main.states.iter().any(|(_, user)| *user == this) {
            main.states.push((state, this));
        }
        directories(cf, server)?;
        server.main = main;
        server.core = conf::core_server(cf);
        if let Some(upstream) = child.upstream {
            if !server.upstreams.contains(&upstream) {
                server.upstreams.push(upstream);
            }
        }
        child.server = server;
        Ok(())
    }
}

/// What is in the server's state directory; nginx creates it.
///
/// # Safety
///
/// `cf` is at a location of `server`, which has a state directory.
pub(super) unsafe fn directories(
    cf: *mut ngx_conf_t,
    server: &mut SrvConf,
) -> Result<Directories, Refused> {
    if let Some(directories) = server.directories {
        return Ok(directories);
    }
    // SAFETY: the caller vouches for both.
    unsafe {
        let subdirectory =
            |name| conf::directory(conf::subdirectory(cf, server.state, name)).ok_or(());
        let all = || {
            Ok(Directories {
                missing: subdirectory("missing")?,
                provide: subdirectory("provide")?,
                journal: subdirectory("journal")?,
                deleted: subdirectory("deleted")?,
                catch_up: subdirectory("catch_up")?,
            })
        };
        let all: Result<Directories, ()> = all();
        let Ok(directories) = all else {
            return Err(refuse(cf, format_args!("no memory for \"filedist_state\"")));
        };
        server.directories = Some(directories);
        Ok(directories)
    }
}

/// Notes the directory that the location serves and stores to.
///
/// # Safety
///
/// `cf` is at the location.
pub(super) unsafe fn note_root(cf: *mut ngx_conf_t, core: &ngx_http_core_loc_conf_t) {
    if let Some(root) = conf::root(core).map(real_path) {
        // SAFETY: the caller vouches for `cf`.
        unsafe { (*conf::main::<MainConf>(cf)).roots.insert(root) };
    }
}

/// No state directory must be served, nor may served files lie in one, be it of another server.
///
/// # Safety
///
/// `cf` is the configuration, all of which has been read.
pub(super) unsafe fn keep_apart(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), Refused> {
    let states: BTreeSet<&Path> = main.states.iter().map(|(state, _)| state.as_path()).collect();
    let inside = |state: &&Path| state.ancestors().any(|above| main.roots.contains(above));
    let around = |root: &&PathBuf| root.ancestors().any(|above| states.contains(above));
    let pair = match (states.iter().copied().find(inside), main.roots.iter().find(around)) {
        (Some(state), _) => {
            state.ancestors().find(|it| main.roots.contains(*it)).map(|it| (state, it))
        }
        (_, Some(root)) => {
            root.ancestors().find(|it| states.contains(it)).map(|it| (it, root.as_path()))
        }
        _ => None,
    };
    let Some((state, root)) = pair else { return Ok(()) };
    let message = format!(
        "the state directory \"{}\" and the root \"{}\" lie inside one another: move \
         \"filedist_state\" elsewhere",
        state.display(),
        root.display()
    );
    // SAFETY: the caller vouches for `cf`.
    Err(unsafe { refuse(cf, message) })
}

/// No two paths here may be one on a child: the later change would win, whichever file it is.
///
/// # Safety
///
/// `cf` is the configuration, all of which has been read.
pub(super) unsafe fn keep_paths_apart(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), Refused> {
    for (_, server) in &main.states {
        // SAFETY: the servers belong to the configuration.
        let found = unsafe { (**server).collision() };
        let Some(found) = found else { continue };
        let [outer, inner, child, there] = found.each_ref().map(|it| String::from_utf8_lossy(it));
        let message = format!(
            "what locations \"{outer}\" and \"{inner}\" store has the same path on the child \"{child}\", \
             below \"{there}\": change the URI of one \"proxy_pass\", or add a location \"{there}\" with \
             \"filedist off\""
        );
        // SAFETY: the caller vouches for `cf`.
        return Err(unsafe { refuse(cf, message) });
    }
    Ok(())
}

/// A version that is written to a file must be what is read from it: else changes of one second are
/// in no order, and what a child has is never what its parent has.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(super) unsafe fn check_roots(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), Refused> {
    for root in &main.roots {
        // What else is wrong there is for a request to tell: the disk may be mounted by then.
        if let Err(error @ Error::Internal(_)) = store::check_root(root) {
            // SAFETY: the caller vouches for `cf`.
            return Err(unsafe {
                refuse(cf, format_args!("root \"{}\": {error}", root.display()))
            });
        }
    }
    Ok(())
}

/// The path without symlinks, as far as it exists, and without `.` and `..`.
fn real_path(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => continue,
            Component::ParentDir => {
                real.pop();
            }
            other => real.push(other),
        }
        if let Ok(resolved) = real.canonicalize() {
            real = resolved;
        }
    }
    real
}
