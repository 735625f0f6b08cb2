//! What it costs to tell through which profile a call goes, and what a large directory weighs.
//!
//!     cargo bench --bench profiles
//!
//! A hundred thousand profiles of fifty thousand people, found in AWS and owned by a tag, beside a group of which everyone is a
//! member. Resolving is measured for the kinds of names that callers use, with the allocations that it makes; the baseline is one
//! look-up of the principal's tag in a map of as many owners, in the same run. Discovery is measured against a control plane in
//! this process that answers in AWS's pages and shapes, so that what is measured is reading, matching and building, not the network.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench prints, and fails by panicking"
)]

use std::alloc::System;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region as Counted, StatsAlloc};
use tollgate::bedrock::Operation;
use tollgate::identity::Principal;
use tollgate::profiles::control::{Asked, ControlPlane, Place, Question, Reply, Service};
use tollgate::profiles::{Discovery, LiveDirectory, Match, Rule};
use tollgate::types::ModelName;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PEOPLE: usize = 50_000;
const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const HAIKU: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const ROUNDS: usize = 15;
const TURNS: u32 = 20_000;

fn main() {
    // `cargo bench` says so; `cargo test --all-targets` runs benches too, and there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = Place { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let fleet = Arc::new(Fleet::new());
    let discovery = Discovery {
        places: vec![place],
        control: Arc::clone(&fleet) as _,
        file: folder.path().join("profiles.json"),
        every: Duration::from_mins(5),
        geographies: vec![],
    };
    let rules = vec![
        Rule { profile_tag: "UserEmail".to_owned(), owner: Match::Tag("UserEmail".to_owned()) },
        Rule { profile_tag: "CostCenter".to_owned(), owner: Match::Group },
    ];
    let live = LiveDirectory::new(vec![], None, rules, Some(discovery), std::time::SystemTime::now()).unwrap();
    let live = Arc::new(live);

    for round in ["first reading", "reading again"] {
        let (counted, since) = (Counted::new(ALLOCATOR), Instant::now());
        let read = runtime.block_on(live.refresh(std::time::SystemTime::now()));
        let (elapsed, change) = (since.elapsed(), counted.change());
        assert_eq!(*read[0].1.as_ref().unwrap(), 2 * PEOPLE);
        let kept = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        println!("{round:<44} {:>9.2} s {:>10.1} MB more held", elapsed.as_secs_f64(), kept / 1e6);
    }
    let file = std::fs::metadata(folder.path().join("profiles.json")).unwrap().len();
    println!("{:<44} {:>9.1} MB", "the file", file as f64 / 1e6);

    let email = |number: usize| format!("person{number}@example.com");
    let who =
        Principal::new("p", vec!["eng".to_owned()], [("UserEmail".to_owned(), email(31_415))].into_iter().collect());
    let own = fleet.arn(2 * 31_415);
    let owners: HashMap<String, usize> = (0..PEOPLE).map(|number| (email(number), number)).collect();
    let directory = live.load();
    println!("\n{:<44} {:>12} {:>12}", "a call's profile, of 100,000", "ns", "allocations");
    let baseline = measured(|| owners.get(who.tags().value("UserEmail").unwrap()).copied());
    println!("{:<44} {:>12.0} {:>12}", "one look-up in a map of as many owners", baseline.0, baseline.1);
    for (what, text) in [
        ("by the source of the profile", SONNET),
        ("by the foundation model", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("by the profile's ARN", own.as_str()),
        ("by a group's profile", "us.amazon.nova-lite-v1:0"),
    ] {
        let name = ModelName::classify(text);
        let target = directory.resolve(&who, Operation::ConverseStream, &name, text).unwrap();
        assert!(target.profile().is_some());
        let (ns, allocations) = measured(|| directory.resolve(&who, Operation::ConverseStream, &name, text));
        println!("{what:<44} {ns:>12.0} {allocations:>12}");
    }
}

/// Nanoseconds and allocations of one turn: the median of the rounds, and the most of them.
fn measured<T>(mut turn: impl FnMut() -> T) -> (f64, usize) {
    let mut times = Vec::with_capacity(ROUNDS);
    let mut most = 0;
    for _ in 0..ROUNDS {
        let (counted, since) = (Counted::new(ALLOCATOR), Instant::now());
        for _ in 0..TURNS {
            black_box(turn());
        }
        times.push(since.elapsed().as_nanos() as f64 / f64::from(TURNS));
        most = most.max(counted.change().allocations);
    }
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], most / usize::try_from(TURNS).unwrap())
}

