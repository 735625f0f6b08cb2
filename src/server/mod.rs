//! Floor 11: the listener that callers connect to.
//!
//! One port, or one Unix socket, speaks HTTP/1.1, HTTP/2 over TLS (by ALPN) and HTTP/2 in plain text with prior knowledge, which is what the AWS
//! SDK for JavaScript does on `http://`. Everything a stranger can make us hold is bounded: connections, handshakes, heads,
//! streams of one connection.

mod connection;
mod http1;
mod listener;
pub mod local_ca;
mod prefixed;
pub mod tls;

pub use listener::{Listener, Plaintext, ServerLimits, Welcome, serve};
