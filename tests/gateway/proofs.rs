//! The other ways to prove who one is, over real sockets: tokens of an issuer, an AWS role, a certificate, a Unix socket.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::client::{Answer, Wire, collect, open_on, send};
use crate::harness::{Plan, Scene, arn, converse, eventually};

/// A profile for whoever is in the group `sso`.
fn for_sso() -> Plan {
    let arn = arn("sso-sonnet");
    let source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let table = format!(
        "[[profiles]]\nname = \"sso-sonnet\"\narn = \"{arn}\"\nsource = \"{source}\"\ngroups = [\"sso\"]\naliases = [\"mine\"]"
    );
    let knows = move |mock: &mut tollgate::mock::MockConfig| {
        let mut added = mock.profiles[0].clone();
        (added.arn, added.source) = (arn.parse().unwrap(), source.parse().unwrap());
        mock.profiles.push(added);
    };
    let budget = "[[budgets]]\nname = \"daily\"\neveryone = true\nwindow = \"day\"\nusd = \"5\"";
    Plan::default().profile(&table).mock(knows).with(budget)
}

fn bearer(scene: &Scene, token: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = scene.post("carol", "/model/mine/converse", converse("hello"));
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A server on loopback that answers with JSON, by path and headers.
async fn serve_json(
    answer: impl Fn(&Request<hyper::body::Incoming>) -> (u16, Value) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| {
                let (status, body) = answer(&request);
                let response = http::Response::builder().status(status);
                let response = response.body(Full::new(bytes::Bytes::from(body.to_string()))).unwrap();
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
    url
}

#[tokio::test]
async fn a_token_of_an_issuer_opens_the_gate_and_its_owner_has_a_budget_like_everybody_else() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let signing = jsonwebtoken::EncodingKey::from_ec_der(&key.serialize_der());
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&signing, jsonwebtoken::Algorithm::ES256).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!("k1");
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, own) = (Arc::clone(&asked), Arc::new(std::sync::OnceLock::<String>::new()));
    let issuer = Arc::clone(&own);
    let url = serve_json(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let url = issuer.get().unwrap();
        match request.uri().path() {
            "/.well-known/openid-configuration" => (200, json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })),
            "/keys" => (200, json!({ "keys": [jwk] })),
            _ => (404, json!({})),
        }
    })
    .await;
    own.set(url.clone()).unwrap();
    let oidc = format!(
        "[[identity.oidc]]\nissuer = \"{url}\"\naudiences = [\"tollgate\"]\nalgorithms = [\"ES256\"]\n\
         principal = \"{{email}}\"\ngroups_claim = \"groups\"\ntags = {{ UserEmail = \"{{email}}\" }}"
    );
    let scene = for_sso().identity(&oidc).open().await;
    let now = jiff::Timestamp::now().as_second();
    let claims =
        json!({ "iss": url, "aud": "tollgate", "exp": now + 600, "email": "dora@example.com", "groups": ["sso"] });
    let header = jsonwebtoken::Header {
        kid: Some("k1".to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256)
    };
    let sign = |claims: &Value| jsonwebtoken::encode(&header, claims, &signing).unwrap();
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = send(scene.data, wire, bearer(&scene, &sign(&claims))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    }
    let bill = scene.bill_of(2).await;
    assert!(bill.rows().iter().all(|row| row["principal"] == "dora@example.com"));
    let budgets = scene.page("/budgets").await.json();
    let dora = budgets.as_array().unwrap().iter().find(|row| row["subject"] == "dora@example.com").unwrap();
    assert!(dora["spent"].as_u64().unwrap() > 0, "{budgets}");

    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        sign(&claims)
    };
    for (token, refusal, said) in [
        (changed("aud", json!("other")), (401, "UnrecognizedClientException", "invalid_token"), "another audience"),
        (changed("exp", json!(now - 120)), (401, "ExpiredTokenException", "expired_token"), "Sign in again"),
        (changed("iss", json!("https://x.y")), (401, "UnrecognizedClientException", "invalid_token"), "https://x.y"),
        (format!("{}x", sign(&claims)), (401, "UnrecognizedClientException", "invalid_token"), "signature"),
    ] {
        let answer = send(scene.data, Wire::Http1, bearer(&scene, &token)).await;
        assert_eq!(answer.refusal(), refusal);
        assert!(answer.message().contains(said), "{}", answer.message());
    }
    assert!(asked.load(Ordering::Relaxed) <= 4, "discovery and keys, at the start and at most once more");
    assert_eq!(scene.received(2).await.len(), 2, "Bedrock heard of the good ones alone");
}

