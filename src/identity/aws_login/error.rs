//! Why a caller's AWS role is not proved, in two texts.

use jiff::Timestamp;

/// Why a caller's AWS role is not proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginFault {
    /// The token is not of the form.
    Malformed(&'static str),
    /// The Region's STS is not asked.
    Region(String),
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// It was made in the future.
    NotYet {
        /// When.
        at: Timestamp,
    },
    /// STS does not take it: another audience, another signature, credentials that have ended.
    Refused(String),
    /// STS knows the caller, and the configuration does not.
    Nobody(String),
    /// STS cannot be asked.
    Unavailable(Outage),
}

/// Why STS cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It does not answer, or not with what makes sense. Not the caller's fault.
    Sts(String),
    /// It does not answer, and nothing has come from there before: who knows whether there is such a Region?
    Unproven {
        /// What the token says.
        region: String,
        /// Why it does not answer.
        why: String,
    },
    /// Too many others wait for it. Not the caller's fault.
    Busy,
}

impl LoginFault {
    /// Whether it may have been tried to be somebody else, or to keep the gateway busy.
    pub const fn is_a_guess(&self) -> bool {
        !matches!(self, Self::Unavailable(Outage::Sts(_) | Outage::Busy))
    }

    /// What the person at the keyboard reads.
    pub fn caller_text(&self) -> String {
        match self {
            Self::Malformed(why) => {
                format!("The security token included in the request is invalid: {why}. `tollgate token` makes one.")
            }
            Self::Region(region) => {
                format!("The security token included in the request is invalid: STS in \"{region}\" is not asked by this gateway.")
            }
            Self::Expired { at } => format!(
                "The security token included in the request is expired: it was good until {at}. `tollgate token` makes a new one."
            ),
            Self::NotYet { at } => format!(
                "The security token included in the request is invalid: it was made at {at}, which is in the future. Is the clock right?"
            ),
            Self::Refused(_) => "The security token included in the request is invalid: AWS STS does not accept it. Is it for this gateway \
                 (`tollgate token --audience`), and are your AWS credentials still good?"
                .to_owned(),
            Self::Nobody(arn) => format!(
                "The security token included in the request is invalid: AWS knows you as {arn}, and this gateway does not. Ask its \
                 operator."
            ),
            Self::Unavailable(Outage::Sts(_)) => {
                "AWS STS does not answer at the moment, so your AWS role cannot be verified. Try again in some seconds.".to_owned()
            }
            Self::Unavailable(Outage::Unproven { region, .. }) => format!(
                "AWS STS in \"{region}\" does not answer, and never has to this gateway, so your AWS role cannot be verified. Is that the \
                 Region (`tollgate token --region`)? If so, try again in some seconds."
            ),
            Self::Unavailable(Outage::Busy) => "Too many callers wait for AWS STS at the moment, so your AWS role cannot be verified yet. \
                 Try again in some seconds, with the same token."
                .to_owned(),
        }
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::Refused(why) => format!("AWS login: STS refused: {why}"),
            Self::Unavailable(Outage::Sts(why)) => format!("AWS login: STS cannot be asked: {why}"),
            Self::Unavailable(Outage::Unproven { region, why }) => {
                format!("AWS login: STS in {region:?}, which has never answered, cannot be asked: {why}")
            }
            Self::Unavailable(Outage::Busy) => "AWS login: too many wait for STS".to_owned(),
            Self::Nobody(arn) => format!("AWS login: no rule fits {arn}"),
            Self::Malformed(_) | Self::Region(_) | Self::Expired { .. } | Self::NotYet { .. } => {
                format!("AWS login: {}", self.caller_text())
            }
        }
    }
}
