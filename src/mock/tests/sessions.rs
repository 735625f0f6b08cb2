//! STS: who may assume which role, what the credentials are good for, and what requests made with them tell.

use super::plane::Plane;
use super::*;

const ROLE: &str = "arn:aws:iam::210987654321:role/team/tollgate";
const THEIRS: &str = "arn:aws:bedrock:us-east-1:210987654321:application-inference-profile/c3d4";

fn role() -> MockRole {
    MockRole::new(ROLE, MockConfig::ACCESS_KEY_ID)
}

async fn with_roles(roles: Vec<MockRole>) -> Running {
    let mut profiles = vec![profile(PROFILE, CLAUDE), profile(THEIRS, CLAUDE)];
    profiles[1].tags = [("person".to_owned(), "alice".to_owned())].into_iter().collect();
    MockBedrock::start(MockConfig { roles, profiles, ..MockConfig::local().unwrap() }).await.unwrap()
}

fn failure(reply: &Reply) -> (u16, String, String) {
    let json = reply.json();
    let text = |name: &str| json["Error"][name].as_str().unwrap().to_owned();
    (reply.status.as_u16(), text("Code"), text("Message"))
}

#[tokio::test]
async fn a_session_acts_in_the_account_of_its_role_and_is_recorded() {
    let mock = with_roles(vec![role()]).await;
    let home = Plane::of(&mock);
    let tags = "&Tags.member.1.Key=person&Tags.member.1.Value=alice%40example.com&SourceIdentity=gateway";
    let session = home.as_role(ROLE, "alice@example.com", tags).await;
    assert_eq!(session.listed().await, [THEIRS]);
    assert_eq!(
        (session.converse(THEIRS).await.status.as_u16(), home.converse(PROFILE).await.status.as_u16()),
        (200, 200)
    );
    let across = home.converse(THEIRS).await.error();
    assert!(across.ends_with("because no resource-based policy allows the bedrock:InvokeModel action"), "{across}");
    assert_eq!(session.converse(PROFILE).await.status, 403);

    let received = mock.received();
    let call = received.iter().find(|request| request.billed_to.as_deref() == Some(THEIRS)).unwrap();
    assert_eq!((call.account.as_deref(), call.region.as_deref()), (Some("210987654321"), Some("us-east-1")));
    let seen = call.session.clone().unwrap();
    assert_eq!((seen.role_arn.as_str(), seen.name.as_str()), (ROLE, "alice@example.com"));
    assert_eq!(seen.tags.into_iter().collect::<Vec<_>>(), [("person".to_owned(), "alice@example.com".to_owned())]);
    assert_eq!(seen.source_identity.as_deref(), Some("gateway"));
    assert_eq!(received[0].session, None);

    let me = session.sts("application/json", "Action=GetCallerIdentity&Version=2011-06-15").await.json();
    let me = &me["GetCallerIdentityResponse"]["GetCallerIdentityResult"];
    assert_eq!(me["Arn"], "arn:aws:sts::210987654321:assumed-role/tollgate/alice@example.com");
    assert_eq!(me["Account"], "210987654321");
}

