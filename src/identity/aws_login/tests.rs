//! Tokens against an STS that verifies signatures with the `aws-sigv4` crate.

mod asking;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use proptest::prelude::*;
use serde_json::json;

use super::presign::presign;
use super::*;
use crate::identity::fetch::{Fetch, Fetched};
use crate::identity::pattern::Template;
use crate::sigv4::AwsCredentials;
use crate::types::Secret;

const NOON: u64 = 1_795_262_400;
const ARN: &str = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Dev_0123456789abcdef/alice@example.com";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn credentials() -> AwsCredentials {
    AwsCredentials {
        access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: Secret::new("secret"),
        session_token: Some(Secret::new("IQoJb3JpZ2luX2VjE/+=")),
    }
}

/// STS, as it takes a presigned request.
#[derive(Debug, Default)]
struct Sts {
    asked: AtomicUsize,
    status: Mutex<Option<u16>>,
    hosts: Mutex<Vec<String>>,
    /// What of a host's name tells that it is not to be reached.
    away: Mutex<Option<&'static str>>,
    /// How long it takes.
    delay: Mutex<Duration>,
}

impl Sts {
    fn verify(request: &Request<()>) -> bool {
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap_or_default().replace("%2F", "/").replace("%2B", "+").replace("%3D", "=")
        };
        let own = credentials();
        let token = own.session_token.as_ref().map(|token| token.expose().to_owned());
        if value("X-Amz-Security-Token") != token.clone().unwrap_or_default() {
            return false;
        }
        let identity = Credentials::new(&own.access_key_id, own.secret_access_key.expose(), token, None, "sts").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = value("X-Amz-Expires").parse().ok().map(Duration::from_secs);
        let day = crate::identity::sigv4::parse_amz_date(&value("X-Amz-Date")).unwrap();
        let credential = value("X-Amz-Credential");
        let params = SigningParams::builder()
            .identity(&identity)
            .region(credential.split('/').nth(2).unwrap_or_default())
            .name("sts")
            .time(day.into())
            .settings(settings)
            .build()
            .unwrap();
        let host = request.headers()["host"].to_str().unwrap();
        let audience = request.headers()[AUDIENCE_HEADER].to_str().unwrap();
        let url = format!("https://{host}/?Action={}&Version={}", value("Action"), value("Version"));
        let headers = [("host", host), (AUDIENCE_HEADER, audience)];
        let signable = SignableRequest::new("GET", url, headers.into_iter(), SignableBody::Bytes(b"")).unwrap();
        let (_, signature) = sign(signable, &params.into()).unwrap().into_parts();
        signature == value("X-Amz-Signature")
    }
}

impl Fetch for Sts {
    fn fetch(&self, request: Request<()>) -> Fetched {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let host = request.uri().authority().unwrap().to_string();
        let is_away = self.away.lock().unwrap().is_some_and(|away| host.contains(away));
        self.hosts.lock().unwrap().push(host);
        let answer = match *self.status.lock().unwrap() {
            _ if is_away => Err("no such host".to_owned()),
            Some(status) => Ok((status, Bytes::from_static(b"no"))),
            None if Self::verify(&request) => {
                let result = json!({ "Arn": ARN, "Account": "123456789012", "UserId": "AROA:alice@example.com" });
                let body = json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": result } });
                Ok((200, Bytes::from(body.to_string())))
            }
            None => Ok((403, Bytes::from_static(b"{\"Error\":{\"Code\":\"SignatureDoesNotMatch\"}}"))),
        };
        let delay = *self.delay.lock().unwrap();
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            answer
        })
    }
}

fn role(arn: &str, principal: &str) -> Role {
    let template = |text| Template::parse(text).unwrap();
    let tags = BTreeMap::from([("UserEmail".to_owned(), template(principal))]);
    let person = Person { principal: template(principal), groups: vec![template("eng")], tags };
    Role { arn: Pattern::parse(arn).unwrap(), person }
}

