//! What the workers share: what is known of each node and child.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use nginx_sys::*;

use crate::counters::{ChildCounts, NodeCounts};

extern "C" {
    static ngx_http_filedist_module: ngx_module_t;
}

/// The content of the shared memory.
#[repr(C)]
struct Shared {
    /// A list, to which the slab pool's lock belongs. Workers have the memory at one address.
    first: *mut Head,
    pool: *mut ngx_slab_pool_t,
}

/// What is in the list begins with this.
#[repr(C)]
struct Head {
    next: *mut Head,
    /// Which type it is of: see [`Shareable`].
    kind: u64,
    /// Which one: see [`Zone::find`].
    key: u64,
}

#[repr(C)]
struct Slot<T> {
    head: Head,
    value: T,
}

/// What can be in the shared memory.
///
/// # Safety
///
/// `KIND` is of this type alone. The type has no pointers, and is safe to be shared.
unsafe trait Shareable: Sync + 'static {
    const KIND: u64;
}

// SAFETY: all of it is atomic numbers.
unsafe impl Shareable for ChildState {
    const KIND: u64 = 1;
}

// SAFETY: as above.
unsafe impl Shareable for NodeCounts {
    const KIND: u64 = 2;
}

/// What the workers know of a child together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ChildState {
    /// Its missing log may have entries. True at first: nobody has looked.
    pub(crate) pending: AtomicBool,
    /// It was not there when the log was last to be delivered.
    pub(crate) away: AtomicBool,
    /// It may be that everything is to be put into its log. True at first, as above.
    pub(crate) to_provide: AtomicBool,
    /// How many attempts to deliver the log have failed since one has not.
    pub(crate) failures: AtomicU32,
    /// When the next one is due, by the clock of `nginx::worker::now()`.
    pub(crate) due: AtomicU64,
    /// For the status page.
    pub(crate) counts: ChildCounts,
}

impl Default for ChildState {
    fn default() -> ChildState {
        ChildState {
            pending: AtomicBool::new(true),
            away: AtomicBool::new(false),
            to_provide: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            due: AtomicU64::new(0),
            counts: ChildCounts::default(),
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
        self.find(directory, name, ChildState::default)
    }

    /// The counts of the server with this state directory; none without memory.
    pub(crate) fn node(
        self,
        directory: &Path,
        new: impl FnOnce() -> NodeCounts,
    ) -> Option<&'static NodeCounts> {
        self.find(directory, b"", new)
    }

    /// What is kept under these names, a new one the first time.
    fn find<T: Shareable>(
        self,
        directory: &Path,
        name: &[u8],
        new: impl FnOnce() -> T,
    ) -> Option<&'static T> {
        let mut hash = DefaultHasher::new();
        hash.write(directory.as_os_str().as_encoded_bytes());
        hash.write(&[0]);
        hash.write(name);
        let key = hash.finish();
        // SAFETY: the list changes under the pool's lock only, and nothing is taken from it. The
        // mapping lasts as long as the configuration. The kind says the type.
        unsafe {
            let shared = self.0;
            let mutex = ptr::addr_of_mut!((*(*shared).pool).mutex);
            ngx_shmtx_lock(mutex);
            let mut head = (*shared).first;
            while head.as_ref().is_some_and(|head| (head.kind, head.key) != (T::KIND, key)) {
                head = (*head).next;
            }
            if head.is_null() {
                let slot = ngx_slab_alloc_locked((*shared).pool, size_of::<Slot<T>>());
                if !slot.is_null() {
                    let next = (*shared).first;
                    let slot = slot.cast::<Slot<T>>();
                    slot.write(Slot { head: Head { next, kind: T::KIND, key }, value: new() });
                    head = slot.cast();
                    (*shared).first = head;
                }
            }
            ngx_shmtx_unlock(mutex);
            head.cast::<Slot<T>>().as_ref().map(|slot| &slot.value)
        }
    }
}
