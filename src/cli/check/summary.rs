//! What a valid file means, for people and for scripts.

mod budgets;
mod rate_limits;

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use budgets::Budget;
use rate_limits::RateLimit;

use crate::config::{Choice, Durability, Listen, ListenerSettings, Settings, StoreKind, TlsSettings, show_duration};
use crate::policy::GlobalProfiles;
use crate::types::Owners;

/// What a valid file means.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    listeners: Vec<Listener>,
    upstream: Upstream,
    /// By what callers prove who they are, where a listener asks for it.
    identity: Vec<String>,
    /// Where counts of budgets are kept.
    store: String,
    price_table: String,
    webhook: Option<String>,
    access: Vec<Access>,
    operations: Vec<&'static str>,
    /// Where calls may be served; `None` is anywhere.
    regions: Option<Vec<String>>,
    global_profiles: &'static str,
    guardrails: Vec<Guardrail>,
    budgets: Vec<Budget>,
    rate_limits: Vec<RateLimit>,
    prices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Listener {
    purpose: &'static str,
    url: String,
    certificate: Option<String>,
    /// How callers are known there.
    callers: Option<String>,
}

#[derive(Debug, Serialize)]
struct Upstream {
    endpoint: String,
    region: Option<String>,
    credentials: String,
    first_byte_timeout: String,
    idle_timeout: String,
}

/// One principal and one profile of theirs; a principal without a profile has a row without one.
#[derive(Debug, Serialize)]
struct Access {
    principal: String,
    groups: Vec<String>,
    profile: Option<ProfileOf>,
}

#[derive(Debug, Serialize)]
struct ProfileOf {
    name: String,
    aliases: Vec<String>,
    /// Nothing where AWS is asked for it.
    source: Option<String>,
    arn: String,
    region: String,
}

#[derive(Debug, Serialize)]
struct Guardrail {
    identifier: String,
    version: String,
    mode: &'static str,
    asynchronous: &'static str,
    selective: &'static str,
    owed_by: String,
}

impl Summary {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            listeners: listeners(settings),
            upstream: upstream(settings),
            identity: identity(settings),
            store: store(settings),
            price_table: settings
                .price_table
                .as_ref()
                .map_or_else(|| "built in".to_owned(), |file| file.path.display().to_string()),
            // The rest of such a URL may be a secret.
            webhook: settings.alerts.webhook.as_ref().map(|webhook| {
                let uri: Option<http::Uri> = webhook.url.parse().ok();
                uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default()
            }),
            access: access(settings),
            operations: settings.policy.operations.iter().map(|operation| operation.name()).collect(),
            regions: settings
                .policy
                .residency
                .allowed()
                .map(|patterns| patterns.iter().map(ToString::to_string).collect()),
            global_profiles: match settings.policy.residency.global() {
                GlobalProfiles::ByRegion => "by Region",
                GlobalProfiles::Denied => "denied",
            },
            guardrails: guardrails(settings),
            budgets: budgets::of(settings),
            rate_limits: rate_limits::of(settings),
            prices: settings.prices.iter().map(|price| price.model.to_string()).collect(),
        }
    }
}

fn listeners(settings: &Settings) -> Vec<Listener> {
    let base = &settings.server.base_path;
    let mut listeners: Vec<_> = settings.server.listeners.iter().map(|listener| callers(listener, base)).collect();
    let admin = format!("http://{}", settings.admin.listen);
    listeners.push(Listener { purpose: "operators", url: admin, certificate: None, callers: None });
    listeners
}

