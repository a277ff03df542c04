//! Paths: of files on the machine, and of URLs.

use std::path::{Component, Path};
use std::str::FromStr;

/// A path that does not depend on where nginx is started, without `..`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AbsolutePath(String);

/// A path that is used as it is.
#[derive(Clone, Debug)]
pub(crate) struct AnyPath(String);

/// Begin of the paths of URLs: between two slashes, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(String);

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct KeyPair {
    pub(crate) certificate: AbsolutePath,
    pub(crate) key: AbsolutePath,
}

impl AbsolutePath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// This is `other`, or lies below it.
    pub(crate) fn is_in(&self, other: &AbsolutePath) -> bool {
        Path::new(&self.0).starts_with(&other.0)
    }

    /// The directory below it that answers to URLs with this prefix.
    pub(crate) fn below(&self, prefix: &Prefix) -> AbsolutePath {
        AbsolutePath(normal(&format!("{}{}", self.0, prefix.0)))
    }

    /// A neighbour: the same path with something appended to its name.
    pub(crate) fn with(&self, suffix: &str) -> AbsolutePath {
        AbsolutePath(format!("{}{suffix}", self.0))
    }
}

impl AnyPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Nothing that would end a line of nginx.conf, or a terminal's patience.
fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("the path has a control character".to_owned());
    }
    Ok(())
}

fn absolute(text: &str) -> Result<(), String> {
    plain(text)?;
    if !text.starts_with('/') {
        return Err("the path has to begin with a slash".to_owned());
    }
    if text.contains('$') {
        return Err("nginx would take what follows '$' for a variable".to_owned());
    }
    if text.split('/').any(|name| name == "..") {
        return Err("the path has '..' in it".to_owned());
    }
    Ok(())
}

/// Without `.`, repeated slashes, and the slash at the end.
fn normal(text: &str) -> String {
    let names = Path::new(text).components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    format!("/{}", names.collect::<Vec<_>>().join("/"))
}

impl FromStr for AbsolutePath {
    type Err = String;

    fn from_str(text: &str) -> Result<AbsolutePath, String> {
        absolute(text)?;
        Ok(AbsolutePath(normal(text)))
    }
}

impl FromStr for AnyPath {
    type Err = String;

    fn from_str(text: &str) -> Result<AnyPath, String> {
        plain(text)?;
        Ok(AnyPath(text.to_owned()))
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        absolute(text)?;
        let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        let bytes = text.as_bytes();
        if (0..bytes.len()).any(|at| {
            bytes.get(at) == Some(&b'%') && is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2))
        }) {
            return Err("the path is percent-encoded: write it as it is on the disk".to_owned());
        }
        let path = match normal(text) {
            path if path == "/" => path,
            path => path + "/",
        };
        for page in ["/__missing__/", "/__index__/", "/__status__/"] {
            if path.starts_with(page) {
                return Err(format!("{page} is a page of nginx.filedist's own"));
            }
        }
        if path.contains("/.filedist.") {
            return Err("names that begin with '.filedist.' are the module's own".to_owned());
        }
        Ok(Prefix(path))
    }
}

impl FromStr for KeyPair {
    type Err = String;

    fn from_str(text: &str) -> Result<KeyPair, String> {
        match text.split(',').collect::<Vec<_>>()[..] {
            [certificate, key] => {
                Ok(KeyPair { certificate: certificate.parse()?, key: key.parse()? })
            }
            _ => Err("two files are needed, with a comma between them: CERT,KEY".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses<T: FromStr<Err = String> + std::fmt::Debug>(text: &str, reason: &str) {
        let error = text.parse::<T>().unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }

    fn path(text: &str) -> AbsolutePath {
        text.parse().unwrap()
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn paths_lose_what_does_not_matter() {
        assert_eq!(path("//srv/./files//").as_str(), "/srv/files");
        assert_eq!(path("/").as_str(), "/");
        assert_eq!(path("/srv/a b;{}\"'\\#ü").as_str(), "/srv/a b;{}\"'\\#ü");
    }

    #[test]
    fn refuses_paths_that_nginx_would_misread() {
        refuses::<AbsolutePath>("", "is empty");
        refuses::<AbsolutePath>("srv/files", "begin with a slash");
        refuses::<AbsolutePath>("/srv/../etc", "'..'");
        refuses::<AbsolutePath>("/srv/$host", "variable");
        refuses::<AbsolutePath>("/srv/a\nb", "control character");
        refuses::<AbsolutePath>("/srv/\u{7f}", "control character");
        refuses::<AnyPath>("", "is empty");
        refuses::<AnyPath>("a\tb", "control character");
        assert!("modules/x.so".parse::<AnyPath>().is_ok());
    }

    #[test]
    fn a_prefix_ends_with_a_slash() {
        assert_eq!(prefix("/").as_str(), "/");
        assert_eq!(prefix("/export/var").as_str(), "/export/var/");
        assert_eq!(prefix("//export//var//").as_str(), "/export/var/");
        assert_eq!(prefix("/100%/a b").as_str(), "/100%/a b/");
    }

    #[test]
    fn refuses_a_prefix_that_would_match_nothing() {
        refuses::<Prefix>("export", "begin with a slash");
        refuses::<Prefix>("/a/..", "'..'");
        refuses::<Prefix>("/a%20b", "percent-encoded");
        refuses::<Prefix>("/__missing__", "own");
        refuses::<Prefix>("/__index__/a", "own");
        refuses::<Prefix>("/__status__/", "own");
        refuses::<Prefix>("/a/.filedist.x/", "own");
        assert!("/__missing".parse::<Prefix>().is_ok());
    }

    #[test]
    fn knows_what_lies_in_what() {
        assert!(path("/srv/files").is_in(&path("/srv/files")));
        assert!(path("/srv/files/a").is_in(&path("/srv/files")));
        assert!(!path("/srv/files.filedist").is_in(&path("/srv/files")));
        assert!(path("/srv").is_in(&path("/")));
        assert_eq!(path("/srv").below(&prefix("/a/b")), path("/srv/a/b"));
        assert_eq!(path("/").below(&prefix("/a")), path("/a"));
        assert_eq!(path("/srv/files").with(".filedist"), path("/srv/files.filedist"));
    }

    #[test]
    fn a_key_pair_is_two_files() {
        let pair: KeyPair = "/etc/a.crt,/etc/a.key".parse().unwrap();
        assert_eq!((pair.certificate.as_str(), pair.key.as_str()), ("/etc/a.crt", "/etc/a.key"));
        refuses::<KeyPair>("/etc/a.pem", "two files");
        refuses::<KeyPair>("/a,/b,/c", "two files");
        refuses::<KeyPair>("/a,b", "begin with a slash");
        refuses::<KeyPair>("/a,", "is empty");
    }
}
