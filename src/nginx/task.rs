//! A request's handler as one `async fn`.
//!
//! nginx calls back for each event: body bytes, a subrequest that ended, a thread that is done.
//! All of them lead to [`resume`], which polls the request's future once more. A future here
//! waits by returning `Pending` and looking again at the next poll; no waker is needed, because
//! every event that can concern a request names the request.
//!
//! The task is dropped with the request's pool, after nginx has ended the subrequests and the
//! upstream connections: whatever ends the request, drop guards of the handler run.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::panic::{catch_unwind, AssertUnwindSafe};

use nginx_sys::*;

use super::log::Level;
use super::request::{Reply, Request, Status};

type Handler = dyn Future<Output = Reply>;

/// The module's context of a client's request.
pub(super) struct Task {
    handler: RefCell<Option<Pin<Box<Handler>>>>,
    /// The client's part is over: its leaving must not end what is under way.
    pub(super) body_complete: Cell<bool>,
    /// It left after that.
    client_gone: Cell<bool>,
}

/// Runs `handler` for the request and sends what it returns. To be returned from a content
/// handler.
pub fn run(r: Request, handler: impl Future<Output = Reply> + 'static) -> Status {
    let task = r.keep(Task {
        handler: RefCell::new(Some(Box::pin(handler))),
        body_complete: Cell::new(false),
        client_gone: Cell::new(false),
    });
    let Ok(task) = task else { return NGX_HTTP_INTERNAL_SERVER_ERROR as Status };
    r.set_ctx(task);

    // SAFETY: the request is alive. The task's own count is given back by the finalization in
    // resume(); the content phase gives back the one that it holds on NGX_DONE.
    unsafe {
        let r = r.as_ptr();
        (*(*r).main).set_count((*(*r).main).count() + 1);
        (*r).read_event_handler = Some(on_event);
        (*r).write_event_handler = Some(on_event);
    }
    resume(r);
    NGX_DONE as Status
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
    let reply = match polled {
        Ok(Poll::Pending) => return,
        Ok(Poll::Ready(reply)) => Some(reply),
        Err(_) => {
            r.log(Level::Crit, format_args!("filedist handler panicked: please report this"));
            None
        }
    };
    *slot = None;
    drop(slot);
    finish(r, task, reply.as_ref());
}

fn finish(r: Request, task: &Task, reply: Option<&Reply>) {
    let raw = r.as_ptr();
    // SAFETY: the request is alive until ngx_http_finalize_request() has taken our count.
    unsafe {
        (*raw).read_event_handler = Some(ngx_http_block_reading);
        (*raw).write_event_handler = Some(ngx_http_request_empty_handler);
        if task.client_gone.get() {
            (*r.connection()).set_error(1);
        }
        if (*r.connection()).error() != 0 {
            // Nobody is there to answer; the status is for the access log.
            (*raw).headers_out.status = reply.map_or(500, |reply| reply.status).into();
            ngx_http_finalize_request(raw, NGX_ERROR as ngx_int_t);
            return;
        }
        let rc = reply.map_or(NGX_HTTP_INTERNAL_SERVER_ERROR as Status, |reply| r.send(reply));
        ngx_http_finalize_request(raw, rc);
    }
}

/// Has nginx run the request's write event handler soon.
pub(super) fn post(r: Request) {
    // SAFETY: the request is alive. Without memory for the entry the request would never be
    // looked at again: it ends as nginx ends its own in that case.
    unsafe {
        if ngx_http_post_request(r.as_ptr(), core::ptr::null_mut()) != NGX_OK as ngx_int_t {
            ngx_http_finalize_request(r.as_ptr(), NGX_ERROR as ngx_int_t);
        }
    }
}

/// Hides that an HTTP/2 client has left once its upload is complete: nginx would end the request,
/// and every delivery with it, at the next subrequest that ends.
pub(super) fn shelter(r: Request, task: &Task) {
    // SAFETY: the connection lives as long as the request.
    unsafe {
        let c = r.connection();
        if task.body_complete.get() && (*c).error() != 0 && task.handler_pending() {
            (*c).set_error(0);
            task.client_gone.set(true);
        }
    }
}

impl Task {
    fn handler_pending(&self) -> bool {
        self.handler.try_borrow().map_or(true, |slot| slot.is_some())
    }
}
