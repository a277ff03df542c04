//! A request that no client sent: the worker delivers on its own account.
//!
//! It is made as nginx makes a client's, on a connection without a socket, in a location of its
//! server that nginx finds by the path. Its task and its subrequests are like any others. What a
//! client would be asked or told (access rules, limits, rewrites, the answer, the access log) does
//! not apply to it.

use core::ffi::c_void;
use core::future::Future;
use core::mem;
use core::ptr;

use nginx_sys::*;

use super::alarm;
use super::header_list;
use super::pool::OutOfMemory;
use super::reply::Ending;
use super::request::{const_str, Request};
use super::subrequest::Way;
use super::task;

extern "C" {
    fn ngx_http_filedist_uncount(r: *mut ngx_http_request_t);
}

/// A server of the configuration.
#[derive(Clone, Copy)]
pub struct Server {
    conf: *mut ngx_http_conf_ctx_t,
    /// Its first `listen`, by which it names itself where nobody gave it a name.
    address: *mut sockaddr,
    address_length: socklen_t,
    /// What stands for the Host that a client would send.
    host: ngx_str_t,
}

impl Server {
    /// # Safety
    ///
    /// All belong to one configuration, which outlives the value and what is started with it.
    pub unsafe fn new(
        conf: *mut ngx_http_conf_ctx_t,
        address: *mut sockaddr,
        address_length: socklen_t,
        host: ngx_str_t,
    ) -> Server {
        Server { conf, address, address_length, host }
    }
}

/// What nginx expects around a request, in one place until the request is freed.
struct Around {
    /// nginx takes `event.data` of a timer for a connection when it writes debug lines.
    end: ngx_event_t,
    http: ngx_http_connection_t,
    log: ngx_log_t,
    log_context: ngx_http_log_ctx_t,
    r: *mut ngx_http_request_t,
}

/// Starts a request for `uri`, with `handler` as its task. False if nginx finds no location for
/// it (or `uri` is empty, for a task of the server as a whole).
pub fn start<F, T>(server: Server, uri: &[u8], handler: F) -> Result<bool, OutOfMemory>
where
    F: FnOnce(Request) -> T,
    T: Future<Output = ()> + 'static,
{
    start_at(server, uri, None, handler)
}

/// The same in this location, where there is one.
pub fn start_at<F, T>(
    server: Server,
    uri: &[u8],
    location: Option<Way>,
    handler: F,
) -> Result<bool, OutOfMemory>
where
    F: FnOnce(Request) -> T,
    T: Future<Output = ()> + 'static,
{
    // SAFETY: see Server::new(). What nginx expects of a client's request is filled in here,
    // before anything looks at it.
    unsafe {
        let around: Around = mem::zeroed();
        let around = Box::into_raw(Box::new(around));
        let Some(raw) = create(server, around) else {
            drop(Box::from_raw(around));
            return Err(OutOfMemory);
        };
        let Some(r) = Request::from_ptr(raw) else { return Err(OutOfMemory) };
        (*around).r = raw;
        let end = &mut (*around).end;
        end.data = raw.cast();
        end.handler = Some(free);
        end.log = &mut (*around).log;

        let Ok(text) = r.copy(if uri.is_empty() { b"/" } else { uri }) else {
            destroy(around);
            return Err(OutOfMemory);
        };
        (*raw).uri = text;
        // What "$request_uri" is must not break a line of the request to the child.
        let Ok(text) = escaped(r, text) else {
            destroy(around);
            return Err(OutOfMemory);
        };
        (*raw).unparsed_uri = text;
        if !uri.is_empty() {
            let found = find_location(raw);
            if let Some(way) = location {
                way.enter(raw);
            } else if !found {
                destroy(around);
                return Ok(false);
            }
        }
        let handler = handler(r);
        let future = async move {
            handler.await;
            Ending::Sent(NGX_OK as ngx_int_t)
        };
        if task::start(r, Box::pin(future), Some(around.cast())).is_err() {
            destroy(around);
            return Err(OutOfMemory);
        }
        ngx_http_run_posted_requests((*raw).connection);
        Ok(true)
    }
}

