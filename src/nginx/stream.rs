//! An answer that is sent piece by piece, while it is made. It needs the memory of one piece: the
//! handler waits until nginx has sent it.

use core::future::poll_fn;
use core::ptr;
use core::task::Poll;

use nginx_sys::*;

use super::pool;
use super::request::{Request, Status};

/// Bytes of a piece.
const PIECE: usize = 32 * 1024;

/// See the module. Of the handler of one request, which answers with it and with nothing else.
pub struct Stream {
    r: Request,
    /// Both are in the request's pool: nginx may look at them until it frees the request.
    buf: *mut ngx_buf_t,
    bytes: *mut u8,
}

/// The client is gone, or too slow, or there is no memory: nothing more can be sent. Has what the
/// handler has to end with.
#[derive(Debug, Clone, Copy)]
pub struct Gone(pub Status);

impl Gone {
    /// For an answer that has to end before its end: the client sees that it is not whole.
    pub fn broken() -> Gone {
        Gone(NGX_ERROR as Status)
    }
}

impl Stream {
    /// Sends the head of the answer. Where there is to be no body (HEAD) it is all of it, and the
    /// handler ends with what is in [`Gone`].
    pub fn start(
        r: Request,
        content_type: &'static str,
        headers: &[(&'static str, Vec<u8>)],
    ) -> Result<Stream, Gone> {
        const FAILED: Gone = Gone(NGX_HTTP_INTERNAL_SERVER_ERROR as Status);

        let raw = r.as_ptr();
        // SAFETY: the request is alive and not answered yet; the memory is in its pool.
        unsafe {
            let rc = ngx_http_discard_request_body(raw);
            if rc != NGX_OK as ngx_int_t {
                return Err(Gone(rc));
            }
            let buf = pool::zeroed::<ngx_buf_t>(r.pool()).map_err(|_| FAILED)?;
            let bytes = ngx_pnalloc(r.pool(), PIECE).cast::<u8>();
            if bytes.is_null() {
                return Err(FAILED);
            }
            if (*raw).discard_body() == 0 {
                // Nothing may be sent for long, and the client may leave meanwhile.
                r.end_with_client();
            }
            (*raw).set_disable_not_modified(1);
            let out = &mut (*raw).headers_out;
            out.status = NGX_HTTP_OK as ngx_uint_t;
            out.content_length_n = -1;
            r.set_content_type(content_type);
            for (name, value) in headers {
                r.add_header(name, value).map_err(|_| FAILED)?;
            }
            let rc = ngx_http_send_header(raw);
            if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*raw).header_only() != 0
            {
                return Err(Gone(rc));
            }
            let stream = Stream { r, buf: buf.as_ptr(), bytes };
            // Or the head waits for the first bytes of the body, which may take long.
            (*stream.buf).set_flush(1);
            stream.output()?;
            Ok(stream)
        }
    }

    /// Sends these bytes, and waits until they are on their way.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        for piece in bytes.chunks(PIECE) {
            // SAFETY: the buffer has been sent, so that nobody looks at it; a piece fits.
            unsafe {
                ptr::copy_nonoverlapping(piece.as_ptr(), self.bytes, piece.len());
                self.buf.write(core::mem::zeroed());
                let buf = &mut *self.buf;
                buf.start = self.bytes;
                buf.end = self.bytes.add(PIECE);
                buf.pos = self.bytes;
                buf.last = self.bytes.add(piece.len());
                buf.set_temporary(1);
                buf.set_flush(1);
            }
            self.output()?;
            self.sent().await?;
        }
        Ok(())
    }

    /// Ends the answer. The handler ends with this.
    pub fn finish(self) -> Status {
        // SAFETY: as in write(): the buffer has been sent.
        unsafe {
            self.buf.write(core::mem::zeroed());
            (*self.buf).set_last_buf(1);
            (*self.buf).set_last_in_chain(1);
            let mut out = ngx_chain_t { buf: self.buf, next: ptr::null_mut() };
            ngx_http_output_filter(self.r.as_ptr(), &mut out)
        }
    }

    fn output(&self) -> Result<(), Gone> {
        let mut out = ngx_chain_t { buf: self.buf, next: ptr::null_mut() };
        // SAFETY: the request is alive; nginx copies the chain link.
        let rc = unsafe { ngx_http_output_filter(self.r.as_ptr(), &mut out) };
        match rc == NGX_ERROR as ngx_int_t {
            true => Err(Gone(rc)),
            false => Ok(()),
        }
    }

    /// Waits until nginx does not need the buffer any more (as ngx_http_writer() does).
    async fn sent(&self) -> Result<(), Gone> {
        const FAILED: Poll<Result<(), Gone>> = Poll::Ready(Err(Gone(NGX_ERROR as Status)));

        let raw = self.r.as_ptr();
        let mut is_first = true;
        poll_fn(|_| {
            // SAFETY: the request and its connection are alive while its handler runs.
            unsafe {
                let c = self.r.connection();
                let event = (*c).write;
                if (*event).timedout() != 0 {
                    (*c).set_timedout(1);
                    return FAILED;
                }
                if !core::mem::take(&mut is_first)
                    && (*event).delayed() == 0
                    && ngx_http_output_filter(raw, ptr::null_mut()) == NGX_ERROR as ngx_int_t
                {
                    return FAILED;
                }
                let is_sent = (*self.buf).pos == (*self.buf).last
                    && (*raw).buffered() == 0
                    && (*c).buffered() == 0;
                if is_sent {
                    if (*event).timer_set() != 0 && (*event).delayed() == 0 {
                        ngx_del_timer(event);
                    }
                    return Poll::Ready(Ok(()));
                }
                let conf = self.r.core_conf();
                if (*event).delayed() == 0 {
                    ngx_add_timer(event, conf.send_timeout);
                }
                match ngx_handle_write_event(event, conf.send_lowat) == NGX_OK as ngx_int_t {
                    true => Poll::Pending,
                    false => FAILED,
                }
            }
        })
        .await
    }
}
