//! CPU per call of the gateway beside nginx, over loopback, in one run.
//!
//! `cargo bench --bench loopback` starts a canned upstream and a load generator (this process, on the last core), the gateway
//! with the whole way on (key, profile, guardrail, budgets, SigV4, metering, metrics, log) and nginx as a plain reverse proxy
//! with buffering off (one after the other, on the first core), and runs them interleaved. It measures the CPU time that the
//! kernel accounts to each process, not wall time, and checks every response for completeness. Without nginx on the path it
//! says so and measures the gateway alone. Numbers are printed as a table, or as JSON with `-- --json`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod load;
mod proxies;
mod upstream;

use std::collections::BTreeMap;
use std::error::Error;

use load::Work;
use proxies::Proxy;

/// Interleaved rounds; the least of them is the figure, the greatest shows the noise.
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` says so; `cargo test --all-targets` runs benches too, without a word, and there is nothing to test here.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    proxies::pin_self()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(measure())?;
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{}", serde_json::to_string_pretty(&rows.iter().map(Row::json).collect::<Vec<_>>())?);
    } else {
        print_table(&rows);
    }
    Ok(())
}

struct Row {
    work: Work,
    /// Microseconds of CPU per call, round by round, by proxy.
    cpu_us: BTreeMap<&'static str, Vec<f64>>,
}

impl Row {
    fn least(&self, proxy: &str) -> Option<f64> {
        self.cpu_us.get(proxy)?.iter().copied().reduce(f64::min)
    }

    fn most(&self, proxy: &str) -> Option<f64> {
        self.cpu_us.get(proxy)?.iter().copied().reduce(f64::max)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "work": self.work.name, "response_bytes": self.work.response_bytes(), "cpu_us_per_call": self.cpu_us })
    }
}

async fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let upstream = upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let mut proxies = vec![Proxy::gateway(folder.path(), upstream)?];
    match Proxy::nginx(folder.path(), upstream) {
        Ok(nginx) => proxies.push(nginx),
        Err(error) => eprintln!("nginx is not measured: {error} (on Debian: apt-get install nginx-light)"),
    }
    let mut rows = Vec::new();
    let only = std::env::var("ONLY").unwrap_or_default();
    for work in load::WORKS.into_iter().filter(|work| work.name.contains(&only)) {
        eprintln!("{} …", work.name);
        let mut cpu_us: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for round in 0..=ROUNDS {
            for proxy in &proxies {
                let before = proxy.cpu()?;
                load::run(&work, proxy).await?;
                let spent = proxy.cpu()?.saturating_sub(before);
                // The first round warms up: connections, pages, branch predictors.
                if round > 0 {
                    let per_call = spent.as_secs_f64() * 1e6 / f64::from(work.calls);
                    cpu_us.entry(proxy.name).or_default().push(per_call);
                }
            }
        }
        rows.push(Row { work, cpu_us });
    }
    for proxy in &proxies {
        eprintln!("{}: {} MB resident after the run", proxy.name, proxy.resident_mb()?);
    }
    Ok(rows)
}

fn print_table(rows: &[Row]) {
    println!(
        "| CPU per call (µs, least of {ROUNDS} rounds, most in brackets) | tollgate | nginx | ratio | tollgate, µs per streamed MB |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for row in rows {
        let shown = |proxy: &str| match (row.least(proxy), row.most(proxy)) {
            (Some(least), Some(most)) => format!("{least:.0} ({most:.0})"),
            _ => "not measured".to_owned(),
        };
        let ratio = match (row.least("tollgate"), row.least("nginx")) {
            (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
            _ => "–".to_owned(),
        };
        #[expect(clippy::cast_precision_loss, reason = "a table for people")]
        let megabytes = row.work.response_bytes() as f64 / 1e6;
        let per_megabyte = match row.least("tollgate") {
            Some(least) if row.work.is_stream() => format!("{:.0}", least / megabytes),
            _ => "–".to_owned(),
        };
        println!("| {} | {} | {} | {ratio} | {per_megabyte} |", row.work.name, shown("tollgate"), shown("nginx"));
    }
}
