//! The worker process itself: what it is, and what it does by the clock.

use core::cell::{RefCell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nginx_sys::*;

use super::alarm;
use super::log::{self, Level};
use super::pool::{self, OutOfMemory};

/// This process serves requests, as opposed to nginx's master and its cache processes.
pub fn is_worker() -> bool {
    // SAFETY: nginx sets it before it initialises a process.
    let process = unsafe { ngx_process };
    process == NGX_PROCESS_WORKER as ngx_uint_t || process == NGX_PROCESS_SINGLE as ngx_uint_t
}

/// What nginx's master knows of itself when it has read a configuration.
pub struct Master {
    /// The workers' user and group: `user`, or those of a master that is not root.
    pub user: u32,
    pub group: u32,
    /// The user's name, or number.
    pub user_name: String,
    /// Its configuration file.
    pub configuration: String,
    /// `nginx -t`: nothing is to be changed.
    pub only_tests: bool,
    /// There is an older configuration: it is a reload.
    pub is_running: bool,
}

impl Master {
    /// # Safety
    ///
    /// nginx passes the cycle to init_module.
    pub unsafe fn of(cycle: *mut ngx_cycle_t) -> Master {
        // SAFETY: the caller vouches for the cycle; the core module is always there, and geteuid(2) and
        // getegid(2) cannot fail.
        unsafe {
            let index = *ptr::addr_of!(ngx_core_module.index);
            let core = &*(*(*cycle).conf_ctx.add(index)).cast::<ngx_core_conf_t>();
            let own = (libc::geteuid(), libc::getegid());
            let unset = core.user == NGX_CONF_UNSET_UINT;
            // One process that does everything stays what it is.
            let changes = own.0 == 0 && !unset && core.master != 0;
            let (user, group) = match changes {
                true => (core.user, core.group),
                false => own,
            };
            let name = core.username.cast_const();
            let user_name = match changes && !name.is_null() {
                true => core::ffi::CStr::from_ptr(name.cast()).to_string_lossy().into_owned(),
                false => user.to_string(),
            };
            let old = (*cycle).old_cycle;
            Master {
                user,
                group,
                user_name,
                configuration: String::from_utf8_lossy((*cycle).conf_file.as_bytes()).into_owned(),
                only_tests: ngx_test_config != 0,
                is_running: !old.is_null() && !(*old).conf_ctx.is_null(),
            }
        }
    }
}

/// `user` was not said, and nginx was built without one.
const NGX_CONF_UNSET_UINT: ngx_uid_t = ngx_uid_t::MAX;

/// The worker is to end when its requests have ended.
pub fn is_exiting() -> bool {
    // SAFETY: nginx's signal handlers set them; reading a word tears nothing.
    unsafe { ngx_exiting != 0 || ngx_terminate != 0 || ngx_quit != 0 }
}

/// The worker is to end, and `worker_shutdown_timeout` is over. nginx itself ends the requests of
/// clients then.
pub fn time_is_up() -> bool {
    static SINCE: AtomicU64 = AtomicU64::new(0);

    if !is_exiting() {
        return false;
    }
    // SAFETY: the core module is always there, and ngx_cycle is the running cycle.
    let timeout = unsafe {
        let index = *ptr::addr_of!(ngx_core_module.index);
        (*(*(*ngx_cycle).conf_ctx.add(index)).cast::<ngx_core_conf_t>()).shutdown_timeout
    };
    _ = SINCE.compare_exchange(0, now(), Relaxed, Relaxed);
    timeout > 0 && now().saturating_sub(SINCE.load(Relaxed)) >= timeout as u64
}

/// A name that no other worker has or had: numbers of processes come again, a number and the time
/// at which it was first asked for do not.
pub fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}-{:x}", std::process::id(), since.as_secs())
    })
}

/// Milliseconds of a clock that all workers share and nobody sets.
pub fn now() -> u64 {
    // SAFETY: the event loop's own word, read in the event loop.
    unsafe { ngx_current_msec as u64 }
}

/// Milliseconds since 1970.
pub fn time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Its number.
pub fn process() -> u32 {
    u32::try_from(super::pid()).unwrap_or(0)
}

