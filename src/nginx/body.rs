//! The client's request body, piece by piece as it arrives.
//!
//! nginx's unbuffered reading (`proxy_request_buffering off` is built on it) hands out one buffer
//! of `client_body_buffer_size` at a time and reads on when that was used up, so memory does not
//! grow with the body.

use core::future::poll_fn;
use core::ptr;
use core::task::Poll;
use std::os::fd::BorrowedFd;

use nginx_sys::*;

use super::feed::Source;
use super::os;
use super::request::Request;
use super::task;
use super::thread::{offload, Lent, NotRun};

/// A body that is being read. Bytes that nobody takes stay in the socket.
pub struct Body {
    r: Request,
    /// The rest of a body that another module (mirror) has had nginx read before, and that it
    /// still uses.
    stored: Option<Stored>,
}

/// Where the reading of such a body is.
struct Stored {
    link: *const ngx_chain_t,
    /// Bytes of the link's buffer that were taken.
    taken: u64,
}

/// How much of a body that nginx has put into a file is read at a time.
const FILE_PIECE: u64 = 64 * 1024;

/// What ended the reading of a body: a status of nginx's (408, 413, 400, 500).
#[derive(Debug, Clone, Copy)]
pub struct Broken(pub u16);

/// A failure of this node's own.
const FAILED: Broken = Broken(NGX_HTTP_INTERNAL_SERVER_ERROR as u16);

/// A piece of the body, in memory that nginx uses again when this is dropped.
pub struct Piece {
    r: Request,
    chain: *mut ngx_chain_t,
    /// Bytes of a body that was stored before; then there is no chain.
    copy: Vec<u8>,
}

impl Body {
    /// Starts to read; sends "100 Continue" where the client waits for it.
    pub fn read(r: Request) -> Result<Body, Broken> {
        unsafe extern "C" fn ready(_r: *mut ngx_http_request_t) {}

        let raw = r.as_ptr();
        // SAFETY: a client's request. The count that nginx takes for its own reading is given
        // back: the task holds one.
        unsafe {
            if let Some(body) = (*raw).request_body.as_ref() {
                let body = Body { r, stored: Some(Stored { link: body.bufs, taken: 0 }) };
                body.note_completion();
                return Ok(body);
            }
            (*raw).set_request_body_no_buffering(1);
            let rc = ngx_http_read_client_request_body(raw, Some(ready));
            if rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
                return Err(Broken(rc as u16));
            }
            (*raw).set_count((*raw).count() - 1);
            if rc == NGX_ERROR as ngx_int_t {
                return Err(FAILED);
            }
            (*raw).read_event_handler = Some(task::on_event);
            (*raw).write_event_handler = Some(task::on_event);
        }
        let body = Body { r, stored: None };
        body.note_completion();
        Ok(body)
    }

    /// All bytes have arrived; the last ones may still be with the next [`Piece`].
    pub fn is_complete(&self) -> bool {
        // SAFETY: the request is alive while its handler runs.
        unsafe { (*self.r.as_ptr()).reading_body() == 0 }
    }

    /// The next bytes, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Piece>, Broken> {
        if let Some(stored) = &mut self.stored {
            return stored.next(self.r);
        }
        poll_fn(|_| loop {
            if let Some(piece) = self.take() {
                if piece.slices().any(|bytes| !bytes.is_empty()) {
                    return Poll::Ready(Ok(Some(piece)));
                }
                continue;
            }
            if self.is_complete() {
                return Poll::Ready(Ok(None));
            }
            // SAFETY: read() has started the unbuffered reading of this live request.
            let rc = unsafe { ngx_http_read_unbuffered_request_body(self.r.as_ptr()) };
            if rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
                return Poll::Ready(Err(Broken(rc as u16)));
            }
            if rc == NGX_ERROR as ngx_int_t {
                return Poll::Ready(Err(FAILED));
            }
            self.note_completion();
            if rc == NGX_AGAIN as ngx_int_t && !self.has_bytes() {
                return Poll::Pending;
            }
        })
        .await
    }

    /// All of a body whose length fits into `client_body_buffer_size`.
    pub async fn whole(mut self, length: usize) -> Result<Whole, Broken> {
        let r = self.r;
        let first = self.next().await?;
        if let Some(bytes) = first.as_ref().and_then(|piece| piece.slices().next()) {
            // nginx reads nothing more into the buffer of a body that is complete.
            if bytes.len() == length && self.is_complete() && self.stored.is_none() {
                return Ok(Whole { r, bytes: Lent::new(bytes) });
            }
        }
        // SAFETY: the pool of a live request; only copied bytes are read.
        let start = unsafe { ngx_pnalloc(r.pool(), length.max(1)) }.cast::<u8>();
        if start.is_null() {
            return Err(FAILED);
        }
        let mut end = 0;
        let mut piece = first;
        while let Some(bytes) = piece {
            for bytes in bytes.slices() {
                if bytes.len() > length - end {
                    return Err(FAILED);
                }
                // SAFETY: the bytes fit, and lie elsewhere.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(end), bytes.len()) };
                end += bytes.len();
            }
            drop(bytes);
            piece = self.next().await?;
        }
        if end != length {
            return Err(FAILED);
        }
        // SAFETY: so many bytes were copied there.
        let bytes = unsafe { core::slice::from_raw_parts(start, end) };
        Ok(Whole { r, bytes: Lent::new(bytes) })
    }

    fn note_completion(&self) {
        if let (true, Some(task)) = (self.is_complete(), task::of(self.r)) {
            task.body_complete.set(true);
        }
    }

    fn has_bytes(&self) -> bool {
        // SAFETY: nginx sets request_body before it returns from read().
        unsafe { !(*(*self.r.as_ptr()).request_body).bufs.is_null() }
    }

    fn take(&mut self) -> Option<Piece> {
        if !self.has_bytes() {
            return None;
        }
        // SAFETY: as in has_bytes(). nginx keeps the buffers in its own list of busy ones; the
        // links of this list are the reader's.
        let chain =
            unsafe { ptr::replace(&mut (*(*self.r.as_ptr()).request_body).bufs, ptr::null_mut()) };
        Some(Piece { r: self.r, chain, copy: Vec::new() })
    }
}

