//! An issuer that can rotate its keys and go away, and every claim by itself.

mod asking;
mod groups_and_tags;
mod remembered;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::identity::fetch::{Fetch, Fetched};
use crate::identity::pattern::{Person, Template};

const NOON: i64 = 1_795_262_400;
const ISSUER: &str = "https://issuer.example.com/tenant";

fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
}

/// A key pair, and its id.
#[derive(Clone)]
struct Pair {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Pair {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let of = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_der();
        let key = if algorithm == Algorithm::ES256 {
            EncodingKey::from_ec_der(&of(&rcgen::PKCS_ECDSA_P256_SHA256))
        } else {
            // The library wants the key itself and not what PKCS #8 wraps around it.
            EncodingKey::from_rsa_der(of(&rcgen::PKCS_RSA_SHA256).get(26..).unwrap())
        };
        Self { id, algorithm, key }
    }

    fn published(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// Who publishes keys.
#[derive(Debug, Default)]
struct Publisher {
    keys: Mutex<Vec<Value>>,
    down: Mutex<bool>,
    asked: AtomicUsize,
    /// What it says of itself, where that is not what is so.
    lies: Mutex<Lies>,
    /// What it was shown as `Authorization`.
    shown: Mutex<Vec<Option<String>>>,
    /// How long it takes.
    delay: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Lies {
    issuer: Option<&'static str>,
    jwks_uri: Option<&'static str>,
    status: Option<u16>,
}

impl Fetch for Publisher {
    fn fetch(&self, request: Request<()>) -> Fetched {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let shown = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.shown.lock().unwrap().push(shown);
        let lies = self.lies.lock().unwrap();
        let body = match request.uri().path() {
            "/tenant/.well-known/openid-configuration" => json!({
                "issuer": lies.issuer.unwrap_or(ISSUER),
                "jwks_uri": lies.jwks_uri.unwrap_or("https://issuer.example.com/keys"),
            }),
            "/keys" => json!({ "keys": *self.keys.lock().unwrap() }),
            _ => json!(null),
        };
        let answer = if *self.down.lock().unwrap() {
            Err("connection refused".to_owned())
        } else {
            Ok((if body.is_null() { 404 } else { lies.status.unwrap_or(200) }, Bytes::from(body.to_string())))
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

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: ISSUER.to_owned(),
        jwks_url: None,
        audiences: vec!["tollgate".to_owned(), "other".to_owned()],
        audience_claim: "aud".to_owned(),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        leeway: Duration::from_mins(1),
        require: BTreeMap::new(),
        person: Person {
            principal: template("{email}"),
            groups: vec![],
            tags: [("UserEmail".to_owned(), template("{email}"))].into(),
        },
        groups_claim: Some("groups".to_owned()),
        token_file: None,
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "tollgate", "sub": "00u1", "email": "alice@example.com", "exp": NOON + 600,
        "nbf": NOON - 10, "iat": NOON - 10, "groups": ["eng", "ops"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

struct Place {
    publisher: Arc<Publisher>,
    issuers: Issuers,
    pair: Pair,
}

impl Place {
    fn new(settings: IssuerSettings) -> Self {
        let (publisher, pair) = (Arc::new(Publisher::default()), Pair::new("one", Algorithm::RS256));
        publisher.keys.lock().unwrap().push(pair.published());
        let fetch: SharedFetch = Arc::clone(&publisher) as _;
        Self { issuers: Issuers::new(vec![(settings, fetch)]), publisher, pair }
    }

    fn verify(&self, token: &str, now: i64) -> Result<Arc<Principal>, TokenFault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.issuers.verify(token, at(now)))
    }

    fn claims(&self, claims: &Value) -> Result<Arc<Principal>, TokenFault> {
        self.verify(&self.pair.sign(claims), NOON)
    }

    fn asked(&self) -> usize {
        self.publisher.asked.load(Ordering::Relaxed)
    }
}

#[test]
fn a_token_tells_who_it_is_for() {
    let place = Place::new(settings());
    let alice = place.claims(&claims()).unwrap();
    assert_eq!((alice.name(), alice.groups()), ("alice@example.com", &["eng".to_owned(), "ops".to_owned()][..]));
    assert_eq!(alice.tags().value("UserEmail"), Some("alice@example.com"));
    assert_eq!(place.asked(), 2, "discovery and keys, once");
    let again = place.claims(&claims()).unwrap();
    assert!(Arc::ptr_eq(&alice, &again), "a token that was verified is remembered");
    assert_eq!(place.claims(&with("aud", json!(["x", "other"]))).unwrap().name(), "alice@example.com");
    assert_eq!(place.asked(), 2);
}

/// Every claim and every check by itself.
#[test]
fn every_check_refuses_what_it_is_there_for() {
    let place = Place::new(settings());
    let good = place.pair.sign(&claims());
    let forger = Pair { id: "one", ..Pair::new("x", Algorithm::RS256) };
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let headed = |header: Value| format!("{}.{}.{}", encode(&header), parts[1], parts[2]);
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        place.pair.sign(&claims)
    };
    let signed = |name: &str, value: Value| place.pair.sign(&with(name, value));
    let claim = |name: &str| TokenFault::Claim(name.to_owned());
    let hs = jsonwebtoken::encode(
        &Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) },
        &claims(),
        &EncodingKey::from_secret(place.pair.published()["n"].as_str().unwrap().as_bytes()),
    );
    for (token, fault, why) in [
        (forger.sign(&claims()), TokenFault::Signature, "another key under the same id"),
        (
            format!("{}.{}.{}", parts[0], encode(&with("email", json!("eve@x.y"))), parts[2]),
            TokenFault::Signature,
            "other claims",
        ),
        (format!("{}.{}.", parts[0], parts[1]), TokenFault::Signature, "no signature"),
        (headed(json!({"alg": "none"})), TokenFault::Algorithm, "none"),
        (headed(json!({"alg": "None", "kid": "one"})), TokenFault::Algorithm, "none, otherwise spelt"),
        (hs.unwrap(), TokenFault::Algorithm, "a symmetric algorithm over the public key"),
        (headed(json!({"alg": "PS256", "kid": "one"})), TokenFault::Algorithm, "an algorithm that is not pinned"),
        (headed(json!({"alg": "ES256", "kid": "one"})), TokenFault::UnknownKey, "an algorithm that is not the key's"),
        (headed(json!({"alg": "RS256", "kid": "one", "crit": ["b64"]})), TokenFault::Critical, "an extension"),
        (headed(json!({"alg": "RS256", "kid": "two"})), TokenFault::UnknownKey, "a key that is not published"),
        (
            signed("iss", json!("https://evil.example.com")),
            TokenFault::Issuer("https://evil.example.com".to_owned()),
            "another issuer",
        ),
        (signed("iss", json!(format!("{ISSUER}/"))), TokenFault::Issuer(format!("{ISSUER}/")), "nearly the issuer"),
        (without("iss"), TokenFault::Issuer(String::new()), "no issuer"),
        (signed("aud", json!("somebody else")), TokenFault::Audience, "another audience"),
        (signed("aud", json!(["somebody else"])), TokenFault::Audience, "other audiences"),
        (without("aud"), TokenFault::Audience, "no audience"),
        (without("exp"), claim("exp"), "one that never expires"),
        (signed("exp", json!("tomorrow")), claim("exp"), "no date"),
        (signed("exp", json!(1e13)), claim("exp"), "a date beyond the calendar"),
        (signed("nbf", json!("yesterday")), claim("nbf"), "no date to begin with"),
        (
            signed("exp", json!(NOON - 60)),
            TokenFault::Expired { at: Timestamp::from_second(NOON - 60).unwrap() },
            "expired",
        ),
        (
            signed("nbf", json!(NOON + 61)),
            TokenFault::NotYet { at: Timestamp::from_second(NOON + 61).unwrap() },
            "too early",
        ),
        (without("email"), claim("email"), "no name"),
        (signed("email", json!("")), claim("email"), "an empty name"),
        (signed("email", json!("a\nb")), claim("the name that comes of it"), "a name with a line end"),
        (signed("email", json!("a".repeat(129))), claim("the name that comes of it"), "a name too long"),
        (signed("groups", json!(["a\u{0}b"])), claim("the groups that come of it"), "a group with a control character"),
        ("eyJ.eyJ.x".to_owned(), TokenFault::Malformed, "no JSON"),
        (format!("{good}.x"), TokenFault::Malformed, "four parts"),
    ] {
        assert_eq!(place.verify(&token, NOON).unwrap_err(), fault, "{why}");
    }
    assert!(place.claims(&with("exp", json!(NOON - 59))).is_ok(), "within the leeway");
    assert!(place.claims(&with("nbf", json!(NOON + 60))).is_ok(), "within the leeway");
}

#[test]
fn claims_can_be_required_and_found_at_depth() {
    let mut settings = settings();
    settings.require = [("hd".to_owned(), "example.com".to_owned())].into();
    settings.person.principal = template("{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}");
    settings.person.tags = BTreeMap::new();
    settings.groups_claim = Some("scope".to_owned());
    let place = Place::new(settings);
    let mut pod = with("hd", json!("example.com"));
    pod["kubernetes.io"] = json!({ "namespace": "web", "serviceaccount": { "name": "api" } });
    pod["scope"] = json!("read write");
    pod["https://aws.amazon.com/tags"] = json!({
        "principal_tags": { "UserEmail": ["pod@example.com"], "CostCenter": ["12"] },
        "transitive_tag_keys": ["CostCenter"],
    });
    pod["https://aws.amazon.com/tags/principal_tags/Team"] = json!("web");
    let principal = place.claims(&pod).unwrap();
    assert_eq!((principal.name(), principal.groups()), ("web/api", &["read".to_owned(), "write".to_owned()][..]));
    let tags: Vec<_> = principal.tags().iter().collect();
    assert_eq!(tags, [("CostCenter", "12"), ("Team", "web"), ("UserEmail", "pod@example.com")]);
    for hd in [json!("evil.com"), json!(null), json!(["evil.com", "example.com"])] {
        pod["hd"] = hd;
        assert_eq!(place.claims(&pod).unwrap_err(), TokenFault::Claim("hd".to_owned()));
    }
    pod.as_object_mut().unwrap().remove("hd");
    assert_eq!(place.claims(&pod).unwrap_err(), TokenFault::Claim("hd".to_owned()), "not there at all");
}

#[test]
fn keys_are_rotated_without_a_restart_and_unknown_ones_ask_once() {
    let place = Place::new(settings());
    assert!(place.claims(&claims()).is_ok());
    let next = Pair::new("two", Algorithm::ES256);
    let token = next.sign(&claims());
    for _ in 0..20 {
        assert_eq!(place.verify(&token, NOON).unwrap_err(), TokenFault::UnknownKey);
    }
    assert_eq!(place.asked(), 2, "it was asked a moment ago");
    *place.publisher.keys.lock().unwrap() = vec![next.published()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(place.issuers.refresh());
    assert_eq!(place.verify(&token, NOON).unwrap().name(), "alice@example.com");
    assert_eq!(place.claims(&claims()).unwrap_err(), TokenFault::UnknownKey, "the old key is gone, and what it signed");
}

#[test]
fn an_issuer_that_goes_away_leaves_its_keys_and_one_that_never_came_is_no_fault_of_the_callers() {
    let place = Place::new(settings());
    *place.publisher.down.lock().unwrap() = true;
    assert!(matches!(place.claims(&claims()).unwrap_err(), TokenFault::Unavailable(why) if why.contains("refused")));
    assert!(matches!(place.claims(&claims()).unwrap_err(), TokenFault::Unavailable(_)));
    assert_eq!(place.asked(), 1, "it is not asked for each caller");
    *place.publisher.down.lock().unwrap() = false;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(place.issuers.refresh());
    assert!(place.claims(&claims()).is_ok());
    *place.publisher.down.lock().unwrap() = true;
    runtime.block_on(place.issuers.refresh());
    assert!(place.claims(&with("sub", json!("another token"))).is_ok());
    // Somebody else's answer, or none that makes sense, is no list of keys.
    *place.publisher.down.lock().unwrap() = false;
    *place.publisher.keys.lock().unwrap() = vec![json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "one" }), json!("?")];
    runtime.block_on(place.issuers.refresh());
    assert!(place.claims(&with("sub", json!("a third"))).is_ok(), "the keys from before stay");
}

#[test]
fn a_token_without_a_key_id_is_tried_with_every_key_of_its_kind() {
    let place = Place::new(settings());
    place.publisher.keys.lock().unwrap().insert(0, Pair::new("other", Algorithm::RS256).published());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(), &place.pair.key).unwrap();
    assert_eq!(place.verify(&token, NOON).unwrap().name(), "alice@example.com");
}

#[test]
fn a_remembered_token_is_forgotten_when_it_expires() {
    let place = Place::new(settings());
    let token = place.pair.sign(&claims());
    assert!(place.verify(&token, NOON).is_ok());
    assert!(place.verify(&token, NOON + 659).is_ok());
    assert!(matches!(place.verify(&token, NOON + 660), Err(TokenFault::Expired { .. })));
}

proptest! {
    #[test]
    fn no_bytes_whatever_make_it_panic_or_pass(header in any::<String>(), claims in any::<String>(), rest in "[ -~]{0,60}") {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let place = Issuers::new(vec![]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for text in [
            format!("{}.{}.{rest}", encode(&header), encode(&claims)),
            format!("{}.{}.{rest}", encode(r#"{"alg":"RS256"}"#), encode(&claims)),
            format!("{}.{}.{rest}", encode(r#"{"alg":"RS256"}"#), encode(&format!(r#"{{"iss":"{rest}"}}"#))),
            rest.clone(),
        ] {
            prop_assert!(runtime.block_on(place.verify(&text, at(NOON))).is_err());
        }
    }
}
