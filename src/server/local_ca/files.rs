//! The authority's directory: its lock, what is in it, and how a file is replaced.
//!
//! Two facts stand as comments above the PEM text, where people can read them too: until when the authority is valid, and
//! which names the server's certificate has. Neither is trusted for more than deciding what to renew.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, ServerName};

use super::issue::Issued;
use super::{CA, CA_KEY, LocalCaError, RENEWED_BEFORE, SERVER, SERVER_KEY, parse_name};
use crate::server::tls;

/// What there is of an authority.
#[derive(Debug)]
pub(super) enum Existing {
    /// Nothing that anybody can have trusted yet.
    Absent,
    /// One that has expired or is about to.
    Expired,
    /// One that can be trusted for a while yet.
    Valid(CertificateDer<'static>),
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Everybody.
    Public,
    /// The owner alone.
    Private,
}

/// Makes the directory and waits until no other process is at work in it. The lock ends with the returned file.
pub(super) fn lock(directory: &Path) -> Result<File, LocalCaError> {
    let fail = |source| LocalCaError::Io { path: directory.to_owned(), source };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(fail)?;
    let file = OpenOptions::new().create(true).append(true).open(directory.join(".lock")).map_err(fail)?;
    file.lock().map_err(fail)?;
    Ok(file)
}

/// Reads the authority's certificate. A key without a certificate is an authority whose making was interrupted before
/// anybody could see it, so it counts as absent.
pub(super) fn existing_authority(directory: &Path, now: SystemTime) -> Result<Existing, LocalCaError> {
    let path = directory.join(CA);
    if !path.try_exists().map_err(|source| LocalCaError::Io { path: path.clone(), source })? {
        return Ok(Existing::Absent);
    }
    let chain = tls::read_chain(&path)?;
    if valid_until(&path).is_some_and(|end| end < now + RENEWED_BEFORE) {
        return Ok(Existing::Expired);
    }
    chain.into_iter().next().map(Existing::Valid).ok_or(LocalCaError::NotOurs(path))
}

/// Reads the authority's key. It is asked for only when something has to be signed, so it may be kept elsewhere meanwhile.
pub(super) fn authority_key(directory: &Path) -> Result<KeyPair, LocalCaError> {
    let (certificate, key) = (directory.join(CA), directory.join(CA_KEY));
    let text = tls::load(&certificate, &key).ok().and_then(|_| fs::read_to_string(&key).ok());
    Ok(KeyPair::from_pem(&text.ok_or(LocalCaError::NotOurs(certificate))?)?)
}

/// Writes a new authority. Its certificate is taken away first and comes back last, so that an interruption in between
/// reads as absent.
pub(super) fn write_authority(directory: &Path, authority: &Issued) -> Result<(), LocalCaError> {
    let path = directory.join(CA);
    remove(&path).map_err(|source| LocalCaError::Io { path, source })?;
    replace(directory, CA_KEY, &authority.key.serialize_pem(), Audience::Private)?;
    replace(directory, CA, &authority.certificate_pem, Audience::Public)
}

/// Writes a new server certificate. Should this be interrupted between the two files, they do not match, and the next to
/// open them makes a new pair.
pub(super) fn write_server(directory: &Path, server: &Issued) -> Result<(), LocalCaError> {
    replace(directory, SERVER_KEY, &server.key.serialize_pem(), Audience::Private)?;
    replace(directory, SERVER, &server.certificate_pem, Audience::Public)
}

/// The names that the server's certificate has, if there is one.
pub(super) fn server_names(directory: &Path) -> Option<Vec<ServerName<'static>>> {
    let names = comment(&directory.join(SERVER), NAMES)?;
    names.split_whitespace().map(|name| parse_name(name).ok()).collect()
}

/// The comment that [`server_names`] reads.
pub(super) fn names_comment(names: &[ServerName<'static>]) -> String {
    let names: Vec<_> = names.iter().map(ServerName::to_str).collect();
    format!("{NAMES}{}\n", names.join(" "))
}

/// The comment that tells until when the authority is valid.
pub(super) fn validity_comment(end: Date) -> String {
    format!("# The local CA of Tollgate. Clients trust this file; ca-key.pem is for nobody else.\n{VALID_UNTIL}{end}\n")
}

/// Replaces a file as a whole: whoever reads it sees the old one or the new one.
fn replace(directory: &Path, name: &str, text: &str, audience: Audience) -> Result<(), LocalCaError> {
    let path = directory.join(name);
    let new = directory.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        // What an interrupted process left behind may have another mode.
        remove(&new)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, audience.mode());
        let mut file = options.open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|source| LocalCaError::Io { path: path.clone(), source })
}

impl Audience {
    #[cfg(unix)]
    const fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Private => 0o600,
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn valid_until(path: &Path) -> Option<SystemTime> {
    let end: Date = comment(path, VALID_UNTIL)?.trim().parse().ok()?;
    Some(end.to_zoned(TimeZone::UTC).ok()?.timestamp().into())
}

fn comment(path: &Path, label: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(label)).map(str::to_owned)
}

const NAMES: &str = "# Names: ";
const VALID_UNTIL: &str = "# Valid until ";
