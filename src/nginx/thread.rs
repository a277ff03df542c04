//! Disk work in nginx's thread pools: that of the location, where it says `aio threads`; and one of the
//! module's own for walks, which have to leave the processor to whoever reads a file.

use core::ffi::c_void;
use core::future::{poll_fn, Future};
use core::task::Poll;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nginx_sys::*;
use ngx::ngx_string;

use super::log::{self, Level};
use super::request::Request;
use super::task;

/// The job panicked, or there was no memory or no room in the queue for it.
#[derive(Debug, Clone, Copy)]
pub struct NotRun;

/// Runs `job` in the location's thread pool, or at once in the worker where it has none.
pub async fn offload<T, F>(r: Request, job: F) -> Result<T, NotRun>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match thread_pool(r) {
        None => Ok(job()),
        Some(pool) => post(r, pool, job)?.await,
    }
}

/// Runs `job` in a thread that has the processor while nobody else wants it. Not for what holds a lock
/// that the event loop takes too: it would wait for all others.
pub async fn offload_idle<T, F>(r: Request, job: F) -> Result<T, NotRun>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match idle_pool() {
        None => offload(r, job).await,
        Some(pool) => post(r, pool, step_back_and(job))?.await,
    }
}

/// The name of the pool of [`offload_idle`].
pub(super) const IDLE: ngx_str_t = ngx_string!("filedist_walks");

/// The thread is one of those for good: nothing takes it back.
fn step_back_and<T>(job: impl FnOnce() -> T) -> impl FnOnce() -> T {
    || {
        // SAFETY: of the calling thread alone (sched(7)), and no more than a wish; zeroes are valid.
        #[cfg(target_os = "linux")]
        unsafe {
            let parameters: libc::sched_param = core::mem::zeroed();
            libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters);
        }
        job()
    }
}

#[cfg(not(ngx_threads))]
fn idle_pool() -> Option<*mut ngx_thread_pool_t> {
    None
}

#[cfg(ngx_threads)]
fn idle_pool() -> Option<*mut ngx_thread_pool_t> {
    // SAFETY: ngx_cycle is the running configuration.
    let pool = unsafe { ngx_thread_pool_get(ngx_cycle, &mut { IDLE }) };
    (!pool.is_null()).then_some(pool)
}

#[cfg(not(ngx_threads))]
fn thread_pool(_r: Request) -> Option<*mut ngx_thread_pool_t> {
    None
}

#[cfg(ngx_threads)]
fn thread_pool(r: Request) -> Option<*mut ngx_thread_pool_t> {
    let conf = r.core_conf();
    if conf.aio != NGX_HTTP_AIO_THREADS as ngx_flag_t {
        return None;
    }
    if !conf.thread_pool.is_null() {
        return Some(conf.thread_pool);
    }
    // SAFETY: without a pool of its own, the location has a name with variables, which nginx
    // compiled; ngx_cycle is the running configuration.
    unsafe {
        let mut name = ngx_str_t::empty();
        let rc = ngx_http_complex_value(r.as_ptr(), conf.thread_pool_value, &mut name);
        if rc != NGX_OK as ngx_int_t {
            return None;
        }
        let pool = ngx_thread_pool_get(ngx_cycle, &mut name);
        (!pool.is_null()).then_some(pool)
    }
}

/// A job that takes longer is worth a line in the log, as with nginx's own.
const LONG: ngx_msec_t = 60_000;

/// What the event loop and the thread share; whoever comes last frees it.
struct Job<T, F> {
    work: Mutex<Option<F>>,
    result: Mutex<Option<Result<T, NotRun>>>,
    /// nginx has taken the task back. The result may be there before, while the task is not free
    /// for another job.
    done: AtomicBool,
    r: *mut ngx_http_request_t,
}

#[cfg(not(ngx_threads))]
fn post<T, F>(
    _: Request,
    _: *mut ngx_thread_pool_t,
    _: F,
) -> Result<core::future::Pending<Result<T, NotRun>>, NotRun> {
    Err(NotRun)
}

