//! The structures that this crate writes to have the size and the fields where C has them: a
//! build against headers that Rust misreads stops here or when the module is loaded, not in a
//! worker.
//!
//! # Where versions of nginx differ
//!
//! From 1.22 on all are supported. New in
//!
//! - 1.23.0: header fields of one name are linked. `header_list` makes new ones of zeroes: not
//!   linked.
//! - 1.27.3: a peer of an upstream has a reference count: shim.c, `ngx_http_filedist_take_peer`.
//! - 1.29.3: `port` stands before the bit fields of a request; bindgen 0.72 misplaces them:
//!   tools/bindgen.
//! - 1.29.4: the proxy module has a header of its own: shim.c, `ngx_http_proxy_loc_conf_t`.
//! - 1.29.4: there is `proxy_http_version 2`, with which no delivery works:
//!   `upstream::init_delivery`.
//! - 1.29.4: nginx answers 400 to a Host with characters that RFC 3986 does not allow: t/readme.t.
//! - 1.29.7: `proxy_http_version 1.1` and `keepalive 32 local` are the default, and `Connection:
//!   close` goes with neither version. The configurations in README and nginx-conf/, and the tests,
//!   say what they need; in t/ that is 1.0, if nothing else is said.
//! - 1.29.7: `keepalive` wraps the method of an upstream when all of it was read, not where it
//!   stands. `filedist_fanout` has to stand before it in all versions:
//!   `conf::commands::set_fanout`.
//!
//! OpenResty and freenginx are as the nginx that they are made of. Angie is not supported: build.rs.

use core::ffi::c_void;
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

/// A bit field of nginx's structures. They have no offset that could be compared as above.
#[derive(Clone, Copy)]
struct BitField {
    name: &'static str,
    /// Of the structure.
    size: usize,
    /// Sets all its bits.
    set: unsafe fn(*mut c_void),
}

macro_rules! bit_field {
    ($structure:ident, $field:literal, $set:ident) => {
        BitField {
            name: concat!(stringify!($structure), ".", $field),
            size: size_of::<$structure>(),
            // SAFETY: `misplaced` has such a structure there, all zeroes, which is a valid one.
            set: |it| unsafe { (*it.cast::<$structure>()).$set(!0 as _) },
        }
    };
}

/// All that nginx's headers have. build.rs finds them: none that anybody uses can be missing.
const BIT_FIELDS: &[BitField] = &include!(concat!(env!("OUT_DIR"), "/bit_fields.rs"));

extern "C" {
    fn ngx_http_filedist_set_bit_field(
        n: ngx_uint_t,
        structure: *mut c_void,
        size: usize,
    ) -> ngx_uint_t;
}

/// The first bit field that Rust has in another place than C.
pub(crate) fn misplaced_bit_field() -> Option<&'static str> {
    misplaced(BIT_FIELDS)
}

fn misplaced(fields: &[BitField]) -> Option<&'static str> {
    let largest = fields.iter().map(|field| field.size).max().unwrap_or(0);
    // Of a type that is aligned for all of the structures.
    let mut rust = vec![0_u128; largest.div_ceil(size_of::<u128>())];
    let mut c = rust.clone();
    let mut is_misplaced = |n: usize, field: &BitField| {
        rust.fill(0);
        c.fill(0);
        // SAFETY: both have room for a structure of this size, and are zeroes. C looks at the size
        // before it writes.
        let has_size = unsafe {
            (field.set)(rust.as_mut_ptr().cast());
            ngx_http_filedist_set_bit_field(n, c.as_mut_ptr().cast(), field.size) != 0
        };
        !has_size || rust != c
    };
    let (_, field) = fields.iter().enumerate().find(|(n, field)| is_misplaced(*n, field))?;
    Some(field.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str) -> usize {
        BIT_FIELDS.iter().position(|field| field.name == name).unwrap()
    }

    #[test]
    fn bit_fields_are_where_c_has_them() {
        assert_eq!(misplaced(BIT_FIELDS), None);
    }

    #[test]
    fn those_that_matter_are_in_the_list() {
        for name in [
            "ngx_http_request_s.keepalive",
            "ngx_http_headers_in_t.chunked",
            "ngx_http_upstream_s.buffering",
            "ngx_peer_connection_s.cached",
            "ngx_http_core_loc_conf_s.noname",
            "ngx_connection_s.tcp_nodelay",
            "ngx_event_s.cancelable",
            "ngx_buf_s.last_buf",
            "ngx_variable_value_t.not_found",
            "ngx_open_file_info_t.test_only",
        ] {
            index(name);
        }
    }

    #[test]
    fn a_misplaced_bit_field_is_found() {
        let mut fields = BIT_FIELDS.to_vec();
        let keepalive = index("ngx_http_request_s.keepalive");
        fields[keepalive].set = fields[index("ngx_http_request_s.internal")].set;
        assert_eq!(misplaced(&fields), Some("ngx_http_request_s.keepalive"));
    }

    #[test]
    fn a_structure_of_another_size_is_found() {
        let mut fields = BIT_FIELDS.to_vec();
        let last_buf = index("ngx_buf_s.last_buf");
        fields[last_buf].size += 8;
        assert_eq!(misplaced(&fields), Some("ngx_buf_s.last_buf"));
    }
}
