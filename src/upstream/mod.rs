//! Floor 8: reaching Bedrock. Credentials, signing, connections; no policy and no metering.
//!
//! A request leaves only as a [`Signed`], which only [`RequestSigner`] makes, from a guarded call and its reservation.
//! Nothing is ever sent twice: a request is tried again only where the connection gave it back unwritten.

mod body;
mod connector;
mod control;
mod credentials;
mod endpoint;
mod error;
mod fetch;
mod line;
mod once;
mod plain;
mod pool;
mod sessions;
mod signed;
mod webhook;

pub use body::UpstreamBody;
pub use connector::Connector;
pub use control::{ControlClient, ControlEndpoints};
pub use credentials::{AwsChain, CredentialError, CredentialSource, Credentials, Fixed, Loaded};
pub use endpoint::{Endpoint, EndpointError, Endpoints, FIPS_REGIONS, Variant};
pub use error::{Phase, Reached, UpstreamError};
pub use fetch::Fetcher;
pub use pool::{Limits, Pool, PoolCounts};
pub use sessions::{
    AssumeError, AssumeRole, Assumed, AssumedRole, SessionCounts, SessionRequest, Sessions, Signing, Sts, Untaggable,
    session_name,
};
pub use signed::{RequestSigner, Signed};
pub use webhook::{Webhook, WebhookError};