/// STS on loopback, which knows one key pair and verifies what it is presented with by signing it anew.
async fn sts(arn: &'static str) -> (String, Arc<AtomicUsize>) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let url = serve_json(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap_or_default().replace("%2F", "/")
        };
        let identity = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "sts").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = value("X-Amz-Expires").parse().ok().map(std::time::Duration::from_secs);
        let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", value("X-Amz-Date")).unwrap();
        let time = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(value("X-Amz-Credential").split('/').nth(2).unwrap_or_default().to_owned().leak())
            .name("sts")
            .time(time.into())
            .settings(settings)
            .build()
            .unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (host, audience) = (header("host"), header("x-tollgate-audience"));
        let url = format!("https://{host}/?Action={}&Version={}", value("Action"), value("Version"));
        let headers = [("host", host.as_str()), ("x-tollgate-audience", audience.as_str())];
        let signable = SignableRequest::new("GET", url, headers.into_iter(), SignableBody::Bytes(b"")).unwrap();
        let (_, signature) = sign(signable, &params.into()).unwrap().into_parts();
        if signature == value("X-Amz-Signature") {
            (200, json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": { "Arn": arn } } }))
        } else {
            (403, json!({ "Error": { "Code": "SignatureDoesNotMatch" } }))
        }
    })
    .await;
    (url, asked)
}

fn token_command(audience: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["token", "--region", "eu-west-1", "--audience", audience]).env_clear().kill_on_drop(true);
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    command
}

