//! Every rule as a table, in the two forms apart.

mod body_form;
mod header_form;
mod recorded;
mod rules;

use super::*;
use crate::bedrock::json::{Fault, JsonError};
use serde_json::Value;

const OWED_ARN: &str = "arn:aws:bedrock:us-east-1:012345678901:guardrail/abc123";

fn rule() -> GuardrailRule {
    GuardrailRule {
        owners: Owners::Everyone,
        identifier: "abc123".to_owned(),
        version: "3".to_owned(),
        mode: Mode::Inject,
        asynchronous: Asynchronous::Refuse,
        selective: Selective::Refuse,
    }
}

fn owed(change: impl FnOnce(&mut GuardrailRule)) -> OwedGuardrail {
    let mut rule = rule();
    change(&mut rule);
    OwedGuardrail::new(rule).unwrap()
}

fn principal(name: &str, groups: &[&str]) -> Principal {
    Principal::new(name, groups.iter().map(|group| (*group).to_owned()).collect(), [].into_iter().collect())
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// The code of a refusal, or what passed.
fn code<T>(result: Result<T, GuardrailError>) -> Result<T, &'static str> {
    result.map_err(|error| word(&error))
}

/// A word for each kind of refusal, so that tables stay readable.
fn word(error: &GuardrailError) -> &'static str {
    match error {
        GuardrailError::Missing { .. } => "guardrail_missing",
        GuardrailError::Different { .. } => "guardrail_different",
        GuardrailError::NotTheirs { .. } => "guardrail_not_yours",
        GuardrailError::Asynchronous { .. } => "guardrail_asynchronous",
        GuardrailError::Selective(_) => "guardrail_selective",
        GuardrailError::CannotCarry(_) => "guardrail_cannot_be_carried",
        GuardrailError::Body(JsonError { fault: Fault::DuplicateMember, .. }) => "body_duplicate_member",
        GuardrailError::Body(_) => "body_not_json",
        GuardrailError::WrongType { .. } => "guardrail_malformed",
        GuardrailError::Misspelt(_) => "guardrail_misspelt",
        GuardrailError::Misplaced(_) => "guardrail_misplaced",
        GuardrailError::RepeatedHeader(_) | GuardrailError::HeaderValue { .. } => "guardrail_header",
        GuardrailError::Unspliceable(_) => "guardrail_internal",
    }
}
