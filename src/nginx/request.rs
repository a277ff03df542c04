//! The request that a handler works on.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use std::rc::Rc;

use nginx_sys::*;

use super::header_list::headers;
use super::log::{self, Level};
use super::pool::{self, OutOfMemory};

extern "C" {
    // The module's own entry in nginx's table (src/module.rs); its index says where the request
    // keeps the module's context and configuration.
    static ngx_http_filedist_module: ngx_module_t;
}

/// Where nginx keeps this module's contexts and configurations.
pub(crate) fn module_index() -> usize {
    // SAFETY: nginx writes the index while it loads the module, before any handler runs.
    unsafe { *ptr::addr_of!(ngx_http_filedist_module.ctx_index) }
}

/// A request. The handle is given to handlers and to the request's task, both of which end
/// before nginx frees the request; nothing else may keep it.
#[derive(Clone, Copy)]
pub struct Request(NonNull<ngx_http_request_t>);

/// The methods that the module tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET or HEAD.
    Get,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// POST.
    Post,
    /// Any other.
    Other,
}

/// What a location's content handler returns to nginx.
pub type Status = ngx_int_t;

/// Let the next content handler (index, autoindex, static) answer.
pub const DECLINED: Status = NGX_DECLINED as Status;

/// The configuration structure that this module made for each location.
///
/// # Safety
///
/// The module's `create_loc_conf` allocates exactly this type.
pub unsafe trait LocationConf {}

impl Request {
    /// # Safety
    ///
    /// `r` is a live request, and the handle is not used after nginx frees it.
    pub unsafe fn from_ptr(r: *mut ngx_http_request_t) -> Option<Request> {
        NonNull::new(r).map(Request)
    }

    pub(super) fn as_ptr(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    fn raw(&self) -> &ngx_http_request_t {
        // SAFETY: see the type: the request is alive while a handle is used. nginx runs one
        // thread, and no reference taken here lasts across a call that writes to the request.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn pool(self) -> *mut ngx_pool_t {
        self.raw().pool
    }

    pub(super) fn connection(self) -> *mut ngx_connection_t {
        self.raw().connection
    }

    /// The client's request, as opposed to a subrequest.
    pub fn is_main(&self) -> bool {
        ptr::eq(self.raw().main, self.0.as_ptr())
    }

    /// Has nginx's own content handlers (gzip_static, static and so on) answer, as after
    /// [`DECLINED`], and gives their status. Only for content handlers that nginx has just called.
    pub fn serve_here(self) -> Status {
        // SAFETY: the request is alive. Its phase is that of content, whose handlers are the last
        // ones in the array; an entry of nulls ends it.
        unsafe {
            let core = ptr::addr_of!(ngx_http_core_module.ctx_index).read();
            let main = (*(*self.as_ptr()).main_conf.add(core)).cast::<ngx_http_core_main_conf_t>();
            let mut phase = (*main).phase_engine.handlers.add(self.raw().phase_handler as usize);
            while let Some(handler) = (*phase).handler {
                let status = handler(self.as_ptr());
                if status != DECLINED {
                    return status;
                }
                phase = phase.add(1);
            }
        }
        DECLINED
    }

    /// The request's method.
    pub fn method(&self) -> Method {
        match self.raw().method as u32 {
            NGX_HTTP_GET | NGX_HTTP_HEAD => Method::Get,
            NGX_HTTP_PUT => Method::Put,
            NGX_HTTP_DELETE => Method::Delete,
            NGX_HTTP_POST => Method::Post,
            _ => Method::Other,
        }
    }

    /// HEAD, of the two that [`Method::Get`] is.
    pub fn is_head(&self) -> bool {
        self.raw().method as u32 == NGX_HTTP_HEAD
    }

    /// The path, normalized and decoded by nginx.
    pub fn uri(&self) -> &[u8] {
        self.raw().uri.as_bytes()
    }

    /// What the location's path begins with, as the configuration says it.
    pub fn location(&self) -> &'static [u8] {
        self.core_conf().name.as_bytes()
    }

