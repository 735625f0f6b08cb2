//! `tollgate demo`: the whole thing on this machine, with no AWS account.
//!
//! It starts the Bedrock look-alike and the gateway in one process, makes three people with different budgets, lets them call
//! through the real AWS SDK, shows who called what and what it cost, two refusals, and settings to paste into real clients; then
//! it stays up. Everything it shows is read from the answers, from the look-alike's account or from the gateway's bill. What
//! it writes (configuration, keys, certificate authority) is in one folder that can be looked at and thrown away.

mod calls;
mod paste;
mod scene;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::{ExitCode, Streams, stop_signal};
use crate::config::Settings;
use crate::config::assembly::{AwsIdentity, Bound, assemble};
use crate::telemetry;
use crate::types::SystemClock;
use scene::Scene;

/// Show everything on this machine, with no AWS account: a look-alike of Bedrock, the gateway, three people with budgets
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Where the gateway listens; a free port is taken where this one is in use
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4180")]
    pub listen: SocketAddr,
    /// Where health, metrics and the bill are; a free port is taken where this one is in use
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4190")]
    pub admin: SocketAddr,
    /// Where configuration, keys and certificates go [default: demo/ beside the local CA of `tollgate cert`]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do after the scene
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub then: Then,
}

/// What the demo does after its scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Then {
    /// Stay up until Ctrl-C, so that the settings can be tried.
    #[default]
    Stay,
    /// End: for scripts.
    Exit,
}

/// Plays the scene.
pub async fn run(arguments: &Arguments, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    telemetry::install_log(telemetry::LogFormat::Text, "error").context("the log cannot be set up")?;
    let folder = match &arguments.dir {
        Some(folder) => std::path::absolute(folder).context("the folder's name cannot be used")?,
        None => super::cert::default_directory()?.join("demo"),
    };
    let scene = Scene::set(&folder, arguments).await?;
    let (settings, _) = Settings::load(&scene.config, &super::price_known)?;
    let aws = AwsIdentity::Fixed(scene.aws.clone());
    let bound = assemble(&settings, aws, Arc::new(SystemClock)).await?.bind().await?;
    let place = Place::of(&bound)?;
    let stop = CancellationToken::new();
    let gateway = Arc::clone(bound.gateway());
    let serving = tokio::spawn(bound.run(stop.clone()));

    show::opening(&scene, &place, streams.out)?;
    let outcomes = calls::play(&scene, &place, streams.out).await?;
    show::table(&outcomes, &gateway.ledger.bill().await?, streams.out)?;
    paste::settings(&scene, &place, streams.out)?;
    if arguments.then == Then::Stay {
        show::staying(&place, streams.out)?;
        stop_signal().await;
    }
    stop.cancel();
    serving.await.context("the gateway ended in a panic")?;
    scene.bedrock.shutdown().await;
    Ok(ExitCode::Fine)
}

/// Where everything listens.
#[derive(Clone, Debug)]
struct Place {
    plain: String,
    tls: String,
    admin: String,
    ca_bundle: String,
}

impl Place {
    fn of(bound: &Bound) -> anyhow::Result<Self> {
        let (data, admin) = (bound.data_address()?, bound.admin_address()?);
        let bundle = bound.ca_certificate().context("the demo's listener has no certificate")?;
        Ok(Self {
            plain: format!("http://{data}"),
            tls: format!("https://{data}"),
            admin: format!("http://{admin}"),
            ca_bundle: bundle.display().to_string(),
        })
    }
}
