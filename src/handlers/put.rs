//! PUT: the body goes into a file, and from there to the children while it still arrives; the
//! file takes its place when it is whole, and only then the children get its last byte.

use core::future::Future;
use std::io;
use std::rc::Rc;

use super::{commit, failure, receipt};
use crate::conf::LocConf;
use crate::error::Error;
use crate::fanout::{Change, Fanout};
use crate::nginx::{Ask, Body, Broken, Piece, Reply, Request, Source, Whole};
use crate::receipt::Outcome;
use crate::store::{self, Commit, Committed, Digest, Published, Target, Temporary, Wanted};

pub(super) async fn handle(
    r: Request,
    conf: &'static LocConf,
    change: &Rc<Change>,
) -> Result<Reply, Error> {
    change.check_loop()?;
    let mut wanted = check(&r)?;
    let is_new = wanted == Wanted::Next;
    let target = Target::of(&r)?;
    let digest = r.header("content-md5").map(Digest::new).transpose()?;
    let small = r.small_body();
    let commit = commit(conf, change)?;
    if small.is_none() || r.expects_continue() {
        // A refusal is known before the client sends the body, and what is here already needs none.
        let (target, tombstones) = (target.clone(), commit.tombstones.clone());
        let present = store::blocking(r, move || target.present(&tombstones)).await?.version();
        let version = wanted.over(present);
        if let Some(present) = present.filter(|&present| present >= version) {
            change.set_version(version);
            let moot = if present > version { Outcome::Superseded } else { Outcome::Unchanged };
            return Ok(receipt(change, 200, moot, None).await);
        }
        wanted = Wanted::Exactly(version);
    }

    let put = Put { r, conf, change, commit, target, wanted };
    let body = Body::read(r).map_err(broken)?;
    let stored = match small {
        Some(length) => put.at_once(body.whole(length).await.map_err(broken)?, digest).await?,
        None => put.cut_through(body, digest).await?,
    };

    let (status, outcome) = match (&stored.unsynced, stored.published) {
        (Some(error), _) => failure(&r, change, error),
        (None, Published::Created) => (201, Outcome::Stored(stored.length)),
        (None, Published::Replaced) => (200, Outcome::Stored(stored.length)),
        (None, Published::Superseded) => (200, Outcome::Superseded),
        // Another upload that went on at the same time.
        (None, Published::Unchanged) if is_new => (200, Outcome::Superseded),
        (None, Published::Unchanged) => (200, Outcome::Unchanged),
    };
    Ok(receipt(change, status, outcome, stored.fanout).await)
}

/// Refuses what the request's head alone forbids.
fn check(r: &Request) -> Result<Wanted, Error> {
    if r.header("content-range").is_some() {
        return Err(Error::ContentRange);
    }
    // In HTTP/2 the end of the stream is the end of the body, which may be at once.
    if r.content_length().is_none() && !r.is_chunked() && !r.is_stream() {
        return Err(Error::LengthRequired);
    }
    Wanted::of_header(r.header("filedist-version"))
}

/// A PUT that may go ahead.
struct Put<'a> {
    r: Request,
    conf: &'static LocConf,
    change: &'a Rc<Change>,
    commit: Commit,
    target: Target,
    wanted: Wanted,
}

/// This node has the file, and the children are getting it, if it was not here before.
struct Stored {
    published: Published,
    length: u64,
    /// Why it may not be on the disk.
    unsynced: Option<Error>,
    fanout: Option<Fanout>,
}

