//! Resolution against tables, and against the documented rule written without any map.

mod fleets;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::profiles::Grant;
use crate::types::{Owners, ProfileArn, Tags};

const SONNET: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

fn arn(id: &str) -> String {
    format!("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/{id}")
}

fn grant(name: &str, source: &str, owners: Owners, aliases: &[&str]) -> Grant {
    Grant {
        profile: Profile::new(name, arn(&format!("id0{name}")).parse().unwrap(), source.parse().unwrap()),
        owners,
        reach: crate::profiles::Reach::AnyName,
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
    }
}

fn of(principal: &str) -> Owners {
    Owners::Only { principals: vec![principal.to_owned()], groups: vec![] }
}

fn of_group(group: &str) -> Owners {
    Owners::Only { principals: vec![], groups: vec![group.to_owned()] }
}

fn principal(name: &str, groups: &[&str]) -> Principal {
    Principal::new(name, groups.iter().map(|group| (*group).to_owned()).collect(), Tags::default())
}

fn resolve(directory: &Directory, principal: &Principal, text: &str) -> Result<Target, ResolveError> {
    directory.resolve(principal, Operation::Converse, &ModelName::classify(text), text)
}

fn found(directory: &Directory, principal: &Principal, text: &str) -> String {
    match resolve(directory, principal, text) {
        Ok(target) => target.profile().unwrap().name().to_owned(),
        Err(ResolveError::NotYours { .. }) => "profile-not-yours".to_owned(),
        Err(ResolveError::Unmapped { .. }) => "model-unmapped".to_owned(),
        Err(ResolveError::RefusedKind { .. }) => "model-kind-refused".to_owned(),
        Err(ResolveError::Awaited { .. }) => "awaited".to_owned(),
        Err(ResolveError::NoSuchName { .. }) => "model-unknown".to_owned(),
    }
}

fn company() -> Directory {
    Directory::new(vec![
        grant("bobs", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", of("bob"), &["sonnet"]),
        grant("alices", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", of("alice"), &["sonnet", "claude-sonnet-4-5"]),
        grant("engs", SONNET, of_group("eng"), &["sonnet", "cheap"]),
        grant(
            "haiku",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            of("alice"),
            &["anthropic.claude-3-haiku-20240307-v1:0"],
        ),
        grant("nova", "amazon.nova-lite-v1:0", Owners::Everyone, &[]),
    ])
    .unwrap()
}

#[test]
fn every_kind_of_name_leads_to_the_callers_own_profile_or_nowhere() {
    let directory = company();
    let alice = principal("alice", &["eng"]);
    for (text, name) in [
        (SONNET, "alices"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "alices"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "alices"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "alices"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0", "alices"),
        (
            "arn:aws:bedrock:eu-west-1:012345678901:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "alices",
        ),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/id0alices", "alices"),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/id0engs", "engs"),
        ("id0alices", "alices"),
        ("alices", "alices"),
        ("sonnet", "alices"),
        ("claude-sonnet-4-5", "alices"),
        ("cheap", "engs"),
        ("engs", "engs"),
        ("nova", "nova"),
        ("apac.amazon.nova-lite-v1:0", "nova"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "haiku"),
        // The alias is a model's id: it is met exactly, other geographies of it are not.
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "model-unmapped"),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/id0bobs", "profile-not-yours"),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/nonesuch", "profile-not-yours"),
        ("arn:aws:bedrock:us-west-2:012345678901:application-inference-profile/id0alices", "profile-not-yours"),
        ("arn:aws:bedrock:us-east-1:999999999999:application-inference-profile/id0alices", "profile-not-yours"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "model-unmapped"),
        ("bobs", "model-unknown"),
        ("id0bobs", "model-unknown"),
        ("Sonnet", "model-unknown"),
        ("", "model-unknown"),
        ("arn:aws:bedrock:us-east-1:012345678901:provisioned-model/abc", "model-kind-refused"),
        ("arn:aws:bedrock:us-east-1:012345678901:custom-model/a.b/c", "model-kind-refused"),
        ("arn:aws:bedrock:us-east-1:012345678901:imported-model/abc", "model-kind-refused"),
        ("arn:aws:bedrock:us-east-1:012345678901:prompt/ABC:1", "model-kind-refused"),
        ("arn:aws:bedrock:us-east-1:012345678901:default-prompt-router/x:1", "model-kind-refused"),
        ("arn:aws:sagemaker:us-east-1:012345678901:endpoint/x", "model-kind-refused"),
        ("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/a/b", "model-kind-refused"),
        ("a/b", "model-kind-refused"),
    ] {
        assert_eq!(found(&directory, &alice, text), name, "{text}");
    }
}

