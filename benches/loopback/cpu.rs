//! CPU per call: the proxies in turn, round after round, the kernel's account of each before and after.

use std::time::Duration;
use std::{fs, io};

use sha2::{Digest, Sha256};

use crate::figures::{ByProxy, CpuRow, Rounds, number};
use crate::load;
use crate::proxies::{Bench, Result, Security};
use crate::work::{MEASURED, Work};

/// Rounds that count; one before them warms up connections, pages and branch predictors.
const ROUNDS: usize = 4;
/// From here on the cost per byte is the call's cost, and SHA-256 of the body stands beside it.
const LARGE_BYTES: usize = 400_000;

pub(crate) async fn measure(bench: &Bench, security: Security, wanted: impl Fn(&Work) -> bool) -> Result<Vec<CpuRow>> {
    let works: Vec<Work> = MEASURED.into_iter().filter(wanted).collect();
    if works.is_empty() {
        return Ok(Vec::new());
    }
    let proxies = bench.start_all(security)?;
    let mut rows = Vec::new();
    for work in works {
        eprintln!("CPU{}: {} …", if security == Security::Tls { " with TLS" } else { "" }, work.name);
        let mut cpu_us: ByProxy<Rounds> = ByProxy::new();
        let mut sha256_us = (work.request_bytes >= LARGE_BYTES).then(Rounds::default);
        for round in 0..=ROUNDS {
            for proxy in &proxies {
                let before = proxy.cpu()?;
                let seen = load::run(&work, &proxy.route, &bench.upstream).await;
                let seen = seen.map_err(|error| format!("{}: {error}", proxy.kind.name()))?;
                let spent = proxy.cpu()?.saturating_sub(before);
                if round > 0 {
                    let per_call = spent.as_secs_f64() * 1e6 / number(seen.len() as u64);
                    cpu_us.entry(proxy.kind.name()).or_default().0.push(per_call);
                }
            }
            if let (Some(rounds), true) = (&mut sha256_us, round > 0) {
                rounds.0.push(sha256(work.request_bytes)?.as_secs_f64() * 1e6);
            }
        }
        let (request_bytes, response_bytes) = (work.request_bytes, bench.upstream.canned(&work)?.payload_bytes);
        rows.push(CpuRow { work: work.name, request_bytes, response_bytes, cpu_us, sha256_us });
    }
    Ok(rows)
}

/// The CPU time of SHA-256 over as many bytes: of many times together, because the kernel brings its account of a thread that runs
/// up to date only now and then.
fn sha256(bytes: usize) -> io::Result<Duration> {
    let body = vec![b'w'; bytes];
    let times = u32::try_from(200_000_000 / bytes).unwrap_or(1).max(1);
    let before = own_cpu()?;
    for _ in 0..times {
        std::hint::black_box(Sha256::digest(std::hint::black_box(&body)));
    }
    Ok((own_cpu()?.saturating_sub(before)) / times)
}

fn own_cpu() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)))
}