fn settings() -> AwsLoginSettings {
    AwsLoginSettings {
        audience: "tollgate.example.com".to_owned(),
        endpoint: None,
        regions: vec![],
        longest: Duration::from_hours(1),
        roles: vec![
            role("arn:aws:sts::123456789012:assumed-role/ci/*", "ci"),
            role("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_*/{email}", "{email}"),
        ],
    }
}

struct Place {
    sts: Arc<Sts>,
    logins: AwsLogins,
}

impl Place {
    fn new(settings: AwsLoginSettings) -> Self {
        let sts = Arc::new(Sts::default());
        Self { logins: AwsLogins::new(settings, Arc::clone(&sts) as SharedFetch), sts }
    }

    fn verify(&self, token: &str, now: u64) -> Result<Arc<Principal>, LoginFault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.logins.verify(token, at(now)))
    }

    fn asked(&self) -> usize {
        self.sts.asked.load(Ordering::Relaxed)
    }
}

fn token(audience: &str) -> String {
    presign(&credentials(), "eu-west-1", audience, Duration::from_mins(15), at(NOON)).unwrap()
}

#[test]
fn sts_says_who_it_is_and_is_asked_once() {
    let place = Place::new(settings());
    let token = token("tollgate.example.com");
    for now in [NOON, NOON + 1, NOON + 899] {
        let alice = place.verify(&token, now).unwrap();
        assert_eq!((alice.name(), alice.groups()), ("alice@example.com", &["eng".to_owned()][..]));
        assert_eq!(alice.tags().value("UserEmail"), Some("alice@example.com"));
    }
    assert_eq!(place.asked(), 1);
    assert_eq!(*place.sts.hosts.lock().unwrap(), ["sts.eu-west-1.amazonaws.com"]);
    assert!(matches!(place.verify(&token, NOON + 900), Err(LoginFault::Expired { .. })));
    let known = |now| place.logins.known(&token, at(now)).is_some();
    assert!(known(NOON + 899) && !known(NOON + 900));
}

#[test]
fn a_token_for_another_gateway_opens_nothing_here() {
    let place = Place::new(settings());
    let token = token("other.example.com");
    for now in [NOON, NOON + 1] {
        assert!(
            matches!(place.verify(&token, now), Err(LoginFault::Refused(why)) if why.contains("SignatureDoesNotMatch"))
        );
    }
    assert_eq!(place.asked(), 1, "a refusal is remembered for a while");
    let _ = place.verify(&token, NOON + 60);
    assert_eq!(place.asked(), 2);
}

#[test]
fn an_sts_that_does_not_answer_is_asked_again_and_is_no_fault_of_the_callers() {
    let place = Place::new(settings());
    let token = token("tollgate.example.com");
    for status in [429, 500, 503] {
        *place.sts.status.lock().unwrap() = Some(status);
        let told = place.verify(&token, NOON);
        assert!(matches!(told, Err(LoginFault::Unavailable(Outage::Sts(_)))), "{status}");
    }
    *place.sts.status.lock().unwrap() = None;
    assert!(place.verify(&token, NOON).is_ok());
    // As the query protocol has it.
    let refusal = |code| {
        format!("{{\"Error\":{{\"Code\":\"{code}\",\"Message\":\"m\",\"Type\":\"Sender\"}},\"RequestId\":\"r\"}}")
    };
    let told = |code| sts::arn(400, refusal(code).as_bytes());
    assert!(matches!(told("Throttling"), Err(LoginFault::Unavailable(Outage::Sts(_)))));
    assert!(matches!(told("InvalidClientTokenId"), Err(LoginFault::Refused(_))));
}

#[test]
fn what_is_refused_without_sts_is_not_remembered() {
    let place = Place::new(settings());
    let token = token("tollgate.example.com");
    assert!(matches!(place.verify(&token, NOON - 301), Err(LoginFault::NotYet { .. })));
    assert!(place.verify(&token, NOON - 300).is_ok(), "a clock that was set right counts at once");
    let place = Place::new(settings());
    assert!(matches!(place.verify(&token, NOON + 900), Err(LoginFault::Expired { .. })));
    assert!(place.verify(&token, NOON + 899).is_ok());
    let written = format!("{:?}", place.logins.0.refused);
    assert!(written.contains("young: {}, old: {}"), "{written}");
}

