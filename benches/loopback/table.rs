//! The figures as Markdown: all of them for `docs/performance.md`, the most telling ones for the README.

use std::fmt::Write as _;

use crate::figures::{ByProxy, CpuRow, LatencyRow, Memory, Report, Rounds, SlowReaders, Start, number};
use crate::latency::DIRECT;
use crate::soak::Soaked;

const OURS: &str = "tollgate";
const NGINX: &str = "nginx";
const HYPER: &str = "bare hyper";
const PROXIES: [&str; 3] = [OURS, NGINX, HYPER];
const NONE: &str = "–";

/// Everything.
pub(crate) fn full(report: &Report) -> String {
    let mut text = format!("{}\n", report.machine.sentence());
    for (title, rows) in [("CPU per call", &report.cpu), ("CPU per call, TLS on both sides", &report.cpu_tls)] {
        if !rows.is_empty() {
            let _ = write!(text, "\n### {title}\n\n{}", cpu(rows));
        }
    }
    if report.cpu.iter().any(|row| row.sha256_us.is_some()) {
        let _ = write!(text, "\n### Cost per byte of large bodies\n\n{}", per_byte(report));
    }
    if !report.latency.is_empty() {
        let _ = write!(text, "\n### Latency at 200 calls a second\n\n{}", latency(&report.latency));
    }
    if let Some(found) = &report.memory {
        let _ = write!(text, "\n### Memory\n\n{}", memory(found));
    }
    if let Some(found) = &report.slow_readers {
        let _ = write!(text, "\n### Slow readers\n\n{}", slow_readers(found));
    }
    if let Some(found) = &report.start {
        let _ = write!(text, "\n### Start and size\n\n{}", start(found));
    }
    text
}

/// What the README shows.
pub(crate) fn short(report: &Report) -> String {
    let mut text = "| CPU per call, µs | tollgate | nginx | ratio | bare hyper | with TLS: tollgate | nginx | ratio | bare hyper |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (clear, tls) in report.cpu.iter().zip(&report.cpu_tls) {
        let cells = [clear, tls].map(|row| {
            let cell = |proxy: &str| value(least(&row.cpu_us, proxy), digits);
            format!("{} | {} | {} | {}", cell(OURS), cell(NGINX), ratio(&row.cpu_us), cell(HYPER))
        });
        let _ = writeln!(text, "| {} | {} |", clear.work, cells.join(" | "));
    }
    text += "\n| | tollgate | nginx | bare hyper |\n| --- | --- | --- | --- |\n";
    let mut row = |what: &str, of: &dyn Fn(&str) -> Option<f64>, decimals: usize| {
        let cells = PROXIES.map(|proxy| value(of(proxy), |value| format!("{value:.decimals$}"))).join(" | ");
        let _ = writeln!(text, "| {what} | {cells} |");
    };
    for latency in &report.latency {
        for (name, percentile) in [("p50", &latency.p50_ms), ("p99", &latency.p99_ms)] {
            row(&format!("{}: added {name}, ms", latency.what), &|proxy| added(percentile, proxy), 2);
        }
    }
    if let Some(memory) = &report.memory {
        for (at, streams) in streams(memory).into_iter().enumerate() {
            let over = |proxy: &str| over_idle_mb(memory, proxy, at);
            row(&format!("{} slow streams: memory over idle, MB", digits(streams.into())), &over, 1);
        }
    }
    if let Some(start) = &report.start {
        row("from exec to ready, ms", &|proxy| start.ready_ms.get(proxy)?.median(), 0);
    }
    let _ = write!(text, "\n{}\n", report.machine.sentence());
    text
}

