//! A file in which every key says something, against the settings that it means.

mod identity;
mod server;

use std::num::{NonZeroU32, NonZeroU64};

use super::*;
use crate::budget::{Apart, Enforcement, Limits};
use crate::profiles::price::PiecePrices;
use crate::types::{Models, Money, Owners, Per};

/// One value other than the default for every key.
pub(super) const EVERY_KEY: &str = r#"
[server]
listen = "[::1]:1"
principal = "n"
base_path = "/a/b/"
max_body_bytes = 2
header_timeout = "3s"
body_timeout = "4s"
drain_timeout = "0s"
max_connections = 6
[server.tls]
certificate = "/c.pem"
key = "k.pem"
client_ca = "/a.pem"
client_crl = "r.pem"
client_certificates = "required"
[[server.listeners]]
listen = "unix:t.sock"
principal = "n"
[[server.listeners]]
listen = "[::1]:2"
[server.listeners.tls]
local_ca = "ca"
client_ca = "/b.pem"
[admin]
listen = "127.0.0.1:7"
token_file = "t"
[upstream]
region = "eu-west-1"
endpoint = "http://localhost:8"
ca_bundle = "b.pem"
connect_timeout = "9s"
first_byte_timeout = "10s"
idle_timeout = "11s"
pool_idle_timeout = "12s"
max_connections = 13
aws_profile = "p"
geographies = ["mx"]
[identity]
keys_file = "/k.json"
root_key_files = ["new.key"]
root_key_env = ["OLD_KEY"]
regions = ["eu-west-1"]
failures_per_minute = 23
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
[[identity.oidc]]
issuer = "https://i.example.com"
jwks_url = "https://i.example.com/keys"
audiences = ["a", "b"]
audience_claim = "client_id"
algorithms = ["ES256", "PS512"]
leeway = "24s"
principal = "i-{sub}"
groups = ["g-{dept}"]
groups_claim = "roles"
tags = { UserEmail = "{email}" }
require = { hd = "example.com" }
token_file = "/i.token"
ca_bundle = "/i.pem"
[identity.aws_login]
audience = "t.example.com"
endpoint = "https://vpce.sts.example.com"
regions = ["eu-west-1"]
longest = "25m"
ca_bundle = "/s.pem"
[[identity.aws_login.roles]]
arn = "arn:aws:sts::012345678901:assumed-role/r/{who}"
principal = "{who}"
groups = ["x"]
tags = { W = "{who}" }
[[identity.certificates]]
uri = "spiffe://c/{sa}"
principal = "{sa}"
groups = ["y"]
tags = { S = "{sa}" }
[[identity.certificates]]
dns = "d"
principal = "d"
[[identity.certificates]]
email = "e"
principal = "e"
[[identity.certificates]]
common_name = "c"
principal = "c"
[[principals]]
name = "n"
groups = ["g"]
tags = { K = "v" }
[[profiles]]
name = "pr"
arn = "arn:aws:bedrock:eu-west-1:012345678901:application-inference-profile/id"
source = "eu.newcomer.model-v1:0"
principals = ["n"]
groups = ["g"]
everyone = false
aliases = ["word", "newcomer.other-v1:0"]
[policy]
operations = ["Converse"]
allowed_regions = ["eu-*", "us-east-1"]
deny_global = true
[[guardrails]]
identifier = "gid"
version = "14"
mode = "require"
asynchronous = "force-sync"
selective = "allow"
everyone = true
[[budgets]]
name = "b"
groups = ["g"]
default = true
per = "group"
models = ["newcomer.*"]
apart = "family"
window = "week"
week_starts = "sunday"
time_zone = "Europe/Berlin"
usd = "15.5"
tokens = 16
input_tokens = 17
output_tokens = 18
requests = 19
enforcement = "soft"
reserve = "expected"
reserve_at_most_usd = "1.5"
reserve_at_most_tokens = 20
[[budgets]]
name = "c"
everyone = true
window = "rolling"
length = "5h"
requests = 1
[[rate_limits]]
name = "r"
principals = ["n"]
groups = ["g"]
everyone = false
per = "group"
models = ["newcomer.*", "newcomer.model-v1:0"]
requests_per_second = 18
requests_per_minute = 19
tokens_per_minute = 20
concurrent = 21
max_wait = "22s"
[prices."eu.newcomer.model-v1:0"]
input = "1"
output = "2"
cache_read = "3"
cache_write_5m = "4"
cache_write_1h = "5"
latency_optimized_input = "8"
latency_optimized_output = "9"
per_image = "0.1"
per_input_image = "0.2"
per_query = "0.3"
max_input = 6
max_output = 7
[price_table]
file = "p.json"
[alerts]
webhook = "https://hooks.example.com/a?b=c"
secret_file = "w"
ca_bundle = "w.pem"
[metering]
on_disconnect = "cancel"
drain_streams = 0
drain_timeout = "17s"
[store]
kind = "redis"
path = "/s.db"
durability = "power"
retention = "48h"
[store.redis]
urls = ["rediss://a:1/2", "rediss://b:2"]
topology = "sentinel"
sentinel_master = "m"
user = "u"
password_file = "pw"
ca_bundle = "c.pem"
namespace = "ns"
timeout = "20ms"
lease = "4s"
on_outage = "allow_within"
allow_within_usd = "1.50"
[log]
format = "text"
level = "trace"
"#;

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
        profiles: vec![ProfileSettings {
            name: "pr".to_owned(),
            arn: "arn:aws:bedrock:eu-west-1:012345678901:application-inference-profile/id".parse().unwrap(),
            source: "eu.newcomer.model-v1:0".parse().unwrap(),
            owners: only(&["n"], &["g"]),
            aliases: vec!["word".to_owned(), "newcomer.other-v1:0".to_owned()],
        }],
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
