//! A growing file as the body of a subrequest.
//!
//! In place of `ngx_chain_writer()`, which sends a request that is there as a whole, the upstream
//! of a delivery gets [`send`]: it sends the head, then the part of the source that may go out so
//! far, and answers NGX_AGAIN when it has caught up. [`Feed::wake`] has it called again.

use core::cell::{Cell, OnceCell};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use nginx_sys::*;
use rustix::io::{pread, retry_on_intr};

use super::pool::{self, OutOfMemory};
use super::request::{const_str, Request, FILE_NAME};
use super::subrequest::Subrequest;
use super::task;

/// How much of a file goes out in one piece where it has to go through memory (TLS, no sendfile).
const COPY_SIZE: usize = 32 * 1024;

/// Bytes that deliveries send, each at its own pace.
pub struct Source {
    bytes: Bytes,
    length: u64,
    /// How many bytes, from the first on, may go out now.
    ready: Cell<u64>,
}

enum Bytes {
    /// In the buffer of a request that was read whole.
    Memory(*const u8),
    File(Arc<File>),
}

impl Source {
    /// A file that will have `length` bytes.
    pub fn file(file: Arc<File>, length: u64) -> Source {
        Source { bytes: Bytes::File(file), length, ready: Cell::new(0) }
    }

    /// Bytes in a buffer of the request's body.
    ///
    /// # Safety
    ///
    /// `bytes` stay in place until the main request is freed.
    pub unsafe fn memory(bytes: &[u8]) -> Source {
        let length = bytes.len() as u64;
        Source { bytes: Bytes::Memory(bytes.as_ptr()), length, ready: Cell::new(0) }
    }

    /// No bytes: the request to the child is its head alone.
    pub fn empty() -> Source {
        Source { bytes: Bytes::Memory(ptr::null()), length: 0, ready: Cell::new(0) }
    }

    /// Content-Length of the deliveries.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Lets the first `ready` bytes go out.
    pub fn set_ready(&self, ready: u64) {
        self.ready.set(ready.min(self.length));
    }
}

/// How far one delivery has come.
pub struct Feed {
    source: Rc<Source>,
    main: Request,
    sent: Cell<u64>,
    /// It has sent all that may go out, and waits for more.
    resting: Cell<bool>,
    piece: NonNull<Piece>,
    copy: OnceCell<*mut u8>,
}

/// What nginx needs to send a part of the source: one buffer, used again and again.
struct Piece {
    link: ngx_chain_t,
    buf: ngx_buf_t,
    file: ngx_file_t,
}

