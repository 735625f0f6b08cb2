//! `[server]` and `[[server.listeners]]` of the file in which every key says something.

use super::*;

pub(super) fn wanted() -> ServerSettings {
    ServerSettings {
        listeners: vec![
            ListenerSettings {
                listen: Listen::Tcp("[::1]:1".parse().unwrap()),
                principal: Some("n".to_owned()),
                tls: TlsSettings::Files { certificate: "/c.pem".into(), key: "/etc/tollgate/k.pem".into() },
                clients: Some(ClientCertificates {
                    ca: "/a.pem".into(),
                    crl: Some("/etc/tollgate/r.pem".into()),
                    presence: Presence::Required,
                }),
            },
            ListenerSettings {
                listen: Listen::Unix("/etc/tollgate/t.sock".into()),
                principal: Some("n".to_owned()),
                tls: TlsSettings::Off,
                clients: None,
            },
            ListenerSettings {
                listen: Listen::Tcp("[::1]:2".parse().unwrap()),
                principal: None,
                tls: TlsSettings::LocalCa { dir: "/etc/tollgate/ca".into() },
                clients: Some(ClientCertificates { ca: "/b.pem".into(), crl: None, presence: Presence::Optional }),
            },
        ],
        base_path: "/a/b".to_owned(),
        max_body_bytes: 2,
        header_timeout: Duration::from_secs(3),
        body_timeout: Duration::from_secs(4),
        drain_timeout: Duration::ZERO,
        max_connections: 6,
    }
}
