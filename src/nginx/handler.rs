//! What the configuration gives to handlers: another handler, a value with variables.

use core::ptr;
use core::slice;

use nginx_sys::*;

use super::request::{Request, Status};

/// A content handler of the running configuration.
#[derive(Debug, Clone, Copy)]
pub struct Handler(unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t);

impl PartialEq for Handler {
    fn eq(&self, other: &Handler) -> bool {
        ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Handler {
    /// # Safety
    ///
    /// `handler` is a content handler that any request of the configuration may be given to.
    pub unsafe fn new(
        handler: unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t,
    ) -> Handler {
        Handler(handler)
    }

    /// Has it answer `r` as if there were no body, which is thrown away.
    pub fn call_without_body(self, r: Request) -> Status {
        let raw = r.as_ptr();
        // SAFETY: the request is alive, and stays so until its content handler has returned. The
        // proxy module reads the length while it makes its request, which is before it returns;
        // nginx counts with it how much of the body is still to be thrown away.
        unsafe {
            if r.is_main() {
                let rc = ngx_http_discard_request_body(raw);
                if rc != NGX_OK as ngx_int_t {
                    return rc;
                }
            } else {
                (*raw).request_body = ptr::null_mut();
            }
            let left = ptr::replace(&mut (*raw).headers_in.content_length_n, -1);
            let rc = self.call(r);
            (*raw).headers_in.content_length_n = left;
            rc
        }
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

    /// The text of the configuration, with its variables.
    pub fn source(&self) -> &[u8] {
        // SAFETY: see eval(): the value is in the configuration, and so is its text.
        unsafe { self.0.as_ref() }.map_or(&[], |value| value.value.as_bytes())
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
