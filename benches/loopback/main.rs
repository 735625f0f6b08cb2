//! What the gateway costs beside nginx and beside a bare proxy on hyper, over loopback, in one run. docs/performance.md says what
//! each figure means.
//!
//! `cargo bench --bench loopback` starts a canned upstream and a load generator (this process, on the last core) and the proxies
//! (on the first, only one of them under load at a time): the gateway with the whole way on (key, profile, guardrail, budgets in
//! the embedded store, SigV4, metering, metrics, log), nginx as a plain reverse proxy with buffering off, and hyper's server and
//! client with nothing between them. CPU is what the kernel accounts to a process, in interleaved rounds of which the least
//! counts. Every response is compared with what was sent; one that differs ends the run. Without nginx on the path the bench
//! says so and measures the others.
//!
//! `-- --json` prints the rounds, `-- --only WORDS` measures what has the words in its name (sections are `cpu`, `tls`, `memory`,
//! `latency`, `slow readers`, `start`), `-- --write` puts tables and plots where README.md and docs/performance.md have them, and
//! `-- --soak MINUTES` churns instead. `TOLLGATE` names another binary than the one that was built along.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod bare;
mod cpu;
mod figures;
mod latency;
mod load;
mod machine;
mod memory;
mod plot;
mod proxies;
mod slow_readers;
mod soak;
mod start;
mod table;
mod tls;
mod upstream;
mod wire;
mod work;
mod written;

use figures::Report;
use machine::Machine;
use proxies::{Bench, Kind, Result, Security};
use tls::Certificate;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == bare::ARGUMENT
    {
        return bare::main(rest);
    }
    // `cargo bench` says so; `cargo test --all-targets` runs benches too, without a word, and there is nothing to test here.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let asked = Asked::of(&arguments)?;
    let machine = Machine::here(&arguments);
    proxies::prepare_self()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Returning ends the proxies; dying would leave them.
        tokio::select! {
            done = run(machine, &asked) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    })
}

async fn run(machine: Machine, asked: &Asked) -> Result<()> {
    let bench = prepare().await?;
    match asked.soak {
        Some(minutes) => soaked(&bench, minutes, &machine, asked).await,
        None => measured(&bench, machine, asked).await,
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    json: bool,
    write: bool,
    only: Option<String>,
    soak: Option<u64>,
}

impl Asked {
    fn of(arguments: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--json" => asked.json = true,
                "--write" => asked.write = true,
                "--only" => asked.only = Some(arguments.next().ok_or("--only takes words")?.to_lowercase()),
                "--soak" => asked.soak = Some(arguments.next().ok_or("--soak takes minutes")?.parse()?),
                other => {
                    return Err(format!("{other} is not known: --json, --write, --only WORDS, --soak MINUTES").into());
                }
            }
        }
        if asked.write && asked.only.is_some() {
            return Err("--write is for whole runs".into());
        }
        Ok(asked)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.to_lowercase().contains(only))
    }
}

async fn prepare() -> Result<Bench> {
    let folder = tempfile::tempdir()?;
    let certificate = Certificate::make(folder.path())?;
    let upstream = upstream::start(certificate.acceptor()?).await?;
    let mut bench = Bench { folder, upstream, certificate, kinds: vec![Kind::Tollgate, Kind::Nginx, Kind::BareHyper] };
    if let Err(error) = bench.start(Kind::Nginx, Security::Clear) {
        eprintln!("nginx is not measured: {error} (on Debian: apt-get install nginx-light)");
        bench.kinds.retain(|kind| *kind != Kind::Nginx);
    }
    Ok(bench)
}

async fn measured(bench: &Bench, machine: Machine, asked: &Asked) -> Result<()> {
    let wanted = |section: &str| asked.wants(section);
    let cpu = cpu::measure(bench, Security::Clear, |work| asked.wants(&format!("cpu {}", work.name))).await?;
    let cpu_tls = cpu::measure(bench, Security::Tls, |work| asked.wants(&format!("tls {}", work.name))).await?;
    let latency = if wanted("latency") { latency::measure(bench).await? } else { Vec::new() };
    let memory = if wanted("memory") { Some(memory::measure(bench).await?) } else { None };
    let slow_readers = if wanted("slow readers") { Some(slow_readers::measure(bench).await?) } else { None };
    let start = if wanted("start") { Some(start::measure(bench)?) } else { None };
    let report = Report { machine, cpu, cpu_tls, memory, latency, slow_readers, start };
    if asked.write {
        written::report(&report)?;
    }
    if asked.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", table::full(&report));
    }
    Ok(())
}

async fn soaked(bench: &Bench, minutes: u64, machine: &Machine, asked: &Asked) -> Result<()> {
    let soaked = soak::run(bench, minutes).await?;
    let place = machine.sentence();
    if asked.write {
        written::soak(&soaked, &place)?;
    }
    println!("{}", table::soak(&soaked, &place));
    Ok(())
}
