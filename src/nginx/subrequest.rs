//! A request to one child, beside the client's: a background subrequest that goes through the
//! location's own `proxy_pass`, with a body that may still be growing.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::future::poll_fn;
use core::ptr::{self, NonNull};
use core::task::Poll;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use nginx_sys::*;

use super::answer::Reader;
use super::feed::{Feed, Source};
use super::handler::Handler;
use super::header_list::{headers, Headers};
use super::pool::{self, OutOfMemory};
use super::request::{const_str, Request, Status};
use super::task;
use super::upstream::Child;

/// What a subrequest asks of a child.
#[derive(Clone)]
pub enum Ask {
    /// PUT of these bytes.
    Put(Rc<Source>),
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
    /// GET, into this file.
    Get(Arc<File>),
    /// GET of something that is no file of the location.
    Page(Page),
}

/// What a node serves about itself, of a child.
#[derive(Clone)]
pub struct Page {
    /// How the child is reached.
    pub way: Way,
    /// The path and the arguments.
    pub uri: Vec<u8>,
    pub args: Vec<u8>,
    /// Where it goes.
    pub into: Sink,
}

/// Where an answer goes.
#[derive(Clone)]
pub enum Sink {
    /// Into memory, as far as so many bytes suffice for it and others.
    Memory(Rc<Cell<usize>>),
    /// Into a file, up to so many bytes.
    File(Arc<File>, u64),
}

/// A location whose `proxy_pass` leads to the children.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    locations: *mut *mut c_void,
    handler: Handler,
}

impl Way {
    /// # Safety
    ///
    /// `locations` is what each module says of the location, in the running configuration.
    pub unsafe fn new(locations: *mut *mut c_void, handler: Handler) -> Way {
        Way { locations, handler }
    }

    /// Puts a request into the location, whose path is not below that of the location.
    ///
    /// # Safety
    ///
    /// `r` is a request of the configuration that has not run in another location.
    pub(super) unsafe fn enter(self, r: *mut ngx_http_request_t) {
        // SAFETY: the caller vouches for the request, new() for the location.
        unsafe {
            (*r).loc_conf = self.locations;
            ngx_http_update_location_config(r);
            (*r).set_valid_location(0);
        }
    }
}

impl Ask {
    fn method(&self) -> (u32, &'static str) {
        match self {
            Ask::Put(_) => (NGX_HTTP_PUT, "PUT"),
            Ask::Delete => (NGX_HTTP_DELETE, "DELETE"),
            Ask::Head => (NGX_HTTP_HEAD, "HEAD"),
            Ask::Get(_) | Ask::Page(_) => (NGX_HTTP_GET, "GET"),
        }
    }
}

/// What became of a subrequest.
#[derive(Debug)]
pub struct Answer {
    /// The child's status; 502, 504 or 500 from nginx if it gave none.
    pub status: u16,
    /// The child answered, as opposed to nginx for it.
    pub from_child: bool,
    /// The child answered before it had all of the body.
    pub early: bool,
    /// The answer arrived to its end.
    pub whole: bool,
    /// Filedist-Version of the answer.
    pub version: Option<Vec<u8>>,
    /// What the child wrote, as far as it arrived and is no more than a receipt.
    pub body: Vec<u8>,
}

/// A subrequest under way. nginx's callbacks point to it, so it stays with the main request.
pub struct Subrequest {
    main: Request,
    /// Null before it was made and after it has ended.
    sr: Cell<*mut ngx_http_request_t>,
    answer: RefCell<Option<Answer>>,
    pub(super) child: Child,
    pub(super) feed: Feed,
    reader: Reader,
    /// How a page is asked for.
    way: Option<Way>,
}

