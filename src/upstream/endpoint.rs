//! Which host serves a Region.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use http::Uri;

use crate::types::Region;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
    security: Security,
    authority: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Security {
    Plain,
    Tls,
}

impl Endpoint {
    /// Reads `https://host[:port]` or `http://host[:port]`; nothing may follow the authority.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError)?;
        let (security, standard) = match uri.scheme_str() {
            Some("https") => (Security::Tls, 443),
            Some("http") => (Security::Plain, 80),
            _ => return Err(EndpointError),
        };
        let authority = uri.authority().ok_or(EndpointError)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(EndpointError);
        }
        let port = authority.port_u16().unwrap_or(standard);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let shown = if port == standard { authority.host().to_owned() } else { format!("{}:{port}", authority.host()) };
        Ok(Self { host, port, security, authority: shown })
    }

    /// The standard endpoint of a Region in a partition.
    pub fn of_region(partition: &str, region: &Region) -> Self {
        let host = format!("bedrock-runtime.{region}.{}", suffix(partition));
        Self { authority: host.clone(), host, port: 443, security: Security::Tls }
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub const fn is_tls(&self) -> bool {
        matches!(self.security, Security::Tls)
    }

    /// The value of `Host`: the port is in it only where it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What the hosts of a partition end with.
pub(super) fn suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

/// The text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is https://host or http://host, with a port perhaps, and nothing after it")]
pub struct EndpointError;

/// The endpoints in use: the configured one for every Region, or each Region's own.
#[derive(Debug)]
pub struct Endpoints {
    fixed: Option<Arc<Endpoint>>,
    regional: DashMap<(String, Region), Arc<Endpoint>>,
}

impl Endpoints {
    /// With an override (a VPC endpoint, a test's fake), or without.
    pub fn new(fixed: Option<Endpoint>) -> Self {
        Self { fixed: fixed.map(Arc::new), regional: DashMap::new() }
    }

    /// Where calls for a Region go. Regions come from configuration, so the map stays small.
    pub fn of(&self, partition: &str, region: &Region) -> Arc<Endpoint> {
        if let Some(fixed) = &self.fixed {
            return Arc::clone(fixed);
        }
        let key = (partition.to_owned(), region.clone());
        if let Some(known) = self.regional.get(&key) {
            return Arc::clone(&known);
        }
        let made = Arc::new(Endpoint::of_region(partition, region));
        self.regional.insert(key, Arc::clone(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port_and_nothing_more() {
        for (url, host, port, authority) in [
            ("http://127.0.0.1:4000", "127.0.0.1", 4000, "127.0.0.1:4000"),
            (
                "https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com/",
                "vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
                443,
                "vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
            ),
            ("http://[::1]:80", "::1", 80, "[::1]"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.authority()), (host, port, authority));
        }
        for url in ["", "host", "ftp://h", "https://h/path", "https://u:p@h", "https://h?q=1"] {
            assert_eq!(Endpoint::parse(url), Err(EndpointError), "{url}");
        }
    }

    #[test]
    fn each_partition_has_its_own_suffix() {
        let region: Region = "cn-north-1".parse().unwrap();
        assert_eq!(Endpoint::of_region("aws-cn", &region).authority(), "bedrock-runtime.cn-north-1.amazonaws.com.cn");
        let region: Region = "us-east-1".parse().unwrap();
        let endpoints = Endpoints::new(None);
        assert_eq!(endpoints.of("aws", &region).authority(), "bedrock-runtime.us-east-1.amazonaws.com");
    }
}
