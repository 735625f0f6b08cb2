//! Patterns and templates, as tables and properties.

use proptest::prelude::*;

use super::*;

fn parts(pattern: &str, text: &str) -> Option<String> {
    let pattern = Pattern::parse(pattern).unwrap();
    let parts = pattern.parts(text)?;
    Some(parts.iter().map(|(name, part)| format!("{name}={part}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_pattern_takes_parts_and_no_more_than_a_segment() {
    let sso = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_*/{email}";
    let arn = |rest: &str| format!("arn:aws:sts::123456789012:assumed-role/{rest}");
    for (pattern, text, expected) in [
        (sso, arn("AWSReservedSSO_Dev_0123456789abcdef/alice@example.com"), Some("email=alice@example.com")),
        (sso, arn("AWSReservedSSO_/alice@example.com"), None),
        (sso, arn("Other/alice@example.com"), None),
        (sso, arn("AWSReservedSSO_Dev/alice@example.com/more"), None),
        (sso, arn("AWSReservedSSO_Dev/x/alice@example.com"), None),
        (sso, arn("AWSReservedSSO_Dev/"), None),
        (sso, format!("x{}", arn("AWSReservedSSO_Dev/a")), None),
        ("{a}-{b}", "x-y-z".to_owned(), Some("a=x b=y-z")),
        ("{a}-{b}.c", "x-y.c".to_owned(), Some("a=x b=y")),
        ("*", "anything".to_owned(), Some("")),
        ("*", "any/thing".to_owned(), None),
        ("*", "any:thing".to_owned(), None),
        ("*", String::new(), None),
        (
            "spiffe://cluster.local/ns/{ns}/sa/{sa}",
            "spiffe://cluster.local/ns/web/sa/api".to_owned(),
            Some("ns=web sa=api"),
        ),
        ("{x}é", "öé".to_owned(), Some("x=ö")),
    ] {
        assert_eq!(parts(pattern, &text).as_deref(), expected, "{pattern} on {text}");
    }
}

#[test]
fn a_text_that_is_longer_than_any_name_fits_nothing() {
    assert_eq!(parts("*", &"x".repeat(1_024)).as_deref(), Some(""));
    assert_eq!(parts("*", &"x".repeat(1_025)), None);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, error) in [
        ("", PatternError::Empty),
        ("a{", PatternError::Brace),
        ("a}", PatternError::Brace),
        ("a}{b}", PatternError::Brace),
        ("{}", PatternError::Brace),
        ("{a{b}", PatternError::Brace),
        ("{a}{b}", PatternError::Adjacent),
        ("**", PatternError::Adjacent),
        ("*{a}", PatternError::Adjacent),
        ("{a}/{a}", PatternError::Twice("a".to_owned())),
        ("*a*a*a*a*a*a*a*a*", PatternError::TooMany),
    ] {
        assert_eq!(Pattern::parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn a_template_says_what_it_lacks() {
    let template = Template::parse("ci:{repository}@{ref}").unwrap();
    let value = |name: &str| match name {
        "repository" => Some(Cow::Borrowed("org/repo")),
        "ref" => Some(Cow::Borrowed("main")),
        _ => None,
    };
    assert_eq!(template.fill(value).unwrap(), "ci:org/repo@main");
    assert_eq!(template.fill(|name| value(name).filter(|_| name == "ref")).unwrap_err(), "repository");
    assert_eq!(template.fill(|_| Some(Cow::Borrowed(""))).unwrap_err(), "repository");
}

#[test]
fn different_parts_never_make_the_same_text() {
    for (template, together) in [
        ("{a}-{b}", Some(("a", "b"))),
        ("{a}{b}", Some(("a", "b"))),
        ("x/{a}/{b}.{c}", Some(("b", "c"))),
        ("/{a}", None),
        ("{a}/{b}", None),
        ("ci:{a}-:-{b}/{c}", None),
    ] {
        assert_eq!(Template::parse(template).unwrap().runs_together(), together, "{template}");
    }
    for (template, a, expected) in [
        ("{a}/{b}", "x/y", Err("a")),
        ("{a}/{b}", "x:y", Ok("x:y/z")),
        ("{a}:{b}", "x:y", Err("a")),
        ("{a}:{b}", "refs/heads/main", Ok("refs/heads/main:z")),
        ("{a}:{b}/{b}", "x/y", Err("a")),
        ("ci:{a}", "x:y/z", Ok("ci:x:y/z")),
    ] {
        let value = |name: &str| Some(Cow::Borrowed(if name == "a" { a } else { "z" }));
        let filled = Template::parse(template).unwrap().fill(value);
        assert_eq!(filled.as_deref().map_err(String::as_str), expected, "{template} of {a}");
    }
    assert_eq!(Template::parse("x/{a}").unwrap().bare().or(Template::parse("{a}").unwrap().bare()), Some("a"));
}

proptest! {
    #[test]
    fn no_text_takes_long_and_what_is_taken_is_of_it(pattern in "[ab*/{}]{1,12}", text in "[ab/:]{0,400}") {
        if let Ok(pattern) = Pattern::parse(&pattern) && let Some(parts) = pattern.parts(&text) {
            for part in parts.values() {
                prop_assert!(!part.is_empty() && text.contains(part) && !part.contains(['/', ':']));
            }
        }
    }

    #[test]
    fn many_wildcards_on_a_text_that_does_not_fit_end_soon(wildcards in 1_usize..9, length in 0_usize..100) {
        let pattern = Pattern::parse(&"*a".repeat(wildcards)).unwrap();
        prop_assert!(pattern.parts(&("a".repeat(length) + "b")).is_none());
    }
}
#[test]
fn a_name_is_what_can_be_seen_and_nothing_else() {
    for name in ["alice", "alice@example.com", "team a", "prod/shop", "Zoë", &"a".repeat(128)] {
        assert!(is_name(name), "{name:?}");
    }
    for name in [
        "",
        " alice",
        "alice ",
        "ali\nce",
        "ali\u{200b}ce",
        "\u{202e}alice",
        "al\u{ad}ice",
        "\u{feff}alice",
        &"a".repeat(129),
    ] {
        assert!(!is_name(name), "{name:?}");
    }
}