impl Feed {
    pub(super) fn new(main: Request, source: Rc<Source>) -> Result<Feed, OutOfMemory> {
        // SAFETY: the pool of a live request; the structures are valid as zeroes.
        let piece = unsafe { pool::zeroed::<Piece>(main.pool())? };
        Ok(Feed {
            source,
            main,
            sent: Cell::new(0),
            resting: Cell::new(false),
            piece,
            copy: OnceCell::new(),
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.source.length
    }

    /// Has the sending go on, if it waits for more bytes. `c` is the connection to the child.
    pub(super) fn wake(&self, c: NonNull<ngx_connection_t>) {
        let ready = self.source.ready.get() > self.sent.get();
        if ready && self.resting.replace(false) {
            // SAFETY: the connection is open as long as the subrequest is under way. Only a
            // delivery that has been in send() rests, so the connection is established.
            unsafe { ngx_post_event((*c.as_ptr()).write, ptr::addr_of_mut!(ngx_posted_events)) };
        }
    }

    /// Another attempt begins.
    pub(super) fn restart(&self) {
        self.resting.set(false);
    }

    /// Takes the send timeout off a delivery that waits for bytes of this node's own client.
    pub(super) fn rest(&self, c: NonNull<ngx_connection_t>) {
        if !self.resting.get() {
            return;
        }
        // SAFETY: as in wake().
        unsafe {
            let write = (*c.as_ptr()).write;
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
        }
    }

    /// Prepares the bytes from `sent` on as a buffer for `c`: a part of the file for sendfile(),
    /// else memory. Returns how many; zero is a file that cannot be read.
    ///
    /// # Safety
    ///
    /// `c` is the open connection of this delivery; the former piece was sent.
    unsafe fn next_piece(&self, c: *mut ngx_connection_t, most: u64) -> u64 {
        let sent = self.sent.get();
        // SAFETY: the piece lies in the main request's pool and nginx does not hold it now; bytes
        // in memory stay for as long (see Source::memory).
        unsafe {
            let piece = self.piece.as_ptr();
            let buf = &mut (*piece).buf;
            *buf = core::mem::zeroed();
            let bytes = match &self.source.bytes {
                Bytes::Memory(start) => (start.add(sent as usize).cast_mut(), most as usize),
                Bytes::File(file) if (*c).sendfile() != 0 && (*c).ssl_is_null() => {
                    (*piece).file.fd = file.as_raw_fd();
                    // nginx names it in the log if somebody cuts it short.
                    (*piece).file.name = const_str(FILE_NAME);
                    (*piece).file.log = (*c).log;
                    buf.file = &mut (*piece).file;
                    buf.set_in_file(1);
                    buf.file_pos = sent as off_t;
                    buf.file_last = (sent + most) as off_t;
                    (*piece).link = ngx_chain_t { buf, next: ptr::null_mut() };
                    return most;
                }
                Bytes::File(file) => match self.read(file, sent, most) {
                    Some(bytes) => bytes,
                    None => return 0,
                },
            };
            buf.set_memory(1);
            // TLS keeps what does not fill a record until it is told not to.
            buf.set_flush(1);
            buf.pos = bytes.0;
            buf.last = bytes.0.add(bytes.1);
            buf.start = buf.pos;
            buf.end = buf.last;
            (*piece).link = ngx_chain_t { buf, next: ptr::null_mut() };
            bytes.1 as u64
        }
    }

    /// Reads the next bytes of the file into the delivery's own buffer.
    fn read(&self, file: &File, offset: u64, most: u64) -> Option<(*mut u8, usize)> {
        let start = *self.copy.get_or_init(|| {
            // SAFETY: the pool of a live request.
            unsafe { ngx_palloc(self.main.pool(), COPY_SIZE).cast() }
        });
        if start.is_null() {
            return None;
        }
        let len = COPY_SIZE.min(usize::try_from(most).unwrap_or(COPY_SIZE));
        // SAFETY: COPY_SIZE bytes were allocated there, for this delivery alone.
        let buffer = unsafe {
            ptr::write_bytes(start, 0, len);
            core::slice::from_raw_parts_mut(start, len)
        };
        match retry_on_intr(|| pread(file, &mut *buffer, offset)) {
            Ok(n) if n > 0 => Some((start, n)),
            _ => None,
        }
    }
}

trait Connection {
    fn ssl_is_null(&self) -> bool;
}

impl Connection for ngx_connection_t {
    #[cfg(ngx_ssl)]
    fn ssl_is_null(&self) -> bool {
        self.ssl.is_null()
    }

    #[cfg(not(ngx_ssl))]
    fn ssl_is_null(&self) -> bool {
        true
    }
}

/// The output filter of a delivery's upstream. `head` is the request's head at the first call of
/// an attempt, null afterwards.
pub(super) unsafe extern "C" fn send(data: *mut c_void, head: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: peer.init set `data` to the subrequest whose upstream this is, which lives as long
    // as the main request; nginx calls the filter while the connection to the child is open.
    unsafe {
        let subrequest = &*data.cast::<Subrequest>();
        let Some(u) = subrequest.upstream() else { return NGX_ERROR as ngx_int_t };
        if !head.is_null() {
            subrequest.reader().hook(u.as_ptr());
        }
        subrequest.feed.send(u, head)
    }
}

impl Feed {
    /// # Safety
    ///
    /// `u` is the upstream of this delivery, with an open connection.
    unsafe fn send(
        &self,
        u: NonNull<ngx_http_upstream_t>,
        mut head: *mut ngx_chain_t,
    ) -> ngx_int_t {
        const OK: ngx_int_t = NGX_OK as ngx_int_t;

        // SAFETY: the caller vouches for the upstream. The head's chain is linked to the piece
        // only while ngx_chain_writer() copies the links: nginx sends it again on a retry.
        unsafe {
            let writer = ptr::addr_of_mut!((*u.as_ptr()).writer);
            let c = (*writer).connection;
            self.resting.set(false);
            if !head.is_null() {
                self.sent.set(0);
            }
            if !no_delay(c, (*u.as_ptr()).peer.sockaddr) {
                return NGX_ERROR as ngx_int_t;
            }
            if head.is_null() && (!(*writer).out.is_null() || (*c).buffered() != 0) {
                let rc = ngx_chain_writer(writer.cast(), ptr::null_mut());
                if rc != OK {
                    return rc;
                }
            }
            loop {
                let most = self.source.ready.get().saturating_sub(self.sent.get());
                let mut out = head;
                let mut tail = ptr::null_mut();
                if most > 0 {
                    let taken = self.next_piece(c, most);
                    if taken == 0 {
                        return NGX_ERROR as ngx_int_t;
                    }
                    self.sent.set(self.sent.get() + taken);
                    let link = ptr::addr_of_mut!((*self.piece.as_ptr()).link);
                    if head.is_null() {
                        out = link;
                    } else {
                        tail = last_link(head);
                        (*tail).next = link;
                    }
                }
                if !out.is_null() {
                    let rc = ngx_chain_writer(writer.cast(), out);
                    if !tail.is_null() {
                        (*tail).next = ptr::null_mut();
                    }
                    if rc != OK {
                        return rc;
                    }
                }
                head = ptr::null_mut();
                if self.sent.get() == self.source.length {
                    return OK;
                }
                if self.source.ready.get() == self.sent.get() {
                    self.resting.set(true);
                    // The handler takes the send timeout off, which nginx is about to set.
                    task::post(self.main);
                    return NGX_AGAIN as ngx_int_t;
                }
            }
        }
    }
}

/// Head and body leave in separate writes: with Nagle's algorithm the second would wait for the
/// child's delayed ACK. sendfile() with tcp_nopush switches it on again.
///
/// # Safety
///
/// `c` is an open connection to `address`.
unsafe fn no_delay(c: *mut ngx_connection_t, address: *const sockaddr) -> bool {
    // SAFETY: the caller vouches for both.
    unsafe {
        let is_unix = address.as_ref().is_none_or(|a| a.sa_family == libc::AF_UNIX as u16);
        if is_unix || (*c).tcp_nodelay() != ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_UNSET {
            return true;
        }
        ngx_tcp_nodelay(c) == NGX_OK as ngx_int_t
    }
}

/// # Safety
///
/// `chain` is a chain with at least one link.
unsafe fn last_link(mut chain: *mut ngx_chain_t) -> *mut ngx_chain_t {
    // SAFETY: a link's next is null or another link.
    unsafe {
        while !(*chain).next.is_null() {
            chain = (*chain).next;
        }
    }
    chain
}
