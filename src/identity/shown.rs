//! What a request shows of whoever sends it: everything that this floor looks at, and nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Uri};
use ipnet::IpNet;

use super::Principal;
use super::certificates::ClientCertificate;

/// A request as it was received, before anything of it is changed.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query as received; with HTTP/2 the authority too.
    pub uri: &'a Uri,
    /// Every header.
    pub headers: &'a HeaderMap,
    /// The connection.
    pub origin: &'a Origin,
}

impl<'a> Shown<'a> {
    /// What a request's head shows.
    pub const fn of(head: &'a Parts, origin: &'a Origin) -> Self {
        Self { method: &head.method, uri: &head.uri, headers: &head.headers, origin }
    }
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who is at its other end.
    pub source: Source,
    /// Whoever may connect to this listener is this principal.
    pub trusted_as: Option<Arc<Principal>>,
    /// The certificate that was shown when the connection was made, verified then.
    pub certificate: Option<ClientCertificate>,
}

impl Origin {
    /// A connection that proves nothing by itself.
    pub const fn from(source: Source) -> Self {
        Self { source, trusted_as: None, certificate: None }
    }
}

/// Proxies whose word on where a request comes from is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Those in these networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from that arrived on a connection from `peer`: the last address of `X-Forwarded-For` that is no proxy's, if
    /// the peer is one. Whatever stands before it, its sender may have made up.
    pub(super) fn source(&self, peer: Source, headers: &HeaderMap) -> Source {
        let Source::Address(address) = peer else { return peer };
        if self.0.is_empty() || !self.contain(address) {
            return peer;
        }
        let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let hops = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
        for hop in hops {
            match hop.trim().parse::<IpAddr>() {
                Ok(hop) if self.contain(hop.to_canonical()) => {}
                Ok(hop) => return Source::from(hop),
                Err(_) => return peer,
            }
        }
        peer
    }
}

/// The other end of a connection, as far as failures are counted: an address, or the half of an IPv6 address that one host can
/// choose the rest of at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address, or the first half of one.
    Address(IpAddr),
    /// A Unix socket.
    Local,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            v4 @ IpAddr::V4(_) => Self::Address(v4),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(network)) => write!(f, "{network}/64"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Local => f.write_str("a Unix socket"),
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxys_word_on_a_source_counts_and_only_its_own() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        for (peer, forwarded, expected) in [
            ("10.1.1.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1, 192.0.2.7, 10.2.2.2"], "192.0.2.7"),
            ("10.1.1.1", vec!["192.0.2.7, what"], "10.1.1.1"),
            ("10.1.1.1", vec!["10.3.3.3"], "10.1.1.1"),
            ("10.1.1.1", vec![], "10.1.1.1"),
            ("203.0.113.9", vec!["192.0.2.7"], "203.0.113.9"),
            ("::ffff:10.1.1.1", vec!["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &forwarded {
                headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            // The peer is taken as the connection has it: a /64 of IPv6.
            assert_eq!(proxies.source(source(peer), &headers), source(expected), "{peer} {forwarded:?}");
            assert_eq!(TrustedProxies::default().source(source(peer), &headers), source(peer));
        }
        assert_eq!(proxies.source(Source::Local, &HeaderMap::new()), Source::Local);
    }

    #[test]
    fn an_ipv6_host_is_told_by_its_network_and_an_ipv4_one_by_its_address() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    }
}