/// # Safety
///
/// `path` lives as long as `r`.
unsafe fn escaped(r: Request, path: ngx_str_t) -> Result<ngx_str_t, OutOfMemory> {
    // SAFETY: the caller vouches for the path. Each byte that nginx counts becomes three.
    unsafe {
        let kind = NGX_ESCAPE_URI as ngx_uint_t;
        let more = 2 * ngx_escape_uri(ptr::null_mut(), path.data, path.len, kind);
        if more == 0 {
            return Ok(path);
        }
        let len = path.len + more;
        let data = ngx_pnalloc(r.pool(), len).cast::<u8>();
        if data.is_null() {
            return Err(OutOfMemory);
        }
        ngx_escape_uri(data, path.data, path.len, kind);
        Ok(ngx_str_t { len, data })
    }
}

/// # Safety
///
/// As for start(); `around` is zeroed and stays in place.
unsafe fn create(server: Server, around: *mut Around) -> Option<*mut ngx_http_request_t> {
    // SAFETY: the caller vouches for both; nginx gives connections from its own list.
    unsafe {
        (*around).http.conf_ctx = server.conf;
        (*around).log = *(*ngx_cycle).log;
        let c = ngx_get_connection(0, &mut (*around).log).as_mut()?;
        // No socket: nothing to be watched, and nothing left open when the worker ends.
        let files = (*ngx_cycle).files;
        if !files.is_null() && (*files).cast_const() == ptr::from_ref(c) {
            *files = ptr::null_mut();
        }
        c.fd = -1;
        c.start_time = ngx_current_msec;
        (*around).log.connection = c.number;
        (*around).log.handler = Some(log_context);
        (*around).log.data = ptr::addr_of_mut!((*around).log_context).cast();
        (*around).log_context.connection = c;

        c.data = ptr::addr_of_mut!((*around).http).cast();
        let raw = ngx_http_create_request(c);
        if raw.is_null() {
            ngx_free_connection(c);
            return None;
        }
        c.data = raw.cast();
        c.pool = (*raw).pool;
        // "stub_status" counts clients.
        ngx_http_filedist_uncount(raw);
        c.sockaddr = server.address;
        c.socklen = server.address_length;
        c.local_sockaddr = server.address;
        c.local_socklen = server.address_length;
        c.set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
        // What is active is not given to epoll. What can be written at once gets no timer; what can
        // be read would be looked at.
        for event in [c.read, c.write] {
            (*event).log = c.log;
            (*event).handler = Some(idle);
            (*event).set_active(1);
        }
        (*c.write).set_ready(1);

        let empty = ngx_list_init(
            &mut (*raw).headers_in.headers,
            (*raw).pool,
            4,
            size_of::<ngx_table_elt_t>(),
        );
        let host = &mut (*raw).headers_in.headers;
        let host = match empty == NGX_OK as ngx_int_t {
            true => header_list::add(host, "Host", "host", server.host).ok(),
            false => None,
        };
        let Some(host) = host else {
            free_request(raw);
            return None;
        };
        // A child would refuse what says "proxy_set_header Host $host" without one.
        (*raw).headers_in.host = host;
        (*raw).headers_in.server = server.host;
        (*raw).method = NGX_HTTP_GET as ngx_uint_t;
        (*raw).method_name = const_str("GET");
        (*raw).http_version = NGX_HTTP_VERSION_11 as ngx_uint_t;
        (*raw).http_protocol = const_str("HTTP/1.1");
        (*raw).set_internal(1);
        // Not a client's: it is in no access log.
        (*raw).set_logged(1);
        Some(raw)
    }
}

/// Nothing happens on a connection without a socket.
unsafe extern "C" fn idle(_event: *mut ngx_event_t) {}

