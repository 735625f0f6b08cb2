//! Every way to prove who one is, on one stage: one credential alone, what a key is worth, and whose word on a principal counts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use jsonwebtoken::{EncodingKey, jwk};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::identity::aws_login::{Role, presign};
use crate::identity::certificates::{ClientCertificate, NameKind};
use crate::identity::keys::{AccessKey, Description, KeyId, Proof, RootKey};
use crate::identity::oidc::Algorithm;
use crate::sigv4::{AwsCredentials, CanonicalRequest};
use crate::types::Secret;

/// An issuer that publishes its keys, and an STS that takes whatever it is shown for frank's.
#[derive(Debug)]
struct Outside(Value);

impl Fetch for Outside {
    fn fetch(&self, request: Request<()>) -> Fetched {
        let arn = "arn:aws:sts::123456789012:assumed-role/dev/frank";
        let body = match request.uri().path() {
            "/keys" => self.0.to_string(),
            _ => json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": { "Arn": arn } } }).to_string(),
        };
        Box::pin(std::future::ready(Ok((200, Bytes::from(body)))))
    }
}

fn person(principal: &str) -> Person {
    Person { principal: Template::parse(principal).unwrap(), groups: vec![], tags: BTreeMap::new() }
}

fn root() -> RootKey {
    RootKey::read(&"abcd".repeat(8)).unwrap()
}

/// A stage that takes every kind of proof, lets a source fail three times a minute, and trusts the word of proxies in 10.0.0.0/8.
pub(super) struct Place {
    pub(super) identity: Identity,
    issuer: EncodingKey,
    runtime: tokio::runtime::Runtime,
}

/// Where requests come from, unless something else is said.
pub(super) const HERE: &str = "192.0.2.1";

impl Place {
    pub(super) fn new(records: Vec<KeyRecord>) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let issuer = EncodingKey::from_ec_der(&pair.serialize_der());
        let published = jwk::Jwk::from_encoding_key(&issuer, Algorithm::ES256).unwrap();
        let outside: SharedFetch = Arc::new(Outside(json!({ "keys": [published] })));
        let settings = IssuerSettings {
            issuer: "https://issuer.example.com".to_owned(),
            jwks_url: Some("https://issuer.example.com/keys".to_owned()),
            audiences: vec!["tollgate".to_owned()],
            audience_claim: "aud".to_owned(),
            algorithms: vec![Algorithm::ES256],
            leeway: Duration::ZERO,
            require: BTreeMap::new(),
            person: person("{sub}"),
            groups_claim: Some("groups".to_owned()),
            token_file: None,
        };
        let arn = Pattern::parse("arn:aws:sts::123456789012:assumed-role/dev/{who}").unwrap();
        let login = AwsLoginSettings {
            audience: "tollgate".to_owned(),
            endpoint: None,
            regions: vec![],
            longest: Duration::from_hours(1),
            roles: vec![Role { arn, person: person("{who}") }],
        };
        let verification = Verification {
            roots: RootKeys::new(vec![root()]),
            issuers: vec![(settings, Arc::clone(&outside))],
            aws_login: Some((login, outside)),
            certificates: vec![CertificateRule {
                kind: NameKind::CommonName,
                pattern: Pattern::parse("{who}").unwrap(),
                person: person("{who}"),
            }],
            failures_per_minute: NonZeroU32::new(3),
            proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]),
            ..Verification::default()
        };
        let alice = Principal::new("alice", vec!["eng".to_owned()], Tags::default());
        let keys = Arc::new(KeyRing::holding(records));
        let identity = Identity::new(Principals::new([alice]).unwrap(), keys, verification);
        Self { identity, issuer, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    /// Whose a request without a body is.
    fn told(&self, uri: &str, lines: &[(&str, &str)], from: &str) -> Result<Arc<Principal>, IdentityError> {
        let mut request = Request::post(uri).body(()).unwrap();
        *request.headers_mut() = headers(lines);
        let (head, ()) = request.into_parts();
        let origin = Origin::from(Source::from(from.parse::<IpAddr>().unwrap()));
        let shown = Shown::of(&head, &origin);
        match self.runtime.block_on(self.identity.authenticate(&shown, noon()))? {
            Authentication::Known(principal) => Ok(principal),
            Authentication::Claimed(claim) => self.identity.prove(&claim, &shown, &sha256_of_nothing(), noon()),
        }
    }

    pub(super) fn ask(&self, lines: &[(&str, &str)], from: &str) -> Result<Arc<Principal>, IdentityError> {
        self.told("/model/a.b/invoke", lines, from)
    }

    pub(super) fn bearer(&self, token: &str) -> Result<Arc<Principal>, IdentityError> {
        self.ask(&[("x-api-key", token)], HERE)
    }

    pub(super) fn signed(&self, key: &AccessKey) -> Result<Arc<Principal>, IdentityError> {
        let authorization = authorization(key);
        self.ask(&[HOST, DATE, ("authorization", &authorization)], HERE)
    }

    /// A token of the issuer's.
    pub(super) fn token(&self, name: &str) -> String {
        let claims = json!({
            "iss": "https://issuer.example.com", "aud": "tollgate", "sub": name, "exp": NOON + 600, "groups": ["sso"],
        });
        jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::ES256), &claims, &self.issuer).unwrap()
    }
}