impl Put<'_> {
    /// The whole body is in memory.
    async fn at_once(self, body: Whole, digest: Option<Digest>) -> Result<Stored, Error> {
        if let Some(mut digest) = digest {
            digest.update(body.bytes());
            digest.check()?;
        }
        let Put { r, conf, change, commit, target, wanted } = self;
        target.check_symlinks(&r)?;
        let put = move |bytes: &[u8]| store::put(&target, bytes, wanted, commit);
        let committed = body.offload(put).await.unwrap_or(Err(store::NOT_RUN))?;
        change.set_version(committed.version);
        Ok(deliver(r, conf, change, committed, body.source()))
    }

    /// The body arrives piece by piece.
    async fn cut_through(
        mut self,
        mut body: Body,
        mut digest: Option<Digest>,
    ) -> Result<Stored, Error> {
        let r = self.r;
        let target = self.target.clone();
        let temporary = store::blocking(r, move || Temporary::create(&target)).await?;
        let mut upload = Upload { source: None, fanout: None, written: 0 };
        while let Some(piece) = upload.during(body.next()).await.map_err(broken)? {
            if let Some(digest) = &mut digest {
                piece.slices().for_each(|bytes| digest.update(bytes));
            }
            let written = upload.write(&temporary, piece).await?;
            upload.written += written.map_err(Error::io("pwrite", &self.target.path))?;
            self.pass_on(&mut upload, &temporary);
        }
        if r.content_length().is_some_and(|length| length != upload.written) {
            return Err(Error::Body(400));
        }
        if let Some(digest) = digest {
            digest.check()?;
        }

        let file = temporary.file().clone();
        let Put { r, conf, change, commit, target, wanted } = self;
        target.check_symlinks(&r)?;
        let publish = store::blocking(r, move || temporary.publish(&target, wanted, commit));
        let committed = upload.during(publish).await?;
        change.set_version(committed.version);
        let (length, published) = (upload.written, committed.what);
        match (upload.fanout, upload.source) {
            // Another change was faster: the children get that one.
            _ if !published.is_change() => {
                Ok(Stored { published, length, unsynced: None, fanout: None })
            }
            (Some(mut fanout), Some(source)) => {
                source.set_ready(length);
                change.set_length(length);
                fanout.accepted(committed.intent);
                fanout.wake();
                let unsynced = committed.unsynced;
                Ok(Stored { published, length, unsynced, fanout: Some(fanout) })
            }
            _ => Ok(deliver(r, conf, change, committed, Source::file(file, length))),
        }
    }

    /// Lets the children have what is written so far. A body without a length is delivered when
    /// it has one.
    fn pass_on(&mut self, upload: &mut Upload, temporary: &Temporary) {
        if self.conf.acks_locally() {
            return;
        }
        let Some(length) = self.r.content_length() else { return };
        let source = upload
            .source
            .get_or_insert_with(|| Rc::new(Source::file(temporary.file().clone(), length)));
        // The last byte waits until this node has the file.
        source.set_ready(upload.written.min(length.saturating_sub(1)));
        match &upload.fanout {
            Some(fanout) => fanout.wake(),
            None => {
                let version = self.wanted.over(None);
                self.wanted = Wanted::Exactly(version);
                self.change.set_version(version);
                let ask = Ask::Put(Rc::clone(source));
                upload.fanout = Some(Fanout::start(self.r, self.conf, self.change, &ask));
            }
        }
    }
}

/// Starts the deliveries of a file that this node has, if it is news.
fn deliver(
    r: Request,
    conf: &LocConf,
    change: &Rc<Change>,
    committed: Committed<Published>,
    source: Source,
) -> Stored {
    let length = source.length();
    change.set_length(length);
    let fanout = committed.what.is_change().then(|| {
        source.set_ready(length);
        let mut fanout = Fanout::start(r, conf, change, &Ask::Put(Rc::new(source)));
        fanout.accepted(committed.intent);
        fanout
    });
    Stored { published: committed.what, length, unsynced: committed.unsynced, fanout }
}

/// How far a body has come that arrives piece by piece.
struct Upload {
    /// What the deliveries send, once there are some.
    source: Option<Rc<Source>>,
    fanout: Option<Fanout>,
    written: u64,
}

impl Upload {
    async fn during<F: Future>(&mut self, other: F) -> F::Output {
        match &mut self.fanout {
            Some(fanout) => fanout.during(other).await,
            None => other.await,
        }
    }

    async fn write(&mut self, to: &Temporary, piece: Piece) -> Result<io::Result<u64>, Error> {
        let write = to.write_at(self.written);
        self.during(piece.offload(write)).await.map_err(|_| store::NOT_RUN)
    }
}

fn broken(Broken(status): Broken) -> Error {
    Error::Body(status)
}
