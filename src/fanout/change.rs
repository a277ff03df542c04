//! What is delivered: a path, a version, and the way that the change came.

use core::cell::Cell;

use crate::conf::LocConf;
use crate::counters::NodeCounts;
use crate::error::Error;
use crate::nginx::{Record, Request};
use crate::receipt::Form;

/// What a change does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Store,
    Delete,
}

impl Verb {
    /// As a receipt says it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Verb::Store => "store",
            Verb::Delete => "delete",
        }
    }

    /// As HTTP and the missing log say it.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Verb::Store => "PUT",
            Verb::Delete => "DELETE",
        }
    }
}

/// A PUT or DELETE that this node has taken on.
pub(crate) struct Change {
    pub(crate) verb: Verb,
    /// The request's path.
    pub(crate) path: Vec<u8>,
    /// See [`Change::version`].
    version: Cell<u64>,
    /// See [`Change::length`].
    length: Cell<u64>,
    /// How this node calls itself.
    pub(crate) node: Vec<u8>,
    /// What its delivery needs of the request, see `conf/context.rs`; none where that is too much.
    context: Option<String>,
    /// The way that it came.
    pub(crate) via: Via,
    /// The form of the receipt.
    pub(crate) form: Form,
    /// What is counted of this node.
    pub(crate) counts: Option<&'static NodeCounts>,
    r: Request,
}

impl Change {
    /// The change that a request asks for, still without a version.
    pub(crate) fn of(r: &Request, conf: &LocConf, verb: Verb) -> Change {
        Change {
            verb,
            path: r.uri().to_vec(),
            version: Cell::new(0),
            length: Cell::new(0),
            node: conf.node_name(r),
            context: conf.needs().of(r).ok(),
            via: Via::of(r),
            form: Form::accepted(r.header("accept")),
            counts: conf.site().map(|site| site.counts()),
            r: *r,
        }
    }

    /// A change that this node has had before, for a child that has not.
    pub(crate) fn again(r: &Request, conf: &LocConf, verb: Verb, version: u64) -> Change {
        Change {
            verb,
            path: r.uri().to_vec(),
            version: Cell::new(version),
            length: Cell::new(0),
            node: conf.node_name(r),
            context: None,
            via: Via(None),
            form: Form::Text,
            counts: None,
            r: *r,
        }
    }

    /// Nanoseconds since the epoch. The handler sets it before the change goes anywhere.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    pub(crate) fn set_version(&self, version: u64) {
        self.version.set(version);
    }

    /// Bytes of the file that is stored, once it is.
    pub(crate) fn length(&self) -> u64 {
        self.length.get()
    }

    pub(crate) fn set_length(&self, length: u64) {
        self.length.set(length);
    }

    /// What is kept for its delivery.
    pub(crate) fn context(&self) -> Result<&str, Error> {
        self.context.as_deref().ok_or(Error::ContextTooLong)
    }

    /// Keeps something for the access log.
    pub(crate) fn record(&self, change: impl FnOnce(&mut Record)) {
        self.r.record(change);
    }

    /// Refuses a change that has been here before.
    pub(crate) fn check_loop(&self) -> Result<(), Error> {
        match self.via.names(&self.node) {
            true => Err(self.via.loop_at(&self.node)),
            false => Ok(()),
        }
    }

    /// Filedist-Via for the children.
    pub(super) fn via_here(&self) -> Vec<u8> {
        self.via.then(&self.node)
    }
}

/// The nodes that a request came through (Filedist-Via), none where a client sent it.
#[derive(Debug)]
pub(crate) struct Via(Option<Vec<u8>>);

impl Via {
    pub(crate) fn of(r: &Request) -> Via {
        Via(r.header("filedist-via").map(<[u8]>::to_vec))
    }

    /// A parent sent it.
    pub(crate) fn is_delivery(&self) -> bool {
        self.0.is_some()
    }

    /// It has been at this node before: 508, RFC 5842 section 7.2.
    pub(crate) fn names(&self, node: &[u8]) -> bool {
        let via = self.0.as_deref().unwrap_or_default();
        via.split(|&byte| byte == b',').any(|name| name.trim_ascii() == node)
    }

    /// What is wrong with a request that has.
    pub(crate) fn loop_at(&self, node: &[u8]) -> Error {
        let shown = |name: &[u8]| {
            let plain = |&byte: &u8| if matches!(byte, b' '..=b'~') { byte.into() } else { '?' };
            name.iter().take(200).map(plain).collect()
        };
        Error::Loop(shown(node), shown(self.0.as_deref().unwrap_or_default()))
    }

    /// The value for the next nodes.
    pub(crate) fn then(&self, node: &[u8]) -> Vec<u8> {
        match &self.0 {
            Some(via) => [via, &b", "[..], node].concat(),
            None => node.to_vec(),
        }
    }
}
