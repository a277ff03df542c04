//! PUT: the body goes into a file without a name, and from there to the children while it still
//! arrives; the file gets its name when it is whole, and only then the children get its last
//! byte.

use std::rc::Rc;

use super::{blocking, reply};
use crate::conf::LocConf;
use crate::error::Error;
use crate::fanout::{Change, Fanout};
use crate::nginx::{Ask, Body, Broken, Md5, Piece, Reply, Request, Source};
use crate::receipt::{Line, Outcome, Receipt};
use crate::store::{Published, Target, Temporary};

pub(super) async fn handle(
    r: Request,
    conf: &'static LocConf,
    change: &mut Change,
) -> Result<Reply, Error> {
    let target = check(r, change).await?;
    let zone = conf.zone().ok_or(Error::Internal("no shared memory"))?;
    let digest = Digest::of(&r)?;

    let mut upload = Upload::start(r, conf, change, &target, digest).await?;
    upload.receive().await?;
    let Upload { temporary, written, source, fanout, .. } = upload;

    let version = change.version;
    let publish = blocking(r, move || temporary.publish(&target, version, zone));
    let (published, fanout) = match fanout {
        None => (publish.await?, None),
        Some(mut fanout) => (fanout.during(publish).await?, Some(fanout)),
    };
    let mut fanout = match fanout {
        Some(fanout) => fanout,
        None => Fanout::start(r, conf, change, &Ask::Put(Rc::clone(&source)))?,
    };
    fanout.accepted();
    source.set_ready(written);
    fanout.wake();
    let children = fanout.outcomes().await;

    let (status, outcome) = match published {
        Published::Created => (201, Outcome::Stored(written)),
        Published::Replaced => (200, Outcome::Stored(written)),
        Published::Superseded => (200, Outcome::Superseded),
        Published::Unchanged => (200, Outcome::Unchanged),
    };
    let own = Line { node: change.node.clone(), path: change.path.clone(), outcome };
    Ok(reply(change, status, &Receipt { own, version: Some(version), children }))
}

/// Refuses what is known to fail, before the client sends the body.
async fn check(r: Request, change: &mut Change) -> Result<Target, Error> {
    change.check_loop()?;
    if r.header("content-range").is_some() {
        return Err(Error::ContentRange);
    }
    if r.content_length().is_none() && !r.is_chunked() {
        return Err(Error::LengthRequired);
    }
    let target = Target::of(&r)?;
    let (target, present) =
        blocking(r, move || target.present_version().map(|present| (target, present))).await?;
    change.set_version(&r, present)?;
    Ok(target)
}

/// A body on its way into a file.
struct Upload<'a> {
    r: Request,
    conf: &'static LocConf,
    change: &'a Change,
    body: Body,
    temporary: Temporary,
    written: u64,
    source: Rc<Source>,
    fanout: Option<Fanout>,
    digest: Option<Digest>,
}

impl<'a> Upload<'a> {
    async fn start(
        r: Request,
        conf: &'static LocConf,
        change: &'a Change,
        target: &Target,
        digest: Option<Digest>,
    ) -> Result<Upload<'a>, Error> {
        let directory = target.clone();
        let temporary = blocking(r, move || Temporary::create(&directory)).await?;
        let source = Source::file(temporary.file().clone(), r.content_length().unwrap_or(0));
        Ok(Upload {
            r,
            conf,
            change,
            body: Body::read(r).map_err(broken)?,
            temporary,
            written: 0,
            source: Rc::new(source),
            fanout: None,
            digest,
        })
    }

    async fn receive(&mut self) -> Result<(), Error> {
        while let Some(piece) = self.next().await? {
            self.write(piece).await?;
            let whole = self.body.is_complete() && Some(self.written) == self.r.content_length();
            if self.fanout.is_none() && !whole && !self.r.is_chunked() {
                let ask = Ask::Put(Rc::clone(&self.source));
                self.fanout = Some(Fanout::start(self.r, self.conf, self.change, &ask)?);
            }
            if let Some(fanout) = &self.fanout {
                // The last byte waits until this node has the file.
                self.source.set_ready(self.written.min(self.source.length().saturating_sub(1)));
                fanout.wake();
            }
        }
        if let Some(digest) = self.digest.take() {
            digest.check()?;
        }
        if self.fanout.is_none() {
            // A chunked body has its length now.
            let source = Source::file(self.temporary.file().clone(), self.written);
            self.source = Rc::new(source);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Piece>, Error> {
        let next = self.body.next();
        let piece = match &mut self.fanout {
            Some(fanout) => fanout.during(next).await,
            None => next.await,
        };
        piece.map_err(broken)
    }

    async fn write(&mut self, piece: Piece) -> Result<(), Error> {
        if let Some(digest) = &mut self.digest {
            piece.slices().for_each(|bytes| digest.sum.update(bytes));
        }
        let write = piece.write_to(self.temporary.file(), self.written);
        let written = match &mut self.fanout {
            Some(fanout) => fanout.during(write).await,
            None => write.await,
        };
        let written = match written {
            Ok(written) => written,
            Err(_) => return Err(Error::Internal("the thread pool did not run a job")),
        };
        let path = || crate::nginx::path(&self.change.path);
        self.written += written.map_err(|error| Error::io("pwrite", path())(error))?;
        Ok(())
    }
}

fn broken(Broken(status): Broken) -> Error {
    Error::Body(status)
}

/// Content-MD5 (RFC 1864), where the client sends it.
struct Digest {
    sum: Md5,
    expected: [u8; 16],
}

impl Digest {
    fn of(r: &Request) -> Result<Option<Digest>, Error> {
        let Some(header) = r.header("content-md5") else { return Ok(None) };
        let expected = base64(header.trim_ascii())
            .ok_or(Error::Digest("Content-MD5 is no MD5 sum in base64"))?;
        Ok(Some(Digest { sum: Md5::new(), expected }))
    }

    fn check(self) -> Result<(), Error> {
        match self.sum.finish() == self.expected {
            true => Ok(()),
            false => Err(Error::Digest("the body does not match Content-MD5")),
        }
    }
}

/// 16 bytes from 24 characters of base64 (RFC 4648 section 4).
fn base64(text: &[u8]) -> Option<[u8; 16]> {
    let text = text.strip_suffix(b"==").filter(|text| text.len() == 22)?;
    let mut sum = [0; 16];
    let (mut bits, mut have, mut bytes) = (0u32, 0, sum.iter_mut());
    for &c in text {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        have += 6;
        if have >= 8 {
            have -= 8;
            if let Some(byte) = bytes.next() {
                *byte = (bits >> have) as u8;
            }
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_an_md5_sum() {
        // The sum of nothing.
        let sum = base64(b"1B2M2Y8AsgTpgAmY7PhCfg==").unwrap();
        assert_eq!(sum[..4], [0xd4, 0x1d, 0x8c, 0xd9]);
        assert_eq!(sum[15], 0x7e);
        for bad in [&b""[..], b"1B2M2Y8AsgTpgAmY7PhCfg", b"1B2M2Y8AsgTpgAmY7Ph*fg==", b"=="] {
            assert_eq!(base64(bad), None);
        }
    }
}
