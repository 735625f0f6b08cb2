//! Latency at a rate that leaves every proxy mostly idle: calls begin when their time has come, whether those before them have
//! ended or not, with a proxy and without.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::figures::{ByProxy, LatencyRow, Rounds, quantile_ms};
use crate::load::{Caller, Route, Seen};
use crate::proxies::{Bench, Result, Security};
use crate::upstream::Upstream;
use crate::work::{FAST_STREAM, SMALL, Work};

const PER_SECOND: u32 = 200;
const CALLS: u32 = 800;
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 16;
/// The name under which the upstream without a proxy stands among them.
pub(crate) const DIRECT: &str = "direct";

type Quantity = fn(&Seen) -> Duration;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<LatencyRow>> {
    let proxies = bench.start_all(Security::Clear)?;
    let mut routes = vec![(DIRECT, bench.direct())];
    routes.extend(proxies.iter().map(|proxy| (proxy.kind.name(), proxy.route.clone())));
    let mut rows = Vec::new();
    let whole: Quantity = |seen| seen.whole;
    let first: Quantity = |seen| seen.first_byte;
    for (work, quantities) in
        [(SMALL, vec![("whole answer", whole)]), (FAST_STREAM, vec![("first byte", first), ("whole answer", whole)])]
    {
        eprintln!("latency: {} …", work.name);
        let (mut p50_ms, mut p99_ms) = (vec![ByProxy::new(); quantities.len()], vec![ByProxy::new(); quantities.len()]);
        for _ in 0..ROUNDS {
            for (name, route) in &routes {
                let seen = at_rate(&work, route, &bench.upstream).await?;
                for (at, (_, quantity)) in quantities.iter().enumerate() {
                    let mut durations: Vec<Duration> = seen.iter().map(quantity).collect();
                    push(&mut p50_ms, at, name, quantile_ms(&mut durations, 0.5));
                    push(&mut p99_ms, at, name, quantile_ms(&mut durations, 0.99));
                }
            }
        }
        for ((what, _), (p50_ms, p99_ms)) in quantities.iter().zip(p50_ms.into_iter().zip(p99_ms)) {
            rows.push(LatencyRow { what: format!("{}: {what}", work.name), p50_ms, p99_ms });
        }
    }
    Ok(rows)
}

fn push(all: &mut [ByProxy<Rounds>], at: usize, name: &'static str, value: f64) {
    if let Some(one) = all.get_mut(at) {
        one.entry(name).or_default().0.push(value);
    }
}

async fn at_rate(work: &Work, route: &Route, upstream: &Upstream) -> Result<Vec<Seen>> {
    let (request, canned) = (route.request(work), upstream.canned(work)?);
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut caller = Caller::connect(route).await?;
        caller.call(&request, &canned).await?;
        callers.push(caller);
    }
    let idle = Arc::new(Mutex::new(callers));
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    for _ in 0..CALLS {
        ticks.tick().await;
        let (request, canned, idle, route) =
            (Arc::clone(&request), Arc::clone(&canned), Arc::clone(&idle), route.clone());
        calls.spawn(async move {
            let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut caller = match waiting {
                Some(caller) => caller,
                None => Caller::connect(&route).await?,
            };
            let seen = caller.call(&request, &canned).await?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
            std::io::Result::Ok(seen)
        });
    }
    let mut seen = Vec::new();
    while let Some(call) = calls.join_next().await {
        seen.push(call??);
    }
    Ok(seen)
}
