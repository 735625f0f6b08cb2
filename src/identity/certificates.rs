//! Callers who show a certificate: who its owner is, and until when.
//!
//! The chain has been verified when the connection was made; a connection may live for long after that, so the times of the
//! certificate are looked at again with every request. A certificate that no rule fits proves nobody, and its owner needs another
//! credential; one that a rule fits is a credential, and a second one beside it is refused.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Principal;
use super::pattern::{Pattern, Person, is_name};

/// A certificate that a caller has shown, and that its authority stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    names: Vec<(NameKind, String)>,
    not_before: i64,
    not_after: i64,
}

/// Who the owners of certificates with a name of a kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// The kind.
    pub kind: NameKind,
    /// The name.
    pub pattern: Pattern,
    /// Who that is.
    pub person: Person,
}

/// A kind of name in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A URI among the subject alternative names, such as a SPIFFE id.
    Uri,
    /// A host name among them.
    Dns,
    /// An email address among them.
    Email,
    /// The subject's common name.
    CommonName,
}

/// Why a certificate proves nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// Its time has not begun.
    NotYet {
        /// When it will.
        at: Timestamp,
    },
    /// What comes of it is no name.
    Name,
}

impl ClientCertificate {
    /// Reads the caller's own certificate, in DER. `None` where it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names = Vec::new();
        let alternative = certificate.subject_alternative_name().ok().flatten();
        for name in alternative.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => names.push((NameKind::Uri, (*uri).to_owned())),
                GeneralName::DNSName(host) => names.push((NameKind::Dns, (*host).to_owned())),
                GeneralName::RFC822Name(email) => names.push((NameKind::Email, (*email).to_owned())),
                GeneralName::OtherName(..)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::IPAddress(_)
                | GeneralName::RegisteredID(_)
                | GeneralName::Invalid(..) => {}
            }
        }
        let subject = certificate.subject().iter_common_name();
        names.extend(subject.filter_map(|name| Some((NameKind::CommonName, name.as_str().ok()?.to_owned()))));
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Self { names, not_before, not_after })
    }

    /// Whose it is by the first rule that fits; nothing where none does.
    pub(super) fn owner(
        &self,
        rules: &[CertificateRule],
        now: Timestamp,
    ) -> Option<Result<Arc<Principal>, CertificateFault>> {
        let fitting = rules.iter().find_map(|rule| {
            let mut of_kind = self.names.iter().filter(|(kind, _)| *kind == rule.kind);
            of_kind.find_map(|(_, name)| rule.pattern.parts(name)).map(|parts| (rule, parts))
        });
        let (rule, parts) = fitting?;
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        if now.as_second() < self.not_before {
            return Some(Err(CertificateFault::NotYet { at: at(self.not_before) }));
        }
        if now.as_second() > self.not_after {
            return Some(Err(CertificateFault::Expired { at: at(self.not_after) }));
        }
        let principal = rule.person.principal(|name| parts.get(name).map(|part| Cow::Borrowed(*part)));
        Some(match principal {
            Ok(principal) if is_name(principal.name()) => Ok(Arc::new(principal)),
            Ok(_) | Err(_) => Err(CertificateFault::Name),
        })
    }
}

impl CertificateFault {
    /// What the person at the keyboard reads.
    pub fn caller_text(&self) -> String {
        match self {
            Self::Expired { at } => {
                format!("The security token included in the request is expired: your certificate was good until {at}.")
            }
            Self::NotYet { at } => format!(
                "The security token included in the request is invalid: your certificate is not good before {at}."
            ),
            Self::Name => {
                "The security token included in the request is invalid: your certificate names nobody.".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Whose a certificate is, by each kind of name, and when.

    use std::collections::BTreeMap;

    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;
    use crate::identity::pattern::Template;

    fn rule(kind: NameKind, pattern: &str) -> CertificateRule {
        let person =
            Person { principal: Template::parse("{name}").unwrap(), groups: Vec::new(), tags: BTreeMap::new() };
        CertificateRule { kind, pattern: Pattern::parse(pattern).unwrap(), person }
    }

    /// A certificate of 2026 with a name of each kind.
    fn certificate() -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "by-common-name");
        params.subject_alt_names = vec![
            SanType::URI("spiffe://example.com/by-uri".try_into().unwrap()),
            SanType::DnsName("by-dns.example.com".try_into().unwrap()),
            SanType::Rfc822Name("by-email@example.com".try_into().unwrap()),
        ];
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 12, 31));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientCertificate::read(certificate.der()).unwrap()
    }

    #[test]
    fn each_kind_of_name_is_looked_for_among_its_own_and_the_first_rule_that_fits_counts() {
        let (certificate, noon) = (certificate(), "2026-11-21T12:00:00Z".parse().unwrap());
        let uri = || rule(NameKind::Uri, "spiffe://example.com/{name}");
        let dns = || rule(NameKind::Dns, "{name}.example.com");
        let email = || rule(NameKind::Email, "{name}@example.com");
        let common = || rule(NameKind::CommonName, "{name}");
        for (rules, name) in [
            (vec![uri()], Some("by-uri")),
            (vec![dns()], Some("by-dns")),
            (vec![email()], Some("by-email")),
            (vec![common()], Some("by-common-name")),
            (vec![dns(), uri()], Some("by-dns")),
            (vec![rule(NameKind::Email, "{name}@example.org"), common()], Some("by-common-name")),
            (vec![rule(NameKind::CommonName, "{name}@example.com")], None),
            (vec![], None),
        ] {
            let owner = certificate.owner(&rules, noon).map(|owner| owner.unwrap().name().to_owned());
            assert_eq!(owner.as_deref(), name, "{rules:?}");
        }
    }

    #[test]
    fn a_certificate_is_good_from_its_first_second_to_its_last() {
        let (certificate, rules) = (certificate(), [rule(NameKind::CommonName, "{name}")]);
        let at = |text: &str| certificate.owner(&rules, text.parse().unwrap()).unwrap();
        let (first, last): (Timestamp, Timestamp) =
            ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-12-31T00:00:00Z".parse().unwrap());
        assert_eq!(at("2025-12-31T23:59:59Z"), Err(CertificateFault::NotYet { at: first }));
        assert!(at("2026-01-01T00:00:00Z").is_ok() && at("2026-12-31T00:00:00Z").is_ok());
        assert_eq!(at("2026-12-31T00:00:01Z"), Err(CertificateFault::Expired { at: last }));
    }

    #[test]
    fn what_makes_no_name_is_nobody_and_what_is_no_certificate_is_none() {
        let noon = "2026-11-21T12:00:00Z".parse().unwrap();
        let certificate = ClientCertificate { names: vec![(NameKind::Dns, "a\nb".to_owned())], ..certificate() };
        let owner = certificate.owner(&[rule(NameKind::Dns, "{name}")], noon);
        assert_eq!(owner, Some(Err(CertificateFault::Name)));
        assert_eq!(ClientCertificate::read(b"\x30\x03abc"), None);
    }
}
