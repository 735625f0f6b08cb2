//! Boot: the command line, the runtime, the exit code.

use std::process;
use std::time::SystemTime;

use clap::{CommandFactory, Parser, Subcommand};
use tollgate::cli::{self, ExitCode, Streams};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A streaming reverse proxy in front of Amazon Bedrock: your own inference profile, the guardrail owed, budget left, or no
/// call.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 it could not be done (the reason is on standard error), 2 wrong command line."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(cli::demo::Arguments),
    Serve(cli::serve::Arguments),
    Check(cli::check::Arguments),
    /// Make, list, rotate and revoke the keys that callers hold
    Key(cli::key::Arguments),
    Token(cli::token::Arguments),
    /// Show, explain, read, make and delete the application inference profiles that calls go through
    Profile(cli::profile::Arguments),
    /// Show how budgets stand, and change limits and counts
    Budget(cli::budget::Arguments),
    Usage(cli::usage::Arguments),
    /// Show which prices are in force, and take up other lists
    Prices(cli::prices::Arguments),
    /// Back up the embedded store
    Store(cli::store::Arguments),
    Cert(cli::cert::CertArgs),
    Mock(cli::mock::Mock),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

fn main() -> process::ExitCode {
    let arguments = Arguments::parse();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(arguments.command, &mut streams)));
    tollgate::telemetry::flush_log();
    match ended {
        Ok(code) => process::ExitCode::from(u8::from(code)),
        Err(error) => {
            let _ = writeln!(streams.err, "tollgate: {error:#}");
            process::ExitCode::from(u8::from(ExitCode::Faulty))
        }
    }
}

async fn run(command: Command, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => cli::demo::run(&arguments, streams).await,
        Command::Serve(arguments) => cli::serve::run(&arguments, streams).await,
        Command::Check(arguments) => Ok(cli::check::run(&arguments, &cli::price_known, streams)?),
        Command::Key(arguments) => cli::key::run_configured(&arguments, SystemTime::now(), streams).await,
        Command::Token(arguments) => cli::token::run(&arguments, streams).await,
        Command::Profile(arguments) => cli::profile::run(&arguments, SystemTime::now(), streams).await,
        Command::Budget(arguments) => cli::budget::run(&arguments, SystemTime::now(), streams).await,
        Command::Usage(arguments) => cli::usage::run(&arguments, SystemTime::now(), streams).await,
        Command::Prices(arguments) => cli::prices::run(&arguments, SystemTime::now(), streams),
        Command::Store(arguments) => cli::store::run(&arguments, streams).await,
        Command::Cert(arguments) => {
            cli::cert::run(&arguments, SystemTime::now(), streams.out)?;
            Ok(ExitCode::Fine)
        }
        Command::Mock(arguments) => {
            cli::mock::run(arguments).await?;
            Ok(ExitCode::Fine)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "tollgate", streams.out);
            Ok(ExitCode::Fine)
        }
    }
}
