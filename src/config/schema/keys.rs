//! The list of keys. What each means, and in which unit, stands in `config/tollgate.toml`.

use super::{Absence, Key, Shape};

/// The whole file.
pub(in crate::config) const ROOT: &[Key] = &[
    optional("server", Shape::Table(SERVER)),
    optional("admin", Shape::Table(ADMIN)),
    optional("upstream", Shape::Table(UPSTREAM)),
    optional("identity", Shape::Table(IDENTITY)),
    optional("principals", Shape::Tables(PRINCIPAL)),
    optional("profiles", Shape::Tables(PROFILE)),
    optional("exact_arns", Shape::Tables(EXACT_ARN)),
    optional("accounts", Shape::Tables(ACCOUNT)),
    optional("discovery", Shape::Table(DISCOVERY)),
    optional("vending", Shape::Tables(VENDING)),
    optional("policy", Shape::Table(POLICY)),
    optional("guardrails", Shape::Tables(GUARDRAIL)),
    optional("budgets", Shape::Tables(BUDGET)),
    optional("rate_limits", Shape::Tables(RATE_LIMIT)),
    optional("price_table", Shape::Table(PRICE_TABLE)),
    optional("prices", Shape::Named(PRICE)),
    optional("alerts", Shape::Table(ALERTS)),
    optional("metering", Shape::Table(METERING)),
    optional("store", Shape::Table(STORE)),
    optional("log", Shape::Table(LOG)),
];

const SERVER: &[Key] = &[
    text_or("listen", "127.0.0.1:8080"),
    optional("principal", Shape::Text),
    text_or("base_path", "/"),
    integer_or("max_body_bytes", 25_000_000),
    span_or("header_timeout", "75s"),
    span_or("body_timeout", "60s"),
    span_or("drain_timeout", "5m"),
    integer_or("max_connections", 10_000),
    optional("tls", Shape::Table(TLS)),
    optional("listeners", Shape::Tables(LISTENER)),
];

const LISTENER: &[Key] = &[
    required("listen", Shape::Text, "listen = \"unix:tollgate.sock\", or an IP address and a port of its own"),
    optional("principal", Shape::Text),
    optional("tls", Shape::Table(TLS)),
];

const TLS: &[Key] = &[
    optional("certificate", Shape::Text),
    optional("key", Shape::Text),
    optional("local_ca", Shape::Text),
    optional("client_ca", Shape::Text),
    optional("client_crl", Shape::Text),
    text_or("client_certificates", "optional"),
];

const ADMIN: &[Key] = &[text_or("listen", "127.0.0.1:9090"), optional("token_file", Shape::Text)];

const UPSTREAM: &[Key] = &[
    optional("region", Shape::Text),
    optional("endpoint", Shape::Text),
    optional("sts_endpoint", Shape::Text),
    optional("control_endpoint", Shape::Text),
    flag_or("fips", false),
    flag_or("dual_stack", false),
    optional("ca_bundle", Shape::Text),
    span_or("connect_timeout", "5s"),
    span_or("first_byte_timeout", "15m"),
    span_or("idle_timeout", "5m"),
    span_or("pool_idle_timeout", "50s"),
    integer_or("max_connections", 1024),
    optional("aws_profile", Shape::Text),
    optional("geographies", Shape::Texts),
];

const IDENTITY: &[Key] = &[
    optional("keys_file", Shape::Text),
    optional("root_key_files", Shape::Texts),
    optional("root_key_env", Shape::Texts),
    optional("regions", Shape::Texts),
    integer_or("failures_per_minute", 120),
    optional("trusted_proxies", Shape::Texts),
    optional("oidc", Shape::Tables(OIDC)),
    optional("aws_login", Shape::Table(AWS_LOGIN)),
    optional("certificates", Shape::Tables(CERTIFICATE)),
];

const OIDC: &[Key] = &[
    required("issuer", Shape::Text, "issuer = \"https://company.okta.com/oauth2/default\""),
    optional("jwks_url", Shape::Text),
    required("audiences", Shape::Texts, "audiences = [\"tollgate\"]: a token for somebody else must open nothing here"),
    text_or("audience_claim", "aud"),
    optional("algorithms", Shape::Texts),
    span_or("leeway", "60s"),
    required("principal", Shape::Text, "principal = \"{email}\""),
    optional("groups", Shape::Texts),
    optional("groups_claim", Shape::Text),
    optional("tags", Shape::Pairs),
    optional("require", Shape::Pairs),
    optional("token_file", Shape::Text),
    optional("ca_bundle", Shape::Text),
];

