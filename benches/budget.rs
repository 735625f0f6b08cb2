//! What it costs to reserve and settle, by store, and what a hundred thousand principals with three budgets each need.
//!
//!     cargo bench --bench budget
//!
//! The store in memory is the baseline of the same run. One caller shows latency, many show what group commit and pipelining
//! bring. The disk is that of the folder for temporary files; `TMPDIR` names another. The shared store is a Valkey or Redis of
//! this machine on a Unix socket, with an append-only file: a network adds its round trip to each reservation.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench prints, and fails by panicking"
)]

#[expect(dead_code, reason = "the tests of the store ask more of a server")]
#[path = "../src/budget/shared/tests/server.rs"]
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use server::Server;
use tollgate::bedrock::Operation;
use tollgate::budget::{
    Actual, Apart, Applies, Attachments, BudgetRule, Durability, EmbeddedOptions, EmbeddedStore, Enforcement, Estimate,
    Item, Ledger, Limits, MemoryStore, Models, Outcome, Per, RequestFacts, Reserve, SharedOptions, SharedStore, Store,
    Window,
};
use tollgate::identity::Principal;
use tollgate::profiles::price::{ModelPrice, Rates};
use tollgate::types::{Clock, ModelId, Money, Owners, SystemClock, Tags, TokenPrice, TokenUsage};

const PRINCIPALS: usize = 100_000;
const BUDGETS: [(&str, Window); 3] = [("hourly", Window::Hour), ("daily", Window::Day), ("monthly", Window::Month)];

fn main() {
    // `cargo bench` says so; `cargo test --all-targets` runs benches too, and there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("reserve and settle one call under three budgets, microseconds a call:");
    println!("{:<34} {:>10} {:>10} {:>10}", "store", "1 caller", "64", "512");
    let memory = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    runtime.block_on(row("memory", memory, 200_000));
    for (name, durability, calls) in
        [("embedded, process", Durability::Process, 20_000), ("embedded, power", Durability::Power, 1_000)]
    {
        let store = runtime.block_on(async { open(&folder.path().join(name), durability) });
        runtime.block_on(row(name, Arc::new(store), calls));
    }
    for (name, fsync, calls) in
        [("shared, appendfsync everysec", "everysec", 20_000), ("shared, appendfsync always", "always", 2_000)]
    {
        let server = Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", fsync]);
        runtime.block_on(async { row(name, Arc::new(join(&server).await), calls).await });
    }
    many(&runtime, folder.path());
    many_shared(&runtime);
}

async fn join(server: &Server) -> SharedStore {
    let mut options = SharedOptions::at(server.url());
    options.server.timeout = Duration::from_secs(10);
    SharedStore::open(&options, Arc::new(SystemClock)).await.unwrap().0
}

fn open(path: &Path, durability: Durability) -> EmbeddedStore {
    let options = EmbeddedOptions { path: path.to_owned(), durability, retention: Duration::from_hours(24) };
    EmbeddedStore::open(&options, Arc::new(SystemClock)).unwrap().0
}

