//! Which names are those of Regions, and where STS is in them.

/// STS's own host in a Region; nothing for what is no Region's name: an area, sometimes a part of it, where in it, and a number.
///
/// A name costs a look-up in DNS, so that not just any word may be one.
pub fn host_of(region: &str) -> Option<String> {
    let mut words = region.split('-');
    let (area, next) = (words.next()?, words.next()?);
    // The partitions, by the domain that each has for itself.
    let (suffix, place) = match (area, next) {
        ("cn", place) => ("amazonaws.com.cn", place),
        ("eusc", "de") => ("amazonaws.eu", words.next()?),
        ("us", "gov") => ("amazonaws.com", words.next()?),
        ("us", "iso") => ("c2s.ic.gov", words.next()?),
        ("us", "isob") => ("sc2s.sgov.gov", words.next()?),
        ("us", "isof") => ("csp.hci.ic.gov", words.next()?),
        ("eu", "isoe") => ("cloud.adc-e.uk", words.next()?),
        (area, place) if area.len() == 2 && area.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            ("amazonaws.com", place)
        }
        _ => return None,
    };
    let number = words.next()?;
    let is_number =
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let is_region = PLACES.contains(&place) && is_number && words.next().is_none();
    is_region.then(|| format!("sts.{region}.{suffix}"))
}

const PLACES: [&str; 9] =
    ["north", "south", "east", "west", "central", "northeast", "northwest", "southeast", "southwest"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regions_have_hosts() {
        for (region, host) in [
            ("us-east-1", "sts.us-east-1.amazonaws.com"),
            ("ap-southeast-12", "sts.ap-southeast-12.amazonaws.com"),
            ("eu-central-2", "sts.eu-central-2.amazonaws.com"),
            ("mx-central-1", "sts.mx-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk"),
        ] {
            assert_eq!(host_of(region).as_deref(), Some(host), "{region}");
        }
    }

    #[test]
    fn whatever_is_no_region_has_none() {
        for name in [
            "",
            "-",
            "us",
            "useast1",
            "us-east",
            "us-east-",
            "us-east-0",
            "us-east-01",
            "us-east-100",
            "us-east-1a",
            "us-east-1-x",
            "us--east-1",
            "us-east-1.evil.com",
            "us-east-1/x",
            "US-EAST-1",
            "s3-us-west-2",
            "s3-accelerate",
            "s3-east-1",
            "u-east-1",
            "usa-east-1",
            "eusc-east-1",
            "eusc-gov-east-1",
            "ap-gov-east-1",
            "eu-iso-west-1",
            "us-isoe-east-1",
            "us-de-east-1",
            "us-gov-1",
            "us-gov-gov-east-1",
            "us-up-1",
            "us-easteast-1",
            "us-east-1\n",
            " us-east-1",
            "us-east-١",
            "aws-global",
        ] {
            assert_eq!(host_of(name), None, "{name:?}");
        }
    }
}
