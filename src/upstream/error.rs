//! How reaching Bedrock can fail, and whether Bedrock may have acted on the request all the same.

use super::sessions::Untaggable;

/// A failure on the upstream side.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There are no AWS credentials to sign with.
    #[error("no AWS credentials: {0}")]
    Credentials(String),
    /// The caller lacks what the session of the call takes from them.
    #[error(transparent)]
    Untaggable(#[from] Untaggable),
    /// No connection came about.
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect {
        /// Host and port.
        endpoint: String,
        /// The system's or the TLS library's words.
        reason: String,
    },
    /// Every connection that may be open is in use.
    #[error("all {0} upstream connections are in use")]
    Overloaded(usize),
    /// Bedrock did not answer in time.
    #[error("{0} timed out")]
    Timeout(Phase),
    /// The connection broke.
    #[error("the upstream connection broke: {0}")]
    Reset(#[source] std::io::Error),
    /// The request could not be written down: a defect here, not upstream.
    #[error("the upstream request is malformed: {0}")]
    Malformed(String),
}

/// What was being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, TLS included.
    Connect,
    /// The response's head.
    FirstByte,
    /// The next piece of the response's body.
    Idle,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting to Bedrock",
            Self::FirstByte => "waiting for Bedrock's first byte",
            Self::Idle => "waiting for the next piece of Bedrock's answer",
        })
    }
}

/// Whether Bedrock can have seen the request, and so may bill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Not a byte was sent.
    No,
    /// Some or all of it was sent.
    Perhaps,
}

impl UpstreamError {
    /// Whether Bedrock can have seen the request.
    pub const fn reached(&self) -> Reached {
        match self {
            Self::Credentials(_)
            | Self::Untaggable(_)
            | Self::Connect { .. }
            | Self::Overloaded(_)
            | Self::Malformed(_)
            | Self::Timeout(Phase::Connect) => Reached::No,
            Self::Timeout(Phase::FirstByte | Phase::Idle) | Self::Reset(_) => Reached::Perhaps,
        }
    }
}
