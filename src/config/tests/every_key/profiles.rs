//! What every key of `[[accounts]]`, `[discovery]` and `[[vending]]` means.

use super::*;
use crate::identity::Template;
use crate::profiles::control::Place;
use crate::profiles::vending::{Geographies, VendingRule};
use crate::profiles::{Match, PromptBounds, Reach, Rule};
use crate::types::{Geography, ProfileArn};
use crate::upstream::AssumedRole;

pub(super) fn exact() -> ProfileSettings {
    ProfileSettings {
        name: "ex".to_owned(),
        arn: ProfileArn::of_exact("arn:aws:bedrock:eu-west-1:012345678901:provisioned-model/pm").unwrap(),
        source: Some("eu.newcomer.model-v1:0".parse().unwrap()),
        owners: Owners::Only { principals: vec!["n".to_owned()], groups: vec!["g".to_owned()] },
        reach: Reach::ArnAlone,
        prompt: None,
        aliases: vec![],
    }
}

pub(super) fn prompt() -> ProfileSettings {
    ProfileSettings {
        name: "pt".to_owned(),
        arn: ProfileArn::of_exact("arn:aws:bedrock:eu-west-1:012345678901:prompt/PROMPT1234:7").unwrap(),
        prompt: Some(PromptBounds { input_tokens: 31, output_tokens: 32, variable_uses: 33 }),
        ..exact()
    }
}

pub(super) fn accounts() -> Vec<AccountSettings> {
    let template = |text| Template::parse(text).unwrap();
    vec![AccountSettings {
        account: "000000000001".parse().unwrap(),
        regions: vec!["eu-west-1".parse().unwrap(), "eu-central-1".parse().unwrap()],
        role: Some(AssumedRole {
            account: "000000000001".parse().unwrap(),
            arn: "arn:aws:iam::000000000001:role/r".to_owned(),
            external_id: Some("x:1".to_owned()),
            session_name: template("s-{principal}"),
            session_tags: [("A".to_owned(), template("{K}")), ("B".to_owned(), template("b"))].into(),
            transitive_tags: vec!["A".to_owned()],
            duration: Duration::from_mins(31),
        }),
    }]
}

pub(super) fn discovery() -> DiscoverySettings {
    DiscoverySettings {
        every: Duration::from_secs(26),
        file: "/f.json".into(),
        endpoint: Some("http://localhost:27/".parse().unwrap()),
        vending_wait: Duration::from_secs(28),
        rules: vec![
            Rule { profile_tag: "a".to_owned(), owner: Match::Tag("b".to_owned()) },
            Rule { profile_tag: "c".to_owned(), owner: Match::Group },
        ],
    }
}

pub(super) fn vending() -> Vec<VendingSettings> {
    vec![
        VendingSettings::Create(VendingRule {
            owners: Owners::Only { principals: vec![], groups: vec!["g".to_owned()] },
            models: Models::Like(vec!["a.*".to_owned()]),
            place: Place { account: "000000000001".parse().unwrap(), region: "eu-central-1".parse().unwrap() },
            geographies: Geographies(vec![Some(Geography::Eu), None]),
            name: Template::parse("n-{principal}").unwrap(),
            tags: [("a".to_owned(), Template::parse("{b}").unwrap())].into(),
            per_principal: 29,
            most: Some(30),
        }),
        VendingSettings::Refuse { owners: Owners::Everyone, models: Models::Like(vec!["b.*".to_owned()]) },
    ]
}
