//! Every way in which a certificate and its key can fail to be a pair, and what is said of it.

use rcgen::{CertifiedKey as Pair, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

use super::*;

/// A directory with `a.pem`, `a-key.pem` and the key of another certificate, `b-key.pem`.
fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    let Pair { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("a.pem", &cert.pem());
    write("a-key.pem", &signing_key.serialize_pem());
    write("b-key.pem", &KeyPair::generate().unwrap().serialize_pem());
    write("both.pem", &(signing_key.serialize_pem() + &cert.pem()));
    write("empty.pem", "");
    write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    directory
}

#[test]
fn a_pair_becomes_a_configuration_that_offers_both_versions_of_http() {
    let directory = directory();
    for (certificate, key) in [("a.pem", "a-key.pem"), ("both.pem", "both.pem")] {
        let certified = load(&directory.path().join(certificate), &directory.path().join(key)).unwrap();
        let config = server_config(certified, None).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}

#[test]
fn what_is_no_pair_is_refused_with_its_file_and_the_reason() {
    let directory = directory();
    for (certificate, key, file, reason) in [
        ("a.pem", "b-key.pem", "b-key.pem", "does not belong to the first certificate"),
        ("absent.pem", "a-key.pem", "absent.pem", "cannot read"),
        ("a.pem", "absent.pem", "absent.pem", "cannot read"),
        ("a-key.pem", "a.pem", "a-key.pem", "are `certificate` and `key` swapped?"),
        ("a.pem", "a.pem", "a.pem", "are `certificate` and `key` swapped?"),
        ("empty.pem", "a-key.pem", "empty.pem", "holds no certificate"),
        ("a.pem", "empty.pem", "empty.pem", "holds no private key; it should begin"),
        ("a.pem", "locked.pem", "locked.pem", "without a passphrase"),
        ("cut.pem", "a-key.pem", "cut.pem", "not valid PEM"),
        ("nonsense.pem", "a-key.pem", "nonsense.pem", "cannot be used"),
    ] {
        let error = load(&directory.path().join(certificate), &directory.path().join(key)).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(reason), "{certificate} {key}: {error}");
    }
}

#[test]
fn a_pair_that_cannot_be_read_is_told_of_once_and_tried_until_it_can() {
    let (one, other) = (directory(), directory());
    let place = |name: &str| one.path().join(name);
    let source = CertificateSource::Files { certificate: place("a.pem"), key: place("a-key.pem") };
    let live = LiveTls::new(source, None).unwrap();
    let before = live.config();
    assert!(!live.refresh().unwrap());
    std::fs::rename(place("a-key.pem"), place("away.pem")).unwrap();
    std::fs::copy(other.path().join("a.pem"), place("a.pem")).unwrap();
    assert!(live.refresh().unwrap_err().to_string().contains("a-key.pem"));
    assert!(!live.refresh().unwrap(), "told once");
    assert!(Arc::ptr_eq(&live.config(), &before), "what was in force stays");
    std::fs::copy(other.path().join("a-key.pem"), place("a-key.pem")).unwrap();
    assert!(live.refresh().unwrap());
    assert!(!Arc::ptr_eq(&live.config(), &before));
}