#[tokio::test]
async fn answers_and_errors_are_xml_unless_json_is_accepted() {
    let mock = with_roles(vec![role()]).await;
    let plane = Plane::of(&mock);
    let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=alice");
    let xml = plane.sts("*/*", &form).await;
    let text = String::from_utf8(xml.body.to_vec()).unwrap();
    assert_eq!(xml.headers["content-type"], "text/xml");
    for piece in [
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">",
        "<Arn>arn:aws:sts::210987654321:assumed-role/tollgate/alice</Arn>",
        "<AccessKeyId>ASIA",
        "Z</Expiration>",
        "</AssumeRoleResult>",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    let wrong = plane.sts("*/*", "Action=AssumeRole&Version=2011-06-15&RoleSessionName=%3C").await;
    let text = String::from_utf8(wrong.body.to_vec()).unwrap();
    assert!(text.contains("<Code>ValidationError</Code>") && text.contains("Value null at 'roleArn'"), "{text}");
    let wrong = plane.sts("application/json", "Action=Nothing&Version=2011-06-15").await;
    assert_eq!(
        failure(&wrong),
        (400, "InvalidAction".into(), "Could not find operation Nothing for version 2011-06-15".into())
    );
}

#[tokio::test]
async fn whoever_the_trust_policy_does_not_name_is_refused_with_one_text() {
    let secretive = MockRole { external_id: Some("tollgate-1".to_owned()), ..role() };
    let untagged =
        MockRole { arn: ROLE.replace("tollgate", "untagged"), session_tags: MockSessionTags::Refuse, ..role() };
    let others = MockRole::new(&ROLE.replace("tollgate", "others"), "AKIAI44QH8DHBEXAMPLE");
    let mock = with_roles(vec![secretive, untagged.clone(), others.clone()]).await;
    let plane = Plane::of(&mock);
    let tag = "&Tags.member.1.Key=a&Tags.member.1.Value=b";
    let refused = |role: &str, action: &str| {
        let user = "User: arn:aws:sts::123456789012:assumed-role/bedrock-caller/AKIAIOSFODNN7EXAMPLE";
        (403, "AccessDenied".to_owned(), format!("{user} is not authorized to perform: {action} on resource: {role}"))
    };
    for (role, more, action) in [
        (ROLE, "", "sts:AssumeRole"),
        (ROLE, "&ExternalId=tollgate-2", "sts:AssumeRole"),
        (others.arn.as_str(), "", "sts:AssumeRole"),
        ("arn:aws:iam::210987654321:role/nobody", "", "sts:AssumeRole"),
        (untagged.arn.as_str(), tag, "sts:TagSession"),
    ] {
        assert_eq!(failure(&plane.assume(role, "alice", more).await), refused(role, action), "{role} {more}");
    }
    assert_eq!(plane.assume(ROLE, "alice", "&ExternalId=tollgate-1").await.status, 200);
    assert_eq!(plane.assume(&untagged.arn, "alice", "").await.status, 200);
    mock.set_actions(MockActions::Only(vec!["sts:AssumeRole".to_owned()]));
    let tagged = plane.assume(ROLE, "alice", &format!("&ExternalId=tollgate-1{tag}")).await;
    assert_eq!(failure(&tagged), refused(ROLE, "sts:TagSession"));
}

#[tokio::test]
async fn members_of_a_request_have_the_limits_of_sts() {
    let mock = with_roles(vec![role()]).await;
    let plane = Plane::of(&mock);
    let tag = |at: usize, key: &str, value: &str| format!("&Tags.member.{at}.Key={key}&Tags.member.{at}.Value={value}");
    let large: String = (1..=20).map(|at| tag(at, &format!("key{at}"), &"v".repeat(256))).collect();
    let many: String = (1..=51).map(|at| tag(at, &format!("key{at}"), "v")).collect();
    let twice = tag(1, "Person", "a") + &tag(2, "person", "b");
    for (name, more, code, words) in [
        ("a", "", "ValidationError", "length greater than or equal to 2"),
        (&*"a".repeat(65), "", "ValidationError", "length less than or equal to 64"),
        ("a%20b", "", "ValidationError", r"satisfy regular expression pattern: [\w+=,.@-]*"),
        ("alice", "&DurationSeconds=899", "ValidationError", "greater than or equal to 900"),
        ("alice", "&DurationSeconds=43201", "ValidationError", "less than or equal to 43200"),
        ("alice", "&DurationSeconds=3601", "ValidationError", "exceeds the MaxSessionDuration set for this role"),
        ("alice", "&ExternalId=a%20b", "ValidationError", "'externalId'"),
        ("alice", &tag(1, "a", "b(c"), "ValidationError", "'tags.1.member.value'"),
        ("alice", &tag(1, "aws:a", "b"), "InvalidParameterValue", "reserved"),
        ("alice", &twice, "InvalidParameterValue", "Duplicate tag keys found"),
        ("alice", &many, "ValidationError", "'tags'"),
        ("alice", &large, "PackedPolicyTooLarge", "of allotted space"),
        ("alice", "&TransitiveTagKeys.member.1=a", "InvalidParameterValue", "transitive tag key must be included"),
    ] {
        let (status, found, message) = failure(&plane.assume(ROLE, name, more).await);
        assert_eq!((status, found.as_str()), (400, code), "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
    let tagged = plane.assume(ROLE, "alice", &tag(1, "person", "%C3%84nne")).await.json();
    assert_eq!(tagged["AssumeRoleResponse"]["AssumeRoleResult"]["PackedPolicySize"], 1);
    assert!(tagged["AssumeRoleResponse"]["AssumeRoleResult"]["Credentials"]["Expiration"].is_u64());
}

#[tokio::test]
async fn a_role_that_demands_a_tag_lets_through_only_profiles_that_have_the_same() {
    let mock = with_roles(vec![MockRole { matching_tag: Some("Person".to_owned()), ..role() }]).await;
    let plane = Plane::of(&mock);
    let with = |value: &str| format!("&Tags.member.1.Key=person&Tags.member.1.Value={value}");
    for (more, status) in [(with("alice"), 200), (with("bob"), 403), (with("Alice"), 403), (String::new(), 403)] {
        let session = plane.as_role(ROLE, "session", &more).await;
        assert_eq!(session.converse(THEIRS).await.status, status, "{more}");
    }
    mock.retag_profile(&THEIRS.parse().unwrap(), &[("person".to_owned(), "bob".to_owned())].into_iter().collect());
    assert_eq!(plane.as_role(ROLE, "session", &with("bob")).await.converse(THEIRS).await.status, 200);
}

#[tokio::test]
async fn transitive_tags_go_on_to_the_next_role_of_a_chain_which_lasts_an_hour() {
    let second = MockRole {
        trusts: vec![ROLE.to_owned()],
        arn: "arn:aws:iam::333333333333:role/second".to_owned(),
        max_session: std::time::Duration::from_hours(12),
        ..role()
    };
    let mock = with_roles(vec![role(), second.clone()]).await;
    let plane = Plane::of(&mock);
    assert_eq!(plane.assume(&second.arn, "alice", "").await.status, 403);
    let tags = "&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=2&TransitiveTagKeys.member.1=a";
    let first = plane.as_role(ROLE, "alice", tags).await;
    let conflict = first.assume(&second.arn, "alice", "&Tags.member.1.Key=A&Tags.member.1.Value=3").await;
    assert_eq!(failure(&conflict).1, "InvalidParameterValue");
    let long = failure(&first.assume(&second.arn, "alice", "&DurationSeconds=7200").await);
    assert!(long.2.contains("1 hour session limit for roles assumed by role chaining"), "{}", long.2);
    let chained = first.as_role(&second.arn, "alice", "").await;
    chained.listed().await;
    let seen = mock.received().last().unwrap().session.clone().unwrap();
    assert_eq!(seen.tags.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn credentials_of_a_session_are_good_with_their_token_until_they_expire() {
    let clock = Arc::new(crate::types::ManualClock::at_unix_seconds(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
    ));
    let roles = vec![role()];
    let skew = std::time::Duration::from_hours(2);
    let config = MockConfig { roles, skew, clock: Arc::clone(&clock) as _, ..MockConfig::local().unwrap() };
    let mock = MockBedrock::start(config).await.unwrap();
    let plane = Plane::of(&mock);
    let session = plane.as_role(ROLE, "alice", "&DurationSeconds=900").await;
    let tokenless =
        Credentials::new(session.keys.access_key_id(), session.keys.secret_access_key(), None, None, "test");
    let refused = Plane { keys: tokenless, ..session.clone() }.profile("a1").await.error();
    assert!(refused.starts_with("403 UnrecognizedClientException"), "{refused}");
    assert_eq!(session.profile("a1").await.status, 404);
    clock.advance(std::time::Duration::from_mins(15));
    let expired = session.profile("a1").await.error();
    assert_eq!(expired, "403 ExpiredTokenException: The security token included in the request is expired");
    let at_sts = session.sts("application/json", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(failure(&at_sts).1, "ExpiredToken");
    let session = plane.as_role(ROLE, "alice", "").await;
    mock.expire_sessions();
    assert!(session.resources(&serde_json::json!({})).await.json()["__type"] == "ExpiredTokenException");
}
