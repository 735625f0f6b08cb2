//! Tollgate: a streaming reverse proxy in front of Amazon Bedrock (`bedrock-runtime`).
//!
//! The modules are floors: each imports only modules of lower floors, which is the order in which a request passes them.
//! `tests/tidy.rs` holds the table and checks it; ARCHITECTURE.md tells what each decides. Start reading at `gateway`: its
//! one function is the request's way.

pub mod admin;
pub mod bedrock;
pub mod budget;
pub mod cli;
pub mod config;
pub mod eventstream;
pub mod gateway;
pub mod guardrail;
pub mod http1;
pub mod identity;
pub mod limits;
pub mod mock;
pub mod policy;
pub mod profiles;
pub mod server;
pub mod sigv4;
pub mod telemetry;
pub mod types;
pub mod upstream;
