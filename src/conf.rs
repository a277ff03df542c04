//! What the directives say. nginx makes these structures (conf/commands.rs) and merges them
//! (conf/merge.rs); handlers read them.

mod child;
pub(crate) mod commands;
pub(crate) mod context;
mod locations;
pub(crate) mod merge;
mod pages;
mod site;
mod state;

use core::cell::OnceCell;
use core::ptr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nginx_sys::{
    ngx_flag_t, ngx_http_core_srv_conf_t, ngx_path_t, ngx_shm_zone_t, ngx_uint_t, NGX_CONF_UNSET,
};

use crate::nginx::{detached, worker, ComplexValue, Handler, Request, Upstream, Way};
use crate::zone::Zone;

pub(crate) use child::{Child, Turn};
pub(crate) use locations::Location;
pub(crate) use site::Site;

/// NGX_CONF_UNSET_SIZE and NGX_CONF_UNSET_UINT, which bindgen does not see.
const UNSET_SIZE: usize = usize::MAX;
const UNSET_UINT: ngx_uint_t = ngx_uint_t::MAX;

/// `http`.
pub(crate) struct MainConf {
    /// `filedist_zone`: size of the shared memory in bytes.
    zone_size: usize,
    /// The shared memory, where a location has `filedist on` or a page that needs it.
    zone: *mut ngx_shm_zone_t,
    /// State directories in use, each with the server that uses it.
    states: Vec<(PathBuf, *mut SrvConf)>,
    /// Directories that are served and stored to.
    roots: BTreeSet<PathBuf>,
    /// What this worker does by the clock.
    clock: OnceCell<worker::Clock>,
}

/// `server`; an `upstream` has a configuration of the same kind.
pub(crate) struct SrvConf {
    /// `filedist_state`, or null.
    state: *mut ngx_path_t,
    /// What is in it, where a location of the server has `filedist on` or a page.
    directories: Option<Directories>,
    /// `filedist_catch_up`; none where it was not said.
    catch_up: Option<CatchUp>,
    main: *const MainConf,
    core: *mut ngx_http_core_srv_conf_t,
    /// The upstreams of its locations with `filedist on`.
    upstreams: Vec<Upstream>,
    /// How a request that is not about a file reaches the servers of each.
    ways: Vec<(Upstream, Way)>,
    /// The locations with children, by their names.
    names: Vec<(Vec<u8>, Way)>,
    /// Which files there are; of each prefix one.
    locations: Vec<Location>,
    /// The prefixes of its pages, of each kind the first.
    pages: Vec<(PageConf, Vec<u8>)>,
    /// There is one, wherever it is.
    has_pages: bool,
    /// `filedist_index exclude=`: names that no list of files has.
    exclude: Vec<Vec<u8>>,
    /// For what the worker does on its own account.
    server: Option<detached::Server>,
    /// What this worker keeps for it.
    site: OnceCell<Site>,
    /// In an upstream: `filedist_fanout` was said.
    fanout: bool,
    /// And no other method has taken its place.
    balances: bool,
    /// In an upstream: `keepalive` was said.
    keeps_alive: bool,
}

/// The state directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directories {
    /// What the children lack, a directory each.
    pub(crate) missing: &'static Path,
    /// Children whose missing log is to have everything, a file each.
    pub(crate) provide: &'static Path,
    /// Changes under way, a file for each worker.
    pub(crate) journal: &'static Path,
    /// Tombstones.
    pub(crate) deleted: &'static Path,
    /// A lock for each child whose missing log is being delivered.
    pub(crate) catch_up: &'static Path,
}

/// `filedist_catch_up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUp {
    pub(crate) enable: bool,
    /// Deliveries to one child at a time.
    pub(crate) concurrency: usize,
    /// Bytes a second to one child; none is no limit.
    pub(crate) rate: Option<u64>,
    /// The longest time between attempts.
    pub(crate) max_backoff: Duration,
}

