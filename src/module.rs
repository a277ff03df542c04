//! What nginx loads: the module's tables, and the functions that it calls.

#![allow(unsafe_code)]

use core::ptr;
use std::panic::{catch_unwind, AssertUnwindSafe};

use nginx_sys::*;

use crate::catch_up;
use crate::conf::{commands, merge, MainConf};
use crate::handlers;
use crate::nginx::worker::Master;
use crate::nginx::{worker, OutOfMemory, Request, Status};
use crate::pages;
use crate::start;

#[cfg(not(test))]
ngx::ngx_modules!(ngx_http_filedist_module);

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(commands::preconfiguration),
    postconfiguration: Some(commands::postconfiguration),
    create_main_conf: Some(commands::create_main_conf),
    init_main_conf: Some(merge::init_main_conf),
    create_srv_conf: Some(commands::create_srv_conf),
    merge_srv_conf: Some(merge::merge_srv_conf),
    create_loc_conf: Some(commands::create_loc_conf),
    merge_loc_conf: Some(merge::merge_loc_conf),
};

/// The entry in nginx's table of modules.
#[cfg_attr(not(test), used, no_mangle)]
#[cfg_attr(test, allow(dead_code))]
#[allow(non_upper_case_globals)]
pub static mut ngx_http_filedist_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of!(CONTEXT).cast_mut().cast(),
    commands: ptr::addr_of_mut!(commands::COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(init_module),
    init_process: Some(init_process),
    ..ngx_module_t::default()
};

/// nginx's master calls this when it has read a configuration and made its paths, also with `-t`.
unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes its cycle.
    let (main, master) = unsafe { (MainConf::of_cycle(cycle), Master::of(cycle)) };
    let Some(main) = main else { return NGX_OK as ngx_int_t };
    let ok = catch_unwind(AssertUnwindSafe(|| start::prepare(main, &master))).unwrap_or(true);
    // An error would end an nginx that is reloaded.
    match ok || master.is_running {
        true => NGX_OK as ngx_int_t,
        false => NGX_ERROR as ngx_int_t,
    }
}

/// nginx calls this when a worker starts.
unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    if !worker::is_worker() {
        return NGX_OK as ngx_int_t;
    }
    // A file beyond RLIMIT_FSIZE is an error of its request (EFBIG, 413), not the worker's end.
    // SAFETY: no handler of anybody's is replaced: nginx has none for this signal. nginx passes
    // its cycle, which stays until the worker ends.
    let main = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        MainConf::of_cycle(cycle)
    };
    let Some(main) = main else { return NGX_OK as ngx_int_t };
    if main.servers().any(|server| server.site().is_some()) {
        // nginx sets it when it becomes a daemon. With "daemon off" that of whoever started nginx would
        // decide who may read the files.
        // SAFETY: no more than a number of this process.
        unsafe { libc::umask(0) };
    }
    if catch_unwind(AssertUnwindSafe(|| catch_up::begin(main))).is_err() {
        return NGX_ERROR as ngx_int_t;
    }
    // SAFETY: as said above.
    match unsafe { worker::every(cycle, catch_up::INTERVAL, catch_up::look(main)) } {
        Ok(clock) => {
            main.set_clock(clock);
            NGX_OK as ngx_int_t
        }
        Err(OutOfMemory) => NGX_ERROR as ngx_int_t,
    }
}

/// The content handler of locations with `filedist on`.
pub(crate) unsafe extern "C" fn content_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    unsafe { enter(r, handlers::dispatch) }
}

/// The content handler of locations with a page.
pub(crate) unsafe extern "C" fn page_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    unsafe { enter(r, pages::dispatch) }
}

/// Runs a handler; a panic becomes 500 and does not reach nginx.
///
/// # Safety
///
/// nginx passes a live request.
unsafe fn enter(r: *mut ngx_http_request_t, handler: fn(Request) -> Status) -> ngx_int_t {
    // SAFETY: the caller vouches for the request, which outlives its content handler.
    let Some(r) = (unsafe { Request::from_ptr(r) }) else { return NGX_ERROR as ngx_int_t };
    catch_unwind(|| handler(r)).unwrap_or(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t)
}