pub(crate) fn soak(soaked: &Soaked, place: &str) -> String {
    let mut text = format!(
        "{place}\n\n| over {} minutes | idle before | first third, median | last third, median | most | 60 s after the end |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        soaked.minutes
    );
    let mut row = |what: &str, samples: &Rounds, scale: f64, before: f64, after: f64| {
        let (first, last) = Soaked::thirds(samples).unwrap_or_default();
        let shown = |value: f64| format!("{:.1}", value / scale).trim_end_matches(".0").to_owned();
        let most = shown(samples.most().unwrap_or_default());
        let (before, first, last, after) = (shown(before), shown(first), shown(last), shown(after));
        let _ = writeln!(text, "| {what} | {before} | {first} | {last} | {most} | {after} |");
    };
    row("resident, MB", &soaked.resident_kb, 1e3, number(soaked.idle.0), number(soaked.quiet.0));
    let open = (soaked.idle.1 as u64, soaked.quiet.1 as u64);
    row("open descriptors", &soaked.descriptors, 1.0, number(open.0), number(open.1));
    let done: Vec<String> = soaked.done.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let _ = writeln!(text, "\n{}.", done.join(", "));
    text
}

fn cpu(rows: &[CpuRow]) -> String {
    let mut text = "| µs of CPU, least of the rounds (most) | tollgate | nginx | bare hyper | tollgate / nginx | bare hyper / nginx |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for row in rows {
        let cells = PROXIES.map(|proxy| spread(row.cpu_us.get(proxy), digits)).join(" | ");
        let theirs = quotient(least(&row.cpu_us, HYPER), least(&row.cpu_us, NGINX));
        let _ = writeln!(text, "| {} | {cells} | {} | {theirs} |", row.work, ratio(&row.cpu_us));
    }
    text
}

fn per_byte(report: &Report) -> String {
    let mut text =
        "| ns per byte of the request | tollgate | nginx | bare hyper | SHA-256 of the same bytes, alone |\n\
                    | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (rows, security) in [(&report.cpu, ""), (&report.cpu_tls, ", TLS")] {
        for row in rows {
            let Some(sha256) = &row.sha256_us else { continue };
            let per_byte = |us: Option<f64>| {
                value(us.map(|us| us * 1e3 / number(row.request_bytes as u64)), |ns| format!("{ns:.2}"))
            };
            let cells = PROXIES.map(|proxy| per_byte(least(&row.cpu_us, proxy))).join(" | ");
            let _ = writeln!(text, "| {}{security} | {cells} | {} |", row.work, per_byte(sha256.least()));
        }
    }
    text
}

fn latency(rows: &[LatencyRow]) -> String {
    let mut text =
        "| ms, least of the rounds (most) | direct | added by tollgate | added by nginx | added by bare hyper |\n\
                    | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for row in rows {
        for (name, percentile) in [("p50", &row.p50_ms), ("p99", &row.p99_ms)] {
            let direct = percentile.get(DIRECT).and_then(Rounds::least).unwrap_or_default();
            let cells = PROXIES.map(|proxy| spread(percentile.get(proxy), |ms| format!("{:.2}", ms - direct)));
            let direct = spread(percentile.get(DIRECT), |ms| format!("{ms:.2}"));
            let _ = writeln!(text, "| {}, {name} | {direct} | {} |", row.what, cells.join(" | "));
        }
    }
    text
}

fn memory(memory: &Memory) -> String {
    let mut head = "| MB resident | idle |".to_owned();
    for streams in streams(memory) {
        let _ = write!(head, " {} slow streams (over idle) |", digits(streams.into()));
    }
    head += " after they ended | idle, another process | after 8 bodies of 25 MB | at its most |";
    let columns = head.matches('|').count() - 1;
    let mut text = format!("{head}\n|{}\n", " --- |".repeat(columns));
    let mb = |kb: u64| format!("{:.1}", number(kb) / 1e3);
    for (proxy, row) in in_order(&memory.proxies) {
        let _ = write!(text, "| {proxy} | {} |", mb(row.idle_kb));
        for (_, kb) in &row.held_kb {
            let _ = write!(text, " {} ({}) |", mb(*kb), mb(kb.saturating_sub(row.idle_kb)));
        }
        let (released, fresh) = (mb(row.released_kb), mb(row.fresh_kb));
        let (after, peak) = (mb(row.after_large_kb), mb(row.peak_large_kb));
        let _ = writeln!(text, " {released} | {fresh} | {after} | {peak} |");
    }
    if !streams(memory).contains(&10_000) {
        let _ = writeln!(
            text,
            "\n10,000 streams take more than 20,000 descriptors in a proxy; this machine allows a process {}, hence the last number of streams.",
            memory.descriptor_limit
        );
    }
    text
}