fn callers(listener: &ListenerSettings, base: &str) -> Listener {
    let (scheme, certificate) = match &listener.tls {
        TlsSettings::Off => ("http", None),
        TlsSettings::Files { certificate, .. } => ("https", Some(certificate.display().to_string())),
        TlsSettings::LocalCa { dir } => ("https", Some(format!("local CA in {}", dir.display()))),
    };
    let url = match &listener.listen {
        Listen::Tcp(address) => format!("{scheme}://{address}{base}"),
        socket @ Listen::Unix(_) => socket.to_string(),
    };
    let prove = match (&listener.principal, &listener.clients) {
        (Some(name), _) => format!("whoever connects is {name}"),
        (None, Some(clients)) => format!("client certificates {}", clients.presence.word()),
        (None, None) => "credentials asked for".to_owned(),
    };
    Listener { purpose: "callers", url, certificate, callers: Some(prove) }
}

fn identity(settings: &Settings) -> Vec<String> {
    let identity = &settings.identity;
    let mut ways = vec!["keys".to_owned()];
    let roots = identity.root_key_files.len() + identity.root_key_env.len();
    if roots > 0 {
        ways.push("SigV4 with access keys".to_owned());
    }
    ways.extend(identity.oidc.iter().map(|oidc| format!("tokens of {}", oidc.issuer.issuer)));
    ways.extend(identity.aws_login.as_ref().map(|aws| format!("AWS roles for {}", aws.login.audience)));
    if !identity.certificates.is_empty() {
        ways.push("client certificates".to_owned());
    }
    ways
}

fn upstream(settings: &Settings) -> Upstream {
    let upstream = &settings.upstream;
    let own = || {
        let fips = if upstream.variant.fips { "-fips" } else { "" };
        let dual_stack = if upstream.variant.dual_stack { ", IPv4 and IPv6" } else { "" };
        format!("bedrock-runtime{fips} of the profile's Region{dual_stack}")
    };
    let chain = || "the standard AWS chain".to_owned();
    Upstream {
        endpoint: upstream.endpoint.as_ref().map_or_else(own, ToString::to_string),
        region: upstream.region.as_ref().map(ToString::to_string),
        credentials: upstream.aws_profile.as_ref().map_or_else(chain, |profile| format!("AWS profile {profile}")),
        first_byte_timeout: show_duration(upstream.first_byte_timeout),
        idle_timeout: show_duration(upstream.idle_timeout),
    }
}

fn store(settings: &Settings) -> String {
    let store = &settings.store;
    match (store.kind, &store.redis) {
        (StoreKind::Memory, _) => "memory: forgotten at the end".to_owned(),
        (StoreKind::Redis, Some(redis)) => format!(
            "{}, namespace {}, shared; when it does not answer: {}",
            redis.urls.join(", "),
            redis.namespace,
            redis.on_outage.word()
        ),
        (StoreKind::Embedded | StoreKind::Redis, _) => {
            let survives = match store.durability {
                Durability::Process => "kill -9",
                Durability::Power => "kill -9 and a loss of power",
            };
            format!("{}, of this gateway alone; survives {survives}", store.path.display())
        }
    }
}

fn access(settings: &Settings) -> Vec<Access> {
    let mut rows = Vec::new();
    for principal in &settings.principals {
        let row =
            |profile| Access { principal: principal.name().to_owned(), groups: principal.groups().to_vec(), profile };
        let mut owned: Vec<_> = settings
            .profiles
            .iter()
            .filter_map(|profile| Some((profile.owners.rank(principal.name(), principal.groups())?, profile)))
            .collect();
        owned.sort_by_key(|(rank, _)| *rank);
        if owned.is_empty() {
            rows.push(row(None));
        }
        rows.extend(owned.into_iter().map(|(_, profile)| {
            row(Some(ProfileOf {
                name: profile.name.clone(),
                aliases: profile.aliases.clone(),
                source: profile.source.as_ref().map(ToString::to_string),
                arn: profile.arn.to_string(),
                region: profile.arn.region().to_string(),
            }))
        }));
    }
    rows
}

