//! A request's handler as one `async fn`.
//!
//! nginx calls back for each event: body bytes, a subrequest that ended, a thread that is done.
//! All of them lead to [`resume`], which polls the request's future once more. A future here
//! waits by returning `Pending` and looking again at the next poll; no waker is needed, because
//! every event that can concern a request names the request.
//!
//! The handler is dropped when nginx cleans the request up, after it has closed the upstream
//! connections and before it frees anything: whatever ends the request, drop guards of the
//! handler run. While a thread works for it, it waits for the thread (see [`cleanup`]).

use core::cell::{Cell, RefCell, UnsafeCell};
use core::ffi::c_void;
use core::future::Future;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};
use std::panic::{catch_unwind, AssertUnwindSafe};

use nginx_sys::*;

use super::detached;
use super::log::Level;
use super::pool::OutOfMemory;
use super::reply::{Ending, Reply};
use super::request::{Request, Status};
use super::variables::Record;

type Handler = dyn Future<Output = Ending>;

/// The module's context of a request that is not a subrequest.
pub(super) struct Task {
    handler: RefCell<Option<Pin<Box<Handler>>>>,
    /// The client's part is over: its leaving must not end what is under way.
    pub(super) body_complete: Cell<bool>,
    /// It left after that.
    client_gone: Cell<bool>,
    /// nginx has cleaned the request up: it will not be answered.
    ended: Cell<bool>,
    /// The request's entry in nginx's list of those to be run; for all of its time, or each would
    /// cost memory until the request ends.
    post: UnsafeCell<ngx_http_posted_request_t>,
    /// Of the request's jobs in the thread pool, of which there is one at a time.
    pub(super) thread_task: Cell<*mut ngx_thread_task_t>,
    /// What is around a request that no client sent (detached.rs).
    detached: Option<*mut c_void>,
    /// For the access log (variables.rs).
    pub(super) record: RefCell<Record>,
}

/// Runs `handler` for the request and sends what it returns, unless it has sent an answer itself.
/// To be returned from a content handler. Not for a subrequest: that of another module has no
/// answer of its own, and the context of one of this module's is a delivery.
pub fn run<T: Into<Ending>>(r: Request, handler: impl Future<Output = T> + 'static) -> Status {
    if !r.is_main() {
        return NGX_HTTP_INTERNAL_SERVER_ERROR as Status;
    }
    match start(r, Box::pin(async move { handler.await.into() }), None) {
        Ok(()) => NGX_DONE as Status,
        Err(OutOfMemory) => NGX_HTTP_INTERNAL_SERVER_ERROR as Status,
    }
}

pub(super) fn start(
    r: Request,
    handler: Pin<Box<Handler>>,
    detached: Option<*mut c_void>,
) -> Result<(), OutOfMemory> {
    let task = r.keep(Task {
        handler: RefCell::new(Some(handler)),
        body_complete: Cell::new(false),
        client_gone: Cell::new(false),
        ended: Cell::new(false),
        post: UnsafeCell::new(ngx_http_posted_request_t {
            request: ptr::null_mut(),
            next: ptr::null_mut(),
        }),
        thread_task: Cell::new(ptr::null_mut()),
        detached,
        record: RefCell::default(),
    })?;
    // SAFETY: the request is alive. nginx runs its cleanups once, last added first: those of the
    // upstreams that the handler will use come before this one. The task's own count is given
    // back by the finalization in resume(); the content phase gives back the one that it holds,
    // which a request that no client sent has not.
    unsafe {
        let raw = r.as_ptr();
        let added = ngx_http_cleanup_add(raw, 0).as_mut().ok_or(OutOfMemory)?;
        added.handler = Some(cleanup);
        added.data = raw.cast();
        r.set_ctx(task);
        if detached.is_none() {
            (*raw).set_count((*raw).count() + 1);
        }
        (*raw).read_event_handler = Some(on_event);
        (*raw).write_event_handler = Some(on_event);
    }
    resume(r);
    Ok(())
}

/// nginx's cleanup of the client's request. A thread may be about to publish a file: what becomes
/// of it has to be recorded, so the handler is kept until done() in thread.rs.
unsafe extern "C" fn cleanup(data: *mut c_void) {
    // SAFETY: start() put the request there, which nginx frees after its cleanups.
    unsafe {
        let raw = data.cast::<ngx_http_request_t>();
        let Some(task) = Request::from_ptr(raw).and_then(of) else { return };
        task.ended.set(true);
        if (*raw).blocked() == 0 {
            task.drop_handler();
        }
    }
}

