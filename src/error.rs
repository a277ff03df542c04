//! Why a request is refused: what its client is told, and what the error log says.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A PUT or DELETE that this node does not carry out. Nothing was changed, but for [`Error::Unsynced`].
#[derive(Debug)]
pub(crate) enum Error {
    /// PUT where a directory is, or to a path that ends with a slash.
    IsDirectory,
    /// PUT or DELETE of a socket, a pipe or a device.
    IsSpecial,
    /// PUT to a path that goes through a file.
    BelowFile,
    /// DELETE of a directory that has something in it.
    NotEmpty,
    /// DELETE of the root itself.
    IsRoot,
    /// A name that the module keeps for itself.
    ReservedName,
    /// A name of more than 255 bytes.
    NameTooLong,
    /// `..` in the path that the configuration makes of the request's.
    OutsideRoot,
    /// `disable_symlinks` forbids the path.
    Symlink,
    /// The values that deliveries need of the request's header are too long to be kept.
    ContextTooLong,
    /// PUT without Content-Length and not chunked.
    LengthRequired,
    /// PUT of a part of a file.
    ContentRange,
    /// DELETE with a body.
    UnexpectedBody,
    /// Filedist-Version is no number of nanoseconds, or lies in the future.
    Version(&'static str),
    /// Content-MD5 is no MD5 sum, or not that of the body.
    Digest(&'static str),
    /// Filedist-Via (the second one) names this node.
    Loop(String, String),
    /// The body ended early, was too large, or took too long: nginx's status.
    Body(u16),
    /// A system call failed.
    Io { call: &'static str, path: PathBuf, source: io::Error },
    /// The change is made; what was to bring it to the disk has failed.
    Unsynced(Box<Error>),
    /// No memory, or a job that the thread pool did not run.
    Internal(&'static str),
}

/// How much a failure matters to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The client's doing.
    Info,
    /// This machine's.
    Error,
}

impl Error {
    /// A failed system call on `path`.
    pub(crate) fn io(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { call, path, source }
    }

    /// The status of the answer (RFC 9110 section 15; 507: RFC 4918, 508: RFC 5842).
    pub(crate) fn status(&self) -> u16 {
        match self {
            Error::IsDirectory
            | Error::IsSpecial
            | Error::BelowFile
            | Error::NotEmpty
            | Error::IsRoot => 409,
            Error::ReservedName | Error::Symlink => 403,
            Error::NameTooLong | Error::OutsideRoot | Error::Version(_) | Error::Digest(_) => 400,
            Error::ContextTooLong => 431,
            Error::LengthRequired => 411,
            Error::ContentRange => 501,
            Error::UnexpectedBody => 415,
            Error::Loop(..) => 508,
            Error::Body(status) => *status,
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::EDQUOT) => 507,
                Some(libc::EFBIG) => 413,
                Some(libc::EACCES | libc::EPERM | libc::EROFS | libc::ELOOP | libc::EMLINK) => 403,
                Some(libc::ENAMETOOLONG) => 400,
                Some(libc::ENOTDIR | libc::EISDIR) => 409,
                _ => 500,
            },
            // Whatever failed, the client was not refused.
            Error::Unsynced(error) if error.status() == 507 => 507,
            Error::Unsynced(_) | Error::Internal(_) => 500,
        }
    }

    /// The level of its line in the error log.
    pub(crate) fn severity(&self) -> Severity {
        match self {
            Error::Io { .. } if !matches!(self.status(), 400 | 409) => Severity::Error,
            Error::Unsynced(_) | Error::Internal(_) | Error::Loop(..) => Severity::Error,
            _ => Severity::Info,
        }
    }

    /// What the client is told: no path of this machine.
    pub(crate) fn reason(&self) -> String {
        match self {
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::EDQUOT) => "no space left on this node".into(),
                Some(libc::ENAMETOOLONG) => Error::NameTooLong.to_string(),
                Some(libc::ENOTDIR) => Error::BelowFile.to_string(),
                Some(libc::EISDIR) => Error::IsDirectory.to_string(),
                Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
                    "this node may not write there".into()
                }
                _ => "see this node's error log".into(),
            },
            Error::Unsynced(_) => {
                "the change is made, but may not outlast a crash: see this node's error log".into()
            }
            Error::Internal(_) => "see this node's error log".into(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Error::IsDirectory => "a directory is there",
            Error::IsSpecial => "a socket, a pipe or a device is there",
            Error::BelowFile => "a part of the path is a file",
            Error::NotEmpty => "the directory is not empty",
            Error::IsRoot => "the root itself stays",
            Error::ReservedName => "names that begin with \".filedist.\" are reserved",
            Error::NameTooLong => "the name is too long",
            Error::OutsideRoot => "the path leads out of the root",
            Error::Symlink => "a symbolic link is in the way",
            Error::ContextTooLong => {
                "header fields that are passed on to the children are too long to be kept (4096 bytes)"
            }
            Error::LengthRequired => "send Content-Length, or a chunked body",
            Error::ContentRange => "PUT takes whole files, no ranges",
            Error::UnexpectedBody => "DELETE takes no body",
            Error::Version(text) | Error::Digest(text) | Error::Internal(text) => text,
            Error::Loop(node, via) => {
                return write!(
                    f,
                    "\"{node}\" is in Filedist-Via \"{via}\" already: two nodes have this \
                     filedist_name, or the children form a loop"
                );
            }
            Error::Body(408) => "the body took too long",
            Error::Body(413) => "the body is too large",
            Error::Body(_) => "the body ended early or is malformed",
            Error::Unsynced(error) => {
                return write!(
                    f,
                    "{error}; the change is made all the same, and goes to the children"
                );
            }
            Error::Io { call, path, source } => {
                // nginx's form: open() "/a" failed (28: No space left on device)
                let number = source.raw_os_error().unwrap_or(0);
                let text = source.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                return write!(f, "{call}() \"{}\" failed ({number}: {text})", path.display());
            }
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(errno: i32) -> Error {
        Error::io("open", Path::new("/srv/a"))(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_full_disk_is_507_and_an_error() {
        assert_eq!(failed(libc::ENOSPC).status(), 507);
        assert_eq!(failed(libc::ENOSPC).severity(), Severity::Error);
    }

    #[test]
    fn the_log_line_has_the_form_of_nginx() {
        assert_eq!(
            failed(libc::ENOSPC).to_string(),
            "open() \"/srv/a\" failed (28: No space left on device)"
        );
    }

    #[test]
    fn what_fails_after_the_change_is_no_refusal() {
        for (errno, status) in [(libc::EACCES, 500), (libc::ENOTDIR, 500), (libc::ENOSPC, 507)] {
            let error = Error::Unsynced(Box::new(failed(errno)));
            assert_eq!((error.status(), error.severity()), (status, Severity::Error));
            assert!(error.to_string().starts_with(&failed(errno).to_string()));
            assert!(!error.reason().contains("/srv"));
        }
    }

    #[test]
    fn the_client_learns_no_path() {
        for errno in [libc::ENOSPC, libc::EACCES, libc::EIO, libc::ENOTDIR] {
            assert!(!failed(errno).reason().contains("/srv"), "{}", failed(errno).reason());
        }
    }
}
