//! Makes the authority and the server's certificate, in memory; nothing is written before it has proved to be accepted.
//!
//! The authority's name holds a piece of its key's hash, so that two local authorities on one machine are two issuers to
//! every client, and so that the name can be told again from the key alone.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::files::{names_comment, validity_comment};
use crate::server::tls;

/// A certificate with its key, not yet written anywhere.
pub(super) struct Issued {
    pub(super) certificate: CertificateDer<'static>,
    /// The certificate below a comment.
    pub(super) certificate_pem: String,
    pub(super) key: KeyPair,
}

impl Issued {
    /// The pair as a TLS server holds it.
    pub(super) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        CertifiedKey::from_der(vec![self.certificate.clone()], key.into(), &tls::provider())
    }
}

/// Makes an authority that may vouch for the host names given and no others.
pub(super) fn authority(names: &[ServerName<'static>], now: SystemTime) -> Result<Issued, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_params(&key);
    let end = set_validity(&mut params, now, AUTHORITY_DAYS)?;
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted(names), excluded_subtrees: Vec::new() });
    let certificate = params.self_signed(&key)?;
    let certificate_pem = validity_comment(end) + &certificate.pem();
    Ok(Issued { certificate: certificate.into(), certificate_pem, key })
}

/// Makes a server certificate for the names given, signed with an authority's key.
pub(super) fn server(
    authority: &KeyPair,
    names: &[ServerName<'static>],
    now: SystemTime,
) -> Result<Issued, rcgen::Error> {
    let issuer = Issuer::new(authority_params(authority), authority);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let texts: Vec<String> = names.iter().map(|name| name.to_str().into_owned()).collect();
    let mut params = CertificateParams::new(texts)?;
    params.distinguished_name = named("Tollgate local server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, SERVER_DAYS)?;
    let certificate = params.signed_by(&key, &issuer)?;
    let certificate_pem = names_comment(names) + &certificate.pem();
    Ok(Issued { certificate: certificate.into(), certificate_pem, key })
}

/// What the authority's own certificate and the ones it signs have to agree on.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let hash = Sha256::digest(key.subject_public_key_info());
    let mark = hex::encode(hash.get(..4).unwrap_or_default());
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Tollgate local CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Host names; addresses are left unconstrained.
fn permitted(names: &[ServerName<'static>]) -> Vec<GeneralSubtree> {
    let host = |name: &ServerName<'static>| {
        let ServerName::DnsName(host) = name else { return None };
        Some(GeneralSubtree::DnsName(host.as_ref().to_owned()))
    };
    names.iter().filter_map(host).collect()
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "Tollgate");
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Valid from a day ago, for clients whose clock is slow, for so many days in all. Gives the last day.
fn set_validity(params: &mut CertificateParams, now: SystemTime, days: i32) -> Result<Date, rcgen::Error> {
    let today = Timestamp::try_from(now).map_err(|_| CLOCK)?.to_zoned(TimeZone::UTC).date();
    let begin = today.checked_sub(1.day()).map_err(|_| CLOCK)?;
    let end = begin.checked_add(days.days()).map_err(|_| CLOCK)?;
    params.not_before = date_time_ymd(begin.year().into(), begin.month().unsigned_abs(), begin.day().unsigned_abs());
    params.not_after = date_time_ymd(end.year().into(), end.month().unsigned_abs(), end.day().unsigned_abs());
    Ok(end)
}

/// The clock shows a time that no certificate can hold.
const CLOCK: rcgen::Error = rcgen::Error::Time;
const AUTHORITY_DAYS: i32 = 3_652;
/// Apple accepts no more than 825 days, counted inclusively.
const SERVER_DAYS: i32 = 824;
