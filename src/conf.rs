//! What the directives say. nginx makes these structures (conf/commands.rs) and merges them
//! (conf/merge.rs); handlers read them.

pub(crate) mod commands;
pub(crate) mod merge;
mod state;

use core::ptr;
use std::path::{Path, PathBuf};

use nginx_sys::{ngx_flag_t, ngx_path_t, ngx_shm_zone_t, NGX_CONF_UNSET};

use crate::nginx::{ComplexValue, Handler, Request, Upstream};
use crate::zone::Zone;

/// NGX_CONF_UNSET_SIZE, which bindgen does not see.
const UNSET_SIZE: usize = usize::MAX;

/// `http`.
pub(crate) struct MainConf {
    /// `filedist_zone`: size of the shared memory in bytes.
    zone_size: usize,
    /// The shared memory, where a location has `filedist on`.
    zone: *mut ngx_shm_zone_t,
    /// State directories in use, each with the server that uses it.
    states: Vec<(PathBuf, *const SrvConf)>,
    /// Directories that are served and stored to.
    roots: Vec<PathBuf>,
    /// nginx's own handler for files.
    static_handler: Option<Handler>,
}

/// `server`; an `upstream` has a configuration of the same kind.
pub(crate) struct SrvConf {
    /// `filedist_state`, or null.
    state: *mut ngx_path_t,
    /// The directory of the missing logs in it, where the server uses one.
    missing: Option<&'static Path>,
    /// In an upstream: `filedist_fanout` was said.
    fanout: bool,
    /// And no other method has taken its place.
    balances: bool,
}

/// `location`.
pub(crate) struct LocConf {
    /// `filedist`.
    enable: ngx_flag_t,
    /// `filedist_name`.
    name: ComplexValue,
    /// `filedist_missing`; not inherited.
    missing: ngx_flag_t,
    /// The handler that was there before ours: `proxy_pass`'s, or none on a leaf.
    next: Option<Handler>,
    /// The children, or none on a leaf.
    upstream: Option<Upstream>,
    main: *const MainConf,
    missing_logs: Option<&'static Path>,
}

impl Default for MainConf {
    fn default() -> MainConf {
        MainConf {
            zone_size: UNSET_SIZE,
            zone: ptr::null_mut(),
            states: Vec::new(),
            roots: Vec::new(),
            static_handler: None,
        }
    }
}

impl Default for SrvConf {
    fn default() -> SrvConf {
        SrvConf { state: ptr::null_mut(), missing: None, fanout: false, balances: false }
    }
}

impl Default for LocConf {
    fn default() -> LocConf {
        LocConf {
            enable: NGX_CONF_UNSET as ngx_flag_t,
            name: ComplexValue::unset(),
            missing: NGX_CONF_UNSET as ngx_flag_t,
            next: None,
            upstream: None,
            main: ptr::null(),
            missing_logs: None,
        }
    }
}

impl LocConf {
    /// What asks the children, on a parent.
    pub(crate) fn next(&self) -> Option<Handler> {
        self.next
    }

    /// The children; none on a leaf.
    pub(crate) fn upstream(&self) -> Option<Upstream> {
        self.upstream
    }

    /// The directory of the missing logs.
    pub(crate) fn missing_logs(&self) -> Option<&'static Path> {
        self.missing_logs
    }

    /// What this node calls itself: `filedist_name`, or the address that the request came to.
    pub(crate) fn node_name(&self, r: &Request) -> Vec<u8> {
        match self.name.eval(r) {
            // It goes into a header field, where a comma separates nodes.
            Some(name) if is_name(name) => name.to_vec(),
            _ => r.server_address(),
        }
    }

    /// nginx's handler for files.
    pub(crate) fn static_handler(&self) -> Option<Handler> {
        self.main()?.static_handler
    }

    /// What the workers share.
    pub(crate) fn zone(&self) -> Option<Zone> {
        Zone::of(self.main()?.zone)
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| !byte.is_ascii_control() && *byte != b',')
}
