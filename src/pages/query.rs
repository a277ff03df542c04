//! What stands behind the question mark.

use crate::escape;

/// `name` and `name=value`, separated by `&`; values are percent-encoded.
pub(super) struct Query<'a>(&'a [u8]);

impl<'a> Query<'a> {
    pub(super) fn new(text: &'a [u8]) -> Query<'a> {
        Query(text)
    }

    /// The name is there, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the first one with this name; empty where it has none, or one that cannot be
    /// decoded.
    pub(super) fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.find(name).map(|value| escape::unpercent(value).unwrap_or_default())
    }

    fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.0.split(|&byte| byte == b'&').find_map(|part| {
            let rest = part.strip_prefix(name.as_bytes())?;
            if rest.is_empty() {
                Some(rest)
            } else {
                rest.strip_prefix(b"=")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole() {
        let query = Query::new(b"treelike&tree=1&a");
        assert!(query.has("tree") && query.has("a"));
        assert!(!query.has("like") && !query.has("tre") && !query.has(""));
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::new(b"compare=%5B::1%5D:80&x=%zz&y");
        assert_eq!(query.value("compare").unwrap(), b"[::1]:80");
        assert_eq!(query.value("x").unwrap(), b"");
        assert_eq!(query.value("y").unwrap(), b"");
        assert_eq!(query.value("z"), None);
    }
}
