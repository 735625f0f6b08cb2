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
    /// STS cannot be asked. Not the caller's fault.
    Unavailable(String),
}

impl LoginFault {
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
            Self::Unavailable(_) => "AWS STS does not answer at the moment, so your AWS role cannot be verified.".to_owned(),
        }
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::Refused(why) => format!("AWS login: STS refused: {why}"),
            Self::Unavailable(why) => format!("AWS login: STS cannot be asked: {why}"),
            Self::Nobody(arn) => format!("AWS login: no rule fits {arn}"),
            Self::Malformed(_) | Self::Region(_) | Self::Expired { .. } | Self::NotYet { .. } => {
                format!("AWS login: {}", self.caller_text())
            }
        }
    }
}
