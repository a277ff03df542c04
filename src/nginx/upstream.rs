//! `filedist_fanout`, a load-balancing method: to a delivery it gives the addresses of one child,
//! to any other request a child by round robin.

use core::ffi::c_void;
use core::ptr;
use std::time::Duration;

use nginx_sys::*;

use super::feed;
use super::log::{self, Level};
use super::pool;
use super::request::Request;
use super::subrequest::{self, Subrequest};

extern "C" {
    fn ngx_http_filedist_take_peer(
        pc: *mut ngx_peer_connection_t,
        rrp: *mut ngx_http_upstream_rr_peer_data_t,
        peer: *mut ngx_http_upstream_rr_peer_t,
        how: ngx_uint_t,
    ) -> ngx_int_t;
    fn ngx_http_filedist_clear_fails(
        peers: *mut ngx_http_upstream_rr_peers_t,
        peer: *mut ngx_http_upstream_rr_peer_t,
        addresses: ngx_uint_t,
    );
}

/// How ngx_http_filedist_take_peer() takes a peer, see shim.c.
const LIVE: ngx_uint_t = 0;
const AGAIN: ngx_uint_t = 1;
const PATIENT: ngx_uint_t = 2;

/// A `server` of an upstream with `filedist_fanout`.
#[derive(Clone)]
pub struct Child {
    name: &'static [u8],
    peers: *mut ngx_http_upstream_rr_peers_t,
    /// The peer of its first address; those of the others follow in nginx's list.
    first: *mut ngx_http_upstream_rr_peer_t,
    addresses: usize,
}

impl Child {
    /// As written in its `server` line.
    pub fn name(&self) -> &'static [u8] {
        self.name
    }

    /// How long nobody asks it after it has not answered (`fail_timeout`). None where it is asked each
    /// time: `max_fails=0` says so, or it is the only one, as in
    /// `ngx_http_upstream_get_round_robin_peer()`.
    pub fn fail_timeout(&self) -> Option<Duration> {
        // SAFETY: the peers live as long as the upstream; these fields do not change.
        let (peers, peer) = unsafe { (self.peers.as_ref()?, self.first.as_ref()?) };
        let is_single = peers.number == 1 && peers.next.is_null();
        let seconds = u64::try_from(peer.fail_timeout).unwrap_or(0);
        (peer.max_fails > 0 && !is_single).then_some(Duration::from_secs(seconds))
    }

    /// It has come back: round robin, too, is to ask it again.
    pub fn clear_fails(&self) {
        // SAFETY: the peers live as long as the upstream, and nginx's lock is taken there.
        unsafe { ngx_http_filedist_clear_fails(self.peers, self.first, self.addresses) }
    }
}

/// An upstream with `filedist_fanout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream(*const ngx_http_upstream_srv_conf_t);

impl Upstream {
    /// # Safety
    ///
    /// `us` has `filedist_fanout`, and its configuration outlives the handle.
    pub unsafe fn new(us: *const ngx_http_upstream_srv_conf_t) -> Upstream {
        Upstream(us)
    }

    /// As `upstream` names it.
    pub fn name(self) -> &'static [u8] {
        // SAFETY: the configuration outlives the handle.
        unsafe { (*self.0).host.as_bytes() }
    }

    /// The children, in the order of their `server` lines (backup servers last).
    pub fn children(self) -> Vec<Child> {
        // SAFETY: ngx_http_upstream_init_round_robin() made peer.data from the same list of
        // servers: a peer for each address, in order, backup servers in a group of their own. A
        // `zone` copies both groups in the same order.
        unsafe {
            let Some(servers) = (*self.0).servers.as_ref() else { return Vec::new() };
            let servers = servers.as_slice::<ngx_http_upstream_server_t>();
            let mut children = Vec::with_capacity(servers.len());
            let mut peers = (*self.0).peer.data.cast::<ngx_http_upstream_rr_peers_t>();
            for backup in [0, 1] {
                let Some(group) = peers.as_ref() else { break };
                let mut first = group.peer;
                for server in servers.iter().filter(|server| server.backup() == backup) {
                    let addresses = server.naddrs;
                    children.push(Child { name: server.name.as_bytes(), peers, first, addresses });
                    for _ in 0..addresses {
                        first = first.as_ref().map_or(ptr::null_mut(), |peer| peer.next);
                    }
                }
                peers = group.next;
            }
            children
        }
    }
}