/// The location that nginx finds for the path, and the place in its phases where the content
/// handler runs: a delivery starts there.
///
/// # Safety
///
/// `raw` is a new request of create().
unsafe fn find_location(raw: *mut ngx_http_request_t) -> bool {
    // SAFETY: the engine's last handler has no checker. nginx ends a request that has no location,
    // or has to be redirected: an error of the connection has it do so without an answer, and a
    // count of our own keeps the request.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_core_module.ctx_index);
        let main: *mut ngx_http_core_main_conf_t = (*(*raw).main_conf.add(index)).cast();
        let handlers = (*main).phase_engine.handlers;
        let c = (*raw).connection;

        (*raw).set_count(2);
        (*c).set_error(1);
        // Or nginx would run "post_action" first.
        (*raw).set_post_action(1);
        let rc = ngx_http_core_find_config_phase(raw, handlers);
        let found = rc == NGX_AGAIN as ngx_int_t;
        (*c).set_error(0);
        (*raw).set_count(1);
        (*raw).set_post_action(0);
        // The path is what the location was found by: "alias" wants to know.
        (*raw).set_valid_location(1);

        let mut phase = 0;
        while let Some(checker) = (*handlers.add(phase)).checker {
            if ptr::fn_addr_eq(checker, ngx_http_core_content_phase as Checker) {
                (*raw).phase_handler = phase as ngx_int_t;
                return found;
            }
            phase += 1;
        }
        false
    }
}

type Checker =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_phase_handler_t) -> ngx_int_t;

/// The task has ended: nginx frees the request when it is through with it.
///
/// # Safety
///
/// `around` is what start() gave to the task.
pub(super) unsafe fn end(around: *mut c_void) {
    // SAFETY: the caller vouches for it. Nothing else uses the event.
    unsafe {
        let around = around.cast::<Around>();
        ngx_post_event(&mut (*around).end, ptr::addr_of_mut!(ngx_posted_events));
    }
}

unsafe extern "C" fn free(event: *mut ngx_event_t) {
    // SAFETY: start() made the event a part of what is around the request; nginx calls this from
    // its event loop, with nothing of the request on the stack.
    unsafe {
        let around = event.byte_sub(mem::offset_of!(Around, end)).cast::<Around>();
        let raw = (*around).r;
        (*event).set_timedout(0);
        if (*raw).count() > 1 || (*raw).blocked() > 0 {
            // A subrequest that was given up has not been told yet.
            ngx_http_run_posted_requests((*raw).connection);
            if (*raw).count() > 1 || (*raw).blocked() > 0 {
                ngx_add_timer(event, 10);
                return;
            }
        }
        destroy(around);
    }
}

/// # Safety
///
/// Nothing uses the request of `around` any more.
unsafe fn destroy(around: *mut Around) {
    // SAFETY: the caller vouches for it; start() made the box.
    unsafe {
        free_request((*around).r);
        drop(Box::from_raw(around));
    }
}

/// # Safety
///
/// Nothing uses the request any more.
unsafe fn free_request(raw: *mut ngx_http_request_t) {
    // SAFETY: the caller vouches for it. The order is that of nginx's own
    // ngx_http_close_connection(), without a socket.
    unsafe {
        let c = (*raw).connection;
        ngx_http_free_request(raw, NGX_OK as ngx_int_t);
        for event in [(*c).read, (*c).write] {
            alarm::forget(event);
            (*event).set_active(0);
            (*event).set_ready(0);
        }
        (*c).pool = ptr::null_mut();
        // nginx looks into its list of files by this number.
        (*c).fd = 0;
        ngx_free_connection(c);
        (*c).fd = -1;
        (*c).set_destroyed(1);
    }
}

/// What stands behind an error of such a request in the log.
unsafe extern "C" fn log_context(log: *mut ngx_log_t, buf: *mut u8, len: usize) -> *mut u8 {
    const TEXT: &[u8] = b", filedist catch-up";

    // SAFETY: nginx gives room for `len` bytes.
    unsafe {
        let mut end = buf;
        let mut left = len;
        let mut push = |text: &[u8]| {
            let n = text.len().min(left);
            ptr::copy_nonoverlapping(text.as_ptr(), end, n);
            end = end.add(n);
            left -= n;
        };
        if !(*log).action.is_null() {
            push(b" while ");
            push(core::ffi::CStr::from_ptr((*log).action).to_bytes());
        }
        push(TEXT);
        let context = (*log).data.cast::<ngx_http_log_ctx_t>();
        if let Some(r) = context.as_ref().and_then(|context| context.request.as_ref()) {
            push(b", path: \"");
            // A path may hold anything; a line of the log may not.
            for byte in r.uri.as_bytes() {
                push(&[if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'?' }]);
            }
            push(b"\"");
        }
        end
    }
}