impl Default for CatchUp {
    fn default() -> CatchUp {
        CatchUp { enable: true, concurrency: 8, rate: None, max_backoff: Duration::from_secs(60) }
    }
}

/// What a location serves of the node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// `filedist_missing`.
    Missing,
    /// `filedist_index`.
    Index,
    /// `filedist_status`.
    Status,
    /// `filedist_readme`.
    Readme,
}

impl Page {
    /// The directive.
    pub(crate) fn directive(self) -> &'static str {
        match self {
            Page::Missing => "filedist_missing",
            Page::Index => "filedist_index",
            Page::Status => "filedist_status",
            Page::Readme => "filedist_readme",
        }
    }
}

/// A page, and whether it changes missing logs too (`manage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageConf {
    page: Page,
    manage: bool,
}

/// `mp4` or `flv`. nginx makes its handler that of the location, in the place of `proxy_pass`'s, and
/// `proxy_pass` does the same with it: the later one would have the location alone.
#[derive(Debug, Clone, Copy)]
struct Media {
    handler: Handler,
    /// The one that the location had without it.
    before: Option<Handler>,
}

/// `filedist_ack`: whose answers a client waits for.
pub(crate) const ACK_CHILDREN: ngx_uint_t = 0;
pub(crate) const ACK_LOCAL: ngx_uint_t = 1;

/// `location`.
pub(crate) struct LocConf {
    /// `filedist`.
    enable: ngx_flag_t,
    /// `filedist_fsync`.
    fsync: ngx_flag_t,
    /// `filedist_ack`.
    ack: ngx_uint_t,
    /// `filedist_name`.
    name: ComplexValue,
    /// `filedist_missing` and such; not inherited, but by `if` and `limit_except` blocks.
    page: Option<PageConf>,
    /// `mp4` or `flv`, the later one.
    media: Option<Media>,
    /// The handler that was there before ours: `proxy_pass`'s, or none on a leaf.
    next: Option<Handler>,
    /// The children, or none on a leaf.
    upstream: Option<Upstream>,
    /// What a delivery needs of the client's request.
    needs: context::Needs,
    /// The directory, as the configuration says it.
    root: Vec<u8>,
    /// The server's, where it has a state directory that this location uses.
    server: *const SrvConf,
}

impl Default for MainConf {
    fn default() -> MainConf {
        MainConf {
            zone_size: UNSET_SIZE,
            zone: ptr::null_mut(),
            states: Vec::new(),
            roots: BTreeSet::new(),
            clock: OnceCell::new(),
        }
    }
}

impl Default for SrvConf {
    fn default() -> SrvConf {
        SrvConf {
            state: ptr::null_mut(),
            directories: None,
            catch_up: None,
            main: ptr::null(),
            core: ptr::null_mut(),
            upstreams: Vec::new(),
            ways: Vec::new(),
            names: Vec::new(),
            locations: Vec::new(),
            pages: Vec::new(),
            has_pages: false,
            exclude: Vec::new(),
            server: None,
            site: OnceCell::new(),
            fanout: false,
            balances: false,
            keeps_alive: false,
        }
    }
}

impl Default for LocConf {
    fn default() -> LocConf {
        LocConf {
            enable: NGX_CONF_UNSET as ngx_flag_t,
            fsync: NGX_CONF_UNSET as ngx_flag_t,
            ack: UNSET_UINT,
            name: ComplexValue::unset(),
            page: None,
            media: None,
            next: None,
            upstream: None,
            needs: context::Needs::default(),
            root: Vec::new(),
            server: ptr::null(),
        }
    }
}

impl Directories {
    /// All of them.
    pub(crate) fn all(&self) -> [&'static Path; 5] {
        [self.missing, self.provide, self.journal, self.deleted, self.catch_up]
    }
}

impl SrvConf {
    /// What is in its state directory.
    pub(crate) fn directories(&self) -> Option<Directories> {
        self.directories
    }

    /// How its children catch up.
    pub(crate) fn catch_up(&self) -> CatchUp {
        self.catch_up.unwrap_or_default()
    }

