//! What the keys of `[identity]` mean there.

use std::time::Duration;

use crate::config::{AwsLoginFile, OidcSettings};
use crate::identity::aws_login::{AwsLoginSettings, Role};
use crate::identity::certificates::{CertificateRule, NameKind};
use crate::identity::oidc::{Algorithm, IssuerSettings};
use crate::identity::{Pattern, Person, Template};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn person(principal: &str, group: Option<&str>, tag: Option<(&str, &str)>) -> Person {
    Person {
        principal: template(principal),
        groups: group.into_iter().map(template).collect(),
        tags: tag.into_iter().map(|(key, value)| (key.to_owned(), template(value))).collect(),
    }
}

pub(super) fn oidc() -> OidcSettings {
    OidcSettings {
        ca_bundle: Some("/i.pem".into()),
        issuer: IssuerSettings {
            issuer: "https://i.example.com".to_owned(),
            jwks_url: Some("https://i.example.com/keys".to_owned()),
            audiences: vec!["a".to_owned(), "b".to_owned()],
            audience_claim: "client_id".to_owned(),
            algorithms: vec![Algorithm::ES256, Algorithm::PS512],
            leeway: Duration::from_secs(24),
            require: [("hd".to_owned(), "example.com".to_owned())].into(),
            person: person("i-{sub}", Some("g-{dept}"), Some(("UserEmail", "{email}"))),
            groups_claim: Some("roles".to_owned()),
            token_file: Some("/i.token".into()),
        },
    }
}

pub(super) fn aws_login() -> AwsLoginFile {
    let arn = Pattern::parse("arn:aws:sts::012345678901:assumed-role/r/{who}").unwrap();
    AwsLoginFile {
        ca_bundle: Some("/s.pem".into()),
        login: AwsLoginSettings {
            audience: "t.example.com".to_owned(),
            endpoint: Some("https://vpce.sts.example.com".to_owned()),
            regions: vec!["eu-west-1".to_owned()],
            longest: Duration::from_mins(25),
            roles: vec![Role { arn, person: person("{who}", Some("x"), Some(("W", "{who}"))) }],
        },
    }
}

pub(super) fn certificates() -> Vec<CertificateRule> {
    let rule =
        |kind, pattern: &str, person| CertificateRule { kind, pattern: Pattern::parse(pattern).unwrap(), person };
    vec![
        rule(NameKind::Uri, "spiffe://c/{sa}", person("{sa}", Some("y"), Some(("S", "{sa}")))),
        rule(NameKind::Dns, "d", person("d", None, None)),
        rule(NameKind::Email, "e", person("e", None, None)),
        rule(NameKind::CommonName, "c", person("c", None, None)),
    ]
}