impl Stored {
    fn next(&mut self, r: Request) -> Result<Option<Piece>, Broken> {
        // SAFETY: the chain stays with the request; it is only read.
        while let Some(link) = unsafe { self.link.as_ref() } {
            // SAFETY: each link has a buffer, with its bytes in memory or in an open file.
            let (buf, file) = unsafe { (&*link.buf, (*link.buf).file.as_ref()) };
            let copy = match file.filter(|_| buf.in_file() != 0) {
                Some(file) => {
                    let rest = (buf.file_last - buf.file_pos) as u64 - self.taken;
                    let mut bytes = vec![0; rest.min(FILE_PIECE) as usize];
                    let offset = buf.file_pos + self.taken as off_t;
                    // SAFETY: nginx keeps the file open as long as the request.
                    let file = unsafe { BorrowedFd::borrow_raw(file.fd) };
                    os::read_exact_at(file, &mut bytes, offset as u64).map_err(|_| FAILED)?;
                    bytes
                }
                // SAFETY: a buffer in memory has its bytes from pos to last.
                None if self.taken == 0 && !buf.pos.is_null() => unsafe {
                    let len = buf.last.offset_from(buf.pos) as usize;
                    core::slice::from_raw_parts(buf.pos, len).to_vec()
                },
                None => Vec::new(),
            };
            if copy.is_empty() {
                *self = Stored { link: link.next, taken: 0 };
                continue;
            }
            self.taken += copy.len() as u64;
            return Ok(Some(Piece { r, chain: ptr::null_mut(), copy }));
        }
        Ok(None)
    }
}

impl Piece {
    /// The bytes, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut link = self.chain;
        let copy = Some(&self.copy[..]).filter(|copy| !copy.is_empty());
        copy.into_iter().chain(core::iter::from_fn(move || {
            // SAFETY: the chain is ours until drop; nginx's unbuffered reading yields buffers in
            // memory, whose bytes do not move before they are marked as used.
            unsafe {
                let buf = &*link.as_ref()?.buf;
                link = (*link).next;
                if buf.pos.is_null() {
                    return Some(&[][..]);
                }
                Some(core::slice::from_raw_parts(buf.pos, buf.last.offset_from(buf.pos) as usize))
            }
        }))
    }
}

impl Piece {
    /// Does disk work with the bytes, in the thread pool where there is one.
    pub async fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce(&[&[u8]]) -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        // The bytes stay in place until `self` is dropped. The caller's future holds it across
        // this await; nginx drops that future with the request, which waits for the job.
        let lent: Vec<Lent> = self.slices().map(Lent::new).collect();
        offload(self.r, move || {
            let slices: Vec<&[u8]> = lent.iter().map(Lent::bytes).collect();
            work(&slices)
        })
        .await
    }
}

/// A whole body in one place, which stays there until the request is freed.
pub struct Whole {
    r: Request,
    bytes: Lent,
}

impl Whole {
    /// Does disk work with the bytes, in the thread pool where there is one.
    pub async fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let bytes = self.bytes;
        offload(self.r, move || work(bytes.bytes())).await
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// The bytes as a source of deliveries.
    pub fn source(&self) -> Source {
        // SAFETY: see the type; deliveries end before the request is freed.
        unsafe { Source::memory(self.bytes.bytes()) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut link = self.chain;
        while !link.is_null() {
            // SAFETY: as in slices(). `pos == last` tells nginx that the buffer is free again; the
            // link goes back to the pool, or each piece would cost one until the request ends.
            unsafe {
                let next = (*link).next;
                (*(*link).buf).pos = (*(*link).buf).last;
                let pool = self.r.pool();
                (*link).next = (*pool).chain;
                (*pool).chain = link;
                link = next;
            }
        }
    }
}