#[tokio::test]
async fn whoever_has_an_aws_role_makes_a_token_of_it_and_a_program_started_with_it_needs_none() {
    let (url, asked) = sts("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Dev_0a1b/dora@example.com").await;
    let login = format!(
        "[identity.aws_login]\naudience = \"tollgate.test\"\nendpoint = \"{url}\"\n[[identity.aws_login.roles]]\n\
         arn = \"arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_*/{{email}}\"\nprincipal = \"{{email}}\"\ngroups = [\"sso\"]"
    );
    let scene = for_sso().identity(&login).open().await;
    let printed = token_command("tollgate.test").output().await.unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let token = String::from_utf8(printed.stdout).unwrap();
    for _ in 0..3 {
        let answer = send(scene.data, Wire::Http1, bearer(&scene, token.trim())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "STS is asked once for a token");
    assert!(scene.bill_of(3).await.rows().iter().all(|row| row["principal"] == "dora@example.com"));

    let other = token_command("other.test").output().await.unwrap();
    let answer = send(scene.data, Wire::Http1, bearer(&scene, String::from_utf8(other.stdout).unwrap().trim())).await;
    assert_eq!(answer.refusal(), (401, "UnrecognizedClientException", "invalid_token"));
    assert!(answer.message().contains("tollgate token --audience"), "{}", answer.message());

    // A program that knows nothing of tokens: it asks the URL that it finds in its environment, and signs with the access key there.
    let curl = format!(
        "curl --silent --show-error --fail-with-body -H 'content-type: application/json' -d '{}' \
         $AWS_ENDPOINT_URL_BEDROCK_RUNTIME/model/mine/converse",
        converse("hello")
    );
    let gateway = format!("http://{}", scene.data);
    let ran = async |credential: &str| {
        let mut command = token_command("tollgate.test");
        command.env("AWS_BEARER_TOKEN_BEDROCK", "theirs");
        let program = format!("{curl} {credential}; code=$?; echo $AWS_REGION $AWS_BEARER_TOKEN_BEDROCK; exit $code");
        let ran = command.args(["--gateway", &gateway, "--exec", "--", "sh", "-c", &program]).output().await.unwrap();
        (
            ran.status.success(),
            String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr),
        )
    };
    let signed = "--aws-sigv4 aws:amz:$AWS_REGION:bedrock --user $AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY";
    for credential in [signed, "-H \"authorization: Bearer $AWS_ACCESS_KEY_ID\""] {
        let (fine, said) = ran(credential).await;
        assert!(fine && said.contains("\"usage\"") && said.ends_with("eu-west-1\n"), "{said}");
    }
    // Whoever else is on this machine does not know it.
    for credential in
        ["", "-H 'x-api-key: set-by-tollgate-token'", "--aws-sigv4 aws:amz:eu-west-1:bedrock --user AKIDEXAMPLE:secret"]
    {
        let (fine, said) = ran(credential).await;
        assert!(!fine && said.contains("for the program alone"), "{said}");
    }
    scene.bill_of(5).await;
    let failed = token_command("tollgate.test").args(["--gateway", &gateway, "--exec", "--", "false"]).output().await;
    assert_eq!(failed.unwrap().status.code(), Some(1));
    let mut own = token_command("tollgate.test");
    let own = own.args(["--gateway", &gateway, "--exec", "--", "sh", "-c", "exit 42"]).output().await;
    assert_eq!(own.unwrap().status.code(), Some(42), "the program's own");

    // Signals are the program's to answer.
    let waiting = "trap 'kill $! ; exit 7' TERM; echo ready; sleep 600 & wait";
    let mut told = token_command("tollgate.test");
    told.args(["--gateway", &gateway, "--exec", "--", "sh", "-c", waiting]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut told = told.spawn().unwrap();
    let mut ready = [0; 6];
    told.stdout.take().unwrap().read_exact(&mut ready).await.unwrap();
    for signal in ["-INT", "-TERM"] {
        let pid = told.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
    assert_eq!(told.wait().await.unwrap().code(), Some(7));
}

/// An authority of callers, and what it has issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "callers");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        let own = Self { issuer, folder };
        own.revoke(&[]);
        own
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn revoke(&self, serials: &[u64]) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64 + 1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(self.folder.path().join("crl.pem"), list.signed_by(&self.issuer).unwrap().pem().unwrap())
            .unwrap();
    }

    /// A certificate and its key, in PEM.
    fn issue(&self, serial: u64, san: SanType) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![san];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// Sends over TLS with a certificate, or none.
async fn over_tls(
    scene: &Scene,
    wire: Wire,
    certificate: Option<&(String, String)>,
    request: Request<Full<bytes::Bytes>>,
) -> Result<Answer, String> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = scene.ca.as_deref().unwrap();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![if wire == Wire::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let tcp = TcpStream::connect(scene.data).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp).await.map_err(|error| error.to_string())?;
    let response = open_on(stream, wire, "localhost", request).await.map_err(|error| error.to_string())?;
    Ok(collect(response).await)
}

fn unsigned(scene: &Scene) -> Request<Full<bytes::Bytes>> {
    let mut request = scene.post("carol", "/model/mine/converse", converse("hello"));
    request.headers_mut().remove("authorization");
    request
}

fn with_certificates(authority: &Authority, presence: &str) -> Plan {
    let tls = format!(
        "tls = {{ local_ca = \"ca\", client_ca = \"{}\", client_crl = \"{}\", client_certificates = \"{presence}\" }}",
        authority.file("ca.pem"),
        authority.file("crl.pem")
    );
    let rule = "[[identity.certificates]]\nuri = \"spiffe://test/ns/{ns}/sa/{sa}\"\nprincipal = \"{ns}/{sa}\"\ngroups = [\"sso\"]";
    for_sso().server(&tls).identity(rule)
}