#[test]
fn refusals_do_not_push_out_what_is_good() {
    let place = Place::new(settings());
    let good = token("tollgate.example.com");
    assert!(place.verify(&good, NOON).is_ok());
    *place.sts.status.lock().unwrap() = Some(403);
    let signed = String::from_utf8(URL_SAFE_NO_PAD.decode(good.strip_prefix(PREFIX).unwrap()).unwrap()).unwrap();
    for number in 0..=MOST_REFUSED {
        let forged = encode(&format!("{signed}{number}"));
        assert!(matches!(place.verify(&forged, NOON), Err(LoginFault::Refused(_))));
    }
    assert_eq!(place.asked(), MOST_REFUSED + 2);
    assert!(place.verify(&good, NOON).is_ok());
    assert_eq!(place.asked(), MOST_REFUSED + 2, "it was remembered");
}

#[test]
fn sts_takes_a_token_for_a_quarter_of_an_hour_and_its_answer_is_remembered_for_longer() {
    let for_an_hour =
        presign(&credentials(), "eu-west-1", "tollgate.example.com", Duration::from_hours(1), at(NOON)).unwrap();
    let place = Place::new(settings());
    assert!(place.verify(&for_an_hour, NOON + 899).is_ok());
    assert!(place.verify(&for_an_hour, NOON + 3_599).is_ok());
    assert_eq!(place.asked(), 1);
    let late = Place::new(settings());
    let ended = LoginFault::Expired { at: Timestamp::from_second(i64::try_from(NOON).unwrap() + 900).unwrap() };
    assert_eq!(late.verify(&for_an_hour, NOON + 900).unwrap_err(), ended);
    assert_eq!(late.asked(), 0);
    let short = Place::new(AwsLoginSettings { longest: Duration::from_mins(15), ..settings() });
    assert!(short.verify(&for_an_hour, NOON).is_ok());
    assert_eq!(short.verify(&for_an_hour, NOON + 900).unwrap_err(), ended);
}

