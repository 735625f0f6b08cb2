//! Listeners: client certificates, a Unix socket, and several of them with a way in of its own each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::Full;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tollgate::config::Listen;

use crate::client::{Answer, Wire, collect, open_on, send};
use crate::harness::{Plan, Scene, converse, eventually};
use crate::proofs::for_sso;

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
    over_tls_at(scene.data, scene, wire, certificate, request).await
}

async fn over_tls_at(
    address: SocketAddr,
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
    let tcp = TcpStream::connect(address).await.unwrap();
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
    assert!(scene.metrics().await.lines().all(|line| line != "tollgate_tls_handshakes_failed_total 0"));
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

#[tokio::test]
async fn each_listener_has_a_way_in_of_its_own() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let socket = folder.path().join("t.sock");
    let further = format!(
        "[[server.listeners]]\nlisten = \"unix:{}\"\nprincipal = \"alice\"\n\
         [[server.listeners]]\nlisten = \"127.0.0.1:0\"\nprincipal = \"bob\"\n\
         [[server.listeners]]\nlisten = \"127.0.0.1:0\"\n\
         tls = {{ local_ca = \"ca\", client_ca = \"{}\", client_certificates = \"required\" }}",
        socket.display(),
        authority.file("ca.pem"),
    );
    let rule = "[[identity.certificates]]\nuri = \"spiffe://test/ns/{ns}/sa/{sa}\"\nprincipal = \"{ns}/{sa}\"\ngroups = [\"sso\"]";
    let scene = for_sso().server(&further).identity(rule).open().await;
    let addresses: Vec<_> = scene.listeners.iter().map(|open| open.at.clone()).collect();
    let [Listen::Tcp(keys), Listen::Unix(_), Listen::Tcp(bobs), Listen::Tcp(tls)] = addresses.as_slice() else {
        panic!("{addresses:?}")
    };

    // With keys: the first alone asks for one.
    let ask = async |at, request| send(at, Wire::Http1, request).await;
    assert_eq!(ask(*keys, unsigned(&scene)).await.refusal().2, "missing_credentials");
    let keyed = || scene.post("carol", "/model/mine/converse", converse("hello"));
    assert_eq!(ask(*keys, keyed()).await.refusal().2, "no_such_model");
    // Whoever connects: to each its own principal.
    let mut request = scene.post("carol", "/model/sonnet/converse", converse("hello"));
    request.headers_mut().remove("authorization");
    let stream = UnixStream::connect(&socket).await.unwrap();
    let answer = collect(open_on(stream, Wire::Http1, "localhost", request).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.message());
    let refused = ask(*bobs, unsigned(&scene)).await;
    assert_eq!(refused.refusal().2, "no_such_model", "bob has none: {}", refused.message());
    // With certificates alone, in clear neither.
    let web = authority.issue(1, uri("spiffe://test/ns/web/sa/api"));
    let over_tls = async |certificate| over_tls_at(*tls, &scene, Wire::Http2, certificate, unsigned(&scene)).await;
    assert_eq!(over_tls(Some(&web)).await.unwrap().status, StatusCode::OK);
    assert!(over_tls(None).await.is_err());
    let plain = TcpStream::connect(*tls).await.unwrap();
    assert!(open_on(plain, Wire::Http1, "localhost", keyed()).await.is_err());

    let bill = scene.bill_of(2).await;
    let mut names: Vec<_> = bill.rows().iter().map(|row| row["principal"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["alice", "web/api"]);
    // They stop together.
    scene.stop.cancel();
    eventually("all are closed", async || {
        let closed = async |at: &SocketAddr| TcpStream::connect(at).await.is_err();
        (!socket.exists() && closed(keys).await && closed(bobs).await && closed(tls).await).then_some(())
    })
    .await;
}
