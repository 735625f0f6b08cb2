//! `[[identity.oidc]]`: issuers whose tokens are taken.

use std::time::Duration;

use super::person;
use super::values::{self, Zero};
use crate::config::Surroundings;
use crate::config::diagnostics::{Report, Wrong, quoted};
use crate::config::schema::Entry;
use crate::config::settings::OidcSettings;
use crate::config::suggest;
use crate::identity::oidc::{Algorithm, IssuerSettings};

pub(super) fn compile(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Vec<OidcSettings> {
    let entries = entry.tables("oidc");
    values::distinct("issuer", entries.iter().filter_map(|entry| entry.text("issuer")), report);
    entries.iter().filter_map(|entry| issuer(entry, around, report)).collect()
}

fn issuer(entry: &Entry<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<OidcSettings> {
    let issuer = report.read(entry.text("issuer"), url);
    let jwks_url = report.read(entry.text("jwks_url"), url);
    let audiences: Vec<_> = entry.texts("audiences").into_iter().map(|text| text.value.to_owned()).collect();
    let algorithms = values::each(entry.texts("algorithms"), report, algorithm);
    let leeway = values::span(entry, "leeway", Zero::Allowed, report);
    if leeway.is_some_and(|leeway| leeway > LONGEST_LEEWAY) {
        let wrong = Wrong::new("a leeway of more than five minutes");
        report.error(&entry.place_of("leeway"), wrong.hint("tokens would be taken long after they have expired"));
    }
    let person = person::compile(entry, None, report);
    let require = entry.pairs("require").into_iter().map(|(name, value)| (name.value.to_owned(), value.to_owned()));
    let token_file = values::existing(entry, "token_file", around.folder, report);
    let ca_bundle = values::existing(entry, "ca_bundle", around.folder, report);
    Some(OidcSettings {
        ca_bundle,
        issuer: IssuerSettings {
            issuer: issuer?,
            jwks_url,
            audiences,
            audience_claim: entry.text("audience_claim")?.value.to_owned(),
            algorithms: if algorithms.is_empty() { vec![Algorithm::RS256] } else { algorithms },
            leeway: leeway?,
            require: require.collect(),
            person: person?,
            groups_claim: entry.text("groups_claim").map(|text| text.value.to_owned()),
            token_file,
        },
    })
}

fn url(text: &str) -> Result<String, Wrong> {
    let secret = "its own endpoints take a bearer token from token_file";
    let clear = "whoever is between could name keys of their own: https://";
    values::url(text, "https://company.okta.com/oauth2/default", secret, clear)
}

/// Asymmetric ones alone: whoever can verify a symmetric signature can make one.
fn algorithm(text: &str) -> Result<Algorithm, Wrong> {
    let known = ALGORITHMS.iter().find(|(word, _)| *word == text).map(|(_, algorithm)| *algorithm);
    known.ok_or_else(|| {
        let words: Vec<_> = ALGORITHMS.iter().map(|(word, _)| *word).collect();
        let hint = suggest::did_you_mean(text, words.iter().copied());
        Wrong::new(format!("{} is not one of {}", quoted(text), words.join(", "))).maybe_hint(hint)
    })
}

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

const LONGEST_LEEWAY: Duration = Duration::from_mins(5);