#[test]
fn whose_a_profile_is_comes_before_how_well_it_fits_and_that_before_the_order_of_the_file() {
    let us = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let directory = Directory::new(vec![
        grant("all", us, Owners::Everyone, &[]),
        grant("ops", us, of_group("ops"), &[]),
        grant("eng", us, of_group("eng"), &[]),
        grant("apac", "apac.anthropic.claude-sonnet-4-5-20250929-v1:0", of("alice"), &[]),
        grant("global", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", of("alice"), &[]),
        grant("us1", us, of("bob"), &[]),
        grant("us2", us, of("bob"), &[]),
        grant("swap", "amazon.nova-lite-v1:0", of("carol"), &[us]),
        grant("plain", us, of("carol"), &[]),
    ])
    .unwrap();
    for (who, text, name) in [
        (principal("zoe", &[]), us, "all"),
        (principal("zoe", &["ops", "eng"]), us, "ops"),
        (principal("zoe", &["eng", "ops"]), us, "eng"),
        (principal("alice", &["eng"]), us, "apac"),
        (principal("alice", &[]), "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "global"),
        (principal("alice", &[]), SONNET, "apac"),
        (principal("bob", &[]), us, "us1"),
        (principal("bob", &[]), "us2", "us2"),
        (principal("carol", &[]), us, "swap"),
        (principal("carol", &[]), SONNET, "plain"),
        (principal("eng", &[]), "ops", "model-unknown"),
        (principal("", &[""]), us, "all"),
    ] {
        assert_eq!(found(&directory, &who, text), name, "{text} for {who:?}");
    }
}

#[test]
fn counting_tokens_goes_to_the_model_behind_the_callers_own_profile() {
    let directory = company();
    let alice = principal("alice", &[]);
    for operation in Operation::ALL {
        let target = directory.resolve(&alice, operation, &ModelName::classify("sonnet"), "sonnet").unwrap();
        let model_id = if operation == Operation::CountTokens { SONNET.to_owned() } else { arn("id0alices") };
        assert_eq!(target.model_id(), Some(model_id.as_str()), "{operation}");
        assert_eq!(target.region().unwrap().as_str(), "us-east-1");
    }
    let count = directory.resolve(&principal("zoe", &[]), Operation::CountTokens, &ModelName::classify(SONNET), SONNET);
    assert!(matches!(count, Err(ResolveError::Unmapped { .. })));
}

#[test]
fn a_refusal_says_what_to_ask_for() {
    let directory = company();
    let told = |who: &Principal, text: &str| resolve(&directory, who, text).unwrap_err().caller_text();
    assert_eq!(
        told(&principal("alice", &["eng"]), "amazon.titan-text-lite-v1"),
        "You have no inference profile for the model amazon.titan-text-lite-v1 at this gateway; ask for one of yours: sonnet \
         (eu.anthropic.claude-sonnet-4-5-20250929-v1:0), anthropic.claude-3-haiku-20240307-v1:0 \
         (us.anthropic.claude-haiku-4-5-20251001-v1:0), engs (anthropic.claude-sonnet-4-5-20250929-v1:0), nova \
         (amazon.nova-lite-v1:0)."
    );
    assert_eq!(
        told(&principal("zoe", &[]), "arn:aws:bedrock:us-east-1:1:provisioned-model/x"),
        "What you asked for is a provisioned model, and this gateway calls inference profiles only; ask for one of yours: nova \
         (amazon.nova-lite-v1:0)."
    );
    let nobody = Directory::new(vec![]).unwrap();
    let told = resolve(&nobody, &principal("zoe", &[]), "sonnet").unwrap_err().caller_text();
    assert!(told.contains("no model, profile or alias named `sonnet`") && told.contains("ask the operator"), "{told}");

    let many = (0..9).map(|n| grant(&format!("p{n}"), SONNET, Owners::Everyone, &[])).collect();
    let told = resolve(&Directory::new(many).unwrap(), &principal("zoe", &[]), &"x".repeat(2_048)).unwrap_err();
    assert!(told.caller_text().ends_with("and 5 more.") && told.caller_text().len() < 800, "{told:?}");
}

#[test]
fn another_persons_profile_reads_like_one_that_does_not_exist() {
    let directory = company();
    let alice = principal("alice", &[]);
    for (theirs, nobodys) in [
        (arn("id0bobs"), arn("id0boba")),
        ("bobs".to_owned(), "boba".to_owned()),
        ("id0bobs".to_owned(), "id0boba".to_owned()),
    ] {
        let (one, other) =
            (resolve(&directory, &alice, &theirs).unwrap_err(), resolve(&directory, &alice, &nobodys).unwrap_err());
        assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&other));
        assert_eq!(one.caller_text().replace(&theirs, "…"), other.caller_text().replace(&nobodys, "…"));
    }
}

const NAMES: [&str; 3] = ["alice", "bob", "eng"];
const WORDS: [&str; 4] = ["x", "p0", "id0p1", "us.meta.llama3-v1:0"];
const SOURCES: [&str; 6] = [
    "meta.llama3-v1:0",
    "us.meta.llama3-v1:0",
    "eu.meta.llama3-v1:0",
    "amazon.nova-v1:0",
    "us.amazon.nova-v1:0",
    "global.amazon.nova-v1:0",
];

