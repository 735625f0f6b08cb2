//! `tollgate serve`: runs the gateway until it is told to stop.
//!
//! Exit codes: 0 after a clean shutdown (SIGINT or SIGTERM; open streams were let to their end), 1 when it cannot start, with
//! every reason on standard error.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{ExitCode, Output, Streams, price_known, stop_signal};
use crate::config::Choice as _;
use crate::config::assembly::{AwsIdentity, Bound, Open, assemble};
use crate::config::{Listen, LogFormat, LogSettings, Settings};
use crate::telemetry;
use crate::types::SystemClock;

/// Run the gateway
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "TOLLGATE_CONFIG", default_value = "tollgate.toml")]
    pub config: PathBuf,
    /// How to tell where it listens, on standard output, once it does
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(arguments: &Arguments, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let settings = match Settings::load(&arguments.config, &price_known) {
        Ok((settings, diagnostics)) => {
            if !diagnostics.warnings.is_empty() {
                write!(streams.err, "{diagnostics}")?;
            }
            settings
        }
        Err(diagnostics) => {
            write!(streams.err, "{diagnostics}")?;
            return Ok(ExitCode::Faulty);
        }
    };
    install_log(&settings.log)?;
    let assembled = assemble(&settings, AwsIdentity::Chain, Arc::new(SystemClock)).await?;
    let bound = assembled.bind().await?;
    let (stop, stopped) = (CancellationToken::new(), stop_signal());
    let signalled = stop.clone();
    tokio::spawn(async move {
        stopped.await;
        signalled.cancel();
    });
    // Whoever starts the gateway may stop it as soon as it has said that it listens.
    announce(&bound, arguments.output, streams).context("the output cannot be written")?;
    bound.run(stop).await;
    Ok(ExitCode::Fine)
}

fn install_log(log: &LogSettings) -> anyhow::Result<()> {
    let format = match log.format {
        LogFormat::Json => telemetry::LogFormat::Json,
        LogFormat::Text => telemetry::LogFormat::Text,
    };
    telemetry::install_log(format, log.level.word()).context("the log cannot be set up")
}

fn announce(bound: &Bound, output: Output, streams: &mut Streams<'_>) -> io::Result<()> {
    let admin = format!("http://{}", bound.admin_address()?);
    let listeners: Vec<_> = bound.callers().iter().map(|open| Told::of(open, &bound.gateway().base_path)).collect();
    match output {
        Output::Json => {
            let told = Announced { first: listeners.first(), admin, listeners: &listeners };
            writeln!(streams.out, "{}", serde_json::to_string(&told)?)?;
        }
        Output::Table => {
            for (at, Told { data, tls, ca_bundle, principal, plain }) in listeners.iter().enumerate() {
                let whose = principal.as_ref().map_or_else(String::new, |name| format!(", for {name}"));
                let start = if at == 0 { "Tollgate serves the Bedrock runtime API at" } else { "  and at" };
                writeln!(streams.out, "{start} {}{whose}", tls.as_deref().unwrap_or(data))?;
                if tls.is_some() && *plain {
                    writeln!(streams.out, "  without TLS, for this machine only:       {data}")?;
                }
                if let Some(bundle) = ca_bundle {
                    writeln!(streams.out, "  clients trust it with AWS_CA_BUNDLE={bundle}")?;
                }
            }
            writeln!(streams.out, "  health, metrics and the bill:             {admin}")?;
        }
    }
    streams.out.flush()
}

/// Where callers connect, as a script reads it: the first listener by itself, for whoever has one alone, and all.
#[derive(Serialize)]
struct Announced<'a> {
    #[serde(flatten)]
    first: Option<&'a Told>,
    admin: String,
    listeners: &'a [Told],
}

#[derive(Serialize)]
struct Told {
    data: String,
    tls: Option<String>,
    ca_bundle: Option<String>,
    principal: Option<String>,
    #[serde(skip)]
    plain: bool,
}

impl Told {
    fn of(open: &Open, base: &str) -> Self {
        Self {
            data: match &open.at {
                Listen::Tcp(address) => format!("http://{address}{base}"),
                socket @ Listen::Unix(_) => socket.to_string(),
            },
            tls: open.tls.then(|| format!("https://{}{base}", open.at)),
            ca_bundle: open.ca.as_ref().map(|path| path.display().to_string()),
            principal: open.principal.clone(),
            plain: open.plain,
        }
    }
}
