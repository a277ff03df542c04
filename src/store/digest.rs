//! Content-MD5 (RFC 1864): the client's own check that its upload has arrived whole.

use crate::error::Error;
use crate::nginx::{decode_base64, Md5};

pub(crate) struct Digest {
    sum: Md5,
    expected: Vec<u8>,
}

impl Digest {
    /// The digest that a header announces.
    pub(crate) fn new(header: &[u8]) -> Result<Digest, Error> {
        let text = header.trim_ascii();
        // nginx's decoder stops at the padding, wherever it is.
        let expected = decode_base64(text)
            .filter(|sum| sum.len() == 16 && text.len() == 24 && text.ends_with(b"=="))
            .ok_or(Error::Digest("Content-MD5 is no MD5 sum in base64"))?;
        Ok(Digest { sum: Md5::new(), expected })
    }

    /// Adds bytes of the body.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
    }

    /// Compares, at the end of the body.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.sum.finish() == self.expected[..] {
            true => Ok(()),
            false => Err(Error::Digest("the body does not match Content-MD5")),
        }
    }
}