/// A control plane that answers at once.
#[derive(Debug)]
struct Fleet {
    profiles: Vec<(String, Vec<(&'static str, String)>)>,
}

impl Fleet {
    fn new() -> Self {
        let own = (0..PEOPLE).flat_map(|number| {
            [SONNET, HAIKU].map(|source| {
                let email = format!("person{number}@example.com");
                (
                    source.to_owned(),
                    vec![("UserEmail", email), ("tollgate:source", source.to_owned()), ("Team", "x".to_owned())],
                )
            })
        });
        let mut profiles: Vec<_> = own.collect();
        // The last one is a group's.
        profiles[2 * PEOPLE - 1] = (
            "us.amazon.nova-lite-v1:0".to_owned(),
            vec![("CostCenter", "eng".to_owned()), ("tollgate:source", "us.amazon.nova-lite-v1:0".to_owned())],
        );
        Self { profiles }
    }

    fn arn(&self, number: usize) -> String {
        assert!(number < self.profiles.len());
        format!("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/p{number:011}")
    }

    fn answer(&self, question: &Question) -> String {
        let token = |text: &str, after: &str| -> usize {
            let digits = text.split_once(after).map_or("", |(_, rest)| rest);
            digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
        };
        let mut body = String::new();
        match question.service {
            Service::Bedrock => {
                let start = token(&question.query, "nextToken=");
                body += "{\"inferenceProfileSummaries\":[";
                for number in start..(start + 1_000).min(self.profiles.len()) {
                    let (source, _) = &self.profiles[number];
                    let base = source.trim_start_matches("us.");
                    let comma = if number == start { "" } else { "," };
                    let models = ["us-east-1", "us-east-2", "us-west-2"].map(|region| {
                        format!("{{\"modelArn\":\"arn:aws:bedrock:{region}::foundation-model/{base}\"}}")
                    });
                    write!(
                        body,
                        "{comma}{{\"inferenceProfileArn\":\"{}\",\"inferenceProfileName\":\"person-{number}-{base}\",\
                         \"inferenceProfileId\":\"p{number:011}\",\"status\":\"ACTIVE\",\"type\":\"APPLICATION\",\
                         \"createdAt\":\"2026-11-27T10:00:00Z\",\"updatedAt\":\"2026-11-27T10:00:00Z\",\"models\":[{}]}}",
                        self.arn(number),
                        models.join(",")
                    )
                    .unwrap();
                }
                body += "]";
                if start + 1_000 < self.profiles.len() {
                    write!(body, ",\"nextToken\":\"{}\"", start + 1_000).unwrap();
                }
            }
            Service::Tagging | Service::Quotas => {
                let start = token(std::str::from_utf8(&question.body).unwrap(), "PaginationToken\":\"");
                body += "{\"ResourceTagMappingList\":[";
                for number in start..(start + 100).min(self.profiles.len()) {
                    let comma = if number == start { "" } else { "," };
                    let tags = self.profiles[number].1.iter();
                    let tags: Vec<_> =
                        tags.map(|(key, value)| format!("{{\"Key\":\"{key}\",\"Value\":\"{value}\"}}")).collect();
                    write!(body, "{comma}{{\"ResourceARN\":\"{}\",\"Tags\":[{}]}}", self.arn(number), tags.join(","))
                        .unwrap();
                }
                let next = start + 100;
                let next = if next < self.profiles.len() { next.to_string() } else { String::new() };
                write!(body, "],\"PaginationToken\":\"{next}\"").unwrap();
            }
        }
        body + "}"
    }
}

impl ControlPlane for Fleet {
    fn ask(&self, question: Question) -> Asked {
        let body = self.answer(&question).into();
        Box::pin(std::future::ready(Ok(Reply { status: 200, error: None, body })))
    }
}
