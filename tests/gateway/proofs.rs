//! The other ways to prove who one is, over real sockets: tokens of an issuer, and an AWS role.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::client::{Wire, send};
use crate::harness::{Plan, Scene, arn, converse};

/// A profile for whoever is in the group `sso`.
pub(crate) fn for_sso() -> Plan {
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