const AWS_LOGIN: &[Key] = &[
    required("audience", Shape::Text, "audience = \"tollgate.example.com\": a token is bound to this name"),
    optional("endpoint", Shape::Text),
    optional("regions", Shape::Texts),
    span_or("longest", "15m"),
    optional("ca_bundle", Shape::Text),
    required("roles", Shape::Tables(ROLE), "[[identity.aws_login.roles]] with arn and principal"),
];

const ROLE: &[Key] = &[
    required("arn", Shape::Text, "arn = \"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_*/{email}\""),
    required("principal", Shape::Text, "principal = \"{email}\""),
    optional("groups", Shape::Texts),
    optional("tags", Shape::Pairs),
];

const CERTIFICATE: &[Key] = &[
    optional("uri", Shape::Text),
    optional("dns", Shape::Text),
    optional("email", Shape::Text),
    optional("common_name", Shape::Text),
    required("principal", Shape::Text, "principal = \"{name}\", with {name} in the pattern beside it"),
    optional("groups", Shape::Texts),
    optional("tags", Shape::Pairs),
];

const PRINCIPAL: &[Key] = &[
    required("name", Shape::Text, "name = \"alice\""),
    optional("groups", Shape::Texts),
    optional("tags", Shape::Pairs),
];

const PROFILE: &[Key] = &[
    required("name", Shape::Text, "name = \"alice-sonnet\""),
    required(
        "arn",
        Shape::Text,
        "arn = \"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abcdefghijkl\"",
    ),
    optional("source", Shape::Text),
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    flag_or("everyone", false),
    optional("aliases", Shape::Texts),
];

const EXACT_ARN: &[Key] = &[
    required("name", Shape::Text, "name = \"reserved-sonnet\""),
    required("arn", Shape::Text, "arn = \"arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abcdefghijkl\""),
    required("source", Shape::Text, "source = \"anthropic.claude-sonnet-4-5-20250929-v1:0\", whose prices count"),
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    optional("most_input_tokens", Shape::Integer),
    optional("most_output_tokens", Shape::Integer),
    optional("variable_uses", Shape::Integer),
];

const POLICY: &[Key] =
    &[optional("operations", Shape::Texts), optional("allowed_regions", Shape::Texts), flag_or("deny_global", false)];

const GUARDRAIL: &[Key] = &[
    required("identifier", Shape::Text, "identifier = \"abc123def456\""),
    required("version", Shape::Text, "version = \"1\""),
    text_or("mode", "inject"),
    text_or("asynchronous", "refuse"),
    text_or("selective", "refuse"),
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    flag_or("everyone", false),
];

const ACCOUNT: &[Key] = &[
    required("account", Shape::Text, "account = \"111122223333\""),
    required("regions", Shape::Texts, "regions = [\"us-east-1\"]"),
    optional("role_arn", Shape::Text),
    optional("external_id", Shape::Text),
    text_or("session_name", "tollgate"),
    optional("session_tags", Shape::Pairs),
    optional("transitive_tags", Shape::Texts),
    span_or("duration", "1h"),
];

const DISCOVERY: &[Key] = &[
    span_or("every", "5m"),
    optional("file", Shape::Text),
    optional("endpoint", Shape::Text),
    span_or("vending_wait", "10s"),
    optional("rules", Shape::Tables(RULE)),
];

const VENDING: &[Key] = &[
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    flag_or("everyone", false),
    required("models", Shape::Texts, "models = [\"anthropic.claude-*\"]"),
    text_or("on_missing", "create"),
    optional("account", Shape::Text),
    optional("region", Shape::Text),
    optional("geographies", Shape::Texts),
    text_or("name", "{principal}-{model}"),
    optional("tags", Shape::Pairs),
    integer_or("per_principal", 10),
    optional("most_profiles", Shape::Integer),
];

const RULE: &[Key] = &[
    required("profile_tag", Shape::Text, "profile_tag = \"UserEmail\""),
    optional("principal_tag", Shape::Text),
    optional("name_of", Shape::Text),
];