    /// Whether the location is another one than nginx finds by the path: a named one, or one whose
    /// `rewrite ... break` has changed the path.
    pub fn has_other_location(&self) -> bool {
        self.core_conf().named() != 0 || self.raw().valid_location() == 0
    }

    /// What follows of the path behind the location's own, without a slash at its beginning.
    pub fn below_location(&self) -> &[u8] {
        let rest = self.uri().get(self.location().len()..).unwrap_or_default();
        rest.strip_prefix(b"/").unwrap_or(rest)
    }

    /// What stands behind the question mark, as it was sent.
    pub fn args(&self) -> &[u8] {
        self.raw().args.as_bytes()
    }

    /// Length that the client announced, or none for a chunked body, where nginx counts what has
    /// arrived in the same place.
    pub fn content_length(&self) -> Option<u64> {
        if self.is_chunked() {
            return None;
        }
        u64::try_from(self.raw().headers_in.content_length_n).ok()
    }

    /// A body of unknown length follows (chunked, or HTTP/2 without Content-Length).
    pub fn is_chunked(&self) -> bool {
        self.raw().headers_in.chunked() != 0
    }

    /// "https" or "http".
    pub fn scheme(&self) -> &'static str {
        #[cfg(ngx_ssl)]
        // SAFETY: the connection lives as long as the request.
        if !unsafe { (*self.connection()).ssl }.is_null() {
            return "https";
        }
        "http"
    }

    /// It came over HTTP/2.
    pub fn is_stream(&self) -> bool {
        #[cfg(ngx_http_v2)]
        return !self.raw().stream.is_null();
        #[cfg(not(ngx_http_v2))]
        false
    }

    /// The length of a body that nginx would keep in memory (`client_body_buffer_size`).
    pub fn small_body(&self) -> Option<usize> {
        let length = usize::try_from(self.content_length()?).ok()?;
        (length <= self.core_conf().client_body_buffer_size).then_some(length)
    }

    /// The location has `disable_symlinks`.
    pub fn checks_symlinks(&self) -> bool {
        self.core_conf().disable_symlinks != NGX_DISABLE_SYMLINKS_OFF as ngx_uint_t
    }

    /// The client waits for 100 (Continue) before it sends the body, RFC 9110 section 10.1.1.
    pub fn expects_continue(&self) -> bool {
        !self.raw().headers_in.expect.is_null() && self.raw().expect_tested() == 0
    }

    /// The value of the first header field of that name, written in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let list = &self.raw().headers_in.headers;
        // SAFETY: nginx built the list while it parsed the request head.
        let mut headers = unsafe { headers(list) };
        headers
            .find(|header| header.key.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
            .map(|header| header.value.as_bytes())
    }

    /// The module's configuration for the location.
    pub fn conf<T: LocationConf>(&self) -> &'static T {
        // SAFETY: nginx fills loc_conf for every module, the trait's contract names the type, and
        // the configuration's pool outlives its requests.
        unsafe { &*(*self.raw().loc_conf.add(module_index())).cast::<T>() }
    }

    /// The core module's configuration for the location.
    pub(super) fn core_conf(self) -> &'static ngx_http_core_loc_conf_t {
        // SAFETY: as in conf(); the core module is always there.
        unsafe {
            let index = *ptr::addr_of!(ngx_http_core_module.ctx_index);
            &*(*self.raw().loc_conf.add(index)).cast()
        }
    }

    pub(super) fn ctx<T>(self) -> Option<NonNull<T>> {
        // SAFETY: nginx allocates a slot for every module with the request.
        NonNull::new(unsafe { *self.raw().ctx.add(module_index()) }.cast())
    }

    pub(super) fn set_ctx<T>(self, ctx: *const T) {
        // SAFETY: as in ctx().
        unsafe { *self.raw().ctx.add(module_index()) = ctx.cast_mut().cast::<c_void>() }
    }

    /// Keeps `value` until the request is freed.
    pub fn keep<T>(&self, value: T) -> Result<&'static T, OutOfMemory> {
        // SAFETY: the request's pool lives as long as the request; the handle's contract ends
        // every use of the reference by then.
        unsafe { pool::boxed(self.pool(), value).map(|kept| kept.as_ref()) }
    }

    /// Keeps a share of `value` until the request is freed.
    pub(super) fn keep_rc<T>(self, value: Rc<T>) -> Result<(), OutOfMemory> {
        // SAFETY: the request is alive.
        unsafe { pool::shared(self.pool(), value) }
    }

    /// The file that the location maps the path to, and the length of its root part
    /// (`ngx_http_map_uri_to_path()`, which honours `root`, `alias` and their variables).
    pub fn map_to_path(&self) -> Result<(&[u8], usize), OutOfMemory> {
        let mut path = ngx_str_t::empty();
        let mut root = 0;
        // SAFETY: both out parameters are ours; nginx allocates the path from the request's pool.
        unsafe {
            let last = ngx_http_map_uri_to_path(self.0.as_ptr(), &mut path, &mut root, 0);
            if last.is_null() {
                return Err(OutOfMemory);
            }
            let len = last.offset_from(path.data) as usize;
            let conf = self.core_conf();
            if root >= len && !conf.root_lengths.is_null() {
                // An "alias" with captures makes the whole path: its root is the directory that
                // the directive names before the first variable.
                let alias = conf.root.as_bytes();
                let constant = alias.split(|&byte| byte == b'$').next().unwrap_or_default();
                root = constant.iter().rposition(|&byte| byte == b'/').unwrap_or(0).min(len);
            }
            Ok((slice::from_raw_parts(path.data, len), root))
        }
    }

    /// Address and port at which the request came in, as in `$server_addr:$server_port`.
    pub fn server_address(&self) -> Vec<u8> {
        // The longest address is the path of a unix socket.
        let mut text = [0u8; 128];
        let mut address = ngx_str_t { len: text.len(), data: text.as_mut_ptr() };
        // SAFETY: the connection lives as long as the request; nginx writes at most `len` bytes.
        let rc = unsafe { ngx_connection_local_sockaddr(self.connection(), &mut address, 1) };
        match rc as i32 {
            n if n == NGX_OK as i32 => address.as_bytes().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Writes to the error log of the request.
    pub fn log(&self, level: Level, message: core::fmt::Arguments<'_>) {
        // SAFETY: the connection and its log live as long as the request.
        unsafe { log::write((*self.connection()).log, level, message) }
    }

    /// Has the request's task look again, after the subrequests that it has just started: nginx
    /// takes the read timeout off the client when one reaches its upstream, and reading on sets
    /// it again.
    pub fn poll_again(&self) {
        super::task::post(*self);
    }

    /// Has nginx end the request when its client leaves. For one that changes nothing: what is
    /// under way for it ends, too.
    pub fn end_with_client(&self) {
        // SAFETY: the request is alive; nginx's handler looks at its connection only.
        unsafe { (*self.0.as_ptr()).read_event_handler = Some(ngx_http_test_reading) };
    }

    /// `bytes` in the request's pool.
    pub(super) fn copy(self, bytes: &[u8]) -> Result<ngx_str_t, OutOfMemory> {
        // SAFETY: the pool is alive; the copy fills what was allocated.
        unsafe { ngx_str_t::from_bytes(self.pool(), bytes) }.ok_or(OutOfMemory)
    }
}

/// What nginx calls a file in its log, with the NUL behind it that it reads up to.
pub(super) const FILE_NAME: &str = "a file of the filedist module\0";

/// nginx's view of a string that is never written to and never freed.
pub(super) fn const_str(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}
