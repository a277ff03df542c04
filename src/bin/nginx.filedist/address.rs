//! Addresses: of nodes, and of who may change files.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where a node listens: HOST:PORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Endpoint {
    /// Every address of the machine: good to listen at, but not to be reached at.
    pub(crate) fn is_wildcard(&self) -> bool {
        matches!(&self.host, Host::Address(address) if address.is_unspecified())
    }

    /// How it is reached from the machine itself.
    pub(crate) fn local(&self) -> String {
        if self.is_wildcard() {
            return format!("localhost:{}", self.port);
        }
        self.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err("a node is HOST:PORT: localhost:8080, 10.0.0.1:8080, [::1]:8080".to_owned());
        };
        if text.contains('/') {
            return Err("a node is HOST:PORT, without http:// and without a path".to_owned());
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port.parse() {
            Ok(port) if is_number && port > 0 => port,
            _ => return Err(format!("'{port}' is no port: 1 to 65535")),
        };
        Ok(Endpoint { host: parse_host(host)?, port })
    }
}

fn parse_host(host: &str) -> Result<Host, String> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse().ok());
        let address: Ipv6Addr = address.ok_or_else(|| format!("'{host}' is no IPv6 address"))?;
        return Ok(Host::Address(address.into()));
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets: [::1]:8080".to_owned());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // No top-level domain is a number: 10.0.0.256 is a mistake, and nginx would ask the DNS for it.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if host.len() > 253 || !host.split('.').all(is_label) || is_number {
        return Err(format!("'{host}' is neither a host name nor an address"));
    }
    Ok(Host::Name(host.to_owned()))
}

/// Who is let in: an address, a network, or `all`, as nginx's `allow` takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access(String);

impl Access {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Who is let in where nobody is named: the machine itself.
    pub(crate) fn local() -> Vec<Access> {
        vec![Access("127.0.0.1".to_owned()), Access("::1".to_owned())]
    }
}

impl FromStr for Access {
    type Err = String;

    fn from_str(text: &str) -> Result<Access, String> {
        if text == "all" {
            return Ok(Access(text.to_owned()));
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err("who may change files is an address, a network or 'all', and no host \
                        name: 10.0.0.1, 10.0.0.0/8, fd00::/8"
                .to_owned());
        };
        let Some(length) = length else { return Ok(Access(address.to_string())) };
        let (bits, most) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let Some(length) = length.parse().ok().filter(|&length: &u32| is_number && length <= most)
        else {
            return Err(format!("'/{length}' is no length of a network: /0 to /{most}"));
        };
        // nginx would only warn, and let in more than the address that was meant, perhaps.
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        if bits & !mask != 0 {
            let network = match address {
                IpAddr::V4(_) => Ipv4Addr::from_bits(((bits & mask) >> 96) as u32).to_string(),
                IpAddr::V6(_) => Ipv6Addr::from_bits(bits & mask).to_string(),
            };
            return Err(format!(
                "the address goes on behind the /{length}: is {address} meant, or {network}/{length}?"
            ));
        }
        Ok(Access(format!("{address}/{length}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses<T: FromStr<Err = String> + fmt::Debug>(text: &str, reason: &str) {
        let error = text.parse::<T>().unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }

    #[test]
    fn a_node_is_a_host_and_a_port() {
        for text in [
            "localhost:8080",
            "a-b_c.example:1",
            "10.0.0.1:65535",
            "[::1]:8080",
            "[fd00::12]:80",
            "0.0.0.0:8080",
            "4u.example:80",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("[0::0:1]:0080".parse::<Endpoint>().unwrap().to_string(), "[::1]:80");
    }

    #[test]
    fn refuses_what_is_no_node() {
        refuses::<Endpoint>("", "HOST:PORT");
        refuses::<Endpoint>("8080", "HOST:PORT");
        refuses::<Endpoint>("http://localhost:8080", "without http://");
        refuses::<Endpoint>("localhost:8080/", "without http://");
        for port in ["", "0", "65536", "+80", "http", "80 ", "8٣"] {
            refuses::<Endpoint>(&format!("localhost:{port}"), "is no port");
        }
        refuses::<Endpoint>("::1:8080", "in brackets");
        refuses::<Endpoint>("[::1:8080", "no IPv6 address");
        refuses::<Endpoint>("[fe80::1%eth0]:8080", "no IPv6 address");
        refuses::<Endpoint>("[10.0.0.1]:8080", "no IPv6 address");
        for host in ["", "a..b", "a b", "a;b", "10.0.0.256", "10.1", "ü", "a\n", "$a", "*", ".a"] {
            refuses::<Endpoint>(&format!("{host}:80"), "neither a host name nor an address");
        }
        refuses::<Endpoint>(&format!("{}:80", "a".repeat(64)), "neither");
    }

    #[test]
    fn every_address_is_reached_as_localhost() {
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        assert_eq!(endpoint("[::]:80").local(), "localhost:80");
        assert_eq!(endpoint("0.0.0.0:80").local(), "localhost:80");
        assert_eq!(endpoint("10.0.0.1:80").local(), "10.0.0.1:80");
        assert!(!endpoint("localhost:80").is_wildcard());
    }

    #[test]
    fn lets_in_addresses_and_networks() {
        for text in ["all", "10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Access>().unwrap().as_str(), text);
        }
        assert!("10.0.0.1/32".parse::<Access>().is_ok());
        assert!("::1/128".parse::<Access>().is_ok());
    }

    #[test]
    fn refuses_what_nginx_would_misread_in_allow() {
        for text in ["", "localhost", "10.0.0", "10.0.0.1;", "ALL", "unix:", "10.0.0.1:80"] {
            refuses::<Access>(text, "no host name");
        }
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/255.0.0.0", "::/129"] {
            refuses::<Access>(text, "is no length");
        }
        refuses::<Access>("10.0.0.1/8", "is 10.0.0.1 meant, or 10.0.0.0/8?");
        refuses::<Access>("10.0.0.1/0", "or 0.0.0.0/0?");
        refuses::<Access>("fd00::1/64", "is fd00::1 meant, or fd00::/64?");
    }
}
