//! The answer to a request.

use core::ptr;
use std::fs::File;
use std::os::fd::AsRawFd;

use nginx_sys::*;

use super::pool::{self, OutOfMemory};
use super::request::{const_str, Request, Status, FILE_NAME};
use super::task;

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

impl Reply {
    /// A line of text.
    pub fn text(status: u16, line: &str) -> Reply {
        let body = format!("{line}\n").into_bytes();
        Reply { status, content_type: "text/plain", headers: Vec::new(), body }
    }

    /// A line that tells a person why there is nothing else.
    pub fn error(status: u16, why: &str) -> Reply {
        Reply::text(status, &format!("error: {why}"))
    }
}

/// How a handler ends.
pub enum Ending {
    /// With an answer that is still to be sent.
    Reply(Reply),
    /// With one that it has sent: what nginx's functions made of that.
    Sent(Status),
}

impl From<Reply> for Ending {
    fn from(reply: Reply) -> Ending {
        Ending::Reply(reply)
    }
}

impl Request {
    /// Gives the answer a media type that the location's `types` do not change.
    pub fn set_content_type(&self, content_type: &'static str) {
        // SAFETY: the request is alive and not answered yet; nginx only reads the text.
        unsafe {
            let out = &mut (*self.as_ptr()).headers_out;
            out.content_type = const_str(content_type);
            out.content_type_len = content_type.len();
        }
    }

    /// Sends `reply`. A body that the client has not sent yet is refused or thrown away.
    pub fn send(&self, reply: &Reply) -> Status {
        let r = self.as_ptr();
        // SAFETY: the request is alive and is not answered yet; the buffer is in its pool.
        unsafe {
            self.leave_body();
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

    /// Sends a file as it is, whatever the request says of ranges or conditions.
    pub fn send_file(&self, file: File, headers: Vec<(&'static str, Vec<u8>)>) -> Status {
        const FAILED: Status = NGX_HTTP_INTERNAL_SERVER_ERROR as Status;

        let r = self.as_ptr();
        let Ok(metadata) = file.metadata() else { return FAILED };
        let length = metadata.len();
        // SAFETY: the request is alive and is not answered yet; the file is open and the buffer is
        // there as long as the request.
        unsafe {
            let rc = ngx_http_discard_request_body(r);
            if rc != NGX_OK as ngx_int_t {
                return rc;
            }
            let Ok(file) = self.keep(file) else { return FAILED };
            let Ok(open) = pool::zeroed::<ngx_file_t>(self.pool()) else { return FAILED };
            let Ok(mut buf) = pool::zeroed::<ngx_buf_t>(self.pool()) else { return FAILED };
            (*open.as_ptr()).fd = file.as_raw_fd();
            (*open.as_ptr()).log = (*self.connection()).log;
            (*open.as_ptr()).name = const_str(FILE_NAME);
            let buf = buf.as_mut();
            buf.file = open.as_ptr();
            buf.file_last = length as off_t;
            buf.set_in_file(u32::from(length > 0));
            buf.set_last_buf(u32::from(self.is_main()));
            buf.set_sync(u32::from(!self.is_main() && length == 0));
            buf.set_last_in_chain(1);

            (*r).set_disable_not_modified(1);
            let out = &mut (*r).headers_out;
            out.status = NGX_HTTP_OK as ngx_uint_t;
            out.content_length_n = length as off_t;
            self.set_content_type("application/octet-stream");
            for (name, value) in &headers {
                if self.add_header(name, value).is_err() {
                    return FAILED;
                }
            }
            let rc = ngx_http_send_header(r);
            if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*r).header_only() != 0 {
                return rc;
            }
            let mut out = ngx_chain_t { buf, next: ptr::null_mut() };
            ngx_http_output_filter(r, &mut out)
        }
    }

    /// What is left of the body must not be taken for the next request.
    fn leave_body(&self) {
        let r = self.as_ptr();
        // SAFETY: the request is alive.
        unsafe {
            if !(*r).request_body.is_null() {
                if task::of(*self).is_some_and(|task| !task.body_complete.get()) {
                    (*r).set_keepalive(0);
                    (*r).set_lingering_close(1);
                }
                return;
            }
            if self.expects_continue() {
                // As nginx does for 413: no "100 Continue" ahead of a refusal, and the connection
                // ends, because the body may or may not follow.
                (*r).set_expect_tested(1);
                (*r).set_keepalive(0);
            }
            if ngx_http_discard_request_body(r) != NGX_OK as ngx_int_t {
                (*r).set_keepalive(0);
            }
        }
    }

    /// # Safety
    ///
    /// The header was sent, and announced as many bytes.
    unsafe fn send_body(&self, body: &[u8]) -> Status {
        let r = self.as_ptr();
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

    pub(super) fn add_header(&self, name: &'static str, value: &[u8]) -> Result<(), OutOfMemory> {
        let r = self.as_ptr();
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
}