/// Per request, in u->peer.data. Round robin's part comes first: nginx's functions for TLS
/// sessions and for the end of a connection take a pointer to the whole for one to that.
#[repr(C)]
struct PeerData {
    round_robin: ngx_http_upstream_rr_peer_data_t,
    /// A delivery's next address, and how many are left.
    next: *mut ngx_http_upstream_rr_peer_t,
    left: usize,
    /// All of its addresses seem to be dead: they are tried all the same.
    desperate: bool,
    /// One of them was.
    tried: bool,
    delivery: Option<&'static Subrequest>,
    u: *mut ngx_http_upstream_t,
    /// A child could not be asked.
    failed: bool,
    /// Since then nginx believes that one child more is left than there is.
    one_more: bool,
    /// The children that it may ask have been asked.
    asked: bool,
}

/// `peer.init_upstream`: round robin's, with another `peer.init`.
pub(crate) unsafe extern "C" fn init_upstream(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx calls this while it reads the configuration.
    unsafe {
        let rc = ngx_http_upstream_init_round_robin(cf, us);
        if rc == NGX_OK as ngx_int_t {
            (*us).peer.init = Some(init_peer);
        }
        rc
    }
}

unsafe extern "C" fn init_peer(
    r: *mut ngx_http_request_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx calls this with a live request whose upstream is being set up. Round robin
    // uses the data that is there already, as it does for ip_hash.
    unsafe {
        let u = (*r).upstream;
        let Ok(mut data) = pool::zeroed::<PeerData>((*r).pool) else {
            return NGX_ERROR as ngx_int_t;
        };
        (*u).peer.data = data.as_ptr().cast();
        let rc = ngx_http_upstream_init_round_robin_peer(r, us);
        if rc != NGX_OK as ngx_int_t {
            return rc;
        }
        data.as_mut().u = u;
        match Request::from_ptr(r).and_then(subrequest::of) {
            Some(delivery) => return init_delivery(u, data.as_mut(), delivery),
            None => {
                (*u).peer.get = Some(get_fallback);
                (*u).peer.free = Some(free_fallback);
            }
        }
        NGX_OK as ngx_int_t
    }
}

/// # Safety
///
/// `u` is the upstream of the subrequest, after round robin's own initialisation.
unsafe fn init_delivery(
    u: *mut ngx_http_upstream_t,
    data: &mut PeerData,
    delivery: &'static Subrequest,
) -> ngx_int_t {
    let child = &delivery.child;
    data.round_robin.peers = child.peers;
    data.next = child.first;
    data.left = child.addresses;
    // Whether the child is to be asked was decided before.
    data.desperate = child.addresses < 2;
    data.delivery = Some(delivery);
    // SAFETY: the caller vouches for `u`; the subrequest outlives it.
    unsafe {
        (*u).peer.get = Some(get_child);
        (*u).peer.free = Some(free_child);
        (*u).peer.tries = child.addresses;
        // "proxy_store" is for what is asked of a child, not for its receipts.
        (*u).set_store(0);
        delivery.reader().hook(u);
        let stock = (*u)
            .output
            .output_filter
            .is_some_and(|filter| ptr::fn_addr_eq(filter, ngx_chain_writer as OutputFilter));
        if !stock {
            // HTTP/2 to the child frames the body in a filter of its own.
            let message = format_args!("filedist needs \"proxy_http_version\" 1.0 or 1.1");
            log::write((*u).peer.log, Level::Error, message);
            return NGX_ERROR as ngx_int_t;
        }
        (*u).output.output_filter = Some(feed::send);
        (*u).output.filter_ctx = ptr::from_ref(delivery).cast_mut().cast();
    }
    NGX_OK as ngx_int_t
}

