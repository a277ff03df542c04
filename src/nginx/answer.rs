//! What a child answers to a delivery.
//!
//! nginx would pass it through the output filters into memory, and end the client's request when
//! it does not fit or the child asks for an internal redirect. Here the proxy module's functions
//! that read an answer are wrapped: they parse as ever, and what they yield is kept up to a limit
//! and goes nowhere else.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::ptr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use nginx_sys::*;

use super::request::Request;
use super::subrequest;

/// The most of a receipt that is kept; one between nodes is smaller. The connection of a child that
/// goes on is closed.
const LIMIT: usize = 4096;

type ProcessHeader = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;
type FilterInit = unsafe extern "C" fn(*mut c_void) -> ngx_int_t;
type Filter = unsafe extern "C" fn(*mut c_void, isize) -> ngx_int_t;

/// What has come so far, and the proxy module's own functions.
pub(super) struct Reader {
    body: RefCell<Vec<u8>>,
    /// How many more bytes may be kept, of this answer and others.
    left: Rc<Cell<usize>>,
    /// Where the body goes that is a file and no receipt, and the most bytes of it.
    file: Option<(Arc<File>, u64)>,
    written: Cell<u64>,
    /// It could not be written there, or is too long.
    failed: Cell<bool>,
    process_header: Cell<Option<ProcessHeader>>,
    filter_init: Cell<Option<FilterInit>>,
    filter: Cell<Option<Filter>>,
    /// When the body began, in nginx's milliseconds.
    began: Cell<ngx_msec_t>,
}

impl Default for Reader {
    /// For a receipt.
    fn default() -> Reader {
        Reader {
            body: RefCell::default(),
            left: Rc::new(Cell::new(LIMIT)),
            file: None,
            written: Cell::new(0),
            failed: Cell::new(false),
            process_header: Cell::new(None),
            filter_init: Cell::new(None),
            filter: Cell::new(None),
            began: Cell::new(0),
        }
    }
}

impl Reader {
    /// One that keeps so many bytes, and takes them off.
    pub(super) fn up_to(left: Rc<Cell<usize>>) -> Reader {
        Reader { left, ..Reader::default() }
    }

    /// One that writes the body into a file, up to so many bytes.
    pub(super) fn into(file: Arc<File>, limit: u64) -> Reader {
        Reader { file: Some((file, limit)), ..Reader::default() }
    }

    /// The body has this length, and is in the file.
    pub(super) fn has_written(&self, length: u64) -> bool {
        !self.failed.get() && self.written.get() == length
    }

    /// Takes over the reading of the answer, for one attempt: a retry sets the proxy module's
    /// functions again.
    ///
    /// # Safety
    ///
    /// `u` is the upstream of the subrequest that this belongs to, before its request is sent.
    pub(super) unsafe fn hook(&self, u: *mut ngx_http_upstream_t) {
        let before = self.body.take();
        self.left.set(self.left.get() + before.len());
        self.written.set(0);
        // SAFETY: the caller vouches for `u`.
        unsafe {
            let hooked = (*u)
                .process_header
                .is_some_and(|now| ptr::fn_addr_eq(now, process_header as ProcessHeader));
            if !hooked {
                self.process_header.set((*u).process_header);
                (*u).process_header = Some(process_header);
            }
            // A retry leaves this one as it is.
            if self.filter_init.get().is_none() {
                self.filter_init.set((*u).input_filter_init);
                (*u).input_filter_init = Some(filter_init);
            }
            (*u).set_buffering(0);
        }
    }

    /// The body, as far as it was kept.
    pub(super) fn take(&self) -> Vec<u8> {
        self.body.take()
    }

    /// Keeps some bytes of the body. False when it is more than a receipt, or cannot be written.
    fn keep(&self, bytes: &[u8]) -> bool {
        let Some((file, limit)) = &self.file else {
            let kept = bytes.len().min(self.left.get());
            self.left.set(self.left.get() - kept);
            let mut body = self.body.borrow_mut();
            body.extend_from_slice(bytes.get(..kept).unwrap_or_default());
            return kept == bytes.len();
        };
        let end = self.written.get() + bytes.len() as u64;
        let ok = end <= *limit && file.write_all_at(bytes, self.written.get()).is_ok();
        self.written.set(end);
        self.failed.set(self.failed.get() || !ok);
        ok
    }

