//! The authority over its life, and a real handshake under it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// 21 November 2026.
fn today() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_778)
}

fn extra(names: &[&str]) -> Names {
    Names::Exactly(names.iter().map(|&name| name.to_owned()).collect())
}

fn open(directory: &TempDir, names: &Names, now: SystemTime) -> Result<LocalCa, LocalCaError> {
    LocalCa::open_or_create(directory.path(), names, now)
}

fn made(directory: &TempDir, names: &Names, now: SystemTime) -> Made {
    open(directory, names, now).unwrap().made()
}

/// Every file but the lock, by name.
fn files(directory: &TempDir) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != ".lock")
        .collect()
}

/// Shakes hands as a client that trusts nothing but `ca.pem`, and gives the protocol that was agreed upon.
async fn handshake(ca: &LocalCa, name: &str) -> std::io::Result<Option<Vec<u8>>> {
    let mut roots = RootCertStore::empty();
    roots.add(tls::read_chain(&ca.ca_certificate()).unwrap().remove(0)).unwrap();
    let mut client = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let server = TlsAcceptor::from(Arc::new(ca.server_config().unwrap()));
    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (client, _) = tokio::join!(connector.connect(name, near), server.accept(far));
    Ok(client?.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_reaches_the_server_under_all_its_names_and_no_other() {
    let directory = TempDir::new().unwrap();
    // The handshake looks at the real clock.
    let ca = open(&directory, &extra(&["Gateway.Internal", "10.1.2.3"]), SystemTime::now()).unwrap();
    let names: Vec<String> = ca.names().collect();
    assert_eq!(names, ["localhost", "127.0.0.1", "::1", "10.1.2.3", "gateway.internal"]);
    for name in names {
        assert_eq!(handshake(&ca, &name).await.unwrap().as_deref(), Some(&b"h2"[..]), "{name}");
    }
    for name in ["example.com", "127.0.0.2", "sub.localhost"] {
        let error = handshake(&ca, name).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
}

#[test]
fn opening_it_again_changes_nothing() {
    let directory = TempDir::new().unwrap();
    assert_eq!(made(&directory, &Names::Kept, today()), Made::Authority);
    let before = files(&directory);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["ca-key.pem", "ca.pem", "server-key.pem", "server.pem"]);
    for names in [Names::Kept, extra(&[]), extra(&["localhost", "LOCALHOST"])] {
        assert_eq!(made(&directory, &names, today() + 300 * DAY), Made::Nothing);
    }
    assert_eq!(files(&directory), before);
}

#[test]
fn the_server_certificate_is_renewed_a_month_before_it_expires() {
    let directory = TempDir::new().unwrap();
    assert_eq!(made(&directory, &Names::Kept, today()), Made::Authority);
    let before = files(&directory);
    assert_eq!(made(&directory, &Names::Kept, today() + 790 * DAY), Made::Nothing);
    assert_eq!(made(&directory, &Names::Kept, today() + 794 * DAY), Made::ServerCertificate);
    let after = files(&directory);
    assert_eq!((&after["ca.pem"], &after["ca-key.pem"]), (&before["ca.pem"], &before["ca-key.pem"]));
    assert!(after["server.pem"] != before["server.pem"] && after["server-key.pem"] != before["server-key.pem"]);
}

#[test]
fn an_authority_that_expires_is_replaced() {
    let directory = TempDir::new().unwrap();
    assert_eq!(made(&directory, &Names::Kept, today()), Made::Authority);
    assert_eq!(made(&directory, &Names::Kept, today() + 3_500 * DAY), Made::ServerCertificate);
    assert_eq!(made(&directory, &Names::Kept, today() + 3_640 * DAY), Made::NewAuthority);
}

#[test]
fn names_are_kept_until_others_are_asked_for() {
    let directory = TempDir::new().unwrap();
    let names = |names: &Names| {
        let ca = open(&directory, names, today()).unwrap();
        (ca.made(), ca.names().skip(ALWAYS.len()).collect::<Vec<_>>().join(" "))
    };
    let told = |made: Made, names: &str| (made, names.to_owned());
    assert_eq!(names(&extra(&[])), told(Made::Authority, ""));
    // Addresses are not constrained, host names are.
    assert_eq!(names(&extra(&["10.1.2.3"])), told(Made::ServerCertificate, "10.1.2.3"));
    assert_eq!(names(&extra(&["b.test", "a.test"])), told(Made::NewAuthority, "a.test b.test"));
    assert_eq!(names(&Names::Kept), told(Made::Nothing, "a.test b.test"));
    assert_eq!(names(&extra(&["a.test"])), told(Made::ServerCertificate, "a.test"));
    assert_eq!(names(&extra(&[])), told(Made::ServerCertificate, ""));
}

#[test]
fn what_is_no_name_is_refused_before_anything_is_made() {
    let directory = TempDir::new().unwrap();
    for name in ["", "two words", "*.internal", "https://localhost", "localhost:8443", "ünicode.test"] {
        assert!(matches!(open(&directory, &extra(&[name]), today()), Err(LocalCaError::Name(_))), "{name}");
    }
    assert!(files(&directory).is_empty());
}

#[test]
fn the_authority_cannot_vouch_for_the_rest_of_the_web() {
    let directory = TempDir::new().unwrap();
    let ca = open(&directory, &Names::Kept, today()).unwrap();
    let authority = tls::read_chain(&ca.ca_certificate()).unwrap().remove(0);
    let stolen = files::authority_key(directory.path()).unwrap();
    let names = [parse_name("bedrock-runtime.us-east-1.amazonaws.com").unwrap()];
    let forged = issue::server(&stolen, &names, today()).unwrap().certified().unwrap();
    assert!(accepted(&authority, &forged, &names, today()).is_err());
    let names = [parse_name("localhost").unwrap()];
    let own = issue::server(&stolen, &names, today()).unwrap().certified().unwrap();
    assert_eq!(accepted(&authority, &own, &names, today()), Ok(()));
}

#[test]
fn processes_that_start_at_once_end_with_one_authority() {
    let directory = TempDir::new().unwrap();
    let all: Vec<Made> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| made(&directory, &Names::Kept, today()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.iter().filter(|&&made| made == Made::Authority).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|&&made| made == Made::Nothing).count(), 5, "{all:?}");
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("made/on/the/way");
    LocalCa::open_or_create(&directory, &Names::Kept, today()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for (name, expected) in [(CA, 0o644), (CA_KEY, 0o600), (SERVER, 0o644), (SERVER_KEY, 0o600)] {
        assert_eq!(mode(&directory.join(name)), expected, "{name}");
    }
}

#[test]
fn an_interrupted_making_is_taken_up_again() {
    for (lost, expected) in [
        (&[CA][..], Made::Authority),
        (&[CA, SERVER, SERVER_KEY], Made::Authority),
        (&[SERVER], Made::ServerCertificate),
        (&[SERVER_KEY], Made::ServerCertificate),
        // The authority's key may be kept elsewhere while nothing has to be signed.
        (&[CA_KEY], Made::Nothing),
    ] {
        let directory = TempDir::new().unwrap();
        open(&directory, &Names::Kept, today()).unwrap();
        for name in lost {
            fs::remove_file(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("server.pem.new"), "left behind").unwrap();
        assert_eq!(made(&directory, &Names::Kept, today()), expected, "{lost:?}");
        assert_eq!(made(&directory, &Names::Kept, today()), Made::Nothing, "{lost:?}");
    }
}

#[test]
fn a_key_of_another_certificate_makes_a_new_pair() {
    let directory = TempDir::new().unwrap();
    open(&directory, &Names::Kept, today()).unwrap();
    fs::copy(directory.path().join(CA_KEY), directory.path().join(SERVER_KEY)).unwrap();
    assert_eq!(made(&directory, &Names::Kept, today()), Made::ServerCertificate);
}

#[test]
fn somebody_elses_authority_is_never_overwritten() {
    let own = |directory: &TempDir| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        fs::write(directory.path().join(CA), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(directory.path().join(CA_KEY), key.serialize_pem()).unwrap();
    };
    let without_key = |directory: &TempDir| {
        open(directory, &Names::Kept, today()).unwrap();
        fs::remove_file(directory.path().join(CA_KEY)).unwrap();
        fs::remove_file(directory.path().join(SERVER)).unwrap();
    };
    for prepare in [&own as &dyn Fn(&TempDir), &without_key] {
        let directory = TempDir::new().unwrap();
        prepare(&directory);
        let before = files(&directory);
        let error = open(&directory, &Names::Kept, today()).unwrap_err();
        assert!(matches!(error, LocalCaError::NotOurs(_)) && error.to_string().contains("delete ca.pem"), "{error}");
        assert_eq!(files(&directory), before);
    }
}
