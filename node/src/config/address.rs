//! Network addresses as Go writes them: `:5000`, `localhost:5000`, `[::1]:5000`.
//!
//! Names are not resolved here; that is left to the moment of binding or connecting.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::vec;

use crate::limits::HOST_NAME_BYTES_MAX;

/// A host and a port. It can be bound or connected to as it is ([`ToSocketAddrs`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host without brackets; `None` for every address of the machine.
    ///
    /// Invariant: a name of letters, digits, `-`, `.` and `_`, or an IP address.
    host: Option<String>,
    port: u16,
}

impl Address {
    /// Every address of the machine, at one port.
    pub(super) fn every(port: u16) -> Self {
        Self { host: None, port }
    }

    /// This machine only, at one port.
    pub(crate) fn loopback(port: u16) -> Self {
        let host = Some(Ipv4Addr::LOCALHOST.to_string());
        Self { host, port }
    }

    /// Whether nobody from another machine can connect. A name is not looked up: `localhost` is
    /// the only one that is trusted to be this machine.
    pub fn is_loopback(&self) -> bool {
        self.host.as_deref().is_some_and(|host| {
            let address = host.parse::<IpAddr>();
            host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
        })
    }

    /// Reads an address, or `None` if it has no port or its host cannot be one.
    ///
    /// A service name in place of the port, which Go would look up, is refused.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = port.parse().ok()?;
        if host.is_empty() {
            return Some(Self::every(port));
        }
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| is_ipv6(host))?,
            None => Some(host).filter(|host| is_name(host))?,
        };
        Some(Self {
            host: Some(host.to_owned()),
            port,
        })
    }

    /// The host without brackets; `None` for every address of the machine.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port; zero lets the system choose one when the address is bound.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn is_ipv6(host: &str) -> bool {
    // A link-local address names its interface: `fe80::1%eth0`.
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
}

fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=HOST_NAME_BYTES_MAX).contains(&host.len()) && host.bytes().all(allowed)
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_deref() {
            None => write!(formatter, ":{}", self.port),
            Some(host) if host.contains(':') => write!(formatter, "[{host}]:{}", self.port),
            Some(host) => write!(formatter, "{host}:{}", self.port),
        }
    }
}

impl ToSocketAddrs for Address {
    type Iter = vec::IntoIter<SocketAddr>;

    /// Without a host: the unspecified address of IPv6, then that of IPv4.
    ///
    /// On Linux the first usually serves both families; the second is for machines without IPv6.
    /// Whoever binds must stop at the first that succeeds, as the standard library does.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.host.as_deref() {
            Some(host) => (host, self.port).to_socket_addrs(),
            None => {
                let hosts: [IpAddr; 2] =
                    [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
                let addresses = hosts.map(|host| SocketAddr::new(host, self.port));
                Ok(Vec::from(addresses).into_iter())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_writes_them_back() {
        for text in [
            ":5000",
            ":0",
            "localhost:5000",
            "127.0.0.1:5000",
            "0.0.0.0:80",
            "registry.example.com:443",
            "my_host-1:65535",
            "[::1]:5000",
            "[::]:5000",
            "[fe80::1%eth0]:5000",
        ] {
            let address = Address::parse(text);
            assert_eq!(
                address.map(|address| address.to_string()).as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        let longest = "h".repeat(HOST_NAME_BYTES_MAX);
        assert!(Address::parse(&format!("{longest}:80")).is_some());
        for text in [
            &format!("h{longest}:80"),
            "",
            ":",
            "5000",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:+80",
            "localhost:65536",
            "localhost:-1",
            "::1:5000",
            "[::1]",
            "[::1:5000",
            "[localhost]:5000",
            "[::1%]:5000",
            "http://localhost:5000",
            "local host:5000",
            "tcp://10.0.0.1:80",
        ] {
            assert_eq!(Address::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn address_without_host_resolves_to_both_families() {
        let addresses: Vec<String> = Address::every(5000)
            .to_socket_addrs()
            .unwrap()
            .map(|address| address.to_string())
            .collect();
        assert_eq!(addresses, ["[::]:5000", "0.0.0.0:5000"]);
    }
}
