//! Tollgate: a streaming reverse proxy in front of Amazon Bedrock (`bedrock-runtime`).
//!
//! The modules are floors: each imports only modules that stand before it in this list, which is the order in which a
//! request passes them. `tests/tidy.rs` holds the table and checks it. Start reading at `gateway`: its one function is
//! the request's way.

pub mod admin;
pub mod bedrock;
pub mod cli;
pub mod identity;
pub mod server;
pub mod telemetry;
pub mod types;
