//! What is served where, and what of it a list of Regions lets through.

use std::sync::Arc;

use super::*;

fn residency(allowed: &[&str]) -> Residency {
    let patterns = allowed.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Residency::new(Some(patterns), GlobalProfiles::ByRegion)
}

fn profile(region: &str, source: &str) -> Profile {
    let arn = format!("arn:aws:bedrock:{region}:012345678901:application-inference-profile/abc");
    Profile::new("p", arn.parse().unwrap(), source.parse().unwrap())
}

const SONNET: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

#[test]
fn a_profile_is_allowed_where_every_region_that_may_serve_it_is() {
    let eu = ["eu-*"];
    let frankfurt = ["eu-central-1"];
    let asia = ["ap-*"];
    let whole_asia = ["ap-*", "me-central-1"];
    let anywhere = ["us-*", "unspecified"];
    for (allowed, region, prefix, whether) in [
        (&frankfurt[..], "eu-central-1", "", true),
        (&frankfurt, "eu-west-1", "", false),
        (&frankfurt, "eu-central-1", "eu.", false),
        (&eu, "eu-central-1", "eu.", true),
        (&eu, "us-east-1", "us.", false),
        (&eu, "us-east-1", "", false),
        (&eu, "eu-central-1", "us.", false),
        (&eu, "eu-central-1", "apac.", false),
        (&eu, "eu-central-1", "jp.", false),
        (&eu, "eu-central-1", "au.", false),
        (&eu, "eu-central-1", "ca.", false),
        (&eu, "eu-central-1", "us-gov.", false),
        (&eu, "eu-central-1", "global.", false),
        (&eu, "eu-central-1", "mx.", false),
        (&asia, "ap-southeast-2", "au.", true),
        (&asia, "ap-northeast-1", "jp.", true),
        // AWS counts the United Arab Emirates among them.
        (&asia, "ap-southeast-2", "apac.", false),
        (&whole_asia, "ap-southeast-2", "apac.", true),
        (&anywhere, "us-east-1", "global.", true),
        (&anywhere, "us-east-1", "mx.", true),
        (&anywhere, "eu-central-1", "global.", false),
        (&["*"], "eu-central-1", "global.", true),
        (&["*"], "us-gov-west-1", "us-gov.", true),
        (&[], "eu-central-1", "", false),
    ] {
        let told = residency(allowed).check_profile(&profile(region, &format!("{prefix}{SONNET}")));
        assert_eq!(told.is_ok(), whether, "{prefix} in {region} with {allowed:?}: {told:?}");
    }
}

#[test]
fn without_a_list_only_global_profiles_can_be_denied() {
    let denied = Residency::new(None, GlobalProfiles::Denied);
    for (region, prefix) in [("us-east-1", "global."), ("eu-central-1", "global.")] {
        let profile = profile(region, &format!("{prefix}{SONNET}"));
        assert_eq!(denied.check_profile(&profile), Err(Outside::Global));
        assert_eq!(Residency::default().check_profile(&profile), Ok(()));
    }
    for prefix in ["", "us.", "eu.", "mx."] {
        assert_eq!(denied.check_profile(&profile("us-east-1", &format!("{prefix}{SONNET}"))), Ok(()), "{prefix}");
    }
    // A list that allows anything does not undo the denial.
    let both = Residency::new(Some(vec!["*".parse().unwrap()]), GlobalProfiles::Denied);
    assert_eq!(both.check_profile(&profile("us-east-1", &format!("global.{SONNET}"))), Err(Outside::Global));
}

#[test]
fn counting_is_held_to_what_calling_is_held_to() {
    let profile = Arc::new(profile("eu-central-1", &format!("global.{SONNET}")));
    let eu = residency(&["eu-*"]);
    assert!(eu.check(&Target::Profile(Arc::clone(&profile))).is_err());
    assert!(eu.check(&Target::BaseModel(profile)).is_err());
}

#[test]
fn a_guardrail_is_where_its_arn_says_and_where_the_gateway_calls() {
    let eu = residency(&["eu-*"]);
    let arn = |region: &str| format!("arn:aws:bedrock:{region}:012345678901:guardrail/abc");
    for (identifier, home, whether) in [
        ("abc".to_owned(), Some("eu-central-1"), true),
        ("abc".to_owned(), Some("us-east-1"), false),
        (arn("eu-central-1"), Some("eu-central-1"), true),
        (arn("us-east-1"), Some("eu-central-1"), false),
        (arn("eu-central-1"), Some("us-east-1"), false),
        (arn("us-east-1"), None, false),
    ] {
        let home = home.map(|region| region.parse().unwrap());
        let residency = home.map_or_else(|| eu.clone(), |home| eu.clone().with_home(home));
        let target = Target::Guardrail { identifier: identifier.clone(), version: "1".to_owned() };
        assert_eq!(residency.check(&target).is_ok(), whether, "{identifier}");
    }
}

#[test]
fn what_is_outside_is_told_by_name() {
    let told = |allowed: &[&str], region: &str, prefix: &str| {
        residency(allowed).check_profile(&profile(region, &format!("{prefix}{SONNET}"))).unwrap_err().to_string()
    };
    assert_eq!(
        told(&["eu-*", "ca-central-1"], "us-east-1", "us."),
        "the Region us-east-1 is not one of those that are allowed (eu-*, ca-central-1)"
    );
    assert_eq!(
        told(&["ap-*"], "ap-southeast-2", "apac."),
        "AWS may serve profiles of `apac.` in me-central-1 too, and allowed are ap-*"
    );
    assert_eq!(
        told(&["eu-*"], "eu-central-1", "global."),
        "AWS may serve profiles of `global.` in any Region, and allowed are eu-*"
    );
}
