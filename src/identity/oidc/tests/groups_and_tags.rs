//! How many groups and tags a token may tell of, and what becomes of one that leaves groups out.

use super::*;

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("g{number}")).collect()
}

#[test]
fn groups_that_are_left_out_are_not_taken_for_none() {
    let place = Place::new(settings());
    let left_out = TokenFault::Elsewhere("groups".to_owned());
    let entra = json!({ "groups": "src1" });
    let sources = json!({ "src1": { "endpoint": "https://graph.microsoft.com/v1.0/users/1/getMemberObjects" } });
    for (name, value) in [
        ("_claim_names", entra.clone()),
        ("_claim_names", json!({ "groups": "src1", "other": "src2" })),
        ("hasgroups", json!(true)),
        ("hasgroups", json!("true")),
    ] {
        let mut token = with(name, value.clone());
        token["_claim_sources"] = sources.clone();
        token.as_object_mut().unwrap().remove("groups");
        assert_eq!(place.claims(&token).unwrap_err(), left_out, "{name}: {value}");
        token["groups"] = json!([]);
        assert_eq!(place.claims(&token).unwrap_err(), left_out, "{name}: {value}, and an empty list");
    }
    for (name, value) in [
        ("_claim_names", json!({ "address": "src1" })),
        ("_claim_names", json!("groups")),
        ("hasgroups", json!(false)),
        ("hasgroups", json!("false")),
        ("hasgroups", json!(null)),
    ] {
        let mut token = with(name, value.clone());
        assert_eq!(place.claims(&token).unwrap().groups(), ["eng", "ops"], "{name}: {value}");
        token.as_object_mut().unwrap().remove("groups");
        assert_eq!(place.claims(&token).unwrap().groups(), [""; 0], "{name}: {value}, and somebody without groups");
    }
    let text = left_out.caller_text();
    assert!(text.contains("\"groups\"") && text.contains("assigned to this application"), "{text}");
    assert_eq!(left_out.log_text(), format!("OpenID Connect: {text}"));
}

#[test]
fn where_groups_come_from_another_claim_or_none_nothing_is_missed() {
    let mut overage = with("_claim_names", json!({ "groups": "src1" }));
    overage["hasgroups"] = json!(true);
    overage["roles"] = json!(["admin"]);
    let of_roles = Place::new(IssuerSettings { groups_claim: Some("roles".to_owned()), ..settings() });
    assert_eq!(of_roles.claims(&overage).unwrap().groups(), ["admin"]);
    let of_none = Place::new(IssuerSettings { groups_claim: None, ..settings() });
    assert_eq!(of_none.claims(&overage).unwrap().groups(), [""; 0]);
    overage["_claim_names"] = json!({ "roles": "src1" });
    assert_eq!(of_roles.claims(&overage).unwrap_err(), TokenFault::Elsewhere("roles".to_owned()));
}

#[test]
fn there_is_a_most_of_groups() {
    let place = Place::new(settings());
    assert_eq!(place.claims(&with("groups", json!(numbered(250)))).unwrap().groups(), numbered(250));
    let too_many = place.claims(&with("groups", json!(numbered(251))));
    assert_eq!(too_many.unwrap_err(), TokenFault::Claim("the groups that come of it".to_owned()));
    let twice = place.claims(&with("groups", json!(["eng", "eng", "ops"]))).unwrap();
    assert_eq!(twice.groups(), ["eng", "ops"]);
}

#[test]
fn tags_have_the_bounds_of_iam() {
    let place = Place::new(settings());
    let tags = |tags: Value| {
        let told = place.claims(&with("https://aws.amazon.com/tags", json!({ "principal_tags": tags }))).unwrap();
        told.tags().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    };
    let many: serde_json::Map<_, _> = (0..60).map(|number| (format!("t{number}"), json!(["x"]))).collect();
    let kept = tags(Value::Object(many));
    assert_eq!((kept.len(), kept.contains_key("UserEmail")), (51, true), "fifty, and what the configuration adds");
    let long = |length| "v".repeat(length);
    let kept = tags(json!({
        "fits": [long(256)], "too-long": [long(257)], "lines": ["a\nb"], "empty": [""], "": ["x"], "a\nb": ["x"],
        long(128): ["x"], long(129): ["x"],
    }));
    assert_eq!(kept.keys().map(String::as_str).collect::<Vec<_>>(), ["UserEmail", "fits", &long(128)]);
}

#[test]
fn what_is_written_of_a_token_does_not_hold_it() {
    let place = Place::new(settings());
    let text = place.pair.sign(&claims());
    let written = format!("{:?}", Token::read(&text).unwrap());
    assert_eq!(written, r#"Token { algorithm: RS256, key_id: Some("one"), .. }"#);
}
