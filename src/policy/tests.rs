//! What is allowed, by tables and against the rule that allowances add up.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::bedrock::Treatment;
use crate::profiles::Profile;
use crate::types::Tags;

const ARN: &str = "arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/abc123";

fn targets() -> [Target; 3] {
    let profile =
        Arc::new(Profile::new("sonnet", ARN.parse().unwrap(), "us.anthropic.claude-sonnet-4-v1:0".parse().unwrap()));
    [
        Target::Profile(Arc::clone(&profile)),
        Target::BaseModel(profile),
        Target::Guardrail { identifier: "gr1".to_owned(), version: "1".to_owned() },
    ]
}

/// The target that the stage before gives for an operation.
fn target_of(operation: Operation) -> Target {
    let [profile, base_model, guardrail] = targets();
    if operation == Operation::CountTokens {
        base_model
    } else if operation == Operation::ApplyGuardrail {
        guardrail
    } else {
        profile
    }
}

fn forwarded() -> Vec<Operation> {
    Operation::ALL.into_iter().filter(|operation| operation.forwarded().is_some()).collect()
}

fn alice() -> Arc<Principal> {
    Arc::new(Principal::new("alice", vec!["eng".to_owned()], Tags::default()))
}

fn only(principal: &str, group: &str) -> Owners {
    Owners::Only { principals: vec![principal.to_owned()], groups: vec![group.to_owned()] }
}

#[test]
fn without_rules_exactly_what_is_forwarded_is_allowed() {
    for policies in [Policies::default(), Policies::new(vec![]).unwrap()] {
        for operation in Operation::ALL {
            let decision = policies.authorize(alice(), target_of(operation), operation);
            assert_eq!(decision.is_ok(), operation.forwarded().is_some(), "{operation}");
        }
    }
}

#[test]
fn an_operation_on_a_target_of_the_wrong_kind_is_denied() {
    for operation in forwarded() {
        for target in targets() {
            let right = target == target_of(operation);
            let decision = Policies::default().authorize(alice(), target.clone(), operation);
            assert_eq!(decision.is_ok(), right, "{operation} on {target:?}");
            if let Err(denied) = decision {
                assert!(denied.caller_text().contains("does not forward the operation"), "{denied}");
            }
        }
    }
}

#[test]
fn what_is_permitted_is_what_was_asked() {
    let permitted =
        Policies::default().authorize(alice(), target_of(Operation::Converse), Operation::Converse).unwrap();
    assert_eq!(
        (permitted.principal(), permitted.target(), permitted.operation()),
        (&alice(), &target_of(Operation::Converse), Operation::Converse)
    );
}

#[test]
fn a_denial_reads_like_iams_own_and_says_what_to_do() {
    let rules = vec![PolicyRule { owners: only("bob", "ops"), operations: forwarded() }];
    let policies = Policies::new(rules).unwrap();
    let denied = policies.authorize(alice(), target_of(Operation::Converse), Operation::Converse).unwrap_err();
    assert_eq!(
        denied.caller_text(),
        format!(
            "User: alice is not authorized to perform: bedrock:InvokeModel on resource: {ARN} because no identity-based policy \
             allows the bedrock:InvokeModel action. Ask the operator of this gateway to allow you the operation Converse."
        )
    );
    assert_eq!(denied.log_text(), format!("no policy allows alice the operation Converse on {ARN}"));
    let denied = policies.authorize(alice(), target_of(Operation::ApplyGuardrail), Operation::ApplyGuardrail);
    assert!(denied.unwrap_err().caller_text().contains("bedrock:ApplyGuardrail on resource: gr1 because"));
}

#[test]
fn a_rule_cannot_allow_what_is_not_forwarded() {
    for operation in Operation::ALL {
        let rules = vec![PolicyRule { owners: Owners::Everyone, operations: vec![Operation::Converse, operation] }];
        let told = Policies::new(rules).map(|_| ()).map_err(|error| error.to_string());
        match operation.treatment() {
            Treatment::Forwarded(_) => assert_eq!(told, Ok(())),
            Treatment::Answered | Treatment::Refused => assert!(told.unwrap_err().contains(operation.name())),
        }
    }
}

#[test]
fn the_remedy_of_a_wrong_rule_names_every_forwarded_operation() {
    let told = PolicyError { operation: Operation::OpenAiApi }.to_string();
    assert!(forwarded().iter().all(|operation| told.contains(operation.name())), "{told}");
}

fn rule() -> impl Strategy<Value = PolicyRule> {
    let owners = prop_oneof![
        Just(Owners::Everyone),
        (select(vec!["alice", "bob"]), select(vec!["eng", "ops"])).prop_map(|(name, group)| only(name, group)),
    ];
    (owners, subsequence(forwarded(), 0..=6)).prop_map(|(owners, operations)| PolicyRule { owners, operations })
}

proptest! {
    #[test]
    fn rules_add_up_and_what_none_allows_is_denied(
        rules in proptest::collection::vec(rule(), 1..5),
        name in select(vec!["alice", "bob", "zoe"]),
        group in select(vec!["eng", "ops", "sales"]),
    ) {
        let policies = Policies::new(rules.clone()).unwrap();
        let principal = Arc::new(Principal::new(name, vec![group.to_owned()], Tags::default()));
        for operation in forwarded() {
            let mut allowed = false;
            for rule in rules.iter().filter(|rule| rule.operations.contains(&operation)) {
                allowed |= match &rule.owners {
                    Owners::Everyone => true,
                    Owners::Only { principals, groups } => principals[0] == name || groups[0] == group,
                };
            }
            let decision = policies.authorize(Arc::clone(&principal), target_of(operation), operation);
            prop_assert_eq!(decision.is_ok(), allowed, "{} for {}", operation, name);
        }
    }
}
