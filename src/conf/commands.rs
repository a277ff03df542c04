//! The directives, and how nginx reads them.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_void, CStr};
use core::mem::offset_of;
use core::ptr;
use std::path::PathBuf;
use std::time::Duration;

use nginx_sys::*;
use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};
use ngx::ngx_string;

use super::merge::{conf_result, refuse};
use super::state;
use super::{CatchUp, LocConf, MainConf, Media, Page, PageConf, SrvConf, ACK_CHILDREN, ACK_LOCAL};
use crate::nginx::{self, conf, Handler, LocationConf};

// SAFETY: create_loc_conf() allocates this type.
unsafe impl LocationConf for LocConf {}

impl LocConf {
    /// The location's content handler, or what it would be without `mp4` and `flv`.
    pub(super) fn other_handler(&self, handler: Option<Handler>) -> Option<Handler> {
        match (self.media, handler) {
            (Some(media), Some(handler)) if media.handler == handler => media.before,
            _ => handler,
        }
    }

    pub(super) fn server(&self) -> Option<&'static SrvConf> {
        // SAFETY: claim_state() set it; both live in the configuration's pool.
        unsafe { self.server.as_ref() }
    }
}

impl SrvConf {
    /// The configuration as a whole, where the server has a state directory.
    pub(crate) fn main(&self) -> Option<&'static MainConf> {
        // SAFETY: claim_state() set it; both live in the configuration's pool.
        unsafe { self.main.as_ref() }
    }
}

impl MainConf {
    /// The servers that have a state directory.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &'static SrvConf> + '_ {
        // SAFETY: as in main().
        self.states.iter().filter_map(|(_, server)| unsafe { server.as_ref() })
    }

    /// Their state directories, each with its server.
    pub(crate) fn state_directories(
        &self,
    ) -> impl Iterator<Item = (&PathBuf, &'static SrvConf)> + '_ {
        // SAFETY: as in main().
        self.states.iter().filter_map(|(path, server)| Some((path, unsafe { server.as_ref()? })))
    }

    /// That of a configuration that is running; none without `http`.
    ///
    /// # Safety
    ///
    /// nginx passes the cycle.
    pub(crate) unsafe fn of_cycle(cycle: *mut ngx_cycle_t) -> Option<&'static MainConf> {
        // SAFETY: the caller vouches for the cycle.
        unsafe { conf::main_of_cycle::<MainConf>(cycle).as_ref() }
    }
}

static mut ACKS: [ngx_conf_enum_t; 3] = [
    ngx_conf_enum_t { name: ngx_string!("children"), value: ACK_CHILDREN },
    ngx_conf_enum_t { name: ngx_string!("local"), value: ACK_LOCAL },
    ngx_conf_enum_t { name: ngx_str_t::empty(), value: 0 },
];

pub(crate) static mut COMMANDS: [ngx_command_t; 13] = [
    ngx_command_t {
        name: ngx_string!("filedist"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG)
            as ngx_uint_t,
        set: Some(ngx_conf_set_flag_slot),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: offset_of!(LocConf, enable),
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_fanout"),
        type_: (NGX_HTTP_UPS_CONF | NGX_CONF_NOARGS) as ngx_uint_t,
        set: Some(set_fanout),
        conf: NGX_HTTP_SRV_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_state"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(ngx_conf_set_path_slot),
        conf: NGX_HTTP_SRV_CONF_OFFSET,
        offset: offset_of!(SrvConf, state),
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_fsync"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG)
            as ngx_uint_t,
        set: Some(ngx_conf_set_flag_slot),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: offset_of!(LocConf, fsync),
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_ack"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1)
            as ngx_uint_t,
        set: Some(ngx_conf_set_enum_slot),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: offset_of!(LocConf, ack),
        post: ptr::addr_of_mut!(ACKS).cast(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_catch_up"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_1MORE) as ngx_uint_t,
        set: Some(set_catch_up),
        conf: NGX_HTTP_SRV_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_zone"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(ngx_conf_set_size_slot),
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        offset: offset_of!(MainConf, zone_size),
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_name"),
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1)
            as ngx_uint_t,
        set: Some(ngx_http_set_complex_value_slot),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: offset_of!(LocConf, name),
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_missing"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(set_page),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_index"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_ANY) as ngx_uint_t,
        set: Some(set_page),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_status"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(set_page),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("filedist_readme"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS) as ngx_uint_t,
        set: Some(set_page),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t::empty(),
];

/// # Safety
///
/// For all create functions: nginx calls them with the configuration that it starts to read.
unsafe fn create<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: cf->pool is the configuration's pool.
    unsafe { nginx::boxed((*cf).pool, T::default()) }
        .map_or(ptr::null_mut(), |conf| conf.as_ptr().cast())
}