const BUDGET: &[Key] = &[
    required("name", Shape::Text, "name = \"daily\""),
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    flag_or("everyone", false),
    flag_or("default", false),
    text_or("per", "principal"),
    optional("models", Shape::Texts),
    text_or("apart", "together"),
    required("window", Shape::Text, "window = \"day\""),
    optional("length", Shape::Span),
    text_or("week_starts", "monday"),
    text_or("time_zone", "UTC"),
    optional("usd", Shape::Dollars),
    optional("tokens", Shape::Integer),
    optional("input_tokens", Shape::Integer),
    optional("output_tokens", Shape::Integer),
    optional("requests", Shape::Integer),
    text_or("enforcement", "hard"),
    text_or("reserve", "worst-case"),
    optional("reserve_at_most_usd", Shape::Dollars),
    optional("reserve_at_most_tokens", Shape::Integer),
];

const RATE_LIMIT: &[Key] = &[
    required("name", Shape::Text, "name = \"burst\""),
    optional("principals", Shape::Texts),
    optional("groups", Shape::Texts),
    flag_or("everyone", false),
    text_or("per", "principal"),
    optional("models", Shape::Texts),
    optional("requests_per_second", Shape::Integer),
    optional("requests_per_minute", Shape::Integer),
    optional("tokens_per_minute", Shape::Integer),
    optional("concurrent", Shape::Integer),
    span_or("max_wait", "0s"),
];

const PRICE: &[Key] = &[
    required("input", Shape::Dollars, "input = \"3\", in dollars per million tokens"),
    required("output", Shape::Dollars, "output = \"15\", in dollars per million tokens"),
    optional("cache_read", Shape::Dollars),
    optional("cache_write_5m", Shape::Dollars),
    optional("cache_write_1h", Shape::Dollars),
    optional("latency_optimized_input", Shape::Dollars),
    optional("latency_optimized_output", Shape::Dollars),
    optional("per_image", Shape::Dollars),
    optional("per_input_image", Shape::Dollars),
    optional("per_query", Shape::Dollars),
    optional("max_input", Shape::Integer),
    optional("max_output", Shape::Integer),
];

const PRICE_TABLE: &[Key] = &[optional("file", Shape::Text)];

const ALERTS: &[Key] =
    &[optional("webhook", Shape::Text), optional("secret_file", Shape::Text), optional("ca_bundle", Shape::Text)];

const METERING: &[Key] =
    &[text_or("on_disconnect", "drain"), integer_or("drain_streams", 256), span_or("drain_timeout", "10m")];

const STORE: &[Key] = &[
    text_or("kind", "embedded"),
    text_or("path", "tollgate.db"),
    text_or("durability", "process"),
    span_or("retention", "400d"),
    optional("redis", Shape::Table(REDIS)),
];

const REDIS: &[Key] = &[
    optional("urls", Shape::Texts),
    text_or("topology", "single"),
    optional("sentinel_master", Shape::Text),
    optional("user", Shape::Text),
    optional("password_file", Shape::Text),
    optional("ca_bundle", Shape::Text),
    text_or("namespace", "default"),
    span_or("timeout", "1s"),
    span_or("lease", "30s"),
    text_or("on_outage", "deny"),
    optional("allow_within_usd", Shape::Dollars),
];

const LOG: &[Key] = &[text_or("format", "json"), text_or("level", "info")];

const fn optional(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, absence: Absence::Nothing }
}

const fn required(name: &'static str, shape: Shape, example: &'static str) -> Key {
    Key { name, shape, absence: Absence::Wrong(example) }
}

const fn text_or(name: &'static str, default: &'static str) -> Key {
    Key { name, shape: Shape::Text, absence: Absence::Text(default) }
}

const fn span_or(name: &'static str, default: &'static str) -> Key {
    Key { name, shape: Shape::Span, absence: Absence::Text(default) }
}

const fn integer_or(name: &'static str, default: i64) -> Key {
    Key { name, shape: Shape::Integer, absence: Absence::Integer(default) }
}

const fn flag_or(name: &'static str, default: bool) -> Key {
    Key { name, shape: Shape::Flag, absence: Absence::Flag(default) }
}
