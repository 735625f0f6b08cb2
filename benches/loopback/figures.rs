//! What is measured, as values: every figure is a list of rounds, of which the least counts and the most shows the noise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::machine::Machine;

/// The rounds of one figure.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Rounds(pub(crate) Vec<f64>);

impl Rounds {
    pub(crate) fn least(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::min)
    }

    pub(crate) fn most(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::max)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Something of each proxy, by its name.
pub(crate) type ByProxy<T> = BTreeMap<&'static str, T>;

/// Everything that a run has measured; what `--only` left out is not there.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) cpu: Vec<CpuRow>,
    pub(crate) cpu_tls: Vec<CpuRow>,
    pub(crate) memory: Option<Memory>,
    pub(crate) latency: Vec<LatencyRow>,
    pub(crate) slow_readers: Option<SlowReaders>,
    pub(crate) start: Option<Start>,
}

#[derive(Serialize)]
pub(crate) struct CpuRow {
    pub(crate) work: &'static str,
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: u64,
    /// Microseconds of CPU per call.
    pub(crate) cpu_us: ByProxy<Rounds>,
    /// Microseconds for SHA-256 of as many bytes as the request has, where they are many.
    pub(crate) sha256_us: Option<Rounds>,
}

#[derive(Serialize)]
pub(crate) struct Memory {
    /// How many files a process could open, which bounds the streams.
    pub(crate) descriptor_limit: u64,
    pub(crate) proxies: ByProxy<MemoryRow>,
}

/// Kilobytes resident.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "units stand in names")]
pub(crate) struct MemoryRow {
    pub(crate) idle_kb: u64,
    /// With so many slow streams open.
    pub(crate) held_kb: Vec<(u32, u64)>,
    /// Some seconds after the last of them has ended.
    pub(crate) released_kb: u64,
    /// Another process, before and after calls of 25 MB one after another, and the most it ever was.
    pub(crate) fresh_kb: u64,
    pub(crate) after_large_kb: u64,
    pub(crate) peak_large_kb: u64,
}

#[derive(Serialize)]
pub(crate) struct LatencyRow {
    pub(crate) what: String,
    /// In milliseconds, by proxy; `direct` is without one.
    pub(crate) p50_ms: ByProxy<Rounds>,
    pub(crate) p99_ms: ByProxy<Rounds>,
}

#[derive(Serialize)]
pub(crate) struct SlowReaders {
    pub(crate) stalled: u32,
    pub(crate) proxies: ByProxy<SlowReadersRow>,
}

#[derive(Serialize)]
pub(crate) struct SlowReadersRow {
    /// Milliseconds at the 99th percentile, alone and beside the stalled.
    pub(crate) first_byte_alone_ms: Rounds,
    pub(crate) first_byte_beside_ms: Rounds,
    pub(crate) gap_alone_ms: Rounds,
    pub(crate) gap_beside_ms: Rounds,
    pub(crate) idle_kb: u64,
    pub(crate) stalled_kb: u64,
    /// What the upstream could send per stalled stream.
    pub(crate) sent_median_bytes: u64,
    pub(crate) sent_most_bytes: u64,
    /// What all streams would have had to send each.
    pub(crate) flood_bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Start {
    /// Milliseconds from exec to ready.
    pub(crate) ready_ms: ByProxy<Rounds>,
    pub(crate) binary_bytes: u64,
    /// Without what is not loaded: symbols and lines.
    pub(crate) loaded_bytes: Option<u64>,
    pub(crate) dependencies: Option<usize>,
}

/// The value below which this share of them lies, in milliseconds.
pub(crate) fn quantile_ms(durations: &mut [Duration], share: f64) -> f64 {
    durations.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let index = (durations.len() as f64 * share) as usize;
    let found = durations.get(index.min(durations.len().saturating_sub(1)));
    found.map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