type OutputFilter = unsafe extern "C" fn(*mut c_void, *mut ngx_chain_t) -> ngx_int_t;

/// `peer.get` of a delivery: the child's next address that is not known to be dead, or if none is
/// left that was not, the next one.
unsafe extern "C" fn get_child(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: init_peer() put `data` there; the peers live as long as the upstream.
    unsafe {
        let data = &mut *data.cast::<PeerData>();
        if let Some(delivery) = data.delivery {
            delivery.feed.restart();
        }
        if (*pc).cached() != 0 && !data.round_robin.current.is_null() {
            // The child had closed a kept connection: nginx wants another one to the same.
            let same = data.round_robin.current;
            return ngx_http_filedist_take_peer(pc, &mut data.round_robin, same, AGAIN);
        }
        loop {
            while data.left > 0 && !data.next.is_null() {
                let peer = data.next;
                data.next = (*peer).next;
                data.left -= 1;
                let how = if data.desperate { PATIENT } else { LIVE };
                let rc = ngx_http_filedist_take_peer(pc, &mut data.round_robin, peer, how);
                if rc != NGX_BUSY as ngx_int_t {
                    data.tried = true;
                    return rc;
                }
            }
            let (Some(delivery), false) = (data.delivery, data.desperate || data.tried) else {
                return NGX_BUSY as ngx_int_t;
            };
            (data.desperate, data.next, data.left) =
                (true, delivery.child.first, delivery.child.addresses);
        }
    }
}

/// `peer.free` of a delivery. A kept connection that the child has closed is no failure of the
/// child: nginx tries another one, and if that counted, the child would be skipped for
/// `fail_timeout`. Nor is an answer, whatever it says.
unsafe extern "C" fn free_child(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
    state: ngx_uint_t,
) {
    // SAFETY: init_peer() put `data` there.
    unsafe {
        let u = (*data.cast::<PeerData>()).u;
        let is_alive = (*pc).cached() != 0 || (*u).headers_in.status_n != 0;
        let state = if is_alive { state & !(NGX_PEER_FAILED as ngx_uint_t) } else { state };
        ngx_http_upstream_free_round_robin_peer(pc, data, state);
    }
}

/// `peer.get` of a request that is asked of the children in turn: round robin's, until as many
/// were asked as nginx allows.
unsafe extern "C" fn get_fallback(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: init_peer() put `data` there.
    unsafe {
        if (*data.cast::<PeerData>()).asked {
            return NGX_BUSY as ngx_int_t;
        }
        ngx_http_upstream_get_round_robin_peer(pc, data)
    }
}

/// `peer.free` of the same.
///
/// When the last child says 404 and another could not be asked, nobody knows whether the file is
/// there: 502. nginx passes a 404 on where it has no child left; so it is told of one more, and
/// when it comes for that, get_fallback() has none and nginx ends the request with 502.
unsafe extern "C" fn free_fallback(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
    state: ngx_uint_t,
) {
    const FAILED: ngx_uint_t = NGX_PEER_FAILED as ngx_uint_t;

    // SAFETY: init_peer() put `data` there, with the upstream that it belongs to.
    unsafe {
        let round_robin = data;
        let data = &mut *data.cast::<PeerData>();
        let mut failed = state & FAILED;
        data.failed |= failed != 0;
        // A child that answers is alive, even if it could not ask its own children.
        if (*data.u).headers_in.status_n != 0 {
            failed = 0;
        }
        let state = state & !FAILED | failed;
        ngx_http_upstream_free_round_robin_peer(pc, round_robin, state);
        if (*pc).tries == 1 {
            if data.one_more {
                data.asked = true;
            } else if data.failed {
                data.one_more = true;
                (*pc).tries = 2;
            }
        }
    }
}
