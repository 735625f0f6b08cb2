//! Where, when and with what a run was made: every figure names it.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::proxies;

#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) date: String,
    pub(crate) command: String,
    /// Of the gateway, of nginx, and of hyper.
    pub(crate) versions: String,
}

impl Machine {
    /// Asked before the bench pins itself, so that all cores count.
    pub(crate) fn here(arguments: &[String]) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let said: Vec<&str> = arguments.iter().map(String::as_str).filter(|said| *said != "--bench").collect();
        let mut command = "cargo bench --bench loopback".to_owned();
        if !said.is_empty() {
            command = format!("{command} -- {}", said.join(" "));
        }
        if std::env::var_os("TOLLGATE").is_some() {
            command = format!("TOLLGATE=… {command}");
        }
        let nginx = first_line(Command::new("nginx").arg("-v")).unwrap_or_else(|| "no nginx".to_owned());
        let tollgate = first_line(Command::new(proxies::tollgate()).arg("--version"));
        Self {
            cpu: model.map_or("unknown", |(_, model)| model).trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            kernel: kernel.trim().to_owned(),
            date: jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string(),
            command,
            versions: format!(
                "{}, {}, hyper {}",
                tollgate.unwrap_or_else(|| "tollgate".to_owned()),
                nginx.trim_start_matches("nginx version: ").replace('/', " "),
                locked_version("hyper").unwrap_or("unknown")
            ),
        }
    }

    pub(crate) fn sentence(&self) -> String {
        format!("{}; {}; `{}`.", self.place(), self.versions, self.command)
    }

    /// Where and when.
    pub(crate) fn place(&self) -> String {
        format!("{}, {} cores, Linux {}, {}", self.cpu, self.cores, self.kernel, self.date)
    }

    /// With what.
    pub(crate) fn means(&self) -> String {
        format!("{}; {}", self.versions, self.command)
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    // nginx says its version on the other stream.
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().map(str::to_owned)
}

fn locked_version(package: &str) -> Option<&'static str> {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}