async fn row(name: &str, store: Arc<dyn Store>, calls: usize) {
    let ledger = Arc::new(Ledger::new(rules(), store, Arc::new(SystemClock) as Arc<dyn Clock>).unwrap());
    let mut shown = String::new();
    for callers in [1, 64, 512] {
        let each = (calls / callers).max(1) * if callers == 1 { 1 } else { 4 };
        let begun = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let ledger = Arc::clone(&ledger);
                tokio::spawn(async move {
                    let principal = principal(caller);
                    for _ in 0..each {
                        call(&ledger, &principal).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // What was settled is in the file when it can be read back.
        ledger.bill().await.unwrap();
        let per_call = begun.elapsed() / u32::try_from(callers * each).unwrap();
        write!(shown, " {:>10.1}", per_call.as_secs_f64() * 1e6).unwrap();
    }
    println!("{name:<34}{shown}");
    ledger.close().await;
}

async fn call(ledger: &Ledger, principal: &Principal) {
    let facts = RequestFacts { max_tokens: Some(100), attachments: Attachments::None, ..RequestFacts::default() };
    let price = Arc::new(ModelPrice::new(Rates::new(TokenPrice::ZERO, TokenPrice::per_million("1").unwrap())));
    let estimate = Estimate::model(facts, model(), Some(price));
    let item = Item {
        request_id: "0b5d9f5e-6a0c-4f5c-9d59-3f4c1f2d7a11".into(),
        operation: Operation::ConverseStream,
        model: Some(model()),
        profile: Some("alice-sonnet".into()),
    };
    let reservation = ledger.reserve(principal, item, &estimate).await.unwrap();
    let usage = TokenUsage { output: 50, ..TokenUsage::default() };
    reservation.settle(Actual { usage, cost: Some(Money::from_nanos(50_000)), outcome: Outcome::Complete });
}

/// How much memory and time the counts of very many principals take.
fn many(runtime: &tokio::runtime::Runtime, folder: &Path) {
    let path = folder.join("many");
    let store = open(&path, Durability::Process);
    let ledger = Arc::new(Ledger::new(rules(), Arc::new(store), Arc::new(SystemClock) as Arc<dyn Clock>).unwrap());
    println!("\n{PRINCIPALS} principals with three budgets each, embedded:");
    a_call_of_each(runtime, &ledger);
    runtime.block_on(ledger.close());
    drop(ledger);
    println!("  file                                {:>8} KiB", std::fs::metadata(&path).unwrap().len() / 1024);
    let begun = Instant::now();
    let store = open(&path, Durability::Process);
    println!("  opening it again                    {:>8.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(runtime.block_on(store.counters()).unwrap().len(), PRINCIPALS * BUDGETS.len());
}

fn a_call_of_each(runtime: &tokio::runtime::Runtime, ledger: &Arc<Ledger>) {
    let (before, begun) = (resident(), Instant::now());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|part| {
                let ledger = Arc::clone(ledger);
                tokio::spawn(async move {
                    for number in 0..PRINCIPALS / 100 {
                        call(&ledger, &principal(part * (PRINCIPALS / 100) + number)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        ledger.bill().await.unwrap();
    });
    println!("  a call of each                      {:>8.2} s", begun.elapsed().as_secs_f64());
    println!("  resident memory for their counts    {:>8} KiB", resident().saturating_sub(before));
}

fn many_shared(runtime: &tokio::runtime::Runtime) {
    println!("\n{PRINCIPALS} principals with three budgets each, shared:");
    let server = Server::with(&["--save", "", "--appendonly", "yes"]);
    let store = runtime.block_on(join(&server));
    let ledger = Arc::new(Ledger::new(rules(), Arc::new(store), Arc::new(SystemClock) as Arc<dyn Clock>).unwrap());
    a_call_of_each(runtime, &ledger);
    runtime.block_on(ledger.close());
    drop(ledger);
    let info: String = server.ask(&["INFO", "memory"]);
    let used =
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).and_then(|used| used.trim().parse().ok());
    println!("  memory of the server                {:>8} KiB", used.unwrap_or(0_u64) / 1024);
    let begun = Instant::now();
    let store = runtime.block_on(join(&server));
    println!("  another gateway's first look        {:>8.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(runtime.block_on(store.counters()).unwrap().len(), PRINCIPALS * BUDGETS.len());
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn rules() -> Vec<BudgetRule> {
    BUDGETS
        .map(|(name, window)| BudgetRule {
            name: name.to_owned(),
            owners: Owners::Everyone,
            applies: Applies::Always,
            per: Per::Principal,
            models: Models::All,
            apart: Apart::Together,
            window,
            zone: TimeZone::UTC,
            limits: Limits { usd: Some(Money::MAX), ..Limits::default() },
            enforcement: Enforcement::Hard,
            reserve: Reserve::WorstCase,
            caps: Limits::default(),
        })
        .into()
}

fn principal(number: usize) -> Principal {
    Principal::new(format!("principal-{number}"), vec!["engineering".to_owned()], Tags::default())
}

fn model() -> ModelId {
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0".parse().unwrap()
}
