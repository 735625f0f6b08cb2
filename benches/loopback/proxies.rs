//! The processes under measurement: started on the first core, their CPU time read from the kernel.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    child: Child,
}

impl Proxy {
    /// The gateway, with everything on.
    pub(crate) fn gateway(folder: &Path, upstream: SocketAddr) -> Result<Self> {
        let config = folder.join("tollgate.toml");
        fs::write(&config, CONFIG.replace("{upstream}", &upstream.to_string()))?;
        let made = Command::new(tollgate())
            .args(["key", "create", "--principal", "bench", "--output", "json", "-c"])
            .arg(&config)
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
        let key = made.get("key").and_then(serde_json::Value::as_str).ok_or("no key was made")?.to_owned();
        let log = fs::File::create(folder.join("tollgate.log"))?;
        let mut child = pinned(&tollgate())
            .args(["serve", "--output", "json", "-c"])
            .arg(&config)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "a-secret-that-signs-and-is-never-checked")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line)?;
        let address = ready
            .get("data")
            .and_then(serde_json::Value::as_str)
            .ok_or("no address")?
            .trim_start_matches("http://")
            .parse()?;
        Ok(Self { name: "tollgate", address, key, child })
    }

    /// nginx as a plain reverse proxy: one worker, buffering off, keep-alive on both sides.
    pub(crate) fn nginx(folder: &Path, upstream: SocketAddr) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("nginx.conf");
        let text = NGINX
            .replace("{folder}", &folder.display().to_string())
            .replace("{listen}", &address.to_string())
            .replace("{upstream}", &upstream.to_string());
        fs::write(&config, text)?;
        let child = pinned("nginx").arg("-c").arg(&config).arg("-p").arg(folder).stderr(Stdio::null()).spawn()?;
        let mut proxy = Self { name: "nginx", address, key: "unused".to_owned(), child };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return Ok(proxy);
            }
            if let Some(status) = proxy.child.try_wait()? {
                return Err(format!("nginx ended with {status}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("nginx did not start listening".into())
    }

    /// CPU time of the process and its children so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for process in self.tree()? {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                let nanos = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
                total += Duration::from_nanos(nanos);
            }
        }
        Ok(total)
    }

    /// Resident memory of the process and its children.
    pub(crate) fn resident_mb(&self) -> io::Result<u64> {
        let mut kilobytes = 0;
        for process in self.tree()? {
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
            kilobytes += line.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(kilobytes / 1_000)
    }

    fn tree(&self) -> io::Result<Vec<u32>> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        Ok(std::iter::once(own).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx's master ends its worker on SIGTERM. The gateway would wait for calls that an error here left open.
        let signal = if self.name == "nginx" { "-TERM" } else { "-KILL" };
        let _ = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Puts this process on the last core.
pub(crate) fn pin_self() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        return Err("two cores are needed: one for the proxy, one for the rest".into());
    }
    let own = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-p", "-c", &(cores - 1).to_string(), &own]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("taskset failed".into()) }
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

/// The gateway under measurement: the one just built, or another that `TOLLGATE` names.
fn tollgate() -> String {
    std::env::var("TOLLGATE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tollgate").to_owned())
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[upstream]
region = "us-east-1"
endpoint = "http://{upstream}"

[[principals]]
name = "bench"
groups = ["measured"]

[[profiles]]
name = "bench-sonnet"
arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/bench"
source = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
principals = ["bench"]

[[guardrails]]
identifier = "gr1234567890"
version = "1"
mode = "inject"
everyone = true

[[budgets]]
name = "day"
window = "day"
usd = "1000000"
everyone = true

[[budgets]]
name = "month"
window = "month"
usd = "1000000"
tokens = 1000000000000
everyone = true
"#;

const NGINX: &str = r"
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events { worker_connections 4096; }
http {
  access_log {folder}/nginx-access.log;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  client_max_body_size 25m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000;
  upstream bedrock { server {upstream}; keepalive 256; keepalive_requests 1000000; }
  server {
    listen {listen};
    location / {
      proxy_pass http://bedrock;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_buffering off;
    }
  }
}
";
