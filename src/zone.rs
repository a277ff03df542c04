//! What the workers share: what is known of each child.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use nginx_sys::*;

extern "C" {
    static ngx_http_filedist_module: ngx_module_t;
}

/// The content of the shared memory.
#[repr(C)]
struct Shared {
    /// A list, to which the slab pool's lock belongs. Workers have the memory at one address.
    children: *mut Slot,
    pool: *mut ngx_slab_pool_t,
}

/// A child of one server, in the list.
#[repr(C)]
struct Slot {
    next: *mut Slot,
    /// Which one: see [`Zone::child`].
    key: u64,
    state: ChildState,
}

/// What the workers know of a child together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ChildState {
    /// Its missing log may have entries. True at first: nobody has looked.
    pub(crate) pending: AtomicBool,
    /// It was not there when the log was last to be delivered.
    pub(crate) away: AtomicBool,
    /// How many attempts to deliver the log have failed since one has not.
    pub(crate) failures: AtomicU32,
    /// When the next one is due, by the clock of `nginx::worker::now()`.
    pub(crate) due: AtomicU64,
}

impl Default for ChildState {
    fn default() -> ChildState {
        ChildState {
            pending: AtomicBool::new(true),
            away: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            due: AtomicU64::new(0),
        }
    }
}

/// The shared memory, mapped.
#[derive(Clone, Copy)]
pub(crate) struct Zone(*mut Shared);

/// Has nginx map `size` bytes for the workers. Null without memory.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(crate) unsafe fn add(cf: *mut ngx_conf_t, size: usize) -> *mut ngx_shm_zone_t {
    let mut name = ngx_str_t { len: 8, data: c"filedist".as_ptr().cast_mut().cast() };
    // SAFETY: the caller vouches for `cf`; the tag is only compared.
    unsafe {
        let tag = ptr::addr_of!(ngx_http_filedist_module).cast_mut().cast();
        let zone = ngx_shared_memory_add(cf, &mut name, size, tag);
        if let Some(zone) = zone.as_mut() {
            zone.init = Some(init);
            // Not null: nginx takes null for a zone that nobody uses.
            zone.data = cf.cast();
        }
        zone
    }
}

/// nginx calls this when the memory is mapped; `old` is what the former configuration had there.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx has formatted the memory as a slab pool.
    unsafe {
        if !old.is_null() {
            (*zone).data = old;
            return NGX_OK as ngx_int_t;
        }
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        if (*zone).shm.exists != 0 {
            (*zone).data = (*pool).data;
            return NGX_OK as ngx_int_t;
        }
        let shared = ngx_slab_calloc(pool, size_of::<Shared>());
        if shared.is_null() {
            return NGX_ERROR as ngx_int_t;
        }
        (*shared.cast::<Shared>()).pool = pool;
        (*pool).data = shared;
        (*zone).data = shared;
    }
    NGX_OK as ngx_int_t
}

impl Zone {
    /// The zone of the running configuration.
    pub(crate) fn of(zone: *const ngx_shm_zone_t) -> Option<Zone> {
        // SAFETY: merge.rs passes what add() returned, after nginx has called init().
        let data = unsafe { zone.as_ref()?.data };
        (!data.is_null()).then_some(Zone(data.cast()))
    }

    /// The state of the child `name` of the server with this state directory; none without memory.
    pub(crate) fn child(self, directory: &Path, name: &[u8]) -> Option<&'static ChildState> {
        let mut hash = DefaultHasher::new();
        hash.write(directory.as_os_str().as_encoded_bytes());
        hash.write(&[0]);
        hash.write(name);
        let key = hash.finish();
        // SAFETY: the list changes under the pool's lock only, and nothing is taken from it. The
        // mapping lasts as long as the configuration.
        unsafe {
            let shared = self.0;
            let mutex = ptr::addr_of_mut!((*(*shared).pool).mutex);
            ngx_shmtx_lock(mutex);
            let mut slot = (*shared).children;
            while slot.as_ref().is_some_and(|slot| slot.key != key) {
                slot = (*slot).next;
            }
            if slot.is_null() {
                slot = ngx_slab_alloc_locked((*shared).pool, size_of::<Slot>()).cast();
                if !slot.is_null() {
                    let state = ChildState::default();
                    slot.write(Slot { next: (*shared).children, key, state });
                    (*shared).children = slot;
                }
            }
            ngx_shmtx_unlock(mutex);
            slot.as_ref().map(|slot| &slot.state)
        }
    }
}