fn slow_readers(found: &SlowReaders) -> String {
    let mut text = format!(
        "| p99, ms, least of the rounds (most) | first byte, alone | first byte, beside {0} stalled clients | gap of 5 ms, alone | gap, beside them \
         | memory over idle, MB | sent per stalled stream, KB, median (most), of {1} |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        found.stalled,
        found.proxies.values().next().map_or(0, |row| row.flood_bytes / 1_000),
    );
    for (proxy, row) in in_order(&found.proxies) {
        let times = [&row.first_byte_alone_ms, &row.first_byte_beside_ms, &row.gap_alone_ms, &row.gap_beside_ms];
        let times = times.map(|rounds| spread(Some(rounds), |ms| format!("{ms:.2}"))).join(" | ");
        let over = number(row.stalled_kb.saturating_sub(row.idle_kb)) / 1e3;
        let (median, most) = (row.sent_median_bytes / 1_000, row.sent_most_bytes / 1_000);
        let _ = writeln!(text, "| {proxy} | {times} | {over:.1} | {median} ({most}) |");
    }
    text
}

fn start(start: &Start) -> String {
    let mut text = "| | from exec to ready, ms, median of 10 (most) |\n| --- | --- |\n".to_owned();
    for (proxy, rounds) in in_order(&start.ready_ms) {
        let shown = |ms: Option<f64>| value(ms, |ms| format!("{ms:.1}"));
        let _ = writeln!(text, "| {proxy} | {} ({}) |", shown(rounds.median()), shown(rounds.most()));
    }
    let mb = |bytes: u64| format!("{:.1} MB", number(bytes) / 1e6);
    let loaded = start.loaded_bytes.map_or_else(String::new, |bytes| format!(", of which {} are loaded", mb(bytes)));
    let _ = write!(text, "\nThe measured binary of the gateway: {}{loaded}", mb(start.binary_bytes));
    if let Some(count) = start.dependencies {
        let _ = write!(text, "; {count} packages are linked in, its own among them");
    }
    text + ".\n"
}

/// What the streams of a step take, in MB.
pub(crate) fn over_idle_mb(memory: &Memory, proxy: &str, step: usize) -> Option<f64> {
    let row = memory.proxies.get(proxy)?;
    Some(number(row.held_kb.get(step)?.1.saturating_sub(row.idle_kb)) / 1e3)
}

fn streams(memory: &Memory) -> Vec<u32> {
    let first = memory.proxies.values().next();
    first.map(|row| row.held_kb.iter().map(|(streams, _)| *streams).collect()).unwrap_or_default()
}

fn in_order<T>(proxies: &ByProxy<T>) -> impl Iterator<Item = (&'static str, &T)> {
    PROXIES.into_iter().filter_map(|proxy| Some((proxy, proxies.get(proxy)?)))
}

pub(crate) fn least(proxies: &ByProxy<Rounds>, proxy: &str) -> Option<f64> {
    proxies.get(proxy)?.least()
}

/// What a proxy adds to the direct connection.
pub(crate) fn added(percentile: &ByProxy<Rounds>, proxy: &str) -> Option<f64> {
    Some(least(percentile, proxy)? - least(percentile, DIRECT)?)
}

fn ratio(proxies: &ByProxy<Rounds>) -> String {
    quotient(least(proxies, OURS), least(proxies, NGINX))
}

fn quotient(ours: Option<f64>, theirs: Option<f64>) -> String {
    value(ours.zip(theirs).map(|(ours, theirs)| ours / theirs), |ratio| format!("{ratio:.2}"))
}

fn spread(rounds: Option<&Rounds>, shown: impl Fn(f64) -> String) -> String {
    match rounds.and_then(|rounds| rounds.least().zip(rounds.most())) {
        Some((least, most)) => format!("{} ({})", shown(least), shown(most)),
        None => NONE.to_owned(),
    }
}

fn value(value: Option<f64>, shown: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), shown)
}

/// A number without decimals, its thousands apart.
pub(crate) fn digits(value: f64) -> String {
    let plain = format!("{value:.0}");
    let mut shown = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
