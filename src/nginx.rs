//! The fence: everything that touches nginx's memory. Outside of it no `unsafe` is needed to
//! read a request, to write an answer, to start a delivery.
//!
//! nginx runs a worker's events in one thread. A handle ([`Request`], [`Subrequest`]) is used by
//! the handler that it was given to, which nginx drops with the request; no handle is kept
//! longer, and none goes to another thread.

pub(crate) mod abi;
mod alarm;
mod answer;
mod body;
pub(crate) mod conf;
pub(crate) mod detached;
mod dir;
mod feed;
mod handler;
mod header_list;
pub(crate) mod log;
mod os;
mod pool;
mod reply;
mod request;
mod stream;
mod subrequest;
#[cfg_attr(not(ngx_threads), allow(dead_code))]
mod task;
#[cfg_attr(not(ngx_threads), allow(dead_code, unused_imports))]
mod thread;
pub(crate) mod upstream;
pub(crate) mod variables;
pub(crate) mod worker;

mod headers {
    //! What bindgen made of abi.h (build.rs).
    #![allow(dead_code, non_camel_case_types, non_upper_case_globals, non_snake_case)]
    #![allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
    include!(concat!(env!("OUT_DIR"), "/headers.rs"));
}

pub(crate) use alarm::Alarm;
pub(crate) use body::{Body, Broken, Piece, Whole};
pub(crate) use dir::Dir;
pub(crate) use feed::Source;
pub(crate) use handler::{ComplexValue, Handler};
pub(crate) use header_list::Headers;
pub(crate) use log::Level;
pub(crate) use os::{
    can_link, decode_base64, link, path, pid, symlinks_allow, unnamed_file, utc, version, Md5,
};
pub(crate) use pool::{boxed, OutOfMemory};
pub(crate) use reply::{Ending, Reply};
pub(crate) use request::{LocationConf, Method, Request, Status, DECLINED};
pub(crate) use stream::{Gone, Stream};
pub(crate) use subrequest::{pass, Answer, Ask, Page, Sink, Subrequest, Way};
pub(crate) use task::run;
pub(crate) use thread::{offload, offload_idle};
pub(crate) use upstream::{Child, Upstream};
pub(crate) use variables::{Record, Variable};
