//! Where figures are kept: generated blocks between HTML comments in README.md and docs/performance.md, plots, and the
//! rounds themselves as JSON.

use std::fs;
use std::path::PathBuf;

use crate::figures::{CpuRow, Memory, Report};
use crate::plot::{Bar, Group, Plot};
use crate::proxies::Result;
use crate::soak::Soaked;
use crate::table::{self, added, digits, least, over_idle_mb};

const PLOTS: &str = "docs/performance";

pub(crate) fn report(report: &Report) -> Result<()> {
    fs::create_dir_all(path(PLOTS))?;
    for (name, plot) in plots(report) {
        fs::write(path(PLOTS).join(name), plot.svg(&report.machine))?;
    }
    fs::write(path(PLOTS).join("figures.json"), serde_json::to_string_pretty(report)? + "\n")?;
    replace("README.md", "loopback", &table::short(report))?;
    replace("docs/performance.md", "loopback", &table::full(report))
}

pub(crate) fn soak(soaked: &Soaked, place: &str) -> Result<()> {
    replace("docs/performance.md", "soak", &table::soak(soaked, place))
}

/// Puts a text where the block of this name is.
fn replace(file: &str, name: &str, text: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- {name}: begin"), format!("<!-- {name}: end -->"));
    let before = fs::read_to_string(path(file))?;
    let wrong = || format!("{file} has no block {name}");
    let (head, rest) = before.split_once(&begin).ok_or_else(wrong)?;
    let (opening, rest) = rest.split_once("-->").ok_or_else(wrong)?;
    let (_, tail) = rest.split_once(&end).ok_or_else(wrong)?;
    fs::write(path(file), format!("{head}{begin}{opening}-->\n\n{}\n\n{end}{tail}", text.trim()))?;
    eprintln!("{file} is written");
    Ok(())
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn plots(report: &Report) -> Vec<(&'static str, Plot)> {
    let mut plots = Vec::new();
    for (name, title, rows) in
        [("cpu.svg", "CPU per call", &report.cpu), ("cpu-tls.svg", "CPU per call, TLS on both sides", &report.cpu_tls)]
    {
        if !rows.is_empty() {
            plots.push((name, cpu(title, rows)));
        }
    }
    if let Some(found) = &report.memory {
        plots.push(("memory.svg", memory(found)));
    }
    if !report.latency.is_empty() {
        plots.push(("latency.svg", latency(report)));
    }
    plots
}

/// Bars of those proxies for which there is a value.
fn bars(
    proxies: &[&'static str],
    value: impl Fn(&str) -> Option<f64>,
    shown: impl Fn(&str, f64) -> String,
) -> Vec<Bar> {
    let bar = |name: &&'static str| value(name).map(|value| Bar { name, value, shown: shown(name, value) });
    proxies.iter().filter_map(bar).collect()
}

fn cpu(title: &str, rows: &[CpuRow]) -> Plot {
    let groups = rows.iter().map(|row| {
        let of = |proxy: &str| Some(least(&row.cpu_us, proxy)? / least(&row.cpu_us, "nginx")?);
        let shown =
            |proxy: &str, ratio: f64| format!("{ratio:.2}  ({} µs)", digits(least(&row.cpu_us, proxy).unwrap_or(0.0)));
        Group { label: row.work.to_owned(), bars: bars(&["tollgate", "bare hyper"], of, shown) }
    });
    Plot {
        title: title.to_owned(),
        unit: "as a ratio to nginx's in the same run; least of the rounds; less is better",
        line: Some((1.0, "nginx")),
        groups: groups.collect(),
    }
}

fn memory(memory: &Memory) -> Plot {
    let mut groups = Vec::new();
    let streams = memory.proxies.values().next().map(|row| row.held_kb.clone()).unwrap_or_default();
    for (at, (streams, _)) in streams.into_iter().enumerate() {
        let over = |proxy: &str| over_idle_mb(memory, proxy, at);
        let shown = |_: &str, mb: f64| format!("{mb:.1} MB");
        let label = format!("{} slow streams", digits(f64::from(streams)));
        groups.push(Group { label, bars: bars(&["tollgate", "nginx", "bare hyper"], over, shown) });
    }
    let (title, unit) =
        ("Memory of open streams".to_owned(), "MB resident over idle, a chunk a second; less is better");
    Plot { title, unit, line: None, groups }
}

fn latency(report: &Report) -> Plot {
    let mut groups = Vec::new();
    for row in &report.latency {
        for (name, percentile) in [("p50", &row.p50_ms), ("p99", &row.p99_ms)] {
            let of = |proxy: &str| added(percentile, proxy);
            let shown = |_: &str, ms: f64| format!("{ms:.2} ms");
            let label = row.what.replace(", as fast as it goes", "");
            let bars = bars(&["tollgate", "nginx", "bare hyper"], of, shown);
            groups.push(Group { label: format!("{label}, {name}"), bars });
        }
    }
    let unit = "ms over a direct connection, 200 calls a second; least of the rounds; less is better";
    Plot { title: "Added latency".to_owned(), unit, line: None, groups }
}
