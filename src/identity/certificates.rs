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
