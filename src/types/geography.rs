//! Geographies, and in which Regions AWS may serve their profiles. This is the one table of it: residency and discovery go by it.
//!
//! Which Regions a geography has differs by model, and AWS tells it of each profile. Counted here are all those that the AWS CDK knows
//! of (`CrossRegionInferenceProfileRegion`, 2026), so that no model's are missing; that of Canada is not in the CDK's list, and has two
//! Regions. AWS makes new Regions: [`Geography::serves`] knows them by how the names of a geography's Regions begin, where all that
//! begin so are of it.
//!
//! Some Regions may call a geography's profiles without being one of its destinations, and serve what was called there themselves:
//! Auckland for `au.`, Canada for `us.`, Tel Aviv for `eu.`. From anywhere else no call is sent to them, so that whoever counts where a
//! call may be served counts [`Geography::regions`] and the Region that is called.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html>

use super::regions::RegionPattern;

/// The geographic prefix of a system-defined inference profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Geography {
    /// United States.
    Us,
    /// European Union.
    Eu,
    /// Asia Pacific.
    Apac,
    /// Japan.
    Jp,
    /// Australia and New Zealand.
    Au,
    /// Canada.
    Ca,
    /// AWS GovCloud (US).
    UsGov,
    /// Any commercial Region.
    Global,
}

/// Where a geography's profiles may be served.
struct Served {
    /// From everywhere: every Region that is known.
    regions: &'static [&'static str],
    /// How the names of all its Regions begin, where no other's do.
    begin: &'static [&'static str],
    /// What is called there may be served there, and nothing else.
    own_calls: &'static [&'static str],
}

impl Geography {
    /// The narrower before the wider.
    const ALL: [Self; 8] = [Self::UsGov, Self::Ca, Self::Jp, Self::Au, Self::Us, Self::Eu, Self::Apac, Self::Global];

    /// Reads a prefix (without its dot).
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|geography| geography.prefix() == prefix)
    }

    /// The prefix without its dot.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::Apac => "apac",
            Self::Jp => "jp",
            Self::Au => "au",
            Self::Ca => "ca",
            Self::UsGov => "us-gov",
            Self::Global => "global",
        }
    }

    /// Every Region to which AWS may send a call, besides the one that is called; for `global.` what stands for all of them.
    pub const fn regions(self) -> &'static [&'static str] {
        self.served().regions
    }

    /// Whether AWS may serve in `region` what was called in `called`.
    pub fn serves(self, region: &str, called: &str) -> bool {
        let Served { regions, begin, own_calls } = self.served();
        self == Self::Global
            || regions.contains(&region)
            || begin.iter().any(|begin| region.starts_with(begin))
            || (region == called && own_calls.contains(&region))
    }

    /// The narrowest geography that serves in all these Regions what was called in `called`. Any of them could be `global.`'s, which
    /// is none of the answers.
    pub fn of_regions(regions: &[&str], called: &str) -> Option<Self> {
        let serves = |geography: &Self| regions.iter().all(|region| geography.serves(region, called));
        Self::ALL.into_iter().filter(|geography| *geography != Self::Global).find(serves)
    }

    const fn served(self) -> Served {
        match self {
            Self::Us => Served {
                regions: &["us-east-1", "us-east-2", "us-west-1", "us-west-2"],
                begin: &["us-east-", "us-west-"],
                own_calls: &["ca-central-1", "ca-west-1"],
            },
            Self::Eu => Served {
                regions: &[
                    "eu-central-1",
                    "eu-central-2",
                    "eu-north-1",
                    "eu-south-1",
                    "eu-south-2",
                    "eu-west-1",
                    "eu-west-2",
                    "eu-west-3",
                ],
                begin: &["eu-"],
                own_calls: &["il-central-1"],
            },
            Self::Apac => Served {
                regions: &[
                    "ap-east-2",
                    "ap-northeast-1",
                    "ap-northeast-2",
                    "ap-northeast-3",
                    "ap-south-1",
                    "ap-south-2",
                    "ap-southeast-1",
                    "ap-southeast-2",
                    "ap-southeast-3",
                    "ap-southeast-4",
                    "ap-southeast-5",
                    "ap-southeast-7",
                    "me-central-1",
                ],
                begin: &["ap-"],
                own_calls: &[],
            },
            Self::Jp => Served { regions: &["ap-northeast-1", "ap-northeast-3"], begin: &[], own_calls: &[] },
            Self::Au => {
                Served { regions: &["ap-southeast-2", "ap-southeast-4"], begin: &[], own_calls: &["ap-southeast-6"] }
            }
            Self::Ca => Served { regions: &["ca-central-1", "ca-west-1"], begin: &["ca-"], own_calls: &[] },
            Self::UsGov => Served { regions: &["us-gov-east-1", "us-gov-west-1"], begin: &["us-gov-"], own_calls: &[] },
            Self::Global => Served { regions: &[RegionPattern::UNSPECIFIED], begin: &[], own_calls: &[] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_geography_serves_begins_as_it_says_and_its_neighbours_do_not() {
        for geography in Geography::ALL {
            for region in geography.regions() {
                assert!(geography.serves(region, "us-east-1"), "{geography:?} {region}");
            }
            assert_eq!(Geography::from_prefix(geography.prefix()), Some(geography));
        }
        for (geography, region, called, serves) in [
            (Geography::Au, "ap-southeast-6", "ap-southeast-6", true),
            (Geography::Au, "ap-southeast-6", "ap-southeast-2", false),
            (Geography::Us, "ca-central-1", "ca-central-1", true),
            (Geography::Us, "ca-central-1", "us-east-1", false),
            (Geography::Us, "us-gov-west-1", "us-gov-west-1", false),
            (Geography::Us, "us-west-9", "us-east-1", true),
            (Geography::Jp, "ap-northeast-2", "ap-northeast-2", false),
            (Geography::Eu, "us-east-1", "us-east-1", false),
            (Geography::Eu, "", "eu-west-1", false),
            (Geography::Global, "", "eu-west-1", true),
            (Geography::Global, "sa-east-1", "eu-west-1", true),
        ] {
            assert_eq!(geography.serves(region, called), serves, "{geography:?} {region} {called}");
        }
    }

    #[test]
    fn the_narrowest_geography_of_some_regions_is_told() {
        for (called, regions, geography) in [
            ("us-east-1", &["us-east-1", "us-west-2"][..], Some(Geography::Us)),
            ("ca-central-1", &["ca-central-1", "ca-west-1"], Some(Geography::Ca)),
            ("ca-central-1", &["ca-central-1", "us-east-1"], Some(Geography::Us)),
            ("us-east-1", &["ca-central-1", "us-east-1"], None),
            ("ap-southeast-6", &["ap-southeast-2", "ap-southeast-4", "ap-southeast-6"], Some(Geography::Au)),
            ("ap-southeast-2", &["ap-southeast-2", "ap-southeast-1"], Some(Geography::Apac)),
            ("eu-west-1", &["eu-west-1", "us-east-1"], None),
            ("eu-west-1", &["eu-west-1", ""], None),
        ] {
            assert_eq!(Geography::of_regions(regions, called), geography, "{called} {regions:?}");
        }
    }
}
