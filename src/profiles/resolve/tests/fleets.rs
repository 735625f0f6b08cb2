//! Random fleets of discovered profiles, with tags that are missing, empty, recased and shared, against the rule written plainly.

use std::sync::Arc;

use super::*;
use crate::profiles::{Found, Match, Rule};

const VALUES: [&str; 7] = ["alice", "bob", "Alice", "alice@example.com", "eng", "*", ""];
const KEYS: [&str; 3] = ["UserEmail", "useremail", "CostCenter"];

/// The ARN of a profile of the fleet, in one of three accounts and one of two Regions.
fn fleet_arn(number: usize) -> String {
    let region = ["us-east-1", "eu-west-1"][number % 2];
    format!("arn:aws:bedrock:{region}:01234567890{}:application-inference-profile/f{number}", number % 3)
}

fn found(number: usize, source: &str, tags: &[(&str, &str)]) -> Found {
    Found {
        profile: Arc::new(Profile::new(
            format!("p{}", number % 4),
            fleet_arn(number).parse().unwrap(),
            source.parse().unwrap(),
        )),
        tags: tags.iter().map(|(key, value)| (Arc::from(*key), Box::from(*value))).collect(),
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let owner = prop_oneof![
        3 => select(KEYS.to_vec()).prop_map(|key| Match::Tag(key.to_owned())),
        1 => Just(Match::Name),
        1 => Just(Match::Group),
    ];
    let rule = (select(KEYS.to_vec()), owner).prop_map(|(key, owner)| Rule { profile_tag: key.to_owned(), owner });
    proptest::collection::vec(rule, 0..4)
}

fn tags() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    (subsequence(KEYS.to_vec(), 0..=2), proptest::collection::vec(select(VALUES.to_vec()), 2))
        .prop_map(|(keys, values)| keys.into_iter().zip(values).collect())
}

fn fleet() -> impl Strategy<Value = Vec<Found>> {
    let one = (select(SOURCES.to_vec()), tags());
    proptest::collection::vec(one, 0..14).prop_map(|drawn| {
        let numbered = drawn.into_iter().enumerate();
        numbered.map(|(number, (source, tags))| found(number, source, &tags)).collect()
    })
}

/// As whom a principal owns a profile that was found, the least first; a tag that is missing or empty says nothing.
fn rank(rules: &[Rule], who: &Principal, found: &Found) -> Option<(usize, usize, usize)> {
    let given = |tags: &[(&str, &str)], key: &str| {
        tags.iter().find(|(own, value)| *own == key && !value.is_empty()).map(|(_, value)| (*value).to_owned())
    };
    let own: Vec<_> = found.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    let theirs: Vec<_> = who.tags().iter().collect();
    let ranks = rules.iter().enumerate().filter_map(|(at, rule)| {
        let value = given(&own, &rule.profile_tag)?;
        match &rule.owner {
            Match::Tag(key) => (given(&theirs, key)? == value).then_some((1, at, 0)),
            Match::Name => (who.name() == value).then_some((1, at, 0)),
            Match::Group => who.groups().iter().position(|group| *group == value).map(|group| (2, group, at + 1)),
        }
    });
    ranks.min()
}

