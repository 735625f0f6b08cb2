//! Which Regions a rule means: patterns of their names.

use std::fmt;
use std::str::FromStr;

use super::sharing::fits;

/// A Region's name in which `*` stands for anything, such as `eu-central-1` or `eu-*`; or `unspecified`, which is IAM's value
/// of `aws:RequestedRegion` where AWS alone decides on the Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionPattern(String);

impl RegionPattern {
    /// Whether a Region, or [`UNSPECIFIED`](Self::UNSPECIFIED), is meant.
    pub fn fits(&self, region: &str) -> bool {
        fits(&self.0, region)
    }

    /// What stands for the Region of a call that AWS may serve anywhere.
    pub const UNSPECIFIED: &'static str = "unspecified";
}

impl FromStr for RegionPattern {
    type Err = RegionPatternError;

    fn from_str(text: &str) -> Result<Self, RegionPatternError> {
        let plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte));
        // A name that could be no Region's is a slip, and would allow nothing.
        let whole = text.contains('*') || text == Self::UNSPECIFIED || text.parse::<super::Region>().is_ok();
        if plain && whole && text.len() <= 32 { Ok(Self(text.to_owned())) } else { Err(RegionPatternError) }
    }
}

impl fmt::Display for RegionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no pattern of Regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Region's name, such as eu-central-1, nor a pattern of them, such as eu-*")]
pub struct RegionPatternError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_region_or_has_a_star() {
        for text in ["eu-central-1", "us-gov-west-1", "eu-*", "*", "ap-northeast-*", "unspecified"] {
            assert_eq!(text.parse::<RegionPattern>().map(|pattern| pattern.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "eu", "EU-*", "eu-central", "eu_*", "eu.*", "global", "eu-central-1,eu-west-1", &"*".repeat(33)]
        {
            assert_eq!(text.parse::<RegionPattern>(), Err(RegionPatternError), "{text}");
        }
        let pattern: RegionPattern = "eu-*".parse().unwrap();
        assert!(pattern.fits("eu-central-1") && !pattern.fits("us-east-1") && !pattern.fits("unspecified"));
    }
}
