//! How this floor asks others: issuers for their keys, STS for the caller of a presigned request. Whoever assembles the gateway
//! brings the means; the URLs are made here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;

/// An answer, later. The error is for the log.
pub type Fetched = Pin<Box<dyn Future<Output = Result<(u16, Bytes), String>> + Send>>;

/// Asks over HTTPS. It follows no redirect, waits some seconds at most, and reads no more than a megabyte.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// Sends a request without a body to the absolute URL that it has.
    fn fetch(&self, request: Request<()>) -> Fetched;
}

/// A way to ask that many hold.
pub type SharedFetch = Arc<dyn Fetch>;
