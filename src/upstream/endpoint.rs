//! Which host serves a Region.
//!
//! The names are those of the rule sets by which every AWS SDK finds them: `endpoint-rule-set-1.json` of each service and
//! `partitions.json` in botocore. As there, the partition is told by the Region's name.
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

    /// A service's own endpoint in a Region. The service is called as its hosts are: `bedrock-runtime`, `bedrock`, `tagging`, `sts`,
    /// `servicequotas`.
    pub fn of_service(service: &str, region: &Region, variant: Variant) -> Self {
        let (v4, dual) = suffixes(region);
        let suffix = if variant.dual_stack { dual } else { v4 };
        // Of these, GovCloud's plain ones are validated, and have no other name beside it.
        let plain_is_fips = PLAIN_IS_FIPS.contains(&service) && region.partition() == "aws-us-gov";
        let fips = variant.fips && (variant.dual_stack || !plain_is_fips);
        let host = format!("{service}{}.{region}.{suffix}", if fips { "-fips" } else { "" });
        Self { authority: host.clone(), host, port: 443, security: Security::Tls }
    }

    /// Bedrock's own endpoint in a Region.
    pub fn of_region(region: &Region, variant: Variant) -> Self {
        Self::of_service("bedrock-runtime", region, variant)
    }

    /// The endpoint of STS in a Region.
    pub fn of_sts(region: &Region, variant: Variant) -> Self {
        Self::of_service("sts", region, variant)
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

/// Which of the endpoints that AWS has in a Region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// The one whose cryptography is validated after FIPS 140.
    pub fips: bool,
    /// The one that is reached over IPv6 too.
    pub dual_stack: bool,
}

/// The domain of a Region's partition, and that of its dual-stack endpoints.
fn suffixes(region: &Region) -> (&'static str, &'static str) {
    match region.partition() {
        "aws-cn" => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        "aws-eusc" => ("amazonaws.eu", "api.amazonwebservices.eu"),
        "aws-iso" => ("c2s.ic.gov", "api.aws.ic.gov"),
        "aws-iso-b" => ("sc2s.sgov.gov", "api.aws.scloud"),
        "aws-iso-e" => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
        "aws-iso-f" => ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        // GovCloud shares them with the commercial partition.
        _ => ("amazonaws.com", "api.aws"),
    }
}

/// The services that GovCloud has under their plain names also where FIPS is asked for.
const PLAIN_IS_FIPS: [&str; 2] = ["sts", "servicequotas"];

/// The Regions in which Bedrock is known to have FIPS endpoints, of its Runtime and of its control plane: `endpoints.json` in
/// botocore, 2026.
pub const FIPS_REGIONS: [&str; 6] =
    ["us-east-1", "us-east-2", "us-west-2", "ca-central-1", "us-gov-east-1", "us-gov-west-1"];

/// The text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is https://host or http://host, with a port perhaps, and nothing after it")]
pub struct EndpointError;

/// The endpoints in use: the configured one for every Region, or each Region's own.
#[derive(Debug)]
pub enum Endpoints {
    /// In place of Bedrock's own: a VPC endpoint, a test's fake.
    Fixed(Arc<Endpoint>),
    /// Bedrock's own.
    Regional {
        /// Which of them.
        variant: Variant,
        /// Those that were asked for.
        known: DashMap<Region, Arc<Endpoint>>,
    },
}

impl Endpoints {
    /// This one for every Region.
    pub fn fixed(endpoint: Endpoint) -> Self {
        Self::Fixed(Arc::new(endpoint))
    }

    /// Each Region's own.
    pub fn regional(variant: Variant) -> Self {
        Self::Regional { variant, known: DashMap::new() }
    }

