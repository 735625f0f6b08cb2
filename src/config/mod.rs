//! Floor 13: one TOML file becomes the values that the stages are made from.
//!
//! `schema` lists every key there is and reads the file against that list; `compile` turns what was read into
//! [`Settings`], one file a section. Nothing below this floor imports it: a stage is given values, it never looks for them.
//!
//! What is wrong is reported **all at once**, each with file, line, column, key path and a remedy. Two limits to that: a file
//! that is not TOML is reported as such (every syntax error, but nothing else, because the keys read from a broken file are
//! guesses), and warnings that depend on the whole file ("nobody owns this profile") wait until there is no error left.
//!
//! Deliberately absent: no value is taken from the environment (`${…}` is plain text), no secret stands in the file, and
//! nothing is fetched. The file system is read once for the file, and asked whether the files it names are there.

pub mod assembly;
pub mod changes;
mod compile;
mod diagnostics;
mod duration;
mod schema;
mod settings;
mod suggest;

use std::path::Path;

pub use diagnostics::{Diagnostic, Diagnostics, Position, Severity};
pub use duration::{DurationError, parse_duration, show_duration};
pub use settings::{
    AccountSettings, AdminSettings, AlertSettings, Asynchronous, AwsLoginFile, BudgetSettings, Choice,
    ClientCertificates, DiscoverySettings, Durability, GuardrailMode, GuardrailSettings, IdentitySettings, Listen,
    ListenerSettings, LogFormat, LogLevel, LogSettings, MeteringSettings, OidcSettings, OnDisconnect, OnOutage,
    PolicySettings, Presence, PriceFile, PriceSettings, ProfileSettings, RateLimitSettings, RedisSettings, Reserve,
    Selective, ServerSettings, Settings, StoreKind, StoreSettings, TlsSettings, Topology, UpstreamSettings,
    VendingSettings, WebhookSettings, Window, WindowSettings,
};

use crate::types::{ModelId, Region};
use diagnostics::{Place, Report, Wrong};

/// What a file is judged against besides itself.
pub struct Surroundings<'a> {
    /// The folder that relative paths in the file start from.
    pub folder: &'a Path,
    /// Whether there is a price without the file's own `[prices]`.
    pub price_known: PriceKnown<'a>,
}

/// Whether calls through a profile of this source in this Region have a price.
pub type PriceKnown<'a> = &'a dyn Fn(&ModelId, &Region) -> bool;

impl Settings {
    /// Reads and compiles a file. Relative paths in it start from the folder it stands in. Ok carries the warnings; an error
    /// carries every error and the warnings found so far.
    pub fn load(path: &Path, price_known: PriceKnown<'_>) -> Result<(Self, Diagnostics), Diagnostics> {
        let bytes = std::fs::read(path).map_err(|error| {
            let wrong = Wrong::new(format!("cannot be read: {error}"))
                .hint("name the file with -c FILE; config/minimal.toml is the smallest one that starts");
            Diagnostics::of_file(path, wrong)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        match std::str::from_utf8(&bytes) {
            Ok(source) => Self::parse(source, path, &Surroundings { folder, price_known }),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let mut report = Report::new(path, &String::from_utf8_lossy(valid));
                let place = Place::root().moved_to(error.valid_up_to());
                report.error(&place, Wrong::new("not UTF-8").hint("TOML is UTF-8 throughout: save the file as UTF-8"));
                Err(report.finish())
            }
        }
    }

    /// Compiles the text of a file; `path` only names it in messages.
    pub fn parse(
        source: &str,
        path: &Path,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut report = Report::new(path, source);
        let settings = schema::read(source, &mut report, |root, report| compile::settings(root, surroundings, report));
        if settings.is_none() && !report.has_errors() {
            // A section gave up without saying why. That is a fault of ours; it must not look like a valid file.
            report.error(
                &Place::root(),
                Wrong::new("could not be compiled, and no section said why: please report this"),
            );
        }
        let diagnostics = report.finish();
        match settings {
            Some(settings) if diagnostics.errors.is_empty() => Ok((settings, diagnostics)),
            _ => Err(diagnostics),
        }
    }
}

#[cfg(test)]
mod tests;