fn by_both_rules(grants: &[Grant], rules: &[Rule], fleet: &[Found], who: &Principal, text: &str) -> Option<String> {
    let name = ModelName::classify(text);
    let fit = |profile: &Profile, aliases: &[String]| {
        let called = |word: &str| {
            word == profile.name() || word == profile.arn().id() || aliases.iter().any(|alias| alias == word)
        };
        match &name {
            ModelName::ApplicationProfile(arn) => (arn == profile.arn()).then_some(0),
            ModelName::Word(word) => called(word).then_some(0),
            ModelName::Model(id) if called(id.as_str()) => Some(0),
            ModelName::Model(id) if id == profile.source() => Some(1),
            ModelName::Model(id) if id.base() == profile.source().base() => Some(2),
            ModelName::Model(_) | ModelName::Refused(_) => None,
        }
    };
    let listed = grants.iter().enumerate().filter_map(|(order, grant)| {
        let rank = match grant.owners.rank(who.name(), who.groups())? {
            crate::types::Rank::Principal => (0, 0, 0),
            crate::types::Rank::Group(group) => (2, group, 0),
            crate::types::Rank::Everyone => (3, 0, 0),
        };
        Some(((rank, fit(&grant.profile, &grant.aliases)?, order), grant.profile.arn()))
    });
    let fleet = fleet.iter().enumerate().filter_map(|(order, found)| {
        Some(((rank(rules, who, found)?, fit(&found.profile, &[])?, order), found.profile.arn()))
    });
    listed.chain(fleet).min_by_key(|(closeness, _)| *closeness).map(|(_, arn)| arn.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_fleet_resolves_by_the_rules_and_never_to_a_profile_that_is_not_the_callers(
        grants in grants(),
        rules in rules(),
        fleet in fleet(),
        name in select(vec!["alice", "bob", "eng", "Alice"]),
        groups in subsequence(NAMES.map(str::to_owned).to_vec(), 0..=3).prop_shuffle(),
        own_tags in tags(),
    ) {
        let directory = Directory::build(grants.clone(), &rules, fleet.clone()).unwrap();
        let tags = own_tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let who = Principal::new(name, groups, tags.collect());
        let ids = (0..14).flat_map(|number| [format!("f{number}"), fleet_arn(number)]);
        for text in texts().into_iter().chain(ids) {
            let target = resolve(&directory, &who, &text).ok();
            let target = target.as_ref().and_then(Target::profile).map(|profile| profile.arn().to_string());
            let name = ModelName::classify(&text);
            let chosen = directory.explain(&who, &name, &text).chosen().map(|(_, _, profile)| profile.arn().to_string());
            prop_assert_eq!(&target, &chosen, "what is explained is what is done: {}", text);
            prop_assert_eq!(&target, &by_both_rules(&grants, &rules, &fleet, &who, &text), "{} for {:?}", text, &who);
            if let Some(arn) = target {
                let listed = grants.iter().any(|grant| {
                    grant.profile.arn().as_str() == arn && grant.owners.rank(who.name(), who.groups()).is_some()
                });
                let owned = fleet.iter().any(|found| {
                    found.profile.arn().as_str() == arn && rank(&rules, &who, found).is_some()
                });
                prop_assert!(listed || owned, "{} is not {:?}'s", arn, &who);
            }
        }
        let mine: Vec<_> = directory.owned_by(&who).map(|(_, profile)| profile.arn()).collect();
        prop_assert_eq!(&mine, &directory.profiles_of(&who).map(|profile| profile.arn()).collect::<Vec<_>>());
        for found in &fleet {
            let given = rules.iter().any(|rule| found.tag(&rule.profile_tag).is_some_and(|value| rule.gives(value, &who)));
            prop_assert_eq!(given, mine.contains(&found.profile.arn()));
        }
    }
}

#[test]
fn a_tag_that_was_forgotten_makes_a_profile_nobodys() {
    let by_email = [Rule { profile_tag: "UserEmail".to_owned(), owner: Match::Tag("UserEmail".to_owned()) }];
    let source = SOURCES[0];
    let fleet = || {
        vec![
            found(0, source, &[]),
            found(1, source, &[("UserEmail", "")]),
            found(2, source, &[("useremail", "a@example.com")]),
            found(3, source, &[("UserEmail", "*")]),
            found(4, source, &[("UserEmail", "${aws:PrincipalTag/UserEmail}")]),
        ]
    };
    let directory = Directory::build(vec![], &by_email, fleet()).unwrap();
    for tags in [&[][..], &[("UserEmail", "")], &[("UserEmail", "a@example.com")], &[("USEREMAIL", "*")]] {
        let tags: Tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let who = Principal::new("alice", vec![], tags);
        assert_eq!(directory.profiles_of(&who).count(), 0, "{who:?}");
        assert!(resolve(&directory, &who, source).is_err());
    }
}

#[test]
fn an_owner_of_many_is_served_as_one_of_few() {
    let by_group = [Rule { profile_tag: "CostCenter".to_owned(), owner: Match::Group }];
    let fleet = |count| {
        (0..count)
            .map(|number| found(number, SOURCES[number % SOURCES.len()], &[("CostCenter", "eng")]))
            .collect::<Vec<_>>()
    };
    let (few, many) = (fleet(8), fleet(40));
    let [few, many] = [few, many].map(|fleet| Directory::build(vec![], &by_group, fleet).unwrap());
    let who = principal("alice", &["eng"]);
    for text in texts() {
        let arn = |directory: &Directory| {
            resolve(directory, &who, &text).ok().map(|target| target.profile().unwrap().arn().to_string())
        };
        assert_eq!(arn(&few), arn(&many), "{text}");
    }
    assert_eq!(many.profiles_of(&who).count(), 40);
}
