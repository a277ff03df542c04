//! What a delivery needs of the client's request and a request of the worker's own cannot know: the
//! values of variables, and the location. It is kept with the intent and the entry of a missing log.

use crate::error::Error;
use crate::escape;
use crate::nginx::{Request, Variable};

/// The most bytes of it.
const MOST: usize = 4096;

/// Variables that a request of the worker's own has values of its own for, or that say nothing of who
/// has sent what.
const OWN: [&[u8]; 38] = [
    b"args",
    b"body_bytes_sent",
    b"bytes_sent",
    b"connection",
    b"connection_requests",
    b"connection_time",
    b"connections_active",
    b"content_length",
    b"content_type",
    b"document_root",
    b"document_uri",
    b"hostname",
    b"https",
    b"is_args",
    b"limit_rate",
    b"msec",
    b"nginx_version",
    b"pid",
    b"pipe",
    b"proxy_add_x_forwarded_for",
    b"proxy_host",
    b"proxy_port",
    b"query_string",
    b"realpath_root",
    b"request",
    b"request_body",
    b"request_body_file",
    b"request_completion",
    b"request_filename",
    b"request_id",
    b"request_length",
    b"request_method",
    b"request_time",
    b"request_uri",
    b"server_name",
    b"status",
    b"time_iso8601",
    b"time_local",
];
const OWN_PREFIXES: [&[u8]; 5] = [b"filedist_", b"sent_", b"tcpinfo_", b"upstream_", b"uri"];

/// Credentials of the client: missing logs are for many to read.
const CREDENTIALS: [&[u8]; 3] =
    [b"http_authorization", b"http_proxy_authorization", b"http_cookie"];
const COOKIE: &[u8] = b"cookie_";

/// Whether the variable has a password, or what stands for one.
pub(super) fn is_credential(name: &[u8]) -> bool {
    CREDENTIALS.contains(&name) || name.starts_with(COOKIE)
}

/// The names of variables in a text of the configuration, but for those that need not be kept.
pub(super) fn names(text: &[u8]) -> Vec<&[u8]> {
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut names = Vec::new();
    for part in text.split(|&byte| byte == b'$').skip(1) {
        let part = part.strip_prefix(b"{").unwrap_or(part);
        let length = part.iter().take_while(|byte| of_name(byte)).count();
        let name = part.get(..length).unwrap_or_default();
        // "$1" is of the location's regular expression, which the path is matched with anew.
        let is_capture = name.first().is_none_or(u8::is_ascii_digit);
        let is_own = OWN.contains(&name) || OWN_PREFIXES.iter().any(|it| name.starts_with(it));
        if !is_capture && !is_own && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What a location needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Of `root` and `alias`: without them nobody knows which file it is.
    pub(super) root: Vec<Variable>,
    /// Of `proxy_set_header` and `filedist_name`, but for credentials.
    pub(super) rest: Vec<Variable>,
}

impl Needs {
    /// What is to be kept of a client's request: `$NAME=VALUE` for each variable and `@LOCATION`, where
    /// nginx would not find it by the path; percent-encoded, with spaces between. Empty, as a rule.
    pub(crate) fn of(&self, r: &Request) -> Result<String, Error> {
        let mut text = String::new();
        if r.has_other_location() {
            text += &format!("@{}", escape::percent(r.location()));
        }
        for variable in self.root.iter().chain(&self.rest) {
            let space = if text.is_empty() { "" } else { " " };
            let name = String::from_utf8_lossy(&variable.name);
            text += &format!("{space}${name}={}", escape::percent(variable.value(r)));
        }
        match text.len() <= MOST {
            true => Ok(text),
            false => Err(Error::ContextTooLong),
        }
    }

    /// Gives a request of the worker's own what was kept. Says why it is not enough.
    pub(crate) fn restore(&self, r: &Request, context: &str) -> Result<(), String> {
        for variable in self.root.iter().chain(&self.rest) {
            let name = String::from_utf8_lossy(&variable.name);
            let mut kept =
                context.split(' ').filter_map(|it| it.strip_prefix('$')?.split_once('='));
            let value = kept.find(|(kept, _)| *kept == name);
            let value = value.and_then(|(_, value)| escape::unpercent(value.as_bytes()));
            match value {
                Some(value) if variable.set(r, &value) => {}
                Some(_) => return Err("no memory".into()),
                None if self.root.contains(variable) => {
                    return Err(format!(
                        "it does not say what ${name} was, which is in \"root\" or \"alias\": \
                         deliver the file by hand, and drop the entry"
                    ));
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// The location that was kept.
pub(crate) fn location(context: &str) -> Option<Vec<u8>> {
    let name = context.split(' ').find_map(|it| it.strip_prefix('@'))?;
    escape::unpercent(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_a_text() {
        let names = |text: &str| -> Vec<String> {
            names(text.as_bytes()).iter().map(|name| String::from_utf8_lossy(name).into()).collect()
        };
        assert_eq!(names("/srv/files"), [""; 0]);
        assert_eq!(names("/srv/$host/${user}x$host/$1"), ["host", "user"]);
        assert_eq!(names("$proxy_host$uri $upstream_addr $http_x-$"), ["http_x"]);
    }

    #[test]
    fn a_location_is_read_back() {
        assert_eq!(location("@/in%20a/ $host=x"), Some(b"/in a/".to_vec()));
        assert_eq!(location("$host=@x"), None);
        assert_eq!(location(""), None);
    }
}
