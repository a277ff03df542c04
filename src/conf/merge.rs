//! How the configuration of a location comes about from those around it, and what is refused
//! because it cannot work.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_void};

use nginx_sys::*;
use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};

use super::context::{self, Needs};
use super::state::{claim_state, note_root};
use super::{locations, pages};
use super::{LocConf, MainConf, SrvConf, ACK_CHILDREN, UNSET_SIZE, UNSET_UINT};
use crate::module;
use crate::nginx::{conf, Handler, Upstream, Variable};
use crate::zone;

/// Size of the shared memory where `filedist_zone` does not say.
const DEFAULT_ZONE_SIZE: usize = 8 * 1024 * 1024;
/// The least that nginx's allocator and some children need.
const MIN_ZONE_SIZE: usize = 32 * 1024;

/// A failed configuration, which emerg() has told the user about.
pub(super) struct Refused;

/// Says why the configuration cannot work.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(super) unsafe fn refuse(cf: *mut ngx_conf_t, message: impl core::fmt::Display) -> Refused {
    // SAFETY: the caller vouches for `cf`.
    unsafe { conf::emerg(cf, message) };
    Refused
}

pub(super) fn conf_result(result: Result<(), Refused>) -> *mut c_char {
    match result {
        Ok(()) => NGX_CONF_OK,
        Err(Refused) => NGX_CONF_ERROR,
    }
}

pub(crate) unsafe extern "C" fn init_main_conf(
    cf: *mut ngx_conf_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what create_main_conf() made.
    unsafe {
        let main = &mut *conf.cast::<MainConf>();
        if main.zone_size == UNSET_SIZE {
            main.zone_size = DEFAULT_ZONE_SIZE;
        }
        if main.zone_size < MIN_ZONE_SIZE {
            let message = format!(
                "\"filedist_zone\" is too small: give it at least {}k, or leave it out for {}m",
                MIN_ZONE_SIZE / 1024,
                DEFAULT_ZONE_SIZE / 1024 / 1024
            );
            return conf_result(Err(refuse(cf, message)));
        }
        NGX_CONF_OK
    }
}

pub(crate) unsafe extern "C" fn merge_srv_conf(
    _cf: *mut ngx_conf_t,
    parent: *mut c_void,
    child: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what create_srv_conf() made.
    unsafe {
        let (parent, child) = (&*parent.cast::<SrvConf>(), &mut *child.cast::<SrvConf>());
        if child.state.is_null() {
            child.state = parent.state;
        }
        if child.catch_up.is_none() {
            child.catch_up = parent.catch_up;
        }
    }
    NGX_CONF_OK
}

pub(crate) unsafe extern "C" fn merge_loc_conf(
    cf: *mut ngx_conf_t,
    parent: *mut c_void,
    child: *mut c_void,
) -> *mut c_char {
    const UNSET: ngx_flag_t = NGX_CONF_UNSET as ngx_flag_t;

    // SAFETY: nginx passes what create_loc_conf() made, with `cf` at the location of `child`. The
    // proxy module has merged all locations already: nginx merges module by module, and a
    // dynamic module comes after the built-in ones.
    unsafe {
        let (parent, child) = (&*parent.cast::<LocConf>(), &mut *child.cast::<LocConf>());
        let said_here = child.enable != UNSET;
        if !said_here {
            child.enable = if parent.enable == UNSET { 0 } else { parent.enable };
        }
        if child.fsync == UNSET {
            child.fsync = if parent.fsync == UNSET { 1 } else { parent.fsync };
        }
        if child.ack == UNSET_UINT {
            child.ack = if parent.ack == UNSET_UINT { ACK_CHILDREN } else { parent.ack };
        }
        if child.name.is_unset() {
            child.name = parent.name;
        }

        if child.page.is_none() && (*conf::core_location(cf)).noname() != 0 && !said_here {
            // `if` and `limit_except` blocks are part of their location.
            child.page = parent.page;
        }
        let result = if let Some(page) = child.page {
            pages::serve(cf, child, page, said_here)
        } else if child.enable == 1 {
            take_over(cf, parent, child, said_here)
        } else {
            Ok(())
        };
        locations::note(cf, child);
        conf_result(result)
    }
}

