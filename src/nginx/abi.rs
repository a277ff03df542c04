//! The structures that this crate writes to have the size and the fields where C has them: a
//! build against headers that Rust misreads stops here, not in a worker.

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