impl Subrequest {
    /// Posts a subrequest; it runs when the event loop is next through with this request. It is sent
    /// also to a child that `max_fails` would skip.
    pub fn start(
        main: Request,
        child: &Child,
        ask: &Ask,
        headers: &Headers,
    ) -> Result<Rc<Subrequest>, OutOfMemory> {
        if task::of(main).is_none_or(task::Task::has_ended) {
            return Err(OutOfMemory);
        }
        let (source, reader) = match ask {
            Ask::Put(source) => (Rc::clone(source), Reader::default()),
            Ask::Get(file) => (Rc::new(Source::empty()), Reader::into(Arc::clone(file), u64::MAX)),
            Ask::Page(Page { into: Sink::File(file, limit), .. }) => {
                (Rc::new(Source::empty()), Reader::into(Arc::clone(file), *limit))
            }
            Ask::Page(Page { into: Sink::Memory(left), .. }) => {
                (Rc::new(Source::empty()), Reader::up_to(Rc::clone(left)))
            }
            Ask::Delete | Ask::Head => (Rc::new(Source::empty()), Reader::default()),
        };
        let this = Rc::new(Subrequest {
            main,
            sr: Cell::new(ptr::null_mut()),
            answer: RefCell::new(None),
            child: child.clone(),
            feed: Feed::new(main, source)?,
            reader,
            way: if let Ask::Page(page) = ask { Some(page.way) } else { None },
        });
        // nginx's pointers to it are good until the pool goes, whoever else drops it before.
        main.keep_rc(Rc::clone(&this))?;

        let parent = main.as_ptr();
        // SAFETY: the main request is alive while its handler runs. CLONE makes the subrequest
        // start in the content phase of the same location, so that no rewrite or access rule
        // runs twice. What it shares with its parent by the copy of headers_in is replaced.
        unsafe {
            let mut post = pool::zeroed::<ngx_http_post_subrequest_t>(main.pool())?;
            post.as_mut().handler = Some(ended);
            post.as_mut().data = Rc::as_ptr(&this).cast_mut().cast();

            let flags = NGX_HTTP_SUBREQUEST_BACKGROUND
                | NGX_HTTP_SUBREQUEST_IN_MEMORY
                | NGX_HTTP_SUBREQUEST_CLONE;
            let body = pool::zeroed::<ngx_http_request_body_t>(main.pool())?;
            let mut sr = ptr::null_mut();
            let (mut uri, mut args) = ((*parent).uri, (*parent).args);
            if let Ask::Page(page) = ask {
                (uri, args) = (main.copy(&page.uri)?, main.copy(&page.args)?);
            }
            let rc = ngx_http_subrequest(
                parent,
                &mut uri,
                &mut args,
                &mut sr,
                post.as_ptr(),
                flags as ngx_uint_t,
            );
            if rc != NGX_OK as ngx_int_t {
                return Err(OutOfMemory);
            }
            if let Ask::Page(Page { way, .. }) = ask {
                way.enter(sr);
                (*sr).content_handler = Some(run_way);
                // The path is not what the client has sent.
                (*sr).set_valid_unparsed_uri(0);
            }
            let (method, name) = ask.method();
            // Only the name is sent. A cache of this location must neither answer nor keep it, and
            // goes by the number.
            (*sr).method = method.max(NGX_HTTP_PUT) as ngx_uint_t;
            (*sr).method_name = const_str(name);
            (*sr).request_body = body.as_ptr();

            let headers_in = &mut (*sr).headers_in;
            headers_in.headers = headers.list();
            headers_in.content_length = ptr::null_mut();
            headers_in.content_length_n = match ask {
                Ask::Put(source) => source.length() as off_t,
                Ask::Delete | Ask::Head | Ask::Get(_) | Ask::Page(_) => -1,
            };
            headers_in.set_chunked(0);

            if let Some(sr) = Request::from_ptr(sr) {
                sr.set_ctx(Rc::as_ptr(&this));
            }
            this.sr.set(sr);
        }
        Ok(this)
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What became of it, once, when it has ended.
    pub fn answer(&self) -> Option<Answer> {
        self.answer.take()
    }

    /// Waits for its end. Whoever drops this before closes the connection.
    pub async fn ended(self: Rc<Self>) -> Answer {
        struct Guard(Rc<Subrequest>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.abort();
            }
        }

        let guard = Guard(self);
        poll_fn(|_| guard.0.answer().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Content-Length of the request to the child.
    pub fn length(&self) -> u64 {
        self.feed.length()
    }

    fn is_over(&self) -> bool {
        self.sr.get().is_null()
    }

    /// The source has more to send.
    pub fn wake(&self) {
        if let Some(c) = self.upstream_connection() {
            self.feed.wake(c);
        }
    }

    /// While a delivery waits for its own parent, the child must not be timed out for it.
    pub fn rest(&self) {
        if let Some(c) = self.upstream_connection() {
            self.feed.rest(c);
        }
    }

    pub(super) fn upstream(&self) -> Option<NonNull<ngx_http_upstream_t>> {
        // SAFETY: a subrequest that has not ended is alive.
        unsafe { NonNull::new(self.sr.get().as_ref()?.upstream) }
    }

    fn upstream_connection(&self) -> Option<NonNull<ngx_connection_t>> {
        // SAFETY: the upstream of a live subrequest is alive.
        NonNull::new(unsafe { self.upstream()?.as_ref() }.peer.connection)
    }

    /// Closes the connection to the child, which then publishes nothing. No answer comes.
    pub fn abort(&self) {
        let sr = self.sr.replace(ptr::null_mut());
        // SAFETY: a subrequest that has not ended is alive. nginx's own cleanup of an upstream is
        // what it runs when it terminates a request; it counts no failure against the child. A
        // subrequest that has not reached its upstream yet is ended by pass().
        unsafe {
            let Some(u) = sr.as_ref().and_then(|sr| sr.upstream.as_ref()) else { return };
            if let Some(Some(cleanup)) = u.cleanup.as_ref().copied() {
                cleanup(sr.cast());
            }
        }
    }
}

/// Runs a subrequest of [`Subrequest::start`] in the location's next handler, `proxy_pass`; none
/// if `sr` is no such subrequest.
pub fn pass(sr: Request, next: Option<Handler>) -> Option<Status> {
    let subrequest = of(sr)?;
    if subrequest.is_over() {
        return Some(NGX_OK as Status);
    }
    match next {
        Some(next) => Some(next.call(sr)),
        None => Some(NGX_HTTP_INTERNAL_SERVER_ERROR as Status),
    }
}

/// The module's context of a subrequest that start() made.
pub(super) fn of(sr: Request) -> Option<&'static Subrequest> {
    if sr.is_main() {
        return None;
    }
    // SAFETY: only start() sets the context of a subrequest, to something that lives as long as
    // the main request.
    sr.ctx::<Subrequest>().map(|context| unsafe { &*context.as_ptr() })
}

/// The content handler of a subrequest for a page.
unsafe extern "C" fn run_way(sr: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let Some(sr) = (unsafe { Request::from_ptr(sr) }) else { return NGX_ERROR as ngx_int_t };
    let way = of(sr).and_then(|subrequest| subrequest.way);
    pass(sr, way.map(|way| way.handler)).unwrap_or(NGX_HTTP_INTERNAL_SERVER_ERROR as Status)
}

/// nginx's post_subrequest handler. It only records; the main request's handler decides.
unsafe extern "C" fn ended(
    sr: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    // SAFETY: `data` is what start() put there, alive as long as the main request. nginx calls
    // this once, with the subrequest still whole.
    unsafe {
        let this = &*data.cast::<Subrequest>();
        if let Some(task) = task::of(this.main) {
            task::shelter(this.main, task);
        }
        if !this.sr.replace(ptr::null_mut()).is_null() {
            *this.answer.borrow_mut() = Some(answer(&*sr, rc, &this.reader));
            task::post(this.main);
        }
    }
    // Anything else would end the main request, and the other deliveries with it.
    NGX_OK as ngx_int_t
}

/// # Safety
///
/// `sr` is a subrequest that nginx is about to end.
unsafe fn answer(sr: &ngx_http_request_t, rc: ngx_int_t, reader: &Reader) -> Answer {
    // SAFETY: the upstream belongs to the subrequest, in the same pool; so do the header fields of
    // the answer.
    unsafe {
        if let Some(u) = sr.upstream.as_ref() {
            // Without a status line nginx takes what came for HTTP/0.9, with no status number.
            let status = u16::try_from(u.headers_in.status_n).unwrap_or(0);
            // With "proxy_intercept_errors" nginx ends the subrequest with the child's status.
            if status != 0 && (u.header_sent() != 0 || rc == status as ngx_int_t) {
                return Answer {
                    status,
                    from_child: true,
                    early: u.request_body_sent() == 0,
                    whole: is_whole(u, reader),
                    version: value(&u.headers_in.headers, b"filedist-version"),
                    body: reader.take(),
                };
            }
        }
    }
    let status = match u16::try_from(rc) {
        Ok(status) if status >= NGX_HTTP_SPECIAL_RESPONSE as u16 => status,
        _ => NGX_HTTP_BAD_GATEWAY as u16,
    };
    Answer {
        status,
        from_child: false,
        early: false,
        whole: false,
        version: None,
        body: Vec::new(),
    }
}

/// All of a file has arrived. nginx ends a subrequest whose answer broke off as if it had not; and
/// an answer without a length has gone through a filter that may have changed it.
///
/// # Safety
///
/// `u` has had an answer.
unsafe fn is_whole(u: &ngx_http_upstream_t, reader: &Reader) -> bool {
    // SAFETY: the caller vouches for `u`.
    let encoding = unsafe { value(&u.headers_in.headers, b"content-encoding") };
    let announced = u64::try_from(u.headers_in.content_length_n);
    encoding.is_none() && announced.is_ok_and(|length| reader.has_written(length))
}

/// # Safety
///
/// `list` is a list of header fields, or zeroes.
unsafe fn value(list: &ngx_list_t, name: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the caller vouches for the list; a zeroed one has a part without elements.
    let mut headers = unsafe { headers(list) };
    headers
        .find(|header| header.key.as_bytes().eq_ignore_ascii_case(name))
        .map(|header| header.value.as_bytes().to_vec())
}