    /// The upstreams of its locations.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// How a request that is not about a file reaches the servers of an upstream.
    pub(crate) fn way(&self, upstream: Upstream) -> Option<Way> {
        self.ways.iter().find(|(other, _)| *other == upstream).map(|(_, way)| *way)
    }

    /// Its location of that name that has children.
    pub(crate) fn location(&self, name: &[u8]) -> Option<Way> {
        self.names.iter().find(|(other, _)| other == name).map(|(_, way)| *way)
    }

    /// Whether it serves what needs walks through files, or may have begun one.
    pub(crate) fn has_pages(&self) -> bool {
        self.has_pages
    }

    /// Where its page of that kind is, if there is one.
    pub(crate) fn page(&self, page: Page) -> Option<&[u8]> {
        self.pages.iter().find(|(conf, _)| conf.page == page).map(|(_, prefix)| &prefix[..])
    }

    /// Whether that page changes missing logs too.
    pub(crate) fn manages(&self, page: Page) -> bool {
        self.pages.iter().any(|(conf, _)| conf.page == page && conf.manage)
    }

    /// Names that no list of files has.
    pub(crate) fn excluded(&self) -> Arc<[Vec<u8>]> {
        self.exclude.as_slice().into()
    }

    /// Which files there are.
    pub(crate) fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// For requests that no client sent.
    pub(crate) fn server(&self) -> Option<detached::Server> {
        self.server
    }

    /// What the workers share.
    pub(crate) fn zone(&self) -> Option<Zone> {
        Zone::of(self.main()?.zone)
    }

    /// What this worker keeps for it; none without a state directory.
    pub(crate) fn site(&'static self) -> Option<&'static Site> {
        let directories = self.directories?;
        Some(self.site.get_or_init(|| Site::new(self, directories)))
    }
}

impl MainConf {
    /// Directories that are served and stored to.
    pub(crate) fn roots(&self) -> &BTreeSet<PathBuf> {
        &self.roots
    }

    /// What this worker does by the clock.
    pub(crate) fn clock(&self) -> Option<&worker::Clock> {
        self.clock.get()
    }

    /// Sets it, once.
    pub(crate) fn set_clock(&self, clock: worker::Clock) {
        _ = self.clock.set(clock);
    }
}

impl LocConf {
    /// What a delivery needs of the client's request.
    pub(crate) fn needs(&self) -> &context::Needs {
        &self.needs
    }

    /// What asks the children, on a parent.
    pub(crate) fn next(&self) -> Option<Handler> {
        self.next
    }

    /// The children; none on a leaf.
    pub(crate) fn upstream(&self) -> Option<Upstream> {
        self.upstream
    }

    /// What this worker keeps for the location's server.
    pub(crate) fn site(&self) -> Option<&'static Site> {
        self.server()?.site()
    }

    /// Changes are on the disk before they are answered.
    pub(crate) fn fsync(&self) -> bool {
        self.fsync == 1
    }

    /// A change is answered when this node has it.
    pub(crate) fn acks_locally(&self) -> bool {
        self.ack == ACK_LOCAL
    }

    /// What this node calls itself: `filedist_name`, or the address that the request came to.
    pub(crate) fn node_name(&self, r: &Request) -> Vec<u8> {
        match self.name.eval(r) {
            // It goes into a header field, where a comma separates nodes.
            Some(name) if is_name(name) => name.to_vec(),
            _ => r.server_address(),
        }
    }

    /// The page that it serves.
    pub(crate) fn page(&self) -> Option<Page> {
        self.page.map(|conf| conf.page)
    }

    /// Whether its page changes missing logs too.
    pub(crate) fn manages(&self) -> bool {
        self.page.is_some_and(|conf| conf.manage)
    }

    /// What `mp4` or `flv` has local files answered with.
    pub(crate) fn media(&self) -> Option<Handler> {
        self.media.map(|media| media.handler)
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| !byte.is_ascii_control() && *byte != b',')
}
