//! A gateway's identity stage that has issued keys and believes an issuer and STS, none of which the bytes of a fuzzer can know.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use tollgate::identity::aws_login::{AwsLoginSettings, Role};
use tollgate::identity::keys::{Key, KeyId, KeyRecord, KeyRing, Proof, RootKey, RootKeys};
use tollgate::identity::oidc::{Algorithm, IssuerSettings};
use tollgate::identity::{
    Authentication, Fetch, Fetched, Identity, Origin, Pattern, Person, Principal, Principals, Shown, Source, Template,
    Verification,
};
use tollgate::types::Tags;

/// The access key id that there is, so that the bytes can get behind the look-up.
pub const ACCESS_KEY: &str = "AAAAAAAAAAAA";
pub const NOW: u64 = 1_795_262_400; // 2026-11-21T12:00:00Z

#[derive(Debug)]
struct Nobody;

impl Fetch for Nobody {
    /// An issuer with one key, of which nobody has the other half; an STS that knows nobody.
    fn fetch(&self, request: Request<()>) -> Fetched {
        let host = request.uri().host().unwrap_or_default().to_owned();
        assert!(host == "issuer.example.com" || host.starts_with("sts."), "it was asked at {host}");
        let keys = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        let answer = if host.starts_with("sts.") { (403, Bytes::from_static(b"{}")) } else { (200, Bytes::from_static(keys.as_bytes())) };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn person(text: &str) -> Person {
    Person { principal: Template::parse(text).unwrap(), groups: vec![], tags: BTreeMap::new() }
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let root = RootKey::read(&"r".repeat(32)).unwrap();
    let made = jiff::Timestamp::from_second(NOW as i64).unwrap();
    let id: KeyId = ACCESS_KEY.parse().unwrap();
    let records = vec![
        KeyRecord::new(id, Proof::SigV4(root.id()), "alice", made),
        KeyRecord::of(&Key::generate().unwrap(), "alice", made),
    ];
    let issuer = IssuerSettings {
        issuer: "https://issuer.example.com".to_owned(),
        jwks_url: Some("https://issuer.example.com/keys".to_owned()),
        audiences: vec!["tollgate".to_owned()],
        audience_claim: "aud".to_owned(),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        leeway: Duration::from_mins(1),
        require: BTreeMap::new(),
        person: person("{email}"),
        groups_claim: Some("groups".to_owned()),
        token_file: None,
    };
    let role = Role { arn: Pattern::parse("arn:aws:sts::123456789012:assumed-role/*/{who}").unwrap(), person: person("{who}") };
    let login = AwsLoginSettings {
        audience: "tollgate".to_owned(),
        endpoint: None,
        regions: vec![],
        longest: Duration::from_hours(1),
        roles: vec![role],
    };
    let verification = Verification {
        roots: RootKeys::new(vec![root]),
        issuers: vec![(issuer, Arc::new(Nobody))],
        aws_login: Some((login, Arc::new(Nobody))),
        ..Verification::default()
    };
    let alice = Principal::new("alice", vec![], Tags::default());
    Identity::new(Principals::new([alice]).unwrap(), Arc::new(KeyRing::holding(records)), verification)
});

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
}

/// Lets a request in front of the stage. Nothing that a fuzzer makes up may prove anybody.
pub fn ask(uri: &str, headers: &[(&'static str, &[u8])], body_sha256: &str) {
    let Ok(uri) = uri.parse::<Uri>() else { return };
    let mut request = Request::post(uri).body(()).unwrap();
    for (name, value) in headers {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        request.headers_mut().append(*name, value);
    }
    let (head, ()) = request.into_parts();
    let origin = Origin::from(Source::Local);
    let shown = Shown::of(&head, &origin);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    match RUNTIME.with(|runtime| runtime.block_on(IDENTITY.authenticate(&shown, now))) {
        Ok(Authentication::Known(principal)) => panic!("{} was proved", principal.name()),
        Ok(Authentication::Claimed(claim)) => {
            let proved = IDENTITY.prove(&claim, &shown, body_sha256, now);
            assert!(proved.is_err(), "a signature was proved");
            drop(proved.map_err(|error| (error.caller_text(), error.log_text())));
        }
        Err(error) => drop((error.caller_text(), error.log_text())),
    }
}
