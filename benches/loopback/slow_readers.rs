//! Clients that have stopped reading: what others feel of them, what they cost in memory, and whether the upstream is held back.
//!
//! Two processes of each proxy run at once, one of them with a thousand clients that have stopped in the middle of a stream; paced
//! streams go through either in turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::figures::{ByProxy, Rounds, SlowReaders, SlowReadersRow, quantile_ms};
use crate::load::{self, Caller, Route};
use crate::memory;
use crate::proxies::{Bench, Kind, Result, Security};
use crate::work::{FLOOD, FLOOD_BYTES, SHORT_STREAM as OTHERS};

const STALLED: u32 = 1_000;
const ROUNDS: usize = 4;
/// What a stalled client has read before it stops.
const READ_BYTES: u64 = 4_000;

pub(crate) async fn measure(bench: &Bench) -> Result<SlowReaders> {
    let mut proxies = ByProxy::new();
    for kind in &bench.kinds {
        eprintln!("slow readers: {} …", kind.name());
        let row = one(bench, *kind).await.map_err(|error| format!("{}: {error}", kind.name()))?;
        proxies.insert(kind.name(), row);
    }
    Ok(SlowReaders { stalled: STALLED, proxies })
}

async fn one(bench: &Bench, kind: Kind) -> Result<SlowReadersRow> {
    let (alone, beside) = (bench.start(kind, Security::Clear)?, bench.start(kind, Security::Clear)?);
    memory::warmed_kb(bench, &alone).await?;
    let idle_kb = memory::warmed_kb(bench, &beside).await?;
    bench.upstream.control.take_floods();
    let stalled = stall(&beside.route).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut row = SlowReadersRow {
        first_byte_alone_ms: Rounds::default(),
        first_byte_beside_ms: Rounds::default(),
        gap_alone_ms: Rounds::default(),
        gap_beside_ms: Rounds::default(),
        idle_kb,
        stalled_kb: 0,
        sent_median_bytes: 0,
        sent_most_bytes: 0,
        flood_bytes: FLOOD_BYTES,
    };
    for _ in 0..ROUNDS {
        let (first_byte, gap) = paced(bench, &alone.route).await?;
        row.first_byte_alone_ms.0.push(first_byte);
        row.gap_alone_ms.0.push(gap);
        let (first_byte, gap) = paced(bench, &beside.route).await?;
        row.first_byte_beside_ms.0.push(first_byte);
        row.gap_beside_ms.0.push(gap);
    }
    // Only now, so that whatever grows in the meantime has grown.
    row.stalled_kb = beside.resident_kb()?;
    let mut sent = bench.upstream.control.take_floods();
    if sent.len() != stalled.len() {
        return Err(format!("{} clients have stalled, and the upstream knows of {}", stalled.len(), sent.len()).into());
    }
    sent.sort_unstable();
    row.sent_median_bytes = sent.get(sent.len() / 2).copied().unwrap_or_default();
    row.sent_most_bytes = sent.last().copied().unwrap_or_default();
    if row.sent_most_bytes >= row.flood_bytes {
        return Err("a whole stream was taken for a client that does not read".into());
    }
    Ok(row)
}

/// First byte and gap at the 99th percentile of a round of paced streams.
async fn paced(bench: &Bench, route: &Route) -> Result<(f64, f64)> {
    let seen = load::run(&OTHERS, route, &bench.upstream).await?;
    let mut first: Vec<Duration> = seen.iter().map(|seen| seen.first_byte).collect();
    let mut gaps: Vec<Duration> = seen.into_iter().flat_map(|seen| seen.gaps).collect();
    Ok((quantile_ms(&mut first, 0.99), quantile_ms(&mut gaps, 0.99)))
}

/// Clients that have read a little of a long stream and read no more; they stay connected until they are dropped.
async fn stall(route: &Route) -> Result<Vec<Caller>> {
    let request = route.request(&FLOOD);
    let mut stalled = Vec::new();
    for _ in 0..STALLED.div_ceil(50) {
        let mut opening = JoinSet::new();
        for _ in 0..50 {
            let (request, route) = (Arc::clone(&request), route.clone());
            opening.spawn(async move {
                let mut caller = Caller::connect_narrow(&route).await?;
                caller.begin(&request).await?;
                while caller.payload_bytes() < READ_BYTES {
                    caller.more().await?;
                }
                std::io::Result::Ok(caller)
            });
        }
        while let Some(caller) = opening.join_next().await {
            stalled.push(caller??);
        }
    }
    Ok(stalled)
}
