//! `[identity]`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::identity::aws_login::AwsLoginSettings;
use crate::identity::certificates::CertificateRule;
use crate::identity::oidc::IssuerSettings;
use crate::types::Region;

/// How callers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySettings {
    /// The file of callers' keys, where they are not in the store.
    pub keys_file: Option<PathBuf>,
    /// The files of root keys, the newest first; without a root key there are no access keys for SigV4.
    pub root_key_files: Vec<PathBuf>,
    /// The environment variables that hold root keys, the newest first; those of files are newer.
    pub root_key_env: Vec<String>,
    /// The Regions that callers may sign for; none means any.
    pub regions: Vec<Region>,
    /// How many times a minute one source may fail; nothing means without limit.
    pub failures_per_minute: Option<NonZeroU32>,
    /// The networks of proxies that tell from where a request comes.
    pub trusted_proxies: Vec<IpNet>,
    /// `[[identity.oidc]]`
    pub oidc: Vec<OidcSettings>,
    /// `[identity.aws_login]`
    pub aws_login: Option<AwsLoginFile>,
    /// `[[identity.certificates]]`
    pub certificates: Vec<CertificateRule>,
}

impl IdentitySettings {
    /// Whether there can be principals whom neither the configuration nor a key knows before they call.
    pub fn is_open(&self) -> bool {
        !self.oidc.is_empty() || self.aws_login.is_some() || !self.certificates.is_empty()
    }
}

/// One issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSettings {
    /// What is taken of it.
    pub issuer: IssuerSettings,
    /// Whom to trust when its keys are fetched, in place of the built-in authorities.
    pub ca_bundle: Option<PathBuf>,
}

/// How AWS roles are proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLoginFile {
    /// What is taken.
    pub login: AwsLoginSettings,
    /// Whom to trust when STS is asked, in place of the built-in authorities.
    pub ca_bundle: Option<PathBuf>,
}
