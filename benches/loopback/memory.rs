//! Resident memory: with thousands of slow streams open, and after bodies of 25 MB.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::figures::{ByProxy, Memory, MemoryRow};
use crate::load::{self, Caller, Route};
use crate::proxies::{self, Bench, Kind, Proxy, Result, Security};
use crate::upstream::Upstream;
use crate::work::{FAST_STREAM, HELD, LARGE, SMALL, Work};

const STREAMS: [u32; 3] = [1_000, 2_000, 10_000];
/// Descriptors that are not streams: files, listeners, libraries.
const SPARE: u64 = 400;
/// A chunk a second has come to everybody by then, and what was only needed for opening has been given back.
const SETTLE: Duration = Duration::from_millis(2_500);
const OPENING_AT_ONCE: usize = 64;

pub(crate) async fn measure(bench: &Bench) -> Result<Memory> {
    let descriptor_limit = proxies::descriptor_limit();
    // A stream is two descriptors in a proxy, and two in this process, which is both ends.
    let most = u32::try_from(descriptor_limit.saturating_sub(SPARE) / 2).unwrap_or(u32::MAX);
    let mut proxies = ByProxy::new();
    for kind in &bench.kinds {
        eprintln!("memory: {} …", kind.name());
        let row = one(bench, *kind, most).await.map_err(|error| format!("{}: {error}", kind.name()))?;
        proxies.insert(kind.name(), row);
    }
    Ok(Memory { descriptor_limit, proxies })
}

async fn one(bench: &Bench, kind: Kind, most: u32) -> Result<MemoryRow> {
    let proxy = bench.start(kind, Security::Clear)?;
    let idle_kb = warmed_kb(bench, &proxy).await?;
    let mut open = JoinSet::new();
    let mut held_kb: Vec<(u32, u64)> = Vec::new();
    bench.upstream.control.take_held_bytes();
    for streams in STREAMS.map(|streams| streams.min(most)) {
        let more = streams.saturating_sub(u32::try_from(open.len())?);
        open_held(&mut open, more, &proxy.route, &bench.upstream).await?;
        tokio::time::sleep(SETTLE).await;
        held_kb.push((streams, proxy.resident_kb()?));
    }
    held_kb.dedup_by_key(|(streams, _)| *streams);
    bench.upstream.control.release();
    let mut received = 0;
    while let Some(stream) = open.join_next().await {
        received += stream??;
    }
    let sent = bench.upstream.control.take_held_bytes();
    if received != sent {
        return Err(format!("{sent} bytes were sent over slow streams, and {received} came").into());
    }
    tokio::time::sleep(SETTLE).await;
    let released_kb = proxy.resident_kb()?;
    drop(proxy);

    let proxy = bench.start(kind, Security::Clear)?;
    let fresh_kb = warmed_kb(bench, &proxy).await?;
    load::run(&Work { calls: 8, connections: 1, ..LARGE }, &proxy.route, &bench.upstream).await?;
    tokio::time::sleep(SETTLE).await;
    let (after_large_kb, peak_large_kb) = (proxy.resident_kb()?, proxy.peak_kb()?);
    Ok(MemoryRow { idle_kb, held_kb, released_kb, fresh_kb, after_large_kb, peak_large_kb })
}

/// What it holds when it has done a little of everything and nothing is going on.
pub(crate) async fn warmed_kb(bench: &Bench, proxy: &Proxy) -> Result<u64> {
    for work in [SMALL, FAST_STREAM] {
        load::run(&Work { calls: 256, connections: 16, ..work }, &proxy.route, &bench.upstream).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(proxy.resident_kb()?)
}

/// Opens so many more streams; each is there once its first chunk has come, and tells in the end how many bytes came.
async fn open_held(open: &mut JoinSet<io::Result<u64>>, more: u32, route: &Route, upstream: &Upstream) -> Result<()> {
    let request = route.request(&HELD);
    let first = upstream.canned(&HELD)?.ends.first().copied().unwrap_or_default();
    let (opening, (opened, mut told)) = (Arc::new(Semaphore::new(OPENING_AT_ONCE)), tokio::sync::mpsc::channel(64));
    for _ in 0..more {
        let permit = Arc::clone(&opening).acquire_owned().await?;
        let (request, route, opened) = (Arc::clone(&request), route.clone(), opened.clone());
        open.spawn(async move {
            let mut caller = Caller::connect(&route).await?;
            if caller.begin(&request).await? != 200 {
                return Err(io::Error::other("a slow stream was refused"));
            }
            while caller.payload_bytes() < first {
                caller.more().await?;
            }
            drop(permit);
            drop(opened);
            caller.finish().await
        });
    }
    drop(opened);
    // Whoever has opened, or failed, has dropped their end.
    let _: Option<()> = told.recv().await;
    if let Some(ended) = open.try_join_next() {
        return Err(format!("a slow stream ended early: {:?}", ended?).into());
    }
    Ok(())
}
