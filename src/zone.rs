//! What the workers share: the locks under which a file is published.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::mem;
use core::ptr;
use std::path::Path;

use nginx_sys::*;

extern "C" {
    static ngx_http_filedist_module: ngx_module_t;
}

/// Paths are spread over this many locks by their hash.
const LOCKS: usize = 256;

/// The content of the shared memory.
#[repr(C)]
struct Shared {
    commit: [ngx_shmtx_sh_t; LOCKS],
}

/// The shared memory, mapped.
#[derive(Clone, Copy)]
pub(crate) struct Zone(*mut Shared);

// SAFETY: the locks in it are for use by any process and thread; the mapping lasts as long as
// the configuration, which waits for its requests and their thread tasks.
unsafe impl Send for Zone {}

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

    /// Waits until nobody else publishes this path, on any worker.
    pub(crate) fn lock_commit(self, path: &Path) -> CommitLock {
        let name = path.as_os_str().as_encoded_bytes();
        // SAFETY: nginx reads the bytes that it is given.
        let hash = unsafe { ngx_hash_key(name.as_ptr().cast_mut(), name.len()) };
        let index = hash % LOCKS;
        // SAFETY: the memory is mapped and zeroed, which is the unlocked state. The handle is
        // local; all that processes share is the word that it points to.
        unsafe {
            let mut lock: ngx_shmtx_t = mem::zeroed();
            lock.lock = ptr::addr_of_mut!((*self.0).commit[index].lock);
            while ngx_shmtx_trylock(&mut lock) == 0 {
                // A process that was killed while it published gives nothing back. nginx's own
                // function checks that it is still that one who holds the lock.
                let owner = lock.lock.read_volatile() as libc::pid_t;
                if owner != 0 && libc::kill(owner, 0) == -1 && ngx_errno() == libc::ESRCH {
                    ngx_shmtx_force_unlock(&mut lock, owner);
                }
                ngx_sched_yield();
            }
            CommitLock(lock)
        }
    }
}

/// Held while one path is published.
pub(crate) struct CommitLock(ngx_shmtx_t);

impl Drop for CommitLock {
    fn drop(&mut self) {
        // SAFETY: lock_commit() has taken it.
        unsafe { ngx_shmtx_unlock(&mut self.0) }
    }
}