/// A token of frank's AWS role; the number makes it another one.
pub(super) fn login(number: u64) -> String {
    let credentials = AwsCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("secret"),
        session_token: None,
    };
    presign(&credentials, "eu-west-1", "tollgate", Duration::from_secs(600 + number), noon()).unwrap()
}

/// An access key of alice's, and its record.
pub(super) fn access_key() -> (AccessKey, KeyRecord) {
    let id: KeyId = "AbCdEf012345".parse().unwrap();
    let record = KeyRecord::new(id, Proof::SigV4(root().id()), "alice", Timestamp::try_from(noon()).unwrap());
    (root().access_key(id), record)
}

const HOST: (&str, &str) = ("host", "gateway.example.com");
const DATE: (&str, &str) = ("x-amz-date", "20261121T120000Z");
const SCOPE: &str = "20261121/us-east-1/bedrock/aws4_request";

fn sha256_of_nothing() -> String {
    hex::encode(Sha256::digest(b""))
}

/// The signature over a request of today's, in hexadecimal.
fn signature(key: &AccessKey, canonical: &CanonicalRequest<'_>) -> String {
    let hash = canonical.sha256(&canonical.signed_headers());
    let signing = generate_signing_key(key.secret_access_key.expose(), noon(), "us-east-1", "bedrock");
    calculate_signature(signing, format!("AWS4-HMAC-SHA256\n20261121T120000Z\n{SCOPE}\n{hash}").as_bytes())
}

fn authorization(key: &AccessKey) -> String {
    let canonical = CanonicalRequest {
        method: "POST",
        path: "/model/a.b/invoke",
        query: "",
        headers: &[HOST, DATE],
        payload_sha256: &sha256_of_nothing(),
    };
    let (id, names, signature) = (&key.access_key_id, canonical.signed_headers(), signature(key, &canonical));
    format!("AWS4-HMAC-SHA256 Credential={id}/{SCOPE}, SignedHeaders={names}, Signature={signature}")
}

/// A short-term Bedrock API key that is made of an access key.
fn short_term(key: &AccessKey) -> String {
    let query = format!(
        "Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}&X-Amz-Date=20261121T120000Z\
         &X-Amz-Expires=600&X-Amz-SignedHeaders=host",
        key.access_key_id,
        SCOPE.replace('/', "%2F")
    );
    let canonical = CanonicalRequest {
        method: "POST",
        path: "/",
        query: &query,
        headers: &[("host", "bedrock.amazonaws.com")],
        payload_sha256: &sha256_of_nothing(),
    };
    let signature = signature(key, &canonical);
    let url = format!("bedrock.amazonaws.com/?{query}&X-Amz-Signature={signature}&Version=1");
    format!("bedrock-api-key-{}", STANDARD.encode(url))
}

