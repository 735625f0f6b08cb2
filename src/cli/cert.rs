//! `tollgate cert`: makes the local certificate authority where there is none, and tells every client how to trust it.
//!
//! Tables are for people, JSON is for scripts. Nothing is installed into the system's trust store: each client is told by
//! an environment variable of its own, so that the rest of the machine goes on trusting what it trusted before.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::Output;
use crate::server::local_ca::{LocalCa, Made, Names};

/// Make the local CA for TLS on this machine, and show how clients trust it.
#[derive(Args, Clone, Debug)]
pub struct CertArgs {
    /// Where the CA is kept [default: $XDG_DATA_HOME/tollgate, or ~/.local/share/tollgate]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A host name or address under which clients reach the server, besides localhost; may be given more than once.
    /// Without it, the names stay as they are
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command: makes what is absent, and prints where it is and how to use it.
pub fn run(args: &CertArgs, now: SystemTime, out: &mut dyn Write) -> anyhow::Result<()> {
    let directory = match &args.dir {
        Some(directory) => std::path::absolute(directory).context("the directory's name cannot be used")?,
        None => default_directory()?,
    };
    let names = if args.names.is_empty() { Names::Kept } else { Names::Exactly(args.names.clone()) };
    let ca = LocalCa::open_or_create(&directory, &names, now)?;
    match args.output {
        Output::Table => print_table(&ca, out),
        Output::Json => writeln!(out, "{:#}", as_json(&ca)),
    }
    .context("the output cannot be written")
}

/// Where the local CA is kept unless another place is named.
pub fn default_directory() -> anyhow::Result<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    Ok(data.context("no home directory is known; name a place with --dir")?.join("tollgate"))
}

fn print_table(ca: &LocalCa, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n", story(ca.made()))?;
    let names = ca.names().collect::<Vec<_>>().join(", ");
    let certificate = ca.ca_certificate();
    writeln!(
        out,
        "{}\n",
        table([
            ("CA certificate", certificate.display().to_string()),
            ("server certificate", ca.server_certificate().display().to_string()),
            ("server key", ca.server_key().display().to_string()),
            ("names", names),
        ])
    )?;
    writeln!(out, "Each client trusts the CA by a setting of its own:\n")?;
    writeln!(out, "{}\n", table(CLIENTS.map(|(client, settings)| (client, exports(settings, &certificate)))))?;
    writeln!(
        out,
        "AWS_CA_BUNDLE, SSL_CERT_FILE and REQUESTS_CA_BUNDLE replace the list of CAs that a process trusts. Where one \
         process calls both\nTollgate and other servers, give it both lists in one file:\n\n  cat {} \
         /etc/ssl/certs/ca-certificates.crt > bundle.pem",
        quoted(&certificate)
    )
}

fn as_json(ca: &LocalCa) -> Value {
    let certificate = ca.ca_certificate();
    let environment: serde_json::Map<String, Value> = CLIENTS
        .iter()
        .flat_map(|(_, settings)| settings.iter())
        .map(|&variable| (variable.to_owned(), json!(certificate)))
        .collect();
    json!({
        "made": match ca.made() {
            Made::Nothing => "nothing",
            Made::ServerCertificate => "server_certificate",
            Made::Authority => "ca",
            Made::NewAuthority => "new_ca",
        },
        "ca_certificate": certificate,
        "server_certificate": ca.server_certificate(),
        "server_key": ca.server_key(),
        "names": ca.names().collect::<Vec<_>>(),
        "environment": environment,
    })
}

const fn story(made: Made) -> &'static str {
    match made {
        Made::Nothing => "The local CA is ready.",
        Made::ServerCertificate => "The local CA is ready; the server has a new certificate under it.",
        Made::Authority => "A local CA was made.",
        Made::NewAuthority => {
            "A new local CA was made in place of the old one, which had expired or may not vouch for these names. \
             Clients that copied the old ca.pem need the new one."
        }
    }
}

fn table<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (label, value) in rows {
        table.add_row([label.to_owned(), value]);
    }
    table.trim_fmt()
}

fn exports(variables: &[&str], certificate: &Path) -> String {
    let mut lines = String::new();
    for variable in variables {
        let separator = if lines.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(lines, "{separator}export {variable}={}", quoted(certificate));
    }
    lines
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_alphanumeric() || "/._-+:@%".contains(character);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Which client reads which variables.
const CLIENTS: [(&str, &[&str]); 4] = [
    ("AWS CLI, boto3, LangChain", &["AWS_CA_BUNDLE"]),
    ("Node, Bun: AWS SDK for JS, Claude Code, Cline", &["NODE_EXTRA_CA_CERTS"]),
    ("Python: anthropic SDK, requests, LiteLLM", &["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]),
    ("AWS SDKs for Rust and Go, curl", &["SSL_CERT_FILE"]),
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        cert: CertArgs,
    }

    /// 21 November 2026.
    fn today() -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24 * 20_778)
    }

    fn printed(arguments: &[&str]) -> String {
        let command = Command::try_parse_from([&["cert"], arguments].concat()).unwrap();
        let mut out = Vec::new();
        run(&command.cert, today(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_are_told_what_to_paste_for_each_client() {
        let directory = tempfile::TempDir::new().unwrap();
        let place = directory.path().join("it's here");
        let text = printed(&["--dir", place.to_str().unwrap()]);
        assert!(text.starts_with("A local CA was made.\n"), "{text}");
        let quoted = place.join("ca.pem").to_str().unwrap().replace('\'', r"'\''");
        for variable in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
            assert!(text.contains(&format!("export {variable}='{quoted}'")), "{variable} is not in\n{text}");
        }
        assert!(text.contains("localhost, 127.0.0.1, ::1"), "{text}");
        assert!(printed(&["--dir", place.to_str().unwrap()]).starts_with("The local CA is ready.\n"));
    }

    #[test]
    fn scripts_get_the_paths_and_names_as_json() {
        let directory = tempfile::TempDir::new().unwrap();
        let place = directory.path().to_str().unwrap();
        let told: Value = serde_json::from_str(&printed(&[
            "--dir", place, "--output", "json", "--name", "gw.test", "--name", "10.0.0.1",
        ]))
        .unwrap();
        assert_eq!(told["made"], "ca");
        assert_eq!(told["names"], json!(["localhost", "127.0.0.1", "::1", "10.0.0.1", "gw.test"]));
        assert_eq!(told["environment"]["AWS_CA_BUNDLE"], json!(directory.path().join("ca.pem")));
        for file in ["ca_certificate", "server_certificate", "server_key"] {
            assert!(Path::new(told[file].as_str().unwrap()).is_file(), "{file}");
        }
    }
}
