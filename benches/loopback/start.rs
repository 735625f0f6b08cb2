//! Cold start: from exec to ready, and how large the measured binary is.

use std::fs;
use std::process::Command;

use crate::figures::{ByProxy, Rounds, Start};
use crate::proxies::{self, Bench, Result, Security};

const STARTS: usize = 10;

pub(crate) fn measure(bench: &Bench) -> Result<Start> {
    eprintln!("start …");
    let mut ready_ms: ByProxy<Rounds> = ByProxy::new();
    // The folders stay: all but the first start find the store and the key of the one before, as restarts do.
    for start in 0..=STARTS {
        for kind in &bench.kinds {
            let folder = bench.folder.path().join(format!("start-{}", kind.name()));
            fs::create_dir_all(&folder)?;
            let proxy = bench.start_in(&folder, *kind, Security::Clear)?;
            if start > 0 {
                ready_ms.entry(kind.name()).or_default().0.push(proxy.ready_after.as_secs_f64() * 1e3);
            }
        }
    }
    let binary = fs::read(proxies::tollgate())?;
    Ok(Start {
        ready_ms,
        binary_bytes: binary.len() as u64,
        loaded_bytes: loaded(&binary),
        dependencies: dependencies(),
    })
}

/// What an ELF file has loaded: the sizes in the file of its `PT_LOAD` segments.
fn loaded(elf: &[u8]) -> Option<u64> {
    let long = |at: usize| Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    let short = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (usize::try_from(long(32)?).ok()?, short(54)?, short(56)?);
    let mut sum = 0;
    for number in 0..usize::from(count) {
        let entry = table + number * usize::from(size);
        if elf.get(entry..entry + 4)? == [1, 0, 0, 0] {
            sum += long(entry + 32)?;
        }
    }
    Some(sum)
}

/// How many packages are linked in, this one among them: what `cargo tree -e normal --prefix none | sort -u` lists.
fn dependencies() -> Option<usize> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    // A package that stands there before is marked with (*), and a macro with (proc-macro).
    let mut packages: Vec<_> =
        text.lines().map(|line| line.split(" (").next().unwrap_or(line)).filter(|line| !line.is_empty()).collect();
    packages.sort_unstable();
    packages.dedup();
    Some(packages.len())
}