#[cfg(ngx_threads)]
fn post<T, F>(
    r: Request,
    pool: *mut ngx_thread_pool_t,
    work: F,
) -> Result<impl Future<Output = Result<T, NotRun>>, NotRun>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let raw = r.as_ptr();
    let job = Arc::new(Job {
        work: Mutex::new(Some(work)),
        result: Mutex::new(None),
        done: AtomicBool::new(false),
        r: raw,
    });

    // SAFETY: the task lies in the request's pool, which `blocked` keeps until the job is done:
    // nginx frees no request with a blocked count. A handler waits for one job before it posts
    // the next, so the task is free. `ctx` carries a reference to the job, which done() takes
    // back.
    unsafe {
        let task = task::of(r).ok_or(NotRun)?;
        if task.has_ended() {
            // Nobody would see what the job has done.
            return Err(NotRun);
        }
        let slot = &task.thread_task;
        if slot.get().is_null() {
            slot.set(ngx_thread_task_alloc(r.pool(), 0));
        }
        let task = slot.get();
        if task.is_null() || (*task).event.active() != 0 {
            return Err(NotRun);
        }
        (*task).event = core::mem::zeroed();
        let shared = Arc::into_raw(Arc::clone(&job));
        (*task).ctx = shared.cast_mut().cast();
        (*task).handler = Some(run::<T, F>);
        (*task).event.data = shared.cast_mut().cast();
        (*task).event.handler = Some(done::<T, F>);
        (*task).event.log = (*r.connection()).log;
        if ngx_thread_task_post(pool, task) != NGX_OK as ngx_int_t {
            drop(Arc::from_raw(shared));
            return Err(NotRun);
        }
        // A worker that is to exit waits for timers, not for threads.
        ngx_add_timer(&mut (*task).event, LONG);
        (*raw).set_blocked((*raw).blocked() + 1);
        (*raw).set_aio(1);
    }

    Ok(poll_fn(move |_| {
        if !job.done.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let mut result = job.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().map_or(Poll::Pending, Poll::Ready)
    }))
}

/// In the thread.
unsafe extern "C" fn run<T, F: FnOnce() -> T>(ctx: *mut c_void, _log: *mut ngx_log_t) {
    // SAFETY: post() put a reference to the job there, which done() drops later.
    let job = unsafe { &*ctx.cast::<Job<T, F>>() };
    let work = job.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let result = work.map(|work| catch_unwind(AssertUnwindSafe(work)));
    let result = result.and_then(Result::ok).ok_or(NotRun);
    *job.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

/// In the event loop again.
unsafe extern "C" fn done<T, F>(event: *mut ngx_event_t) {
    // SAFETY: nginx calls this once for a posted task; the request is alive, see post().
    unsafe {
        if (*event).timedout() != 0 {
            log::write(
                (*event).log,
                Level::Alert,
                format_args!("filedist: a disk has kept a thread for {} s", LONG / 1000),
            );
            (*event).set_timedout(0);
            return;
        }
        if (*event).timer_set() != 0 {
            ngx_del_timer(event);
        }
        let job = Arc::from_raw((*event).data.cast::<Job<T, F>>().cast_const());
        let raw = job.r;
        let c = (*raw).connection;
        job.done.store(true, Ordering::Release);
        drop(job);
        (*raw).set_blocked((*raw).blocked() - 1);
        (*raw).set_aio(0);

        let ended = Request::from_ptr(raw)
            .is_some_and(|r| task::of(r).is_some_and(|task| task::end(r, task)));
        if let (false, Some(handler)) = (ended, (*raw).write_event_handler) {
            handler(raw);
        }
        ngx_http_run_posted_requests(c);
    }
}

/// Bytes that stay where they are while a job uses them.
///
/// # Safety
///
/// For the one who makes it: the bytes neither move nor change until the job has ended.
#[derive(Clone, Copy)]
pub(super) struct Lent(*const u8, usize);

// SAFETY: see the type: nobody writes to the bytes while they are lent.
unsafe impl Send for Lent {}

impl Lent {
    pub(super) fn new(bytes: &[u8]) -> Lent {
        Lent(bytes.as_ptr(), bytes.len())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: see the type.
        unsafe { core::slice::from_raw_parts(self.0, self.1) }
    }
}
