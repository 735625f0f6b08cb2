//! What it costs to tell who is asking, by kind of credential.
//!
//!     cargo bench --bench identity
//!
//! Hot is a credential that was seen before: its signing key is kept, its token remembered. Cold is one that comes for the first
//! time: the signing key is derived from the root key, the token's signature is verified. Kinds take turns over several rounds of one
//! run, and the median of the rounds is shown. The baseline is SHA-256 over the same body, which a signature cannot do without, and
//! which the gateway needs anyway to sign the request for Bedrock.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench prints, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tollgate::identity::aws_login::{AwsLoginSettings, Role, presign};
use tollgate::identity::certificates::{CertificateRule, ClientCertificate, NameKind};
use tollgate::identity::keys::{AccessKey, Key, KeyId, KeyRecord, KeyRing, Proof, RootKey, RootKeys};
use tollgate::identity::oidc::{Algorithm, IssuerSettings};
use tollgate::identity::{
    Authentication, Fetch, Fetched, Identity, Origin, Pattern, Person, Principal, Principals, Shown, Source, Template,
    Verification,
};
use tollgate::sigv4::AwsCredentials;
use tollgate::types::{Secret, Tags};

const ROUNDS: usize = 15;
const BODIES: [(&str, usize); 2] = [("2 KB", 2_000), ("100 KB", 100_000)];

fn main() {
    // `cargo bench` says so; `cargo test --all-targets` runs benches too, and there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let mut cases = place.cases(&runtime);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            times.push(case.round());
        }
    }
    println!("{:<44} {:>12}", "who is asking", "ns a request");
    for (case, times) in cases.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{:<44} {:>12.0}", case.name, times[times.len() / 2]);
    }
}

/// One line of the table.
struct Case<'p> {
    name: String,
    times: u32,
    once: Box<dyn FnMut() + 'p>,
}

impl Case<'_> {
    fn round(&mut self) -> f64 {
        let begun = Instant::now();
        for _ in 0..self.times {
            (self.once)();
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(self.times)
    }
}

struct Place {
    bearer: Key,
    access: AccessKey,
    records: Vec<KeyRecord>,
    root: RootKey,
    issuer: Arc<Issuer>,
    rs256: (jsonwebtoken::EncodingKey, Algorithm),
    es256: (jsonwebtoken::EncodingKey, Algorithm),
    now: SystemTime,
}

#[derive(Debug)]
struct Issuer(Vec<Value>);

impl Fetch for Issuer {
    fn fetch(&self, request: Request<()>) -> Fetched {
        let host = request.uri().host().unwrap_or_default();
        let body = if host.starts_with("sts.") {
            let arn = "arn:aws:sts::123456789012:assumed-role/dev/alice";
            json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": { "Arn": arn } } })
        } else {
            json!({ "keys": self.0 })
        };
        Box::pin(std::future::ready(Ok((200, Bytes::from(body.to_string())))))
    }
}

fn signing(algorithm: Algorithm) -> (jsonwebtoken::EncodingKey, Algorithm) {
    let of = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_der();
    let key = if algorithm == Algorithm::ES256 {
        jsonwebtoken::EncodingKey::from_ec_der(&of(&rcgen::PKCS_ECDSA_P256_SHA256))
    } else {
        jsonwebtoken::EncodingKey::from_rsa_der(&of(&rcgen::PKCS_RSA_SHA256)[26..])
    };
    (key, algorithm)
}

