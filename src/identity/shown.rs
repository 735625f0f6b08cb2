//! What a request shows of whoever sends it: everything that this floor looks at, and nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
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

    /// Whether a request on a TCP connection shows that it is not of the program that connected. A Unix socket is opened by nobody by
    /// mistake. `Sec-Fetch-Mode` alone tells nothing: Node.js sends it.
    pub(super) fn passed_on(&self) -> Option<PassedOn> {
        let Source::Address(_) = self.origin.source else { return None };
        let sent = |name: &&str| self.headers.contains_key(*name);
        if BROWSERS.iter().any(sent) {
            return Some(PassedOn::Browser);
        }
        if PROXIES.iter().any(sent) {
            return Some(PassedOn::Proxy);
        }
        let host = match (self.uri.host(), self.headers.get(HOST)) {
            (Some(host), _) => host,
            (None, Some(value)) => match value.to_str().ok().and_then(|value| value.parse::<Authority>().ok()) {
                Some(authority) => return (!is_of_this_machine(authority.host())).then_some(PassedOn::Name),
                None => return Some(PassedOn::Name),
            },
            (None, None) => return None,
        };
        (!is_of_this_machine(host)).then_some(PassedOn::Name)
    }
}

/// By what a request was made that reached a listener which trusts whoever connects, where it was no program of this machine's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOn {
    /// A web page: the browser tells.
    Browser,
    /// A proxy: it tells for whom.
    Proxy,
    /// It asked for a host of another name, as a web page does whose name leads here.
    Name,
}

impl PassedOn {
    /// What the person at the keyboard reads.
    pub(super) const fn caller_text(self) -> &'static str {
        match self {
            Self::Browser => {
                "This listener trusts the programs of this machine, and this is the request of a web page. Use a listener that asks for keys."
            }
            Self::Proxy => {
                "This listener trusts the programs of this machine, and a proxy has passed this request on for another. Let the proxy use a \
                 listener that asks for keys."
            }
            Self::Name => {
                "This listener trusts the programs of this machine, and they reach it as `localhost` or by its address: change the host in \
                 the endpoint URL."
            }
        }
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
            return peer.network();
        }
        let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let hops = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
        for hop in hops {
            match address_of(hop.trim()) {
                Some(hop) if self.contain(hop.to_canonical()) => {}
                Some(hop) => return Source::from(hop).network(),
                None => return peer.network(),
            }
        }
        peer.network()
    }
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let alone = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    alone.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address; where failures are counted, of IPv6 the half that its owner cannot choose at will.
    Address(IpAddr),
    /// A Unix socket.
    Local,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl Source {
    /// As failures are counted: a host has a whole /64 of IPv6 to choose its address from.
    #[must_use]
    pub const fn network(self) -> Self {
        match self {
            Self::Address(IpAddr::V6(address)) => {
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))))
            }
            Self::Address(IpAddr::V4(_)) | Self::Local => self,
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

/// Whether no page of the web can have a host of this name: an address, a name without a dot, or one of a domain that is for private use.
fn is_of_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok() || !host.contains('.') || host.ends_with(".localhost") || host.ends_with(".internal")
}