    /// Where calls for a Region go. Regions come from configuration, so the map stays small.
    pub fn of(&self, region: &Region) -> Arc<Endpoint> {
        let (variant, known) = match self {
            Self::Fixed(endpoint) => return Arc::clone(endpoint),
            Self::Regional { variant, known } => (*variant, known),
        };
        if let Some(endpoint) = known.get(region) {
            return Arc::clone(&endpoint);
        }
        let made = Arc::new(Endpoint::of_region(region, variant));
        known.insert(region.clone(), Arc::clone(&made));
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

    /// The cases of `tests/functional/endpoint-rules/bedrock-runtime/endpoint-tests-1.json` in botocore, and one for each partition
    /// of its `partitions.json` that they leave out.
    #[test]
    fn every_case_of_the_rule_set_has_its_host() {
        for (region, fips, dual_stack, host) in [
            ("us-east-1", true, true, "bedrock-runtime-fips.us-east-1.api.aws"),
            ("us-east-1", true, false, "bedrock-runtime-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, "bedrock-runtime.us-east-1.api.aws"),
            ("us-east-1", false, false, "bedrock-runtime.us-east-1.amazonaws.com"),
            ("cn-north-1", true, true, "bedrock-runtime-fips.cn-north-1.api.amazonwebservices.com.cn"),
            ("cn-north-1", true, false, "bedrock-runtime-fips.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "bedrock-runtime.cn-north-1.api.amazonwebservices.com.cn"),
            ("cn-north-1", false, false, "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ("us-gov-east-1", true, true, "bedrock-runtime-fips.us-gov-east-1.api.aws"),
            ("us-gov-east-1", true, false, "bedrock-runtime-fips.us-gov-east-1.amazonaws.com"),
            ("us-gov-east-1", false, true, "bedrock-runtime.us-gov-east-1.api.aws"),
            ("us-gov-east-1", false, false, "bedrock-runtime.us-gov-east-1.amazonaws.com"),
            ("us-iso-east-1", true, false, "bedrock-runtime-fips.us-iso-east-1.c2s.ic.gov"),
            ("us-iso-east-1", false, false, "bedrock-runtime.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", true, false, "bedrock-runtime-fips.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isob-east-1", false, false, "bedrock-runtime.us-isob-east-1.sc2s.sgov.gov"),
            ("us-iso-east-1", false, true, "bedrock-runtime.us-iso-east-1.api.aws.ic.gov"),
            ("us-isob-east-1", false, true, "bedrock-runtime.us-isob-east-1.api.aws.scloud"),
            ("eusc-de-east-1", false, false, "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
            ("eusc-de-east-1", false, true, "bedrock-runtime.eusc-de-east-1.api.amazonwebservices.eu"),
            ("eu-isoe-west-1", false, false, "bedrock-runtime.eu-isoe-west-1.cloud.adc-e.uk"),
            ("eu-isoe-west-1", false, true, "bedrock-runtime.eu-isoe-west-1.api.cloud-aws.adc-e.uk"),
            ("us-isof-south-1", true, false, "bedrock-runtime-fips.us-isof-south-1.csp.hci.ic.gov"),
            ("us-isof-south-1", false, true, "bedrock-runtime.us-isof-south-1.api.aws.hci.ic.gov"),
            ("mx-central-1", false, false, "bedrock-runtime.mx-central-1.amazonaws.com"),
        ] {
            let endpoints = Endpoints::regional(Variant { fips, dual_stack });
            for _ in 0..2 {
                let endpoint = endpoints.of(&region.parse().unwrap());
                assert_eq!((endpoint.authority(), endpoint.port(), endpoint.is_tls()), (host, 443, true));
            }
        }
    }

    /// As in `endpoint-rule-set-1.json` of `sts` in botocore.
    #[test]
    fn sts_is_asked_in_the_region() {
        for (region, fips, dual_stack, host) in [
            ("eu-central-1", false, false, "sts.eu-central-1.amazonaws.com"),
            ("us-east-1", true, false, "sts-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, "sts.us-east-1.api.aws"),
            ("us-east-1", true, true, "sts-fips.us-east-1.api.aws"),
            ("us-gov-west-1", true, false, "sts.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "sts-fips.us-gov-west-1.api.aws"),
            ("cn-north-1", false, false, "sts.cn-north-1.amazonaws.com.cn"),
        ] {
            let endpoint = Endpoint::of_sts(&region.parse().unwrap(), Variant { fips, dual_stack });
            assert_eq!((endpoint.authority(), endpoint.is_tls()), (host, true));
        }
    }

    /// The cases of `endpoint-tests-1.json` of `bedrock`, `resourcegroupstaggingapi` and `service-quotas` in botocore, of each
    /// partition that they name.
    #[test]
    fn the_control_plane_has_the_hosts_of_its_rule_sets() {
        for (region, fips, dual_stack, rest) in [
            ("us-east-1", true, true, "-fips.us-east-1.api.aws"),
            ("us-east-1", true, false, "-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, ".us-east-1.api.aws"),
            ("us-east-1", false, false, ".us-east-1.amazonaws.com"),
            ("cn-north-1", true, true, "-fips.cn-north-1.api.amazonwebservices.com.cn"),
            ("cn-north-1", true, false, "-fips.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, ".cn-north-1.api.amazonwebservices.com.cn"),
            ("cn-north-1", false, false, ".cn-north-1.amazonaws.com.cn"),
            ("us-gov-east-1", true, true, "-fips.us-gov-east-1.api.aws"),
            ("us-gov-east-1", true, false, "-fips.us-gov-east-1.amazonaws.com"),
            ("us-gov-east-1", false, true, ".us-gov-east-1.api.aws"),
            ("us-gov-east-1", false, false, ".us-gov-east-1.amazonaws.com"),
            ("us-iso-east-1", true, false, "-fips.us-iso-east-1.c2s.ic.gov"),
            ("us-iso-east-1", false, false, ".us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", true, false, "-fips.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isob-east-1", false, false, ".us-isob-east-1.sc2s.sgov.gov"),
        ] {
            for service in ["bedrock", "tagging", "servicequotas"] {
                // Service Quotas alone has one host for both in GovCloud.
                let one = service == "servicequotas" && region.starts_with("us-gov-") && fips && !dual_stack;
                let rest = if one { rest.trim_start_matches("-fips") } else { rest };
                let endpoint = Endpoint::of_service(service, &region.parse().unwrap(), Variant { fips, dual_stack });
                assert_eq!((endpoint.authority(), endpoint.is_tls()), (format!("{service}{rest}").as_str(), true));
            }
        }
    }

    #[test]
    fn an_endpoint_of_ones_own_is_every_regions() {
        let endpoints = Endpoints::fixed(Endpoint::parse("https://example.com").unwrap());
        for region in ["us-east-1", "cn-north-1"] {
            assert_eq!(endpoints.of(&region.parse().unwrap()).authority(), "example.com");
        }
    }
}
