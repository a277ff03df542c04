//! Memory that lives exactly as long as an nginx pool.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::rc::Rc;

use nginx_sys::{ngx_pcalloc, ngx_pool_cleanup_add, ngx_pool_t};

/// nginx has no memory left: the request gets 500.
#[derive(Debug, Clone, Copy)]
pub struct OutOfMemory;

/// Puts `value` on the heap, to be dropped when `pool` is destroyed.
///
/// For what nginx's callbacks point to: the pool of a request outlives its subrequests, their
/// upstream connections and its cleanups.
///
/// # Safety
///
/// `pool` is a live pool; what is returned is not used after the pool is destroyed.
pub unsafe fn boxed<T>(pool: *mut ngx_pool_t, value: T) -> Result<NonNull<T>, OutOfMemory> {
    unsafe extern "C" fn drop_box<T>(data: *mut c_void) {
        // SAFETY: `data` came from Box::into_raw() below, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<T>()) });
    }

    // SAFETY: the caller guarantees that the pool is alive.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, 0).as_mut() }.ok_or(OutOfMemory)?;
    let value = Box::into_raw(Box::new(value));
    cleanup.handler = Some(drop_box::<T>);
    cleanup.data = value.cast();
    NonNull::new(value).ok_or(OutOfMemory)
}

/// Keeps a share of `value` until `pool` is destroyed.
///
/// # Safety
///
/// `pool` is a live pool.
pub unsafe fn shared<T>(pool: *mut ngx_pool_t, value: Rc<T>) -> Result<(), OutOfMemory> {
    unsafe extern "C" fn drop_rc<T>(data: *mut c_void) {
        // SAFETY: `data` came from Rc::into_raw() below, and nginx runs a cleanup once.
        drop(unsafe { Rc::from_raw(data.cast::<T>()) });
    }

    // SAFETY: the caller guarantees that the pool is alive.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, 0).as_mut() }.ok_or(OutOfMemory)?;
    cleanup.handler = Some(drop_rc::<T>);
    cleanup.data = Rc::into_raw(value).cast_mut().cast();
    Ok(())
}

/// A zeroed C structure in `pool`.
///
/// # Safety
///
/// `pool` is a live pool, and all zeroes is a valid `T` without a destructor.
pub unsafe fn zeroed<T>(pool: *mut ngx_pool_t) -> Result<NonNull<T>, OutOfMemory> {
    // SAFETY: the caller guarantees that the pool is alive.
    let memory = unsafe { ngx_pcalloc(pool, size_of::<T>()) };
    NonNull::new(memory.cast()).ok_or(OutOfMemory)
}