/// Which browsers send with every request of a page that could be another's.
const BROWSERS: [&str; 2] = ["origin", "sec-fetch-site"];
/// By which proxies tell that they are some.
const PROXIES: [&str; 4] = ["via", "forwarded", "x-forwarded-for", "x-forwarded-host"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxys_word_on_a_source_counts_and_only_its_own() {
        let networks = ["10.0.0.0/8", "fd00::/8", "2001:db8::5/128"];
        let proxies = TrustedProxies::new(networks.map(|network| network.parse().unwrap()).to_vec());
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        for (peer, forwarded, expected) in [
            ("10.1.1.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1, 192.0.2.7, 10.2.2.2"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1, 192.0.2.7, ::ffff:10.2.2.2"], "192.0.2.7"),
            ("10.1.1.1", vec!["198.51.100.1", "192.0.2.7", "10.2.2.2"], "192.0.2.7"),
            ("10.1.1.1", vec!["192.0.2.7, what"], "10.1.1.1"),
            ("10.1.1.1", vec!["10.3.3.3"], "10.1.1.1"),
            ("10.1.1.1", vec![], "10.1.1.1"),
            ("203.0.113.9", vec!["192.0.2.7"], "203.0.113.9"),
            ("2001:db8::5", vec!["192.0.2.7"], "192.0.2.7"),
            ("2001:db8::6", vec!["192.0.2.7"], "2001:db8::6"),
            ("10.1.1.1", vec!["192.0.2.7:5555"], "192.0.2.7"),
            ("10.1.1.1", vec!["[2001:db8:7::1]:5555"], "2001:db8:7::1"),
            ("10.1.1.1", vec!["[2001:db8:7::1]"], "2001:db8:7::1"),
            ("::ffff:10.1.1.1", vec!["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &forwarded {
                headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(proxies.source(source(peer), &headers), source(expected).network(), "{peer} {forwarded:?}");
            assert_eq!(TrustedProxies::default().source(source(peer), &headers), source(peer).network());
        }
        assert_eq!(proxies.source(Source::Local, &HeaderMap::new()), Source::Local);
    }

    #[test]
    fn a_host_of_this_machine_is_one_that_no_page_of_the_web_can_have() {
        for host in [
            "127.0.0.1",
            "::1",
            "[::1]",
            "10.1.2.3",
            "localhost",
            "LOCALHOST.",
            "tollgate",
            "a.localhost",
            "host.docker.internal",
        ] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.nip.io", "localhost.example.com", "internal.example.com", "1.2.3"] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_unix_socket_is_reached_by_nobody_by_mistake_and_nodes_own_header_is_no_browsers() {
        let seen = |source: Source, name: &'static str, value: &str| {
            let mut request = http::Request::post("/model/a.b/invoke").body(()).unwrap();
            request.headers_mut().insert(HOST, "127.0.0.1:8080".parse().unwrap());
            request.headers_mut().insert(name, value.parse().unwrap());
            let (head, ()) = request.into_parts();
            Shown::of(&head, &Origin::from(source)).passed_on()
        };
        let tcp = Source::from(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        assert_eq!(seen(tcp, "sec-fetch-mode", "cors"), None);
        assert_eq!(seen(tcp, "sec-fetch-site", "same-origin"), Some(PassedOn::Browser));
        assert_eq!(seen(tcp, "origin", "null"), Some(PassedOn::Browser));
        for name in ["via", "forwarded", "x-forwarded-for", "x-forwarded-host"] {
            assert_eq!(seen(tcp, name, "a"), Some(PassedOn::Proxy), "{name}");
        }
        assert_eq!(seen(tcp, "host", "a.example.com"), Some(PassedOn::Name));
        assert_eq!(seen(tcp, "host", "no host"), Some(PassedOn::Name));
        assert_eq!(seen(Source::Local, "host", "bedrock-runtime.us-east-1.amazonaws.com"), None);
        assert_eq!(seen(Source::Local, "x-forwarded-for", "192.0.2.1"), None);
    }

    #[test]
    fn with_http_2_the_authority_is_the_host_whatever_the_header_says() {
        let seen = |uri: &str, host: Option<&str>| {
            let mut request = http::Request::post(uri).body(()).unwrap();
            request.headers_mut().extend(host.map(|host| (HOST, host.parse().unwrap())));
            let (head, ()) = request.into_parts();
            Shown::of(&head, &Origin::from(Source::from(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)))).passed_on()
        };
        let (own, evil) = ("http://localhost:8080/model/a.b/invoke", "http://evil.example.com/model/a.b/invoke");
        for host in [None, Some("localhost"), Some("evil.example.com")] {
            assert_eq!(seen(own, host), None, "{host:?}");
            assert_eq!(seen(evil, host), Some(PassedOn::Name), "{host:?}");
        }
        assert_eq!(seen("/model/a.b/invoke", None), None, "HTTP/1.0");
    }

    #[test]
    fn an_ipv6_host_is_told_by_its_network_and_an_ipv4_one_by_its_address() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap()).network();
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    }
}
