//! The gateway against the look-alike of Bedrock, in one process, over real sockets: what a caller sees, what Bedrock
//! receives, and what stands on the bill. Every test starts a gateway of its own from the text of a configuration file.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

mod client;
mod h2_frames;
mod harness;
mod upstream;

mod account;
mod accounts;
mod bedrock_side;
mod budgets;
mod byte_identity;
mod chaos;
mod discovery;
mod endings;
mod guardrail;
mod headers;
mod identity;
mod keys;
mod limits;
mod listeners;
mod operators;
mod patience;
mod profile_command;
mod profiles;
mod prompts;
mod proofs;
mod sdk;
mod shutdown;
mod smuggling;
mod sources;
mod strange;
mod strange_pairs;
mod vending;
mod vending_limits;
mod wire;