pub(crate) unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: see create().
    unsafe { create::<MainConf>(cf) }
}

pub(crate) unsafe extern "C" fn create_srv_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: see create().
    unsafe { create::<SrvConf>(cf) }
}

pub(crate) unsafe extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: see create().
    unsafe { create::<LocConf>(cf) }
}

unsafe extern "C" fn set_page(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    const PAGES: [Page; 4] = [Page::Missing, Page::Index, Page::Status, Page::Readme];

    // SAFETY: nginx passes what create_loc_conf() made, the directive, and its words.
    unsafe {
        let conf = &mut *conf.cast::<LocConf>();
        let name = (*cmd).name;
        let Some(page) = PAGES.into_iter().find(|it| it.directive().as_bytes() == name.as_bytes())
        else {
            return NGX_CONF_ERROR;
        };
        match conf.page {
            None => {}
            Some(other) if other.page == page => return c"is duplicate".as_ptr().cast_mut(),
            Some(other) => {
                let other = other.page.directive();
                let message = format!(
                    "\"{name}\" and \"{other}\" in one location: give each a location of its own"
                );
                return conf_result(Err(refuse(cf, message)));
            }
        }
        let words = (*(*cf).args).as_slice::<ngx_str_t>();
        let mut excluded = Vec::new();
        let manage = match words.get(1) {
            None => false,
            Some(_) if page == Page::Index => {
                let is_name = |name: &&[u8]| !name.is_empty() && !name.contains(&b'/');
                for word in words.get(1..).unwrap_or_default() {
                    let name = word.as_bytes().strip_prefix(b"exclude=").filter(is_name);
                    let Some(name) = name else {
                        let message = format!(
                            "invalid parameter \"{word}\" of \"{name}\": say \"exclude=NAME\", the \
                             name of files or directories, without a slash"
                        , name = (*cmd).name);
                        return conf_result(Err(refuse(cf, message)));
                    };
                    excluded.push(name.to_vec());
                }
                false
            }
            Some(word) if word.as_bytes() == b"manage" => true,
            Some(word) => {
                let message = format!(
                    "invalid parameter \"{word}\" of \"{name}\": the only one is \"manage\""
                );
                return conf_result(Err(refuse(cf, message)));
            }
        };
        conf.page = Some(PageConf { page, manage });
        (*conf::server::<SrvConf>(cf)).exclude.extend(excluded);
        let core = &mut *conf::core_location(cf);
        if matches!(page, Page::Missing | Page::Index) && !conf::has_prefix(core) {
            let of_name = name.as_bytes().get(b"filedist_".len()..).unwrap_or_default();
            let message = format!(
                "\"{name}\" needs a location by prefix, as in \"location /__{}__/\"",
                String::from_utf8_lossy(of_name)
            );
            return conf_result(Err(refuse(cf, message)));
        }
    }
    NGX_CONF_OK
}

unsafe extern "C" fn set_catch_up(
    cf: *mut ngx_conf_t,
    _cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what create_srv_conf() made, and the directive's words.
    unsafe {
        let conf = &mut *conf.cast::<SrvConf>();
        if conf.catch_up.is_some() {
            return c"is duplicate".as_ptr().cast_mut();
        }
        let words = (*(*cf).args).as_slice::<ngx_str_t>();
        let mut catch_up = CatchUp::default();
        for (index, word) in words.iter().enumerate().skip(1) {
            let text = word.as_bytes();
            let value = |name: &str| text.strip_prefix(name.as_bytes()).map(conf::Value::new);
            let known = if index == 1 {
                catch_up.enable = text == b"on";
                catch_up.enable || text == b"off" && words.len() == 2
            } else if let Some(value) = value("concurrency=") {
                let number = value.number().filter(|number| (1..=1024).contains(number));
                catch_up.concurrency = number.unwrap_or(0);
                number.is_some()
            } else if let Some(value) = value("rate=") {
                let size = value.size().filter(|&size| size > 0);
                catch_up.rate = size;
                size.is_some()
            } else if let Some(value) = value("max_backoff=") {
                let time = value.milliseconds().filter(|&time| time > 0);
                catch_up.max_backoff = Duration::from_millis(time.unwrap_or(0));
                time.is_some()
            } else {
                false
            };
            if !known {
                let message = format!(
                    "invalid parameter \"{word}\" of \"filedist_catch_up\": say \"on\" or \
                     \"off\", and after \"on\" any of \"concurrency=N\" (1 to 1024), \"rate=SIZE\" \
                     (bytes a second) and \"max_backoff=TIME\""
                );
                return conf_result(Err(refuse(cf, message)));
            }
        }
        conf.catch_up = Some(catch_up);
    }
    NGX_CONF_OK
}

