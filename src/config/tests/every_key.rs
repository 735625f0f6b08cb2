//! A file in which every key says something, against the settings that it means.

mod identity;
mod profiles;
mod server;

use std::num::{NonZeroU32, NonZeroU64};

use super::*;
use crate::budget::{Apart, Enforcement, Limits};
use crate::profiles::price::PiecePrices;
use crate::types::{Models, Money, Owners, Per};

/// One value other than the default for every key.
pub(super) const EVERY_KEY: &str = include_str!("every_key/every_key.toml");

fn wanted_policy() -> PolicySettings {
    let allowed = ["eu-*", "us-east-1"].map(|pattern| pattern.parse().unwrap());
    let residency = crate::policy::Residency::new(Some(allowed.to_vec()), crate::policy::GlobalProfiles::Denied);
    PolicySettings { operations: vec![crate::bedrock::Operation::Converse], residency }
}

fn wanted_store() -> StoreSettings {
    StoreSettings {
        kind: StoreKind::Redis,
        path: "/s.db".into(),
        durability: Durability::Power,
        retention: Duration::from_hours(48),
        redis: Some(RedisSettings {
            urls: vec!["rediss://a:1/2".to_owned(), "rediss://b:2".to_owned()],
            topology: Topology::Sentinel,
            sentinel_master: Some("m".to_owned()),
            user: Some("u".to_owned()),
            password_file: Some("/etc/tollgate/pw".into()),
            ca_bundle: Some("/etc/tollgate/c.pem".into()),
            namespace: "ns".to_owned(),
            timeout: Duration::from_millis(20),
            lease: Duration::from_secs(4),
            on_outage: OnOutage::AllowWithin,
            allow_within_usd: Some("1.50".parse().unwrap()),
        }),
    }
}

fn wanted_budgets() -> Vec<BudgetSettings> {
    let groups = vec!["g".to_owned()];
    vec![
        BudgetSettings {
            name: "b".to_owned(),
            owners: Owners::Only { principals: Vec::new(), groups },
            default: true,
            per: Per::Group,
            models: Models::Like(vec!["newcomer.*".to_owned()]),
            apart: Apart::Family,
            window: WindowSettings::Week(jiff::civil::Weekday::Sunday),
            zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
            limits: Limits {
                usd: Some(Money::from_nanos(15_500_000_000)),
                tokens: Some(16),
                input_tokens: Some(17),
                output_tokens: Some(18),
                requests: Some(19),
            },
            enforcement: Enforcement::Soft,
            reserve: Reserve::Expected,
            caps: Limits {
                usd: Some(Money::from_nanos(1_500_000_000)),
                tokens: Some(20),
                input_tokens: Some(20),
                output_tokens: Some(20),
                requests: None,
            },
        },
        BudgetSettings {
            name: "c".to_owned(),
            owners: Owners::Everyone,
            default: false,
            per: Per::Principal,
            models: Models::All,
            apart: Apart::Together,
            window: WindowSettings::Rolling(Duration::from_hours(5)),
            zone: jiff::tz::TimeZone::get("UTC").unwrap(),
            limits: Limits { requests: Some(1), ..Limits::default() },
            enforcement: Enforcement::Hard,
            reserve: Reserve::WorstCase,
            caps: Limits::default(),
        },
    ]
}