#[test]
fn a_presigned_request_has_no_other_credential() {
    let key = Key::generate().unwrap();
    let bearer = format!("Bearer {}", key.expose());
    for name in ["X-Amz-Signature", "x-amz-signature"] {
        let place = Place::new(vec![record(&key)]);
        let presigned = |lines: &[(&str, &str)]| place.told(&format!("/model/a.b/invoke?{name}=0"), lines, HERE);
        assert!(matches!(presigned(&[]), Err(IdentityError::Signature(_))));
        for line in [("authorization", bearer.as_str()), ("x-api-key", key.expose())] {
            assert_eq!(presigned(&[line]).unwrap_err(), IdentityError::Several, "{line:?}");
        }
        let told = place.told("/model/a.b/invoke?a=0", &[("authorization", &bearer)], HERE);
        assert_eq!(name_of(&told), Some("alice"), "no presigned one");
    }
}

#[test]
fn an_access_key_that_is_not_good_any_more_is_refused_though_its_signature_holds() {
    let (key, record) = access_key();
    let now = Timestamp::try_from(noon()).unwrap();
    let id = record.id;
    let told = |record: KeyRecord| {
        let place = Place::new(vec![record]);
        let (told, by_short_term_key) = (place.signed(&key), place.bearer(&short_term(&key)));
        assert_eq!(told, by_short_term_key);
        told
    };
    assert_eq!(name_of(&told(record.clone())), Some("alice"));
    let revoked = KeyRecord { revoked: Some(now), ..record.clone() };
    assert_eq!(told(revoked).unwrap_err(), IdentityError::Revoked { id, at: now });
    let expired = KeyRecord { expires: Some(now), ..record.clone() };
    assert_eq!(told(expired).unwrap_err(), IdentityError::Expired { id, at: now });
    let orphan = KeyRecord { principal: "mallory".to_owned(), ..record };
    assert!(matches!(told(orphan), Err(IdentityError::NoSuchPrincipal { .. })));
}

#[test]
fn the_configurations_word_on_a_principal_counts_and_others_are_noted_down() {
    let keys: Vec<_> = (0..2).map(|_| Key::generate().unwrap()).collect();
    let described = Some(Description { groups: vec!["ops".to_owned()], tags: BTreeMap::new() });
    let place = Place::new(vec![
        KeyRecord { described: described.clone(), ..record(&keys[0]) },
        KeyRecord { described, principal: "erin".to_owned(), ..record(&keys[1]) },
    ]);
    let people = || place.identity.people(noon()).iter().map(|own| own.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(people(), ["alice", "erin"]);
    for (token, name, group) in [
        (keys[0].expose(), "alice", Some("eng")),
        (keys[1].expose(), "erin", Some("ops")),
        (&place.token("alice"), "alice", Some("eng")),
        (&place.token("dora"), "dora", Some("sso")),
        (&place.token("erin"), "erin", Some("sso")),
        (&login(0), "frank", None),
    ] {
        let told = place.bearer(token).unwrap();
        assert_eq!((told.name(), told.groups().first().map(String::as_str)), (name, group));
    }
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let origin = Origin { certificate: ClientCertificate::read(certificate.der()), ..Origin::from(Source::Local) };
    let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
    let told = place.runtime.block_on(place.identity.authenticate(&Shown::of(&head, &origin), noon())).unwrap();
    assert!(matches!(told, Authentication::Known(alice) if alice.groups() == ["eng"]), "by a certificate too");
    assert_eq!(people(), ["alice", "dora", "erin", "frank"]);
}
