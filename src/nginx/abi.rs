//! The structures that this crate writes to have the size and the fields where C has them: a
//! build against headers that Rust misreads stops here or when the module is loaded, not in a
//! worker.

use core::mem::{offset_of, size_of};

use nginx_sys::*;

use super::headers::*;

const _: () = {
    assert!(size_of::<ngx_http_request_t>() == abi_request_size as usize);
    assert!(offset_of!(ngx_http_request_t, request_body) == abi_request_body as usize);
    assert!(offset_of!(ngx_http_request_t, uri) == abi_request_uri as usize);
    assert!(offset_of!(ngx_http_request_t, cleanup) == abi_request_cleanup as usize);
    assert!(size_of::<ngx_http_headers_in_t>() == abi_headers_in_size as usize);
    assert!(size_of::<ngx_http_upstream_t>() == abi_upstream_size as usize);
    assert!(offset_of!(ngx_http_upstream_t, output) == abi_upstream_output as usize);
    assert!(offset_of!(ngx_http_upstream_t, writer) == abi_upstream_writer as usize);
    assert!(offset_of!(ngx_http_upstream_t, cleanup) == abi_upstream_cleanup as usize);
    assert!(size_of::<ngx_http_upstream_conf_t>() == abi_upstream_conf_size as usize);
    assert!(size_of::<ngx_http_upstream_rr_peer_t>() == abi_rr_peer_size as usize);
    assert!(size_of::<ngx_http_upstream_rr_peer_data_t>() == abi_rr_peer_data_size as usize);
    assert!(size_of::<ngx_http_core_loc_conf_t>() == abi_core_loc_conf_size as usize);
    assert!(offset_of!(ngx_http_core_loc_conf_t, handler) == abi_core_loc_conf_handler as usize);
    assert!(size_of::<ngx_connection_t>() == abi_connection_size as usize);
    assert!(size_of::<ngx_event_t>() == abi_event_size as usize);
    assert!(size_of::<ngx_buf_t>() == abi_buf_size as usize);
};

extern "C" {
    fn ngx_http_filedist_set_bits(
        r: *mut ngx_http_request_t,
        u: *mut ngx_http_upstream_t,
        c: *mut ngx_connection_t,
        ev: *mut ngx_event_t,
        b: *mut ngx_buf_t,
    );
}

struct Structures {
    r: ngx_http_request_t,
    u: ngx_http_upstream_t,
    c: ngx_connection_t,
    ev: ngx_event_t,
    b: ngx_buf_t,
}

/// Bit fields lie where C has them. bindgen 0.72 misplaces some where one does not fit into what
/// is left of a word, as in nginx from 1.29.3 on.
pub(crate) fn bit_fields_match() -> bool {
    // SAFETY: all of the structures are valid as zeroes, and are compared as bytes, of which
    // every one was written.
    unsafe {
        let mut c: Box<Structures> = Box::new(core::mem::zeroed());
        let mut rust: Box<Structures> = Box::new(core::mem::zeroed());
        ngx_http_filedist_set_bits(&mut c.r, &mut c.u, &mut c.c, &mut c.ev, &mut c.b);
        set_bits(&mut rust);
        same(&c.r, &rust.r)
            && same(&c.u, &rust.u)
            && same(&c.c, &rust.c)
            && same(&c.ev, &rust.ev)
            && same(&c.b, &rust.b)
    }
}

/// The same as in C.
fn set_bits(Structures { r, u, c, ev, b }: &mut Structures) {
    r.set_count(3);
    r.set_blocked(5);
    r.set_aio(1);
    r.set_reading_body(1);
    r.set_request_body_no_buffering(1);
    r.set_expect_tested(1);
    r.set_keepalive(1);
    r.set_lingering_close(1);
    r.set_header_only(1);
    r.set_disable_not_modified(1);
    r.headers_in.set_chunked(1);

    u.set_store(1);
    u.set_buffering(1);
    u.set_keepalive(1);
    u.set_upgrade(1);
    u.set_request_body_sent(1);
    u.set_header_sent(1);
    u.peer.set_cached(1);

    c.set_buffered(2);
    c.set_error(1);
    c.set_close(1);
    c.set_sendfile(1);
    c.set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_SET);

    ev.set_active(1);
    ev.set_timedout(1);
    ev.set_timer_set(1);

    b.set_memory(1);
    b.set_in_file(1);
    b.set_flush(1);
    b.set_last_buf(1);
    b.set_last_in_chain(1);
}

/// # Safety
///
/// Every byte of both is initialised.
unsafe fn same<T>(a: &T, b: &T) -> bool {
    // SAFETY: the caller vouches for the bytes.
    unsafe {
        let a = core::slice::from_raw_parts(core::ptr::from_ref(a).cast::<u8>(), size_of::<T>());
        let b = core::slice::from_raw_parts(core::ptr::from_ref(b).cast::<u8>(), size_of::<T>());
        a == b
    }
}
