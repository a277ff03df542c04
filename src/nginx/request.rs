//! The request that a handler works on, and the answer to it.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use std::rc::Rc;

use nginx_sys::*;

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

    /// The request's method.
    pub fn method(&self) -> Method {
        match self.raw().method as u32 {
            NGX_HTTP_GET | NGX_HTTP_HEAD => Method::Get,
            NGX_HTTP_PUT => Method::Put,
            NGX_HTTP_DELETE => Method::Delete,
            _ => Method::Other,
        }
    }

    /// The path, normalized and decoded by nginx.
    pub fn uri(&self) -> &[u8] {
        self.raw().uri.as_bytes()
    }

    /// Length that the client announced, or none for a chunked body.
    pub fn content_length(&self) -> Option<u64> {
        u64::try_from(self.raw().headers_in.content_length_n).ok()
    }

    /// A body of unknown length follows (chunked, or HTTP/2 without Content-Length).
    pub fn is_chunked(&self) -> bool {
        self.raw().headers_in.chunked() != 0
    }

    /// The length of a body that nginx would keep in memory (`client_body_buffer_size`).
    pub fn small_body(&self) -> Option<usize> {
        let length = usize::try_from(self.content_length()?).ok()?;
        (!self.is_chunked() && length <= self.core_conf().client_body_buffer_size).then_some(length)
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
            if root >= len {
                // An "alias" with captures makes the whole path: its root is the directory that
                // the directive names before the first variable.
                let alias = self.core_conf().root.as_bytes();
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

    /// Gives the answer a media type that the location's `types` do not change.
    pub fn set_content_type(&self, content_type: &'static str) {
        // SAFETY: the request is alive and not answered yet; nginx only reads the text.
        unsafe {
            let out = &mut (*self.0.as_ptr()).headers_out;
            out.content_type = const_str(content_type);
            out.content_type_len = content_type.len();
        }
    }

    /// Has the request's task look again, after the subrequests that it has just started: nginx
    /// takes the read timeout off the client when one reaches its upstream, and reading on sets
    /// it again.
    pub fn poll_again(&self) {
        super::task::post(*self);
    }

    /// Sends `reply`. A body that the client has not sent yet is refused or thrown away.
    pub fn send(&self, reply: &Reply) -> Status {
        let r = self.0.as_ptr();
        // SAFETY: the request is alive and is not answered yet; the buffer is in its pool.
        unsafe {
            let body_begun = !(*r).request_body.is_null();
            if !body_begun {
                if self.expects_continue() {
                    // As nginx does for 413: no "100 Continue" ahead of a refusal, and the
                    // connection ends, because the body may or may not follow.
                    (*r).set_expect_tested(1);
                    (*r).set_keepalive(0);
                }
                let rc = ngx_http_discard_request_body(r);
                if rc != NGX_OK as ngx_int_t {
                    (*r).set_keepalive(0);
                }
            }

            let cut_short =
                body_begun && super::task::of(*self).is_some_and(|task| !task.body_complete.get());
            if cut_short {
                // What follows is the rest of the body, not the next request.
                (*r).set_keepalive(0);
                (*r).set_lingering_close(1);
            }
            // If-Match and such are not about this answer.
            (*r).set_disable_not_modified(1);

            let out = &mut (*r).headers_out;
            out.status = reply.status.into();
            if reply.status == 508 {
                // nginx has no words for this one.
                out.status_line = const_str("508 Loop Detected");
            }
            out.content_length_n = reply.body.len() as off_t;
            self.set_content_type(reply.content_type);

            for (name, value) in &reply.headers {
                if self.add_header(name, value).is_err() {
                    return NGX_HTTP_INTERNAL_SERVER_ERROR as Status;
                }
            }

            let rc = ngx_http_send_header(r);
            if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*r).header_only() != 0 {
                return rc;
            }
            self.send_body(&reply.body)
        }
    }

    /// # Safety
    ///
    /// The header was sent, and announced as many bytes.
    unsafe fn send_body(&self, body: &[u8]) -> Status {
        let r = self.0.as_ptr();
        // SAFETY: buffer and bytes are in the request's pool; nginx copies the chain link.
        unsafe {
            let Ok(mut buf) = pool::zeroed::<ngx_buf_t>(self.pool()) else {
                return NGX_ERROR as Status;
            };
            let buf = buf.as_mut();
            if !body.is_empty() {
                let Ok(bytes) = self.copy(body) else { return NGX_ERROR as Status };
                buf.pos = bytes.data;
                buf.last = bytes.data.add(bytes.len);
                buf.set_memory(1);
            }
            buf.set_last_buf(1);
            buf.set_last_in_chain(1);
            let mut out = ngx_chain_t { buf, next: ptr::null_mut() };
            ngx_http_output_filter(r, &mut out)
        }
    }

    fn add_header(&self, name: &'static str, value: &[u8]) -> Result<(), OutOfMemory> {
        let r = self.0.as_ptr();
        // SAFETY: the list was initialised with the request; a new element is filled whole.
        unsafe {
            let header = ngx_list_push(&mut (*r).headers_out.headers).cast::<ngx_table_elt_t>();
            if header.is_null() {
                return Err(OutOfMemory);
            }
            ptr::write_bytes(header, 0, 1);
            (*header).hash = 1;
            (*header).key = const_str(name);
            (*header).value = self.copy(value)?;
        }
        Ok(())
    }

    /// `bytes` in the request's pool.
    pub(super) fn copy(self, bytes: &[u8]) -> Result<ngx_str_t, OutOfMemory> {
        // SAFETY: the pool is alive; the copy fills what was allocated.
        unsafe { ngx_str_t::from_bytes(self.pool(), bytes) }.ok_or(OutOfMemory)
    }
}