#[test]
fn what_is_written_of_a_token_does_not_hold_it() {
    let written = format!("{:?}", LoginToken::read(&token("tollgate.example.com")).unwrap());
    assert_eq!(written, r#"LoginToken { region: "eu-west-1", at: 1795262400, expires_s: 900, .. }"#);
}

#[test]
fn who_fits_no_rule_is_nobody() {
    let mut settings = settings();
    settings.roles.pop();
    let place = Place::new(settings);
    assert_eq!(place.verify(&token("tollgate.example.com"), NOON).unwrap_err(), LoginFault::Nobody(ARN.to_owned()));
}

#[test]
fn the_first_rule_that_fits_counts_and_what_comes_of_it_has_to_be_a_name() {
    let named = |first: &str| {
        let mut settings = settings();
        settings.roles.insert(0, role("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_*/{email}", first));
        let told = Place::new(settings).verify(&token("tollgate.example.com"), NOON);
        told.map(|principal| principal.name().to_owned())
    };
    assert_eq!(named("first"), Ok("first".to_owned()));
    assert_eq!(named(&("x".repeat(120) + "{email}")), Err(LoginFault::Nobody(ARN.to_owned())), "a name too long");
}

#[test]
fn only_200_tells_of_somebody() {
    let body = json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": { "Arn": ARN } } }).to_string();
    let told = |status| sts::arn(status, body.as_bytes());
    assert_eq!(told(200), Ok(ARN.to_owned()));
    for status in [100, 201, 204, 302, 399, 429, 500] {
        assert!(matches!(told(status), Err(LoginFault::Unavailable(Outage::Sts(_)))), "{status}");
    }
    assert!(matches!(told(400), Err(LoginFault::Refused(_))));
}

#[test]
fn times_are_bounded_by_the_token_and_by_the_gateway() {
    let place = Place::new(AwsLoginSettings { longest: Duration::from_mins(10), ..settings() });
    let token = token("tollgate.example.com");
    assert!(place.verify(&token, NOON + 599).is_ok());
    assert!(matches!(place.verify(&token, NOON + 600), Err(LoginFault::Expired { .. })));
    let place = Place::new(settings());
    assert!(matches!(place.verify(&token, NOON - 301), Err(LoginFault::NotYet { .. })));
    let regional = Place::new(AwsLoginSettings { regions: vec!["us-east-1".to_owned()], ..settings() });
    assert_eq!(regional.verify(&token, NOON).unwrap_err(), LoginFault::Region("eu-west-1".to_owned()));
    assert_eq!(regional.asked(), 0);
}

/// Whatever is changed about a token's URL, STS is asked at no other place, and mostly not at all.
#[test]
fn nothing_of_a_url_is_used_but_what_is_looked_for() {
    let place = Place::new(settings());
    let good = token("tollgate.example.com");
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(good.strip_prefix(PREFIX).unwrap()).unwrap()).unwrap();
    for (from, to, why) in [
        ("https://", "http://", "not https"),
        ("sts.eu-west-1.amazonaws.com", "evil.example.com", "another host"),
        ("sts.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com.evil.example.com", "a longer host"),
        ("sts.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com:8443", "another port"),
        ("sts.eu-west-1.amazonaws.com", "user@sts.eu-west-1.amazonaws.com", "a user name"),
        ("sts.eu-west-1.amazonaws.com", "sts.amazonaws.com", "not regional"),
        ("sts.eu-west-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "not the Region that was signed for"),
        (".com/?", ".com/x?", "another path"),
        ("Action=GetCallerIdentity", "Action=GetSessionToken", "another action"),
        ("Version=2011-06-15", "Version=2010-05-08", "another version"),
        ("%2Fsts%2F", "%2Fiam%2F", "another service"),
        ("%2Faws4_request", "%2Faws4_requests", "another end of the scope"),
        ("%2Faws4_request", "%2Faws4_request%2Fmore", "a longer scope"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1", "another algorithm"),
        ("host%3Bx-tollgate-audience", "host", "bound to nobody"),
        ("host%3Bx-tollgate-audience", "host%3Bx-other%3Bx-tollgate-audience", "more headers"),
        ("&X-Amz-Signature=", "&RoleArn=x&X-Amz-Signature=", "another parameter"),
        ("&X-Amz-Signature=", "&Action=GetCallerIdentity&X-Amz-Signature=", "a parameter there twice"),
        ("&X-Amz-Signature=", "#&X-Amz-Signature=", "a fragment"),
        ("X-Amz-Signature=", "X-Amz-Signature=#", "a fragment in a parameter that nothing is compared with"),
        ("X-Amz-Signature=", "X-Amz-Signature=0&X-Amz-Signature=", "two signatures"),
        ("X-Amz-Expires=900", "X-Amz-Expires=-1", "no time"),
        ("X-Amz-Date=2026", "X-Amz-Date=", "no date"),
    ] {
        let changed = url.replacen(from, to, 1);
        assert_ne!(changed, url, "{why}");
        assert!(matches!(place.verify(&encode(&changed), NOON), Err(LoginFault::Malformed(_))), "{why}");
    }
    let (unsigned, _) = url.split_once("&X-Amz-Signature=").unwrap();
    for (token, why) in [(encode(unsigned), "no signature"), (good.replacen("v1", "v2", 1), "of another version")] {
        assert!(matches!(place.verify(&token, NOON), Err(LoginFault::Malformed(_))), "{why}");
    }
    assert_eq!(place.asked(), 0);
    let longer = url.replacen("X-Amz-Expires=900", "X-Amz-Expires=3600", 1);
    assert!(
        matches!(place.verify(&encode(&longer), NOON), Err(LoginFault::Refused(_))),
        "a longer time is not what was signed"
    );
}

proptest! {
    #[test]
    fn no_bytes_whatever_make_it_panic_or_ask(url in any::<String>(), raw in "[ -~]{0,80}") {
        let place = Place::new(settings());
        for text in [encode(&url), encode(&format!("https://sts.eu-west-1.amazonaws.com/?{url}")), format!("{PREFIX}{raw}"), raw] {
            prop_assert!(place.verify(&text, NOON).is_err());
        }
        prop_assert_eq!(place.asked(), 0);
    }
}