fn owners() -> impl Strategy<Value = Owners> {
    let some = || subsequence(NAMES.map(str::to_owned).to_vec(), 0..=2);
    prop_oneof![
        1 => Just(Owners::Everyone),
        4 => (some(), some()).prop_map(|(principals, groups)| Owners::Only { principals, groups }),
    ]
}

/// Grants of which every clash was left out, so that what remains makes a directory.
fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let one = (owners(), select(SOURCES.to_vec()), subsequence(WORDS.to_vec(), 0..=1));
    proptest::collection::vec(one, 0..9).prop_map(|drawn| {
        let mut grants: Vec<Grant> = vec![];
        for (n, (owners, source, aliases)) in drawn.into_iter().enumerate() {
            grants.push(grant(&format!("p{n}"), source, owners, &aliases));
            if Directory::new(grants.clone()).is_err() {
                grants.pop();
            }
        }
        grants
    })
}

fn texts() -> Vec<String> {
    let ids = (0..9).flat_map(|n| [format!("p{n}"), format!("id0p{n}"), arn(&format!("id0p{n}"))]);
    let models =
        SOURCES.iter().flat_map(|id| [(*id).to_owned(), format!("arn:aws:bedrock:us-east-1::foundation-model/{id}")]);
    ids.chain(models).chain(WORDS.map(str::to_owned)).chain(["apac.meta.llama3-v1:0".to_owned()]).collect()
}

/// The rule as it is documented, without a map: every grant is looked at and the least is taken.
fn by_the_rule(grants: &[Grant], who: &Principal, text: &str) -> Option<Profile> {
    let name = ModelName::classify(text);
    let candidates = grants.iter().enumerate().filter_map(|(order, grant)| {
        let rank = grant.owners.rank(who.name(), who.groups())?;
        let profile = &grant.profile;
        let called = |word: &str| {
            word == profile.name() || word == profile.arn().id() || grant.aliases.iter().any(|alias| alias == word)
        };
        let fit = match &name {
            ModelName::ApplicationProfile(arn) => (arn == profile.arn()).then_some(0),
            ModelName::Word(word) => called(word).then_some(0),
            ModelName::Model(id) if called(id.as_str()) => Some(0),
            ModelName::Model(id) if id == profile.source() => Some(1),
            ModelName::Model(id) if id.base() == profile.source().base() => Some(2),
            ModelName::Model(_) | ModelName::Refused(_) => None,
        }?;
        Some(((rank, fit, order), profile))
    });
    candidates.min_by_key(|(closeness, _)| *closeness).map(|(_, profile)| profile.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn resolution_follows_the_rule_and_never_leaves_the_callers_own(
        grants in grants(),
        name in select(vec!["alice", "bob", "eng", "zoe"]),
        groups in subsequence(NAMES.map(str::to_owned).to_vec(), 0..=3).prop_shuffle(),
    ) {
        let directory = Directory::new(grants.clone()).unwrap();
        let who = Principal::new(name, groups, Tags::default());
        for text in texts() {
            let target = resolve(&directory, &who, &text).ok();
            let profile = target.as_ref().and_then(Target::profile).map(|profile| Profile::clone(profile));
            prop_assert_eq!(&profile, &by_the_rule(&grants, &who, &text), "{} for {:?}", text, &who);
            if let Some(profile) = profile {
                let granted = grants.iter().find(|grant| grant.profile == profile).unwrap();
                prop_assert!(granted.owners.rank(who.name(), who.groups()).is_some());
            }
        }
        let mine: Vec<_> = directory.profiles_of(&who).collect();
        let granted = grants.iter().filter(|grant| grant.owners.rank(who.name(), who.groups()).is_some());
        prop_assert_eq!(mine.len(), granted.count());
    }
}

#[test]
fn what_is_no_profile_is_reached_by_its_very_arn_and_by_those_who_are_named() {
    let reserved = "arn:aws:bedrock:us-east-1:012345678901:provisioned-model/abc123";
    let exact = |owners| Grant {
        profile: Profile::new("reserved", ProfileArn::of_exact(reserved).unwrap(), SONNET.parse().unwrap()),
        owners,
        reach: crate::profiles::Reach::ArnAlone,
        aliases: vec![],
    };
    let directory = Directory::new(vec![exact(of("alice"))]).unwrap();
    let alice = principal("alice", &[]);
    assert_eq!(resolve(&directory, &alice, reserved).unwrap().model_id(), Some(reserved));
    for name in [SONNET, "reserved", "abc123", "arn:aws:bedrock:us-east-1:012345678901:provisioned-model/abc124"] {
        assert!(resolve(&directory, &alice, name).is_err(), "{name}");
    }
    assert_eq!(directory.profiles_of(&alice).count(), 0, "no list shows it");
    assert_eq!(
        resolve(&directory, &principal("bob", &["eng"]), reserved).unwrap_err(),
        resolve(&Directory::default(), &principal("bob", &[]), reserved).unwrap_err(),
        "for others it is refused as if it were not there"
    );
    let directory = Directory::new(vec![exact(of_group("eng"))]).unwrap();
    assert!(resolve(&directory, &principal("bob", &["eng"]), reserved).is_ok());
}