fn guardrails(settings: &Settings) -> Vec<Guardrail> {
    let rows = settings.guardrails.iter().map(|guardrail| Guardrail {
        identifier: guardrail.identifier.clone(),
        version: guardrail.version.clone(),
        mode: guardrail.mode.word(),
        asynchronous: guardrail.asynchronous.word(),
        selective: guardrail.selective.word(),
        owed_by: owners(&guardrail.owners),
    });
    rows.collect()
}

fn owners(owners: &Owners) -> String {
    match owners {
        Owners::Everyone => "everyone".to_owned(),
        Owners::Only { principals, groups } => {
            let groups = groups.iter().map(|group| format!("group {group}"));
            let all: Vec<_> = principals.iter().cloned().chain(groups).collect();
            if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Listener { purpose, url, certificate, callers } in &self.listeners {
            let certificate = certificate.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
            let callers = callers.as_ref().map_or_else(String::new, |callers| format!("; {callers}"));
            writeln!(f, "{purpose:<11}{url}{certificate}{callers}")?;
        }
        let Upstream { endpoint, region, credentials, first_byte_timeout, idle_timeout } = &self.upstream;
        let region = region.as_deref().unwrap_or("refused");
        writeln!(f, "{:<11}{endpoint}; without a profile: {region}; credentials: {credentials}", "upstream")?;
        writeln!(f, "{:<11}first byte within {first_byte_timeout}, pauses up to {idle_timeout}", "")?;
        writeln!(f, "{:<11}{}", "identity", self.identity.join(", "))?;
        writeln!(f, "{:<11}{}", "operations", self.operations.join(", "))?;
        let regions = self.regions.as_ref().map_or_else(|| "any".to_owned(), |regions| regions.join(", "));
        writeln!(f, "{:<11}{regions}; global profiles: {}", "regions", self.global_profiles)?;
        writeln!(f, "{:<11}{}", "counts", self.store)?;
        writeln!(f, "{:<11}{}", "prices", self.price_table)?;
        if let Some(webhook) = &self.webhook {
            writeln!(f, "{:<11}thresholds of budgets to {webhook}", "webhook")?;
        }
        writeln!(f)?;

        let access = self.access.iter().map(|row| {
            let profile = row.profile.as_ref();
            let shown = |text: fn(&ProfileOf) -> String| profile.map_or_else(|| "-".to_owned(), text);
            vec![
                row.principal.clone(),
                row.groups.join(", "),
                shown(|profile| profile.name.clone()),
                shown(|profile| profile.aliases.join(", ")),
                shown(|profile| profile.source.clone().unwrap_or_else(|| "asked of AWS".to_owned())),
                shown(|profile| profile.region.clone()),
            ]
        });
        rows(f, &["PRINCIPAL", "GROUPS", "PROFILE", "ALIASES", "MODEL", "REGION"], access)?;

        let guardrails = self.guardrails.iter().map(|row| {
            let words = [row.mode, row.asynchronous, row.selective].map(str::to_owned);
            let mut cells = vec![row.identifier.clone(), row.version.clone()];
            cells.extend(words);
            cells.push(row.owed_by.clone());
            cells
        });
        rows(f, &["GUARDRAIL", "VERSION", "MODE", "ASYNCHRONOUS", "SELECTIVE", "OWED BY"], guardrails)?;

        rows(f, &Budget::HEAD, self.budgets.iter().map(Budget::cells))?;
        rows(f, &rate_limits::HEADER, self.rate_limits.iter().map(RateLimit::cells))?;
        if !self.prices.is_empty() {
            writeln!(f, "own prices for {}\n", self.prices.join(", "))?;
        }
        Ok(())
    }
}

/// A table and an empty line, or nothing where there is no row.
fn rows(f: &mut fmt::Formatter<'_>, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> fmt::Result {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows);
    if table.row_count() == 0 {
        return Ok(());
    }
    // Column padding is no content: lines end where their text does.
    for line in table.to_string().lines() {
        writeln!(f, "{}", line.trim_end())?;
    }
    writeln!(f)
}
