//! Why a token proves nobody, in two texts.

use jiff::Timestamp;

/// Why a token proves nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Not three parts of base64 and JSON.
    Malformed,
    /// Of an issuer that is not taken here.
    Issuer(String),
    /// Signed by an algorithm that its issuer does not use.
    Algorithm,
    /// A header says something that has to be understood, and is not.
    Critical,
    /// Signed by a key that its issuer does not publish.
    UnknownKey,
    /// The signature is another.
    Signature,
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// Its time has not begun.
    NotYet {
        /// When it will.
        at: Timestamp,
    },
    /// Meant for somebody else.
    Audience,
    /// A claim that has to be there is not, or has another value, or one that cannot be used.
    Claim(String),
    /// A claim that lists groups is left out, because there are too many of them for a token.
    Elsewhere(String),
    /// The issuer's keys cannot be had. Not the caller's fault.
    Unavailable(String),
}

impl TokenFault {
    /// What the person at the keyboard reads.
    pub fn caller_text(&self) -> String {
        let why = match self {
            Self::Malformed => "it is no JSON Web Token".to_owned(),
            Self::Issuer(issuer) => format!("tokens of the issuer \"{issuer}\" are not taken here"),
            Self::Algorithm => "its issuer does not sign with this algorithm".to_owned(),
            Self::Critical => "it asks for an extension that is not understood".to_owned(),
            Self::UnknownKey => "its issuer does not publish the key that it is signed by".to_owned(),
            Self::Signature => "its signature does not match".to_owned(),
            Self::Expired { at } => {
                return format!(
                    "The security token included in the request is expired: it was good until {at}. Sign in again."
                );
            }
            Self::NotYet { at } => format!("it is not good before {at}"),
            Self::Audience => "it is meant for another audience".to_owned(),
            Self::Claim(claim) => format!("its claim \"{claim}\" is missing, or not what this gateway asks for"),
            Self::Elsewhere(claim) => format!(
                "its issuer has left \"{claim}\" out of it, because you are in more groups than it writes into a token. Ask whoever runs \
                 it to write only the groups that are assigned to this application (in Entra: Token configuration, groups claim), or \
                 application roles"
            ),
            Self::Unavailable(_) => {
                return "The issuer of the token does not answer at the moment, so it cannot be verified.".to_owned();
            }
        };
        format!("The security token included in the request is invalid: {why}.")
    }

    /// What the operator reads.
    pub fn log_text(&self) -> String {
        match self {
            Self::Unavailable(why) => format!("OpenID Connect: the issuer's keys cannot be had: {why}"),
            Self::Expired { at } => format!("OpenID Connect: expired at {at}"),
            Self::Malformed
            | Self::Issuer(_)
            | Self::Algorithm
            | Self::Critical
            | Self::UnknownKey
            | Self::Signature
            | Self::NotYet { .. }
            | Self::Audience
            | Self::Claim(_)
            | Self::Elsewhere(_) => format!("OpenID Connect: {}", self.caller_text()),
        }
    }
}