/// The process is alive. A number that another one has since got is one that is.
pub fn is_alive(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else { return false };
    // SAFETY: signal 0 is not sent.
    let rc = unsafe { libc::kill(process, 0) };
    rc == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// A random number below `limit`.
pub fn random(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit.max(1)
}

/// Puts `items` in a random order (Fisher-Yates). To sort by a random key is no substitute: the key
/// is another one at each comparison, and the standard library panics on an order that is none.
pub fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, random(last as u64 + 1) as usize);
    }
}

/// Clients have enough connections left.
pub fn has_spare_connections() -> bool {
    // SAFETY: ngx_cycle is the running cycle, whose numbers the event loop changes, and reads here.
    unsafe { (*ngx_cycle).free_connection_n > (*ngx_cycle).connection_n / 4 }
}

/// Writes to the worker's own error log.
pub fn log(level: Level, message: core::fmt::Arguments<'_>) {
    // SAFETY: ngx_cycle is the running cycle, with its log.
    unsafe { log::write((*ngx_cycle).log, level, message) }
}

/// nginx takes `event.data` for a connection when it writes debug lines, and reads a number in
/// its first words.
#[repr(C)]
struct Ticker {
    number: [usize; 4],
    event: UnsafeCell<ngx_event_t>,
    interval: ngx_msec_t,
    work: RefCell<Box<dyn FnMut()>>,
}

/// What the worker does by the clock.
#[derive(Debug)]
pub struct Clock(*mut ngx_event_t);

impl Clock {
    /// Has it done now.
    pub fn hurry(&self) {
        // SAFETY: every() made the event, which lives as long as the configuration.
        unsafe {
            if !is_exiting() {
                ngx_post_event(self.0, ptr::addr_of_mut!(ngx_posted_events));
            }
        }
    }
}

/// Has `work` done about every `interval`, until the worker is to exit. It must not block.
///
/// # Safety
///
/// Called in init_process with its cycle.
pub unsafe fn every(
    cycle: *mut ngx_cycle_t,
    interval: Duration,
    work: impl FnMut() + 'static,
) -> Result<Clock, OutOfMemory> {
    let interval = interval.as_millis() as ngx_msec_t;
    // SAFETY: the structure is valid as zeroes; the cycle's pool lives as long as its workers.
    unsafe {
        let event = UnsafeCell::new(core::mem::zeroed());
        let work: Box<dyn FnMut()> = Box::new(work);
        let ticker = Ticker { number: [usize::MAX; 4], event, interval, work: RefCell::new(work) };
        let ticker = pool::boxed((*cycle).pool, ticker)?.as_ptr();
        let event = (*ticker).event.get();
        (*event).data = ticker.cast();
        (*event).handler = Some(tick);
        (*event).log = (*cycle).log;
        (*event).set_cancelable(1);
        // Soon, for there may be something left to do; but workers start together, and should not
        // look together.
        ngx_add_timer(event, 1 + random(interval as u64 / 10) as ngx_msec_t);
        Ok(Clock(event))
    }
}

impl Drop for Ticker {
    /// The configuration goes (a reload in single-process mode).
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        unsafe { alarm::forget(self.event.get()) };
    }
}

unsafe extern "C" fn tick(event: *mut ngx_event_t) {
    // SAFETY: every() put the ticker there.
    unsafe {
        if is_exiting() {
            return;
        }
        let ticker = &*(*event).data.cast::<Ticker>();
        let interval = ticker.interval;
        if let Ok(mut work) = ticker.work.try_borrow_mut() {
            if catch_unwind(AssertUnwindSafe(&mut *work)).is_err() {
                log(Level::Alert, format_args!("a worker's task panicked: please report this"));
            }
        }
        ngx_add_timer(event, interval * 3 / 4 + random(interval as u64 / 2) as ngx_msec_t);
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn a_shuffle_keeps_what_there_is() {
        for count in [0, 1, 21, 22, 300] {
            let mut items: Vec<usize> = (0..count).collect();
            shuffle(&mut items);
            items.sort_unstable();
            assert_eq!(items, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_shuffle_may_put_any_item_first() {
        let mut firsts = [false; 5];
        for _ in 0..1000 {
            let mut items = [0, 1, 2, 3, 4];
            shuffle(&mut items);
            firsts[items[0]] = true;
        }
        assert_eq!(firsts, [true; 5]);
    }
}