/// `mp4` and `flv` of nginx: notes the handler, whatever the order of directives.
unsafe extern "C" fn set_media(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes the three, with `cf` in a location, whose content handlers are for any of
    // its requests.
    unsafe {
        let core = &mut *conf::core_location(cf);
        let location = &mut *conf::location::<LocConf>(cf);
        let before = location.other_handler(core.handler.map(|it| Handler::new(it)));
        let failed = conf::set_as_before(cf, cmd, conf);
        location.media = core.handler.map(|it| Media { handler: Handler::new(it), before });
        failed
    }
}

/// `keepalive` of nginx: notes that it was said.
unsafe extern "C" fn set_keepalive(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes the three, with `cf` in an upstream block.
    unsafe {
        let own = conf::of_upstream::<SrvConf>(conf::upstream(cf));
        if let Some(own) = own.cast_mut().as_mut() {
            own.keeps_alive = true;
        }
        conf::set_as_before(cf, cmd, conf)
    }
}

/// nginx calls this for the method that the upstream ends up with, before it merges locations.
unsafe extern "C" fn init_fanout(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: an upstream block has a configuration of ours.
    unsafe {
        if let Some(conf) = conf::of_upstream::<SrvConf>(us).cast_mut().as_mut() {
            conf.balances = true;
        }
        nginx::upstream::init_upstream(cf, us)
    }
}

unsafe extern "C" fn set_fanout(
    cf: *mut ngx_conf_t,
    _cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what create_srv_conf() made, with `cf` in an upstream block.
    unsafe {
        let conf = &mut *conf.cast::<SrvConf>();
        if conf.fanout {
            return c"is duplicate".as_ptr().cast_mut();
        }
        conf.fanout = true;
        let upstream = &mut *conf::upstream(cf);
        // Where "keepalive" wraps the method when it is read, up to nginx 1.29.6, it must come last;
        // so it must in all versions, and a configuration is good for each.
        if conf.keeps_alive || upstream.peer.init_upstream.is_some() {
            let message =
                "\"filedist_fanout\" after \"keepalive\" or another load-balancing method: put \
                           it before \"keepalive\", and use no other method in this upstream";
            return conf_result(Err(refuse(cf, message)));
        }
        upstream.peer.init_upstream = Some(init_fanout);
        upstream.flags = (NGX_HTTP_UPSTREAM_CREATE
            | NGX_HTTP_UPSTREAM_WEIGHT
            | NGX_HTTP_UPSTREAM_MAX_CONNS
            | NGX_HTTP_UPSTREAM_MAX_FAILS
            | NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
            | NGX_HTTP_UPSTREAM_DOWN
            | NGX_HTTP_UPSTREAM_BACKUP) as ngx_uint_t;
    }
    NGX_CONF_OK
}

/// # Safety
///
/// nginx calls it before it reads `http`.
pub(crate) unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    if let Some(field) = nginx::abi::misplaced_bit_field() {
        let message = format!(
            "this build of the filedist module does not fit its nginx: Rust's bindings have {field} \
             in another place than C. It is known to work with nginx 1.22 to 1.31"
        );
        // SAFETY: as said above.
        unsafe { conf::emerg(cf, message) };
        return NGX_ERROR as ngx_int_t;
    }
    // SAFETY: as said above.
    let added = unsafe {
        // None of the setters uses its command.
        let set_media: conf::Setter = set_media;
        let setters: [(&CStr, &[u8], conf::Setter); 3] = [
            (c"ngx_http_mp4_module", b"mp4", set_media),
            (c"ngx_http_flv_module", b"flv", set_media),
            (c"ngx_http_upstream_keepalive_module", b"keepalive", set_keepalive),
        ];
        let intercept = |(module, name, setter)| conf::intercept(cf, module, name, setter).is_ok();
        nginx::variables::add(cf) && setters.into_iter().all(intercept)
    };
    match added {
        true => NGX_OK as ngx_int_t,
        false => NGX_ERROR as ngx_int_t,
    }
}

/// # Safety
///
/// nginx calls it after all configurations are merged.
pub(crate) unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: as said above.
    unsafe {
        let main = &*conf::main::<MainConf>(cf);
        if state::keep_apart(cf, main).is_err()
            || state::keep_paths_apart(cf, main).is_err()
            || state::check_roots(cf, main).is_err()
        {
            return NGX_ERROR as ngx_int_t;
        }
        for (_, server) in &main.states {
            let core = (**server).core;
            (**server).server = Some(conf::detached_server(cf, core));
            if (**server).has_pages() {
                // What they show and begin takes long walks through files.
                conf::run_in_threads(cf, &mut *conf::location_of_server(core));
                if !conf::add_idle_threads(cf) {
                    return NGX_ERROR as ngx_int_t;
                }
            }
        }
    }
    NGX_OK as ngx_int_t
}