#[tokio::test]
async fn a_certificate_that_a_rule_fits_is_a_credential_and_a_second_one_beside_it_is_refused() {
    let authority = Authority::new();
    let scene = with_certificates(&authority, "optional").open().await;
    let web = authority.issue(1, uri("spiffe://test/ns/web/sa/api"));
    for wire in [Wire::Http1, Wire::Http2] {
        let answer = over_tls(&scene, wire, Some(&web), unsigned(&scene)).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    }
    assert!(scene.bill_of(2).await.rows().iter().all(|row| row["principal"] == "web/api"));

    let both = scene.post("carol", "/model/mine/converse", converse("hello"));
    let answer = over_tls(&scene, Wire::Http1, Some(&web), both).await.unwrap();
    assert_eq!(answer.refusal(), (401, "UnrecognizedClientException", "ambiguous_credentials"));
    // One that no rule fits is nobody's, and its owner has a key; without either nobody is known.
    let other = authority.issue(2, uri("spiffe://elsewhere/x"));
    let keyed = scene.post("alice", "/model/sonnet/converse", converse("hello"));
    let answer = over_tls(&scene, Wire::Http1, Some(&other), keyed).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    for certificate in [Some(&other), None] {
        let answer = over_tls(&scene, Wire::Http1, certificate, unsigned(&scene)).await.unwrap();
        assert_eq!(answer.refusal(), (401, "MissingAuthenticationTokenException", "missing_credentials"));
    }
    let stranger = Authority::new().issue(1, uri("spiffe://test/ns/web/sa/api"));
    assert!(over_tls(&scene, Wire::Http1, Some(&stranger), unsigned(&scene)).await.is_err(), "another authority's");
}

#[tokio::test]
async fn a_revoked_certificate_opens_nothing_from_the_moment_the_list_is_there() {
    let authority = Authority::new();
    let scene = with_certificates(&authority, "required").open().await;
    let (web, ops) =
        (authority.issue(7, uri("spiffe://test/ns/web/sa/api")), authority.issue(8, uri("spiffe://test/ns/ops/sa/x")));
    let ask = async |certificate| over_tls(&scene, Wire::Http1, Some(certificate), unsigned(&scene)).await;
    assert_eq!(ask(&web).await.unwrap().status, StatusCode::OK);
    authority.revoke(&[7]);
    eventually("the list is in force", async || ask(&web).await.is_err().then_some(())).await;
    assert_eq!(ask(&ops).await.unwrap().status, StatusCode::OK);
    // A list that is broken leaves the one from before.
    std::fs::write(Path::new(&authority.file("crl.pem")), "nonsense").unwrap();
    eventually("the failure is counted", async || {
        let text = scene.metrics().await;
        text.contains("tollgate_reloads_total{what=\"certificate\",result=\"failed\"} 1").then_some(())
    })
    .await;
    assert!(ask(&web).await.is_err());
    // Where a certificate is required there is no way around it, in clear neither.
    assert!(over_tls(&scene, Wire::Http1, None, unsigned(&scene)).await.is_err());
    let plain = TcpStream::connect(scene.data).await.unwrap();
    assert!(open_on(plain, Wire::Http1, "localhost", unsigned(&scene)).await.is_err());
}

#[tokio::test]
async fn a_unix_socket_is_a_listener_of_ones_own() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("t.sock");
    let scene = Plan::default().socket(&socket).server("principal = \"alice\"").open().await;
    for wire in [Wire::Http1, Wire::Http2] {
        let mut request = scene.post("alice", "/model/sonnet/converse", converse("hello"));
        request.headers_mut().remove("authorization");
        let response = open_on(UnixStream::connect(&socket).await.unwrap(), wire, "localhost", request).await.unwrap();
        assert_eq!(collect(response).await.status, StatusCode::OK);
    }
    assert!(scene.bill_of(2).await.rows().iter().all(|row| row["principal"] == "alice"));
    scene.stop.cancel();
    eventually("the socket is gone", async || (!socket.exists()).then_some(())).await;
}