    /// Moves what the proxy module has parsed out of `u`. False when no more of it is wanted.
    ///
    /// # Safety
    ///
    /// `u` is the upstream of the subrequest that this belongs to.
    unsafe fn collect(&self, u: *mut ngx_http_upstream_t) -> bool {
        // SAFETY: out_bufs is a chain of buffers in memory; each link goes over to the free ones,
        // from where the proxy module takes the next.
        unsafe {
            let mut link = ptr::replace(&mut (*u).out_bufs, ptr::null_mut());
            while !link.is_null() {
                let buf = (*link).buf;
                let len = (*buf).last.offset_from((*buf).pos) as usize;
                let kept = len == 0 || self.keep(core::slice::from_raw_parts((*buf).pos, len));
                (*buf).pos = (*buf).last;
                let next = (*link).next;
                (*link).next = (*u).free_bufs;
                (*u).free_bufs = link;
                link = next;
                if !kept {
                    return false;
                }
            }
        }
        true
    }
}

/// The reader and the upstream of a delivery, in one of the functions below.
///
/// # Safety
///
/// `r` is the live subrequest of a delivery.
unsafe fn of(r: *mut ngx_http_request_t) -> Option<(&'static Reader, *mut ngx_http_upstream_t)> {
    // SAFETY: the caller vouches for `r`.
    let (request, u) = unsafe { (Request::from_ptr(r)?, (*r).upstream) };
    Some((subrequest::of(request)?.reader(), u))
}

unsafe extern "C" fn process_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls this for the subrequest whose upstream hook() has changed.
    unsafe {
        let Some((reader, u)) = of(r) else { return NGX_ERROR as ngx_int_t };
        let Some(inner) = reader.process_header.get() else { return NGX_ERROR as ngx_int_t };
        (*u).process_header = Some(inner);
        let rc = inner(r);
        // It goes on with another function after the status line.
        reader.process_header.set((*u).process_header);
        (*u).process_header = Some(process_header);
        if rc == NGX_OK as ngx_int_t {
            // No child tells this node how to treat its answer.
            (*u).headers_in.x_accel_redirect = ptr::null_mut();
            (*u).set_buffering(0);
            (*u).set_upgrade(0);
        }
        rc
    }
}

unsafe extern "C" fn filter_init(data: *mut c_void) -> ngx_int_t {
    // SAFETY: the proxy module's `data` is the request.
    unsafe {
        let r = data.cast::<ngx_http_request_t>();
        let Some((reader, u)) = of(r) else { return NGX_ERROR as ngx_int_t };
        let Some(inner) = reader.filter_init.get() else { return NGX_ERROR as ngx_int_t };
        let rc = inner(data);
        reader.filter.set((*u).input_filter);
        reader.began.set(ngx_current_msec);
        (*u).input_filter = Some(filter);
        // nginx reserves memory for the announced length at the first output, which is none.
        (*r).headers_out.content_length_n = 0;
        rc
    }
}

unsafe extern "C" fn filter(data: *mut c_void, bytes: isize) -> ngx_int_t {
    // SAFETY: as in filter_init().
    unsafe {
        let Some((reader, u)) = of(data.cast()) else { return NGX_ERROR as ngx_int_t };
        let Some(inner) = reader.filter.get() else { return NGX_ERROR as ngx_int_t };
        let rc = inner(data, bytes);
        // nginx gives a child proxy_read_timeout for each byte; here it is for the whole receipt.
        let slow = reader.file.is_none()
            && ngx_current_msec.wrapping_sub(reader.began.get()) > (*(*u).conf).read_timeout;
        if !reader.collect(u) || slow {
            // The end of the answer, as far as this node is concerned.
            (*u).length = 0;
            (*u).set_keepalive(0);
        }
        rc
    }
}
