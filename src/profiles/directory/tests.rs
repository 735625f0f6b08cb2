//! What a directory is built from, and in which order a principal has its profiles.

use super::*;
use crate::types::Tags;

const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const HAIKU: &str = "eu.anthropic.claude-haiku-4-5-20251001-v1:0";

fn grant(name: &str, id: &str, source: &str) -> Grant {
    let arn = format!("arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/{id}");
    Grant {
        profile: Profile::new(name, arn.parse().unwrap(), source.parse().unwrap()),
        owners: Owners::Everyone,
        reach: Reach::AnyName,
        aliases: vec![],
    }
}

fn only(principals: &[&str], groups: &[&str]) -> Owners {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Owners::Only { principals: owned(principals), groups: owned(groups) }
}

fn with(owners: Owners, aliases: &[&str], grant: Grant) -> Grant {
    Grant { owners, aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(), ..grant }
}

#[test]
fn what_could_be_meant_in_two_ways_is_refused_with_both_names() {
    let (one, two) = (|| grant("one", "aaa", SONNET), || grant("two", "bbb", HAIKU));
    for (grants, error) in [
        (vec![one(), grant("one", "bbb", SONNET)], "two profiles are named `one`"),
        (
            vec![with(only(&["alice"], &[]), &[], one()), with(only(&["bob"], &[]), &[], grant("one", "bbb", SONNET))],
            "two profiles are named `one`",
        ),
        (
            vec![with(Owners::Everyone, &["x"], one()), with(Owners::Everyone, &["x"], two())],
            "`x` means both profile `one` and profile `two` for everyone",
        ),
        (
            vec![with(only(&["alice"], &[]), &["x"], one()), with(only(&["bob", "alice"], &[]), &["x"], two())],
            "`x` means both profile `one` and profile `two` for principal alice",
        ),
        (
            vec![with(only(&[], &["eng"]), &["two"], one()), with(only(&[], &["eng"]), &[], two())],
            "`two` means both profile `one` and profile `two` for group eng",
        ),
        (
            vec![one(), with(Owners::Everyone, &["aaa"], two())],
            "`aaa` means both profile `one` and profile `two` for everyone",
        ),
        (vec![one(), grant("two", "aaa", SONNET)], "`aaa` means both profile `one` and profile `two` for everyone"),
        (
            vec![with(only(&["alice"], &[]), &[], one()), with(only(&["bob"], &[]), &[], grant("two", "aaa", HAIKU))],
            "profiles `one` and `two` have the same ARN",
        ),
        (vec![with(only(&[], &[]), &[], one())], "profile `one` belongs to nobody"),
        (vec![with(only(&["alice", ""], &[]), &[], one())], "profile `one` belongs to nobody"),
        (vec![with(only(&["alice"], &[""]), &[], one())], "profile `one` belongs to nobody"),
        (vec![grant("", "aaa", SONNET)], "`` cannot name a profile"),
        (vec![grant("a\nb", "aaa", SONNET)], "`a\\nb` cannot name a profile"),
        (vec![grant(" a", "aaa", SONNET)], "` a` cannot name a profile"),
        (vec![grant(&"a".repeat(65), "aaa", SONNET)], "cannot name a profile"),
        (vec![with(Owners::Everyone, &["a/b"], one())], "the alias `a/b`"),
        (vec![with(Owners::Everyone, &["a b"], one())], "the alias `a b`"),
        (vec![with(Owners::Everyone, &[""], one())], "the alias ``"),
        (vec![with(Owners::Everyone, &["arn:aws:x"], one())], "the alias `arn:aws:x`"),
    ] {
        let told = Directory::new(grants.clone()).map(|_| ()).unwrap_err().to_string();
        assert!(told.contains(error), "{error:?} expected of {grants:?}: {told}");
    }
}

#[test]
fn the_same_word_may_mean_different_profiles_for_different_owners() {
    let grants = vec![
        with(only(&["alice"], &[]), &["sonnet"], grant("alices", "aaa", SONNET)),
        with(only(&["bob"], &["eng"]), &["sonnet"], grant("bobs", "bbb", SONNET)),
        with(Owners::Everyone, &["sonnet"], grant("all", "ccc", SONNET)),
    ];
    assert!(Directory::new(grants).is_ok());
}

#[test]
fn repeating_oneself_is_no_clash() {
    let grants = vec![
        with(only(&["alice", "alice"], &["alice"]), &["x", "x", "one", "aaa"], grant("one", "aaa", SONNET)),
        with(only(&["bob"], &[]), &[], grant("two", "aaa", SONNET)),
    ];
    let directory = Directory::new(grants).unwrap();
    let alice = Principal::new("alice", vec!["alice".to_owned()], Tags::default());
    assert_eq!(directory.profiles_of(&alice).count(), 1);
}

#[test]
fn a_principals_profiles_are_listed_from_the_closest_each_once() {
    let directory = Directory::new(vec![
        with(Owners::Everyone, &[], grant("all", "aaa", SONNET)),
        with(only(&[], &["ops"]), &[], grant("ops", "bbb", SONNET)),
        with(only(&["alice"], &["ops", "eng"]), &[], grant("alice-2", "ccc", SONNET)),
        with(only(&[], &["eng"]), &[], grant("eng", "ddd", SONNET)),
        with(only(&["alice"], &[]), &[], grant("alice-1", "eee", SONNET)),
        with(only(&["bob"], &[]), &[], grant("bob", "fff", SONNET)),
        with(only(&[], &["sales"]), &[], grant("sales", "ggg", SONNET)),
    ])
    .unwrap();
    let alice = Principal::new("alice", vec!["eng".to_owned(), "ops".to_owned()], Tags::default());
    let names: Vec<_> = directory.profiles_of(&alice).map(|profile| profile.name()).collect();
    assert_eq!(names, ["alice-2", "alice-1", "eng", "ops", "all"]);
}