/// `filedist on`: makes the location's content handler ours and keeps the one that was there.
///
/// # Safety
///
/// `cf` is at the location of `child`.
unsafe fn take_over(
    cf: *mut ngx_conf_t,
    parent: &LocConf,
    child: &mut LocConf,
    said_here: bool,
) -> Result<(), Refused> {
    // SAFETY: the caller vouches for `cf`; core and proxy are merged.
    unsafe {
        let core = &mut *conf::core_location(cf);
        let proxy = &mut *conf::proxy(cf);
        let handler = core.handler.map(|it| Handler::new(it));
        match child.other_handler(handler) {
            Some(next) if !proxy.upstream.is_null() => {
                child.upstream = Some(children(cf, proxy.upstream)?);
                child.next = Some(next);
            }
            Some(_) if said_here || conf::proxy_has_variables(cf) => {
                let message = "\"filedist on\" needs a \"proxy_pass\" with the name of an \
                               upstream, without variables, or no content handler at all: name an \
                               upstream that has \"filedist_fanout\", or say \"filedist off\" in \
                               this location";
                return Err(refuse(cf, message));
            }
            // stub_status, fastcgi_pass and such below a server with "filedist on".
            Some(_) => {
                child.enable = 0;
                return Ok(());
            }
            None if core.noname() != 0 => {
                // `if` and `limit_except` blocks are part of their location.
                child.next = parent.next;
                child.upstream = parent.upstream;
                // nginx goes on with the location's handler in an `if` block alone.
                if core.lmt_excpt() == 0 {
                    child.media = parent.media;
                }
            }
            None if parent.next.is_some() && !said_here => {
                let message = "\"filedist on\" is inherited here, \"proxy_pass\" is not: files of \
                               this location would reach no child; repeat \"proxy_pass\", or say \
                               \"filedist off\" or, for files of this node alone, \"filedist on\" in \
                               this location";
                return Err(refuse(cf, message));
            }
            None => {}
        }

        let uri = child.upstream.map_or(&b""[..], |_| conf::proxy_uri(cf));
        if let Err(why) = locations::there(core, uri) {
            let uri = String::from_utf8_lossy(uri);
            return Err(refuse(cf, format_args!("the URI \"{uri}\" of \"proxy_pass\" {why}")));
        }
        if conf::alias_leads_out(core) {
            let message = "the \"alias\" ends with a slash and the location does not, so requests \
                           could leave the directory with \"..\": add the slash to the location";
            return Err(refuse(cf, message));
        }
        need(cf, parent, child, core)?;
        claim_state(cf, child)?;
        if child.acks_locally() && !conf::server::<SrvConf>(cf).as_ref().is_some_and(catches_up) {
            let message = "\"filedist_ack local\" with \"filedist_catch_up off\": nothing would \
                           reach the children; leave one of them out";
            return Err(refuse(cf, message));
        }
        note_root(cf, core);
        share_memory(cf)?;

        if child.next.is_some() {
            // A file that is not here is asked of the children: no error, and the next one is
            // asked when the first has not got it either, or cannot say (502, 504: it could not
            // ask its own children).
            core.log_not_found = 0;
            proxy.next_upstream |= (NGX_HTTP_UPSTREAM_FT_HTTP_404
                | NGX_HTTP_UPSTREAM_FT_HTTP_502
                | NGX_HTTP_UPSTREAM_FT_HTTP_504
                | NGX_HTTP_UPSTREAM_FT_INVALID_HEADER)
                as ngx_uint_t;
        }
        core.handler = Some(module::content_handler);
        Ok(())
    }
}

/// Notes what deliveries need of the client's request, and refuses what cannot be kept of it.
///
/// # Safety
///
/// `cf` is at the location of `child`, which is merged.
unsafe fn need(
    cf: *mut ngx_conf_t,
    parent: &LocConf,
    child: &mut LocConf,
    core: &ngx_http_core_loc_conf_t,
) -> Result<(), Refused> {
    child.root = core.root.as_bytes().to_vec();
    if child.upstream.is_none() && parent.upstream.is_none() {
        return Ok(());
    }
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let other = if child.upstream != parent.upstream {
            Some("proxy_pass")
        } else if child.root != parent.root {
            Some("root")
        } else {
            None
        };
        if let (Some(directive), true) = (other, core.noname() != 0 && parent.enable == 1) {
            let message = format!(
                "\"{directive}\" of its own in an \"if\" or \"limit_except\" block of a location with \
                 \"filedist on\": what is delivered later is not told the block; give it a location of \
                 its own, or, for \"root\", a variable that \"set\" or \"map\" gives a value"
            );
            return Err(refuse(cf, message));
        }
        let variables = |texts: &[&[u8]]| {
            let names = texts.iter().flat_map(|text| context::names(text));
            names.map(|name| Variable::new(cf, name)).collect::<Option<Vec<_>>>()
        };
        let root = match core.root_lengths.is_null() {
            true => Some(Vec::new()),
            false => variables(&[core.root.as_bytes()]),
        };
        let mut texts = conf::proxy_headers(cf);
        let name = child.name;
        texts.push(name.source());
        let (Some(root), Some(mut rest)) = (root, variables(&texts)) else {
            return Err(refuse(cf, format_args!("no memory for \"filedist on\"")));
        };
        rest.retain(|it| !root.contains(it) && !context::is_credential(&it.name));
        rest.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        rest.dedup();
        child.needs = Needs { root, rest };
    }
    Ok(())
}

fn catches_up(server: &SrvConf) -> bool {
    server.catch_up().enable
}

/// The children that `proxy_pass` names.
///
/// # Safety
///
/// `cf` is at a location whose `proxy_pass` names `us`.
unsafe fn children(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> Result<Upstream, Refused> {
    // SAFETY: the caller vouches for both.
    unsafe {
        let host = (*us).host;
        let upstream = conf::of_upstream::<SrvConf>(us).as_ref();
        if !upstream.is_some_and(|upstream| upstream.fanout) {
            return Err(refuse(
                cf,
                format_args!(
                    "\"filedist on\" with \"proxy_pass\" to \"{host}\", which has no \
                     \"filedist_fanout\": add it to that upstream, or say \"filedist off\" in \
                     this location"
                ),
            ));
        }
        if !upstream.is_some_and(|upstream| upstream.balances) {
            return Err(refuse(
                cf,
                format_args!(
                    "another load-balancing method follows \"filedist_fanout\" in upstream \
                     \"{host}\": use no other method in this upstream"
                ),
            ));
        }
        if let Some(directive) = conf::proxy_changes_requests(cf) {
            return Err(refuse(
                cf,
                format_args!(
                    "\"filedist on\" with \"{directive}\": the children would get something \
                     else than what is stored here; remove it, or say \"filedist off\" in this \
                     location"
                ),
            ));
        }
        Ok(Upstream::new(us))
    }
}

/// # Safety
///
/// `cf` is the configuration being read.
pub(super) unsafe fn share_memory(cf: *mut ngx_conf_t) -> Result<(), Refused> {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let main = &mut *conf::main::<MainConf>(cf);
        if main.zone.is_null() {
            main.zone = zone::add(cf, main.zone_size);
        }
        match main.zone.is_null() {
            true => Err(refuse(cf, format_args!("no memory for \"filedist_zone\""))),
            false => Ok(()),
        }
    }
}