/// Ends a request that nginx has cleaned up while a thread worked for it: the handler sees what
/// the thread has done, and is dropped. False if the request goes on as ever.
pub(super) fn end(r: Request, task: &Task) -> bool {
    if !task.ended.get() {
        return false;
    }
    if let Ok(mut slot) = task.handler.try_borrow_mut() {
        if let Some(handler) = slot.as_mut() {
            let mut context = Context::from_waker(Waker::noop());
            // Its answer, if it comes to one, is for nobody.
            _ = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut context)));
        }
    }
    task.drop_handler();
    // SAFETY: the request is alive; nginx waits for the last of its threads.
    unsafe { ngx_http_finalize_request(r.as_ptr(), NGX_ERROR as ngx_int_t) };
    true
}

/// nginx's read and write event handler of a request with a task.
pub(super) unsafe extern "C" fn on_event(r: *mut ngx_http_request_t) {
    // SAFETY: nginx calls the handlers of a live request.
    if let Some(r) = unsafe { Request::from_ptr(r) } {
        resume(r);
    }
}

/// The task of a client's request, if one was started.
pub(super) fn of(main: Request) -> Option<&'static Task> {
    // SAFETY: run() is the only one to set the context of a main request, to a task that lives
    // as long as the request.
    main.ctx::<Task>().map(|task| unsafe { &*task.as_ptr() })
}

/// Polls the request's handler, and ends the request with its reply.
pub(super) fn resume(r: Request) {
    let Some(task) = of(r) else { return };
    shelter(r, task);

    let Ok(mut slot) = task.handler.try_borrow_mut() else {
        // Called by nginx from within the handler: it will look again when it is polled next.
        return post(r);
    };
    let Some(handler) = slot.as_mut() else { return };

    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut context)));
    let ending = match polled {
        Ok(Poll::Pending) => return,
        Ok(Poll::Ready(ending)) => Some(ending),
        Err(_) => {
            r.log(Level::Crit, format_args!("filedist handler panicked: please report this"));
            None
        }
    };
    *slot = None;
    drop(slot);
    finish(r, task, ending);
}

fn finish(r: Request, task: &Task, ending: Option<Ending>) {
    let raw = r.as_ptr();
    // SAFETY: the request is alive until ngx_http_finalize_request() has taken our count.
    unsafe {
        (*raw).read_event_handler = Some(ngx_http_block_reading);
        (*raw).write_event_handler = Some(ngx_http_request_empty_handler);
        if let Some(around) = task.detached {
            return detached::end(around);
        }
        if task.client_gone.get() {
            (*r.connection()).set_error(1);
        }
        if (*r.connection()).error() != 0 {
            // Nobody is there to answer; the status is for the access log.
            if let Some(Ending::Reply(Reply { status, .. })) = ending {
                (*raw).headers_out.status = status.into();
            }
            ngx_http_finalize_request(raw, NGX_ERROR as ngx_int_t);
            return;
        }
        let rc = match ending {
            Some(Ending::Reply(reply)) => r.send(&reply),
            Some(Ending::Sent(rc)) => rc,
            None if (*raw).header_sent() != 0 => NGX_ERROR as Status,
            None => NGX_HTTP_INTERNAL_SERVER_ERROR as Status,
        };
        ngx_http_finalize_request(raw, rc);
    }
}

/// Has nginx run the request's write event handler soon.
pub(super) fn post(r: Request) {
    let Some(task) = of(r) else { return };
    // SAFETY: the request is alive, and so are the entries of its list; ours goes in only if it is
    // not there.
    unsafe {
        let mut entry = (*r.as_ptr()).posted_requests;
        while !entry.is_null() {
            if entry == task.post.get() {
                return;
            }
            entry = (*entry).next;
        }
        ngx_http_post_request(r.as_ptr(), task.post.get());
    }
}

/// Hides that an HTTP/2 client has left once its upload is complete: nginx would end the request,
/// and every delivery with it, at the next subrequest that ends.
pub(super) fn shelter(r: Request, task: &Task) {
    // SAFETY: the connection lives as long as the request.
    unsafe {
        let c = r.connection();
        if task.detached.is_some() {
            // There is no client whose leaving could end it.
            (*c).set_error(0);
            return;
        }
        let left = (*c).error() != 0 && !is_closing(r);
        if left && task.body_complete.get() && task.handler_pending() {
            (*c).set_error(0);
            task.client_gone.set(true);
        }
    }
}

/// nginx itself closes the connection (worker_shutdown_timeout).
fn is_closing(r: Request) -> bool {
    // SAFETY: the connection lives as long as the request, the HTTP/2 connection as its streams.
    unsafe {
        #[cfg(ngx_http_v2)]
        if let Some(stream) = (*r.as_ptr()).stream.as_ref() {
            return (*(*stream.connection).connection).close() != 0;
        }
        (*r.connection()).close() != 0
    }
}

impl Task {
    /// Nothing can be asked of the children any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    fn drop_handler(&self) {
        // Dropped outside of the borrow: its guards may look at the task.
        let handler = self.handler.try_borrow_mut().ok().and_then(|mut slot| slot.take());
        drop(handler);
    }

    fn handler_pending(&self) -> bool {
        self.handler.try_borrow().map_or(true, |slot| slot.is_some())
    }
}