/// They exclude `endpoint`, which stands in the file.
#[test]
fn which_of_bedrocks_own_endpoints_is_honoured_too() {
    for (lines, fips, dual_stack) in [("fips = true", true, false), ("dual_stack = true\nfips = false", false, true)] {
        let source = EVERY_KEY.replace("endpoint = \"http://localhost:8\"", lines);
        assert_eq!(settings(&source).upstream.variant, crate::upstream::Variant { fips, dual_stack });
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one file, one value")]
fn every_key_is_honoured() {
    let price = |dollars: i64| crate::types::TokenPrice::from_nanos_per_million(dollars * 1_000_000_000);
    let only = |principals: &[&str], groups: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Owners::Only { principals: owned(principals), groups: owned(groups) }
    };
    let wanted = Settings {
        server: server::wanted(),
        admin: AdminSettings { listen: "127.0.0.1:7".parse().unwrap(), token_file: Some("/etc/tollgate/t".into()) },
        upstream: UpstreamSettings {
            region: Some("eu-west-1".parse().unwrap()),
            endpoint: Some("http://localhost:8/".parse().unwrap()),
            sts_endpoint: Some("http://localhost:32/".parse().unwrap()),
            control_endpoint: Some("http://localhost:33/".parse().unwrap()),
            variant: crate::upstream::Variant::default(),
            ca_bundle: Some("/etc/tollgate/b.pem".into()),
            connect_timeout: Duration::from_secs(9),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(11),
            pool_idle_timeout: Duration::from_secs(12),
            max_connections: 13,
            aws_profile: Some("p".to_owned()),
            geographies: vec!["mx".to_owned()],
        },
        identity: IdentitySettings {
            keys_file: Some("/k.json".into()),
            root_key_files: vec!["/etc/tollgate/new.key".into()],
            root_key_env: vec!["OLD_KEY".to_owned()],
            regions: vec!["eu-west-1".parse().unwrap()],
            failures_per_minute: NonZeroU32::new(23),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()],
            oidc: vec![identity::oidc()],
            aws_login: Some(identity::aws_login()),
            certificates: identity::certificates(),
        },
        principals: vec![crate::identity::Principal::new(
            "n",
            vec!["g".to_owned()],
            [("K".to_owned(), "v".to_owned())].into_iter().collect(),
        )],
        profiles: vec![
            ProfileSettings {
                name: "pr".to_owned(),
                arn: "arn:aws:bedrock:eu-west-1:012345678901:application-inference-profile/id".parse().unwrap(),
                source: Some("eu.newcomer.model-v1:0".parse().unwrap()),
                owners: only(&["n"], &["g"]),
                reach: crate::profiles::Reach::AnyName,
                prompt: None,
                aliases: vec!["word".to_owned(), "newcomer.other-v1:0".to_owned()],
            },
            profiles::exact(),
            profiles::prompt(),
        ],
        accounts: profiles::accounts(),
        discovery: Some(profiles::discovery()),
        vending: profiles::vending(),
        policy: wanted_policy(),
        guardrails: vec![GuardrailSettings {
            identifier: "gid".to_owned(),
            version: "14".to_owned(),
            mode: GuardrailMode::Require,
            asynchronous: Asynchronous::ForceSync,
            selective: Selective::Allow,
            owners: Owners::Everyone,
        }],
        budgets: wanted_budgets(),
        rate_limits: vec![RateLimitSettings {
            name: "r".to_owned(),
            owners: only(&["n"], &["g"]),
            per: Per::Group,
            models: Models::Like(vec!["newcomer.*".to_owned(), "newcomer.model-v1:0".to_owned()]),
            requests_per_second: NonZeroU64::new(18),
            requests_per_minute: NonZeroU64::new(19),
            tokens_per_minute: NonZeroU64::new(20),
            concurrent: NonZeroU64::new(21),
            max_wait: Duration::from_secs(22),
        }],
        prices: vec![PriceSettings {
            model: "eu.newcomer.model-v1:0".parse().unwrap(),
            input: price(1),
            output: price(2),
            cache_read: Some(price(3)),
            cache_write_5m: Some(price(4)),
            cache_write_1h: Some(price(5)),
            latency_optimized: Some((price(8), price(9))),
            pieces: PiecePrices {
                image_made: Money::from_nanos(100_000_000),
                image_read: Money::from_nanos(200_000_000),
                query: Money::from_nanos(300_000_000),
            },
            max_input: Some(6),
            max_output: Some(7),
        }],
        price_table: Some(PriceFile { path: "/etc/tollgate/p.json".into(), table: None }),
        alerts: AlertSettings {
            webhook: Some(WebhookSettings {
                url: "https://hooks.example.com/a?b=c".to_owned(),
                secret_file: "/etc/tollgate/w".into(),
                ca_bundle: Some("/etc/tollgate/w.pem".into()),
            }),
        },
        metering: MeteringSettings {
            on_disconnect: OnDisconnect::Cancel,
            drain_streams: 0,
            drain_timeout: Duration::from_secs(17),
        },
        store: wanted_store(),
        log: LogSettings { format: LogFormat::Text, level: LogLevel::Trace },
    };
    assert_eq!(settings(EVERY_KEY), wanted);
}