/// A content handler of the running configuration.
#[derive(Clone, Copy)]
pub struct Handler(unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t);

impl Handler {
    /// # Safety
    ///
    /// `handler` is a content handler that any request of the configuration may be given to.
    pub unsafe fn new(
        handler: unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t,
    ) -> Handler {
        Handler(handler)
    }

    /// Has it answer `r`.
    pub fn call(self, r: Request) -> Status {
        // SAFETY: new() says that it is one; the request is alive.
        unsafe { (self.0)(r.as_ptr()) }
    }
}

/// The value of a directive that may hold variables; null where there is none.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ComplexValue(*mut ngx_http_complex_value_t);

impl ComplexValue {
    /// No value, as nginx's setter wants to find it.
    pub const fn unset() -> ComplexValue {
        ComplexValue(ptr::null_mut())
    }

    /// There is none.
    pub fn is_unset(self) -> bool {
        self.0.is_null()
    }

    /// What it is for this request; none where there is no value, or no memory.
    pub fn eval(self, r: &Request) -> Option<&[u8]> {
        let mut text = ngx_str_t::empty();
        // SAFETY: ngx_http_set_complex_value_slot() compiled the value for the configuration that
        // the request runs in; the text is in the configuration or in the request's pool.
        unsafe {
            if self.0.is_null() {
                return None;
            }
            match ngx_http_complex_value(r.as_ptr(), self.0, &mut text) as i32 {
                n if n == NGX_OK as i32 && text.len == 0 => Some(&[]),
                n if n == NGX_OK as i32 => Some(slice::from_raw_parts(text.data, text.len)),
                _ => None,
            }
        }
    }
}

/// An answer of this module.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub content_type: &'static str,
    /// Further header fields.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// nginx's view of a string that is never written to and never freed.
pub(super) fn const_str(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

/// The elements of a header list.
///
/// # Safety
///
/// `list` is a list of `ngx_table_elt_t` that does not change while the iterator is used.
pub(super) unsafe fn headers(list: &ngx_list_t) -> impl Iterator<Item = &ngx_table_elt_t> {
    let mut part = Some(&list.part);
    let mut next = 0;
    core::iter::from_fn(move || loop {
        let current = part?;
        if next < current.nelts {
            // SAFETY: the caller vouches for the element type; `next` is within the part.
            let header = unsafe { &*current.elts.cast::<ngx_table_elt_t>().add(next) };
            next += 1;
            return Some(header);
        }
        // SAFETY: a part's next is null or another part of the same list.
        part = unsafe { current.next.as_ref() };
        next = 0;
    })
}
