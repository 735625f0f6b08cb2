//! The soak: hours of callers as they are. They come and go, hang up in the middle, read slowly, present wrong keys and garbage,
//! and the upstream fails and breaks off; what the gateway holds is sampled all along.
//!
//! A call that should be complete and is not ends the run with an error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figures::{Rounds, number};
use crate::load::{Caller, Route};
use crate::memory;
use crate::proxies::{Bench, Kind, Result, Security};
use crate::upstream::Upstream;
use crate::work::{CUT, FAST_STREAM, FAULT, FLOOD, MEASURED, PACED_STREAM, SHORT_STREAM, SMALL, Work};

const WORKERS: u64 = 48;
const EVERY: Duration = Duration::from_secs(5);
/// Before the last sample nothing is asked for so long: what was read on has ended by then, and idle connections are closed.
const QUIET: Duration = Duration::from_mins(1);

/// What came of it, sample by sample.
pub(crate) struct Soaked {
    pub(crate) minutes: u64,
    pub(crate) resident_kb: Rounds,
    pub(crate) descriptors: Rounds,
    pub(crate) idle: (u64, usize),
    pub(crate) quiet: (u64, usize),
    pub(crate) done: [(&'static str, u64); KINDS.len()],
}

impl Soaked {
    /// The medians of the first and of the last third.
    pub(crate) fn thirds(samples: &Rounds) -> Option<(f64, f64)> {
        let third = samples.0.len() / 3;
        let first = Rounds(samples.0.get(..third)?.to_vec());
        let last = Rounds(samples.0.get(samples.0.len() - third..)?.to_vec());
        Some((first.median()?, last.median()?))
    }
}

/// What a caller may do.
#[derive(Clone, Copy)]
enum Deed {
    Whole(Work),
    HangUpInStream,
    HangUpInRequest,
    ReadSlowly,
    WrongKey,
    Garbage,
    UpstreamFault,
    UpstreamCut,
}

/// Deeds, their names, and how often of a hundred times each is done.
const KINDS: [(&str, Deed, u64); 11] = [
    ("2 KB invokes", Deed::Whole(SMALL), 30),
    ("400 KB invokes", Deed::Whole(MEASURED[2]), 4),
    ("fast streams", Deed::Whole(FAST_STREAM), 20),
    ("paced streams", Deed::Whole(SHORT_STREAM), 12),
    ("hang-ups in a stream", Deed::HangUpInStream, 10),
    ("hang-ups in a request", Deed::HangUpInRequest, 5),
    ("slow readers", Deed::ReadSlowly, 2),
    ("wrong keys", Deed::WrongKey, 4),
    ("requests that are none", Deed::Garbage, 3),
    ("faults of the upstream", Deed::UpstreamFault, 5),
    ("streams that break off", Deed::UpstreamCut, 5),
];

pub(crate) async fn run(bench: &Bench, minutes: u64) -> Result<Soaked> {
    let gateway = bench.start(Kind::Tollgate, Security::Clear)?;
    let idle = (memory::warmed_kb(bench, &gateway).await?, gateway.descriptors()?);
    let over = Arc::new(AtomicBool::new(false));
    let done: Arc<[AtomicU64; KINDS.len()]> = Arc::default();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (route, upstream) = (gateway.route.clone(), bench.upstream.clone());
        let (over, done) = (Arc::clone(&over), Arc::clone(&done));
        workers.spawn(async move { work(worker, &route, &upstream, &over, &done).await });
    }
    let (mut resident_kb, mut descriptors) = (Rounds::default(), Rounds::default());
    let until = Instant::now() + Duration::from_secs(minutes * 60);
    let mut ticks = tokio::time::interval(EVERY);
    while Instant::now() < until {
        ticks.tick().await;
        if let Some(ended) = workers.try_join_next() {
            ended??;
        }
        let (resident, open) = (gateway.resident_kb()?, gateway.descriptors()?);
        resident_kb.0.push(number(resident));
        descriptors.0.push(number(open as u64));
        if resident_kb.0.len().is_multiple_of(12) {
            let calls: u64 = done.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            eprintln!("soak: {calls} calls, {} MB resident, {open} descriptors", resident / 1_000);
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    tokio::time::sleep(QUIET).await;
    let quiet = (gateway.resident_kb()?, gateway.descriptors()?);
    let mut counts = KINDS.map(|(name, _, _)| (name, 0));
    for ((_, count), done) in counts.iter_mut().zip(done.iter()) {
        *count = done.load(Ordering::Relaxed);
    }
    Ok(Soaked { minutes, resident_kb, descriptors, idle, quiet, done: counts })
}

async fn work(
    worker: u64,
    route: &Route,
    upstream: &Upstream,
    over: &AtomicBool,
    done: &[AtomicU64; KINDS.len()],
) -> io::Result<()> {
    let mut chance = Chance(worker * 0x9e37_79b9 + 1);
    let mut kept = None;
    while !over.load(Ordering::Relaxed) {
        let mut drawn = chance.below(100);
        for ((name, deed, share), done) in KINDS.iter().zip(done) {
            if drawn < *share {
                // A quarter of the callers come anew.
                if chance.below(4) == 0 {
                    kept = None;
                }
                let did = act(*deed, &mut kept, route, upstream, &mut chance).await;
                did.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
                done.fetch_add(1, Ordering::Relaxed);
                break;
            }
            drawn -= share;
        }
        tokio::time::sleep(Duration::from_millis(chance.below(20))).await;
    }
    Ok(())
}

async fn act(
    deed: Deed,
    kept: &mut Option<Caller>,
    route: &Route,
    upstream: &Upstream,
    chance: &mut Chance,
) -> io::Result<()> {
    match deed {
        Deed::Whole(work) => {
            let mut caller = match kept.take() {
                Some(caller) => caller,
                None => Caller::connect(route).await?,
            };
            caller.call(&route.request(&work), upstream.canned(&work)?.as_ref()).await?;
            *kept = Some(caller);
            Ok(())
        }
        Deed::HangUpInStream => {
            let mut caller = Caller::connect(route).await?;
            expect(caller.begin(&route.request(&PACED_STREAM)).await?, &[200])?;
            for _ in 0..chance.below(8) {
                caller.more().await?;
            }
            Ok(())
        }
        Deed::HangUpInRequest => {
            let request = route.request(&MEASURED[1]);
            let mut tcp = TcpStream::connect(route.address).await?;
            let sent = usize::try_from(chance.below(request.len() as u64)).unwrap_or(0);
            tcp.write_all(request.get(..sent).unwrap_or_default()).await
        }
        Deed::ReadSlowly => {
            let mut caller = Caller::connect_narrow(route).await?;
            expect(caller.begin(&route.request(&FLOOD)).await?, &[200])?;
            for _ in 0..chance.below(100) {
                caller.more().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        }
        Deed::WrongKey => {
            let wrong = Route { key: "tg_wrong".to_owned(), ..route.clone() };
            let mut caller = Caller::connect(&wrong).await?;
            // 429: it was wrong too often for a while.
            expect(caller.begin(&wrong.request(&SMALL)).await?, &[401, 403, 429])
        }
        Deed::Garbage => {
            let mut caller = Caller::connect(route).await?;
            match caller.begin(b"NONSENSE / \r\nHost\r\n\r\n").await {
                Ok(status) => expect(status, &[400]),
                // Hung up on without a word.
                Err(_) => Ok(()),
            }
        }
        Deed::UpstreamFault => {
            let mut caller = Caller::connect(route).await?;
            expect(caller.begin(&route.request(&FAULT)).await?, &[429])?;
            caller.finish().await.map(drop)
        }
        Deed::UpstreamCut => {
            let mut caller = Caller::connect(route).await?;
            expect(caller.begin(&route.request(&CUT)).await?, &[200])?;
            match caller.finish().await {
                Ok(_) => Err(io::Error::other("a stream that broke off was said to be complete")),
                Err(_) => Ok(()),
            }
        }
    }
}

fn expect(status: u16, allowed: &[u16]) -> io::Result<()> {
    if allowed.contains(&status) { Ok(()) } else { Err(io::Error::other(format!("status {status}"))) }
}

/// Numbers that look random, the same in every run (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}