fn published((key, algorithm): &(jsonwebtoken::EncodingKey, Algorithm)) -> Value {
    let mut jwk = serde_json::to_value(jsonwebtoken::jwk::Jwk::from_encoding_key(key, *algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(format!("{algorithm:?}"));
    jwk
}

impl Place {
    fn new() -> Self {
        let (bearer, root) = (Key::generate().unwrap(), RootKey::read(&"r".repeat(32)).unwrap());
        let id = KeyId::generate().unwrap();
        let now = jiff::Timestamp::now();
        let records =
            vec![KeyRecord::of(&bearer, "alice", now), KeyRecord::new(id, Proof::SigV4(root.id()), "alice", now)];
        let (rs256, es256) = (signing(Algorithm::RS256), signing(Algorithm::ES256));
        let issuer = Arc::new(Issuer(vec![published(&rs256), published(&es256)]));
        let access = root.access_key(id);
        Self { bearer, access, records, root, issuer, rs256, es256, now: SystemTime::now() }
    }

    fn identity(&self) -> Identity {
        let person =
            |text: &str| Person { principal: Template::parse(text).unwrap(), groups: vec![], tags: BTreeMap::new() };
        let issuer = IssuerSettings {
            issuer: "https://issuer.example.com".to_owned(),
            jwks_url: Some("https://issuer.example.com/keys".to_owned()),
            audiences: vec!["tollgate".to_owned()],
            audience_claim: "aud".to_owned(),
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            leeway: Duration::from_mins(1),
            require: BTreeMap::new(),
            person: person("{email}"),
            groups_claim: None,
            token_file: None,
        };
        let role = Role {
            arn: Pattern::parse("arn:aws:sts::123456789012:assumed-role/*/{who}").unwrap(),
            person: person("{who}"),
        };
        let login = AwsLoginSettings {
            audience: "tollgate".to_owned(),
            endpoint: None,
            regions: vec![],
            longest: Duration::from_hours(1),
            roles: vec![role],
        };
        let by_uri = CertificateRule {
            kind: NameKind::Uri,
            pattern: Pattern::parse("spiffe://test/ns/{ns}/sa/{sa}").unwrap(),
            person: person("{ns}/{sa}"),
        };
        let verification = Verification {
            roots: RootKeys::new(vec![self.root.clone()]),
            issuers: vec![(issuer, Arc::clone(&self.issuer) as _)],
            aws_login: Some((login, Arc::clone(&self.issuer) as _)),
            certificates: vec![by_uri],
            ..Verification::default()
        };
        // As many keys and people as a company has.
        let others = (0..10_000).map(|_| KeyRecord::of(&Key::generate().unwrap(), "alice", jiff::Timestamp::now()));
        let ring = KeyRing::holding(self.records.iter().cloned().chain(others));
        let people = (0..1_000).map(|number| Principal::new(format!("p{number}"), vec![], Tags::default()));
        let alice = Principal::new("alice", vec!["eng".to_owned()], Tags::default());
        Identity::new(Principals::new(people.chain([alice])).unwrap(), Arc::new(ring), verification)
    }

    fn signed(&self, body: &[u8]) -> Parts {
        let (id, secret) = (&self.access.access_key_id, self.access.secret_access_key.expose());
        let identity = aws_credential_types::Credentials::new(id, secret, None, None, "bench").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("bedrock")
            .time(self.now)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let url = "http://gateway.example.com/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream";
        let headers = [("host", "gateway.example.com"), ("content-type", "application/json")];
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
        let mut request = Request::post(url).body(()).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        instructions.apply_to_request_http1x(&mut request);
        request.into_parts().0
    }

    fn token(&self, (key, algorithm): &(jsonwebtoken::EncodingKey, Algorithm), number: u32) -> String {
        let expires = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3_600;
        let claims = json!({
            "iss": "https://issuer.example.com", "aud": "tollgate", "exp": expires, "email": "alice", "jti": number,
        });
        let header =
            jsonwebtoken::Header { kid: Some(format!("{algorithm:?}")), ..jsonwebtoken::Header::new(*algorithm) };
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    }

    fn cases<'p>(&'p self, runtime: &'p tokio::runtime::Runtime) -> Vec<Case<'p>> {
        let mut cases = Vec::new();
        let identity = Arc::new(self.identity());
        let mut hot = |name: &str, head: Parts, origin: Origin, times| {
            let identity = Arc::clone(&identity);
            cases.push(Case {
                name: name.to_owned(),
                times,
                once: Box::new(move || {
                    let shown = Shown::of(&head, &origin);
                    black_box(runtime.block_on(identity.authenticate(&shown, self.now)).unwrap());
                }),
            });
        };
        let plain = || Origin::from(Source::Local);
        let trusted = Origin { trusted_as: Some(Arc::new(Principal::new("a", vec![], Tags::default()))), ..plain() };
        hot("a trusted listener (baseline of the measure)", self.bare(), trusted, 20_000);
        hot("bearer key", self.bearing(self.bearer.expose()), plain(), 20_000);
        hot("JWT, remembered", self.bearing(&self.token(&self.rs256, 0)), plain(), 20_000);
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: None,
        };
        let login = presign(&credentials, "eu-west-1", "tollgate", Duration::from_mins(15), self.now).unwrap();
        hot("AWS role, remembered", self.bearing(&login), plain(), 20_000);
        let certificate = Origin { certificate: Some(self.certificate()), ..plain() };
        hot("client certificate", self.bare(), certificate, 20_000);
        for (name, key) in [("JWT RS256, new", &self.rs256), ("JWT ES256, new", &self.es256)] {
            // A token is new once, so there are as many as there are calls.
            let heads: Vec<_> = (1..=3_000).map(|number| self.bearing(&self.token(key, number))).collect();
            let mut next = (0, Arc::new(self.identity()));
            // The keys are there before the first is timed.
            runtime.block_on(next.1.refresh_issuers());
            cases.push(Case {
                name: name.to_owned(),
                times: 200,
                once: Box::new(move || {
                    let (place, identity) = &mut next;
                    let origin = Origin::from(Source::Local);
                    let shown = Shown::of(&heads[*place % heads.len()], &origin);
                    *place += 1;
                    black_box(runtime.block_on(identity.authenticate(&shown, self.now)).unwrap());
                }),
            });
        }
        for (size, bytes) in BODIES {
            let body = vec![b'a'; bytes];
            let times = if bytes > 10_000 { 1_000 } else { 10_000 };
            let hashed = body.clone();
            cases.push(Case {
                name: format!("SHA-256 of {size} (baseline)"),
                times,
                once: Box::new(move || _ = black_box(Sha256::digest(black_box(&hashed)))),
            });
            let (head, own) = (self.signed(&body), self.identity());
            cases.push(Case {
                name: format!("SigV4, {size}, signing key kept"),
                times,
                once: Box::new({
                    let body = body.clone();
                    move || prove(runtime, &own, &head, &body, self.now)
                }),
            });
        }
        // A new gateway for each call: nothing is kept. The cost of making it is not timed.
        let (body, head) = (vec![b'a'; 2_000], self.signed(&vec![b'a'; 2_000]));
        let mut fresh: Vec<_> = (0..200 * ROUNDS).map(|_| self.small()).collect();
        cases.push(Case {
            name: "SigV4, 2 KB, signing key derived".to_owned(),
            times: 200,
            once: Box::new(move || {
                let identity = fresh.pop().unwrap();
                prove(runtime, &identity, &head, &body, self.now);
                std::mem::forget(identity);
            }),
        });
        cases
    }

    /// The same with one access key alone.
    fn small(&self) -> Identity {
        let verification = Verification { roots: RootKeys::new(vec![self.root.clone()]), ..Verification::default() };
        let alice = Principal::new("alice", vec![], Tags::default());
        let ring = KeyRing::holding(self.records.iter().cloned());
        Identity::new(Principals::new([alice]).unwrap(), Arc::new(ring), verification)
    }

    fn bare(&self) -> Parts {
        let _ = self;
        Request::post("/model/a.b/converse").body(()).unwrap().into_parts().0
    }

    fn bearing(&self, token: &str) -> Parts {
        let mut head = self.bare();
        head.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        head
    }

    fn certificate(&self) -> ClientCertificate {
        let _ = self;
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://test/ns/web/sa/api".try_into().unwrap())];
        ClientCertificate::read(params.self_signed(&key).unwrap().der()).unwrap()
    }
}

fn prove(runtime: &tokio::runtime::Runtime, identity: &Identity, head: &Parts, body: &[u8], now: SystemTime) {
    let origin = Origin::from(Source::Local);
    let shown = Shown::of(head, &origin);
    let Authentication::Claimed(claim) = runtime.block_on(identity.authenticate(&shown, now)).unwrap() else { return };
    let hash = hex::encode(Sha256::digest(body));
    black_box(identity.prove(&claim, &shown, &hash, now).unwrap());
}
