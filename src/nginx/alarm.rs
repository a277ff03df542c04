//! Waking a request's task by something else than one of its own events: time, or another task.

use core::cell::{Cell, UnsafeCell};
use core::future::poll_fn;
use core::ptr;
use core::task::Poll;
use std::rc::Rc;
use std::time::Duration;

use nginx_sys::*;

use super::request::Request;
use super::task;

/// More milliseconds than it takes until the worker has done what else there is to do.
const ASIDE: ngx_msec_t = 60_000;

/// Belongs to the task of one request, which holds the only strong share. Others hold a weak one
/// and [`ring`](Alarm::ring) it.
pub struct Alarm {
    event: Box<UnsafeCell<ngx_event_t>>,
    went_off: Cell<bool>,
}

impl Alarm {
    /// For the task of `r`, which drops it before nginx frees the request. A worker that is to exit
    /// does not wait for it.
    pub fn new(r: Request) -> Rc<Alarm> {
        Alarm::make(r, true)
    }

    /// One that a worker which is to exit waits for.
    pub fn lasting(r: Request) -> Rc<Alarm> {
        Alarm::make(r, false)
    }

    fn make(r: Request, cancelable: bool) -> Rc<Alarm> {
        // SAFETY: the structure is valid as zeroes.
        let event: ngx_event_t = unsafe { core::mem::zeroed() };
        let alarm =
            Rc::new(Alarm { event: Box::new(UnsafeCell::new(event)), went_off: Cell::new(false) });
        // SAFETY: nobody else knows the event yet.
        unsafe {
            let event = alarm.event.get();
            (*event).data = r.as_ptr().cast();
            (*event).handler = Some(on_alarm);
            (*event).log = (*r.connection()).log;
            (*event).set_cancelable(u32::from(cancelable));
        }
        alarm
    }

    /// Has the task look again, soon.
    pub fn ring(&self) {
        // SAFETY: the event lives until drop() has taken it out of nginx's queues.
        unsafe { ngx_post_event(self.event.get(), ptr::addr_of_mut!(ngx_posted_events)) };
    }

    /// Has the task look again after this time, and [`Alarm::went_off`] say so.
    pub fn set(&self, after: Duration) {
        let after = ngx_msec_t::try_from(after.as_millis()).unwrap_or(ngx_msec_t::MAX >> 2);
        self.went_off.set(false);
        // SAFETY: as in ring().
        unsafe { ngx_add_timer(self.event.get(), after.max(1)) };
    }

    /// The time that was set is over.
    pub fn went_off(&self) -> bool {
        // SAFETY: as in ring(). nginx has taken the timer out when it says `timedout`.
        unsafe {
            if (*self.event.get()).timedout() != 0 {
                (*self.event.get()).set_timedout(0);
                self.went_off.set(true);
            }
        }
        self.went_off.get()
    }

    /// Lets the worker do what else there is to do.
    pub async fn step_aside(&self) {
        let event = self.event.get();
        // SAFETY: as in ring(). These events are for nginx's next look at its connections. A worker
        // that is to exit waits for timers, not for them.
        unsafe {
            ngx_post_event(event, ptr::addr_of_mut!(ngx_posted_next_events));
            if (*event).cancelable() == 0 {
                ngx_add_timer(event, ASIDE);
            }
        }
        let mut again = false;
        poll_fn(|_| match core::mem::replace(&mut again, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        // SAFETY: as in ring().
        unsafe { forget(event) };
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        self.set(time);
        poll_fn(|_| match self.went_off() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        unsafe { forget(self.event.get()) };
    }
}

/// Takes an event out of nginx's queues.
///
/// # Safety
///
/// The event is valid.
pub(super) unsafe fn forget(event: *mut ngx_event_t) {
    // SAFETY: the caller vouches for the event, and nginx's flags say where it is.
    unsafe {
        if (*event).posted() != 0 {
            ngx_delete_posted_event(event);
        }
        if (*event).timer_set() != 0 {
            ngx_del_timer(event);
        }
    }
}

unsafe extern "C" fn on_alarm(event: *mut ngx_event_t) {
    // SAFETY: new() put the request there, which outlives the alarm; its connection outlives
    // nginx's run through the requests that were posted.
    unsafe {
        let raw = (*event).data.cast::<ngx_http_request_t>();
        let c = (*raw).connection;
        if let Some(r) = Request::from_ptr(raw) {
            task::resume(r);
        }
        ngx_http_run_posted_requests(c);
    }
}
