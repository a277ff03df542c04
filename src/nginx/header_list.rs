//! Lists of header fields.

use core::ptr::{self, NonNull};

use nginx_sys::*;

use super::pool::{self, OutOfMemory};
use super::request::{const_str, Request};

/// Header fields for subrequests, in the form that nginx wants them.
pub struct Headers(NonNull<ngx_list_t>);

impl Headers {
    /// The client's header fields without those named in `drop`, and with those in `add`.
    pub fn derive(
        r: Request,
        drop: &[&str],
        add: &[(&'static str, &'static str, Vec<u8>)],
    ) -> Result<Headers, OutOfMemory> {
        // SAFETY: the list's memory is in the request's pool; each pushed element is filled
        // whole before anything reads it. Names and values of copied elements live as long.
        unsafe {
            let mut list = pool::zeroed::<ngx_list_t>(r.pool())?;
            let size = size_of::<ngx_table_elt_t>();
            let rc = ngx_list_init(list.as_ptr(), r.pool(), 16, size);
            if rc != NGX_OK as ngx_int_t {
                return Err(OutOfMemory);
            }
            let list = list.as_mut();
            for header in headers(&(*r.as_ptr()).headers_in.headers) {
                let name = header.key.as_bytes();
                if drop.iter().any(|drop| name.eq_ignore_ascii_case(drop.as_bytes())) {
                    continue;
                }
                let copy = push(list)?;
                ptr::copy_nonoverlapping(header, copy, 1);
            }
            for (name, lowcase, value) in add {
                fill(push(list)?, name, lowcase, r.copy(value)?);
            }
            Ok(Headers(NonNull::from(list)))
        }
    }

    /// The list, for a subrequest of the same request, as nginx copies that of a parent.
    pub(super) fn list(&self) -> ngx_list_t {
        // SAFETY: the list lies in the pool of the request that its user belongs to.
        unsafe { self.0.read() }
    }
}

impl Request {
    /// Gives the request these header fields.
    pub fn set_headers(&self, headers: &Headers) {
        // SAFETY: the request is alive; the list is in its pool.
        unsafe { (*self.as_ptr()).headers_in.headers = headers.list() }
    }
}

/// Adds a header field.
///
/// # Safety
///
/// `list` is an initialised list of `ngx_table_elt_t` in a live pool; `value` lives as long.
pub(super) unsafe fn add(
    list: &mut ngx_list_t,
    name: &'static str,
    lowcase: &'static str,
    value: ngx_str_t,
) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
    // SAFETY: the caller vouches for both.
    unsafe {
        let header = push(list)?;
        fill(header, name, lowcase, value);
        Ok(header)
    }
}

/// # Safety
///
/// `header` is an element of a list of header fields; what it was is lost.
unsafe fn fill(
    header: *mut ngx_table_elt_t,
    name: &'static str,
    lowcase: &'static str,
    value: ngx_str_t,
) {
    let lowcase = lowcase.as_bytes();
    // SAFETY: the caller vouches for the element, for which zeroes are valid.
    unsafe {
        ptr::write_bytes(header, 0, 1);
        (*header).hash = ngx_hash_key(lowcase.as_ptr().cast_mut(), lowcase.len());
        (*header).key = const_str(name);
        (*header).lowcase_key = lowcase.as_ptr().cast_mut();
        (*header).value = value;
    }
}

/// # Safety
///
/// `list` is an initialised list of `ngx_table_elt_t` in a live pool.
unsafe fn push(list: &mut ngx_list_t) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
    // SAFETY: the caller vouches for the list.
    let element = unsafe { ngx_list_push(list) };
    if element.is_null() {
        return Err(OutOfMemory);
    }
    Ok(element.cast())
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
