//! `ngx_http_filedist_module`: a PUT/DELETE/GET interface to the files of a tree of machines.
//!
//! Where things are:
//!
//! - [`module`]: the tables that nginx loads, and its entries into this crate.
//! - [`conf`]: the directives.
//! - [`handlers`]: GET, PUT and DELETE, a file each. Start reading at `handlers/put.rs`.
//! - [`pages`]: what the module serves about itself.
//! - [`start`]: what nginx's master sees to before workers start.
//! - [`catch_up`]: what children have missed is delivered later.
//! - [`fanout`]: a change on its way to the children.
//! - [`index`]: all files that this node serves, in order.
//! - [`store`]: a change on its way into this node's own files.
//! - [`receipt`], [`missing_log`], [`journal`], [`escape`], [`error`], [`flock`]: plain text in and out,
//!   without nginx.
//! - [`zone`], [`counters`]: what workers share, and count.
//! - [`nginx`]: the fence around all `unsafe` use of nginx.
//!
//! Modules use those further down this list. docs/ tells the life of a request.

mod catch_up;
mod conf;
mod counters;
mod error;
mod escape;
mod fanout;
mod flock;
mod handlers;
mod index;
mod journal;
mod missing_log;
mod module;
#[allow(unsafe_code)]
mod nginx;
mod pages;
mod receipt;
mod start;
mod store;
mod zone;
