//! Keys on their way from one store to another: the form of the keys file.

use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Desk, told};
use crate::identity::keys::KeyRecord;

/// What is exported, and what a keys file holds.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    version: u32,
    keys: &'a [KeyRecord],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    version: u32,
    keys: Vec<KeyRecord>,
}

pub(super) const fn written(keys: &[KeyRecord]) -> Written<'_> {
    Written { version: VERSION, keys }
}

impl Desk {
    pub(super) async fn import(&self, file: &Path) -> Result<usize, String> {
        let text = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let found: Found = serde_json::from_str(&text)
            .map_err(|error| format!("{} is nothing that `tollgate key export` printed: {error}", file.display()))?;
        if found.version != VERSION {
            let version = found.version;
            return Err(format!("{} has version {version}, and this Tollgate knows version {VERSION}", file.display()));
        }
        let keys = found.keys.len();
        self.keys.add(found.keys).await.map_err(|error| told(&error))?;
        Ok(keys)
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().take(LARGEST).read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

const VERSION: u32 = 1;
/// A hundred thousand keys are thirty megabytes.
const LARGEST: u64 = 1 << 30;
