//! PUT: the body goes into a file, and from there to the children while it still arrives; the
//! file takes its place when it is whole, and only then the children get its last byte.

use core::future::Future;
use std::rc::Rc;

use super::{blocking, receipt, NOT_RUN};
use crate::conf::LocConf;
use crate::error::Error;
use crate::fanout::{Change, Fanout};
use crate::nginx::{Ask, Body, Broken, Piece, Reply, Request, Source, Whole};
use crate::receipt::Outcome;
use crate::store::{self, Digest, Published, Target, Temporary, Wanted};
use crate::zone::Zone;

pub(super) async fn handle(
    r: Request,
    conf: &'static LocConf,
    change: &Rc<Change>,
) -> Result<Reply, Error> {
    change.check_loop()?;
    let mut wanted = check(&r)?;
    let target = Target::of(&r)?;
    let digest = r.header("content-md5").map(Digest::new).transpose()?;
    let small = r.small_body();
    if small.is_none() || r.expects_continue() {
        // A refusal is known before the client sends the body.
        let target = target.clone();
        let present = blocking(r, move || target.present_version()).await?;
        wanted = Wanted::Exactly(wanted.over(present));
    }

    let zone = conf.zone().ok_or(Error::Internal("no shared memory"))?;
    let put = Put { r, conf, change, zone, target, wanted };
    let body = Body::read(r).map_err(broken)?;
    let stored = match small {
        Some(length) => put.at_once(body.whole(length).await.map_err(broken)?, digest).await?,
        None => put.cut_through(body, digest).await?,
    };

    let (status, outcome) = match stored.published {
        Published::Created => (201, Outcome::Stored(stored.length)),
        Published::Replaced => (200, Outcome::Stored(stored.length)),
        Published::Superseded => (200, Outcome::Superseded),
        Published::Unchanged => (200, Outcome::Unchanged),
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
    zone: Zone,
    target: Target,
    wanted: Wanted,
}

/// This node has the file, and the children are getting it.
struct Stored {
    published: Published,
    length: u64,
    fanout: Fanout,
}

impl Put<'_> {
    /// The whole body is in memory.
    async fn at_once(self, body: Whole, digest: Option<Digest>) -> Result<Stored, Error> {
        if let Some(mut digest) = digest {
            digest.update(body.bytes());
            digest.check()?;
        }
        let Put { r, conf, change, zone, target, wanted } = self;
        target.check_symlinks(&r)?;
        let put = move |bytes: &[u8]| store::put(&target, bytes, wanted, zone);
        let (published, version) = body.offload(put).await.unwrap_or(Err(NOT_RUN))?;
        change.set_version(version);
        Ok(deliver(r, conf, change, published, body.source()))
    }

    /// The body arrives piece by piece.
    async fn cut_through(
        mut self,
        mut body: Body,
        mut digest: Option<Digest>,
    ) -> Result<Stored, Error> {
        let Put { r, conf, .. } = self;
        let target = self.target.clone();
        let temporary = blocking(r, move || Temporary::create(&target)).await?;
        let mut upload = Upload { source: None, fanout: None, written: 0 };
        while let Some(piece) = upload.during(body.next()).await.map_err(broken)? {
            if let Some(digest) = &mut digest {
                piece.slices().for_each(|bytes| digest.update(bytes));
            }
            upload.write(&temporary, piece).await?;
            self.pass_on(&mut upload, &temporary);
        }
        if r.content_length().is_some_and(|length| length != upload.written) {
            return Err(Error::Body(400));
        }
        if let Some(digest) = digest {
            digest.check()?;
        }

        let file = temporary.file().clone();
        let (target, wanted, zone) = (self.target, self.wanted, self.zone);
        target.check_symlinks(&r)?;
        let publish = blocking(r, move || temporary.publish(&target, wanted, zone));
        let (published, version) = upload.during(publish).await?;
        self.change.set_version(version);
        match (upload.fanout, upload.source) {
            (Some(mut fanout), Some(source)) => {
                source.set_ready(upload.written);
                fanout.accepted();
                fanout.wake();
                Ok(Stored { published, length: upload.written, fanout })
            }
            _ => {
                let source = Source::file(file, upload.written);
                Ok(deliver(r, conf, self.change, published, source))
            }
        }
    }

    /// Lets the children have what is written so far. A body without a length is delivered when
    /// it has one.
    fn pass_on(&mut self, upload: &mut Upload, temporary: &Temporary) {
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

/// Starts the deliveries of a file that this node has.
fn deliver(
    r: Request,
    conf: &LocConf,
    change: &Rc<Change>,
    published: Published,
    source: Source,
) -> Stored {
    let length = source.length();
    source.set_ready(length);
    let mut fanout = Fanout::start(r, conf, change, &Ask::Put(Rc::new(source)));
    fanout.accepted();
    Stored { published, length, fanout }
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

    async fn write(&mut self, temporary: &Temporary, piece: Piece) -> Result<(), Error> {
        let write = temporary.write_at(self.written);
        self.written += self.during(piece.offload(write)).await.unwrap_or(Err(NOT_RUN))?;
        Ok(())
    }
}

fn broken(Broken(status): Broken) -> Error {
    Error::Body(status)
}
