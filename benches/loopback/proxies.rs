//! The processes under measurement: started on the first core; what they have used and hold is read from the kernel.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::bare;
use crate::load::Route;
use crate::tls::Certificate;
use crate::upstream::Upstream;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tollgate,
    Nginx,
    BareHyper,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tollgate => "tollgate",
            Self::Nginx => "nginx",
            Self::BareHyper => "bare hyper",
        }
    }
}

/// What all proxies of a run are started with.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) certificate: Certificate,
    /// Those that there are on this machine; the gateway is the first.
    pub(crate) kinds: Vec<Kind>,
}

impl Bench {
    /// Starts one of each.
    pub(crate) fn start_all(&self, security: Security) -> Result<Vec<Proxy>> {
        self.kinds.iter().map(|kind| self.start(*kind, security)).collect()
    }

    pub(crate) fn start(&self, kind: Kind, security: Security) -> Result<Proxy> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = self.folder.path().join(format!("proxy-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder)?;
        self.start_in(&folder, kind, security)
    }

    /// Starts it in a folder where one of its kind may have run before.
    pub(crate) fn start_in(&self, folder: &Path, kind: Kind, security: Security) -> Result<Proxy> {
        match kind {
            Kind::Tollgate => self.tollgate(folder, security),
            Kind::Nginx => self.nginx(folder, security),
            Kind::BareHyper => self.bare_hyper(security),
        }
    }

    /// The upstream without a proxy.
    pub(crate) fn direct(&self) -> Route {
        Route { address: self.upstream.clear, key: "unused".to_owned(), tls: None }
    }

    fn route(&self, address: SocketAddr, key: &str, security: Security) -> Result<Route> {
        let tls = match security {
            Security::Clear => None,
            Security::Tls => Some(self.certificate.connector()?),
        };
        Ok(Route { address, key: key.to_owned(), tls })
    }

    /// The gateway, with everything on.
    fn tollgate(&self, folder: &Path, security: Security) -> Result<Proxy> {
        let config = folder.join("tollgate.toml");
        let (chain, key) = (self.certificate.chain.display(), self.certificate.key.display());
        let (upstream, tls, upstream_tls) = match security {
            Security::Clear => (format!("http://{}", self.upstream.clear), String::new(), String::new()),
            Security::Tls => (
                format!("https://{}", self.upstream.tls),
                format!("[server.tls]\ncertificate = \"{chain}\"\nkey = \"{key}\""),
                format!("ca_bundle = \"{chain}\""),
            ),
        };
        let text = include_str!("tollgate.toml").replace("{upstream}", &upstream).replace("{tls}", &tls);
        fs::write(&config, text.replace("{upstream_tls}", &upstream_tls))?;
        let kept = folder.join("key");
        if !kept.exists() {
            let made = Command::new(tollgate())
                .args(["key", "create", "--principal", "bench", "--output", "json", "-c"])
                .arg(&config)
                .output()?;
            if !made.status.success() {
                return Err(String::from_utf8_lossy(&made.stderr).into());
            }
            let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
            fs::write(&kept, made.get("key").and_then(serde_json::Value::as_str).ok_or("no key was made")?)?;
        }
        let log = fs::File::create(folder.join("tollgate.log"))?;
        let mut command = pinned(&tollgate());
        command
            .args(["serve", "--output", "json", "-c"])
            .arg(&config)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "a-secret-that-signs-and-is-never-checked")
            .stderr(log);
        let (child, line, ready_after) = first_line(command)?;
        let ready: serde_json::Value = serde_json::from_str(&line)?;
        let field = |name: &str| ready.get(name).and_then(serde_json::Value::as_str);
        let address = field("tls").or_else(|| field("data")).ok_or("no address")?;
        let address = address.trim_start_matches("http://").trim_start_matches("https://").parse()?;
        let route = self.route(address, &fs::read_to_string(kept)?, security)?;
        Ok(Proxy { kind: Kind::Tollgate, route, ready_after, child })
    }

    fn nginx(&self, folder: &Path, security: Security) -> Result<Proxy> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("nginx.conf");
        let (chain, key) = (self.certificate.chain.display(), self.certificate.key.display());
        let (scheme, upstream, listen, tls, upstream_tls) = match security {
            Security::Clear => ("http", self.upstream.clear, address.to_string(), String::new(), String::new()),
            Security::Tls => (
                "https",
                self.upstream.tls,
                format!("{address} ssl"),
                format!("ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"),
                format!(
                    "proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {chain}; \
                     proxy_ssl_name localhost; proxy_ssl_server_name on;"
                ),
            ),
        };
        let text = include_str!("nginx.conf")
            .replace("{folder}", &folder.display().to_string())
            .replace("{descriptors}", &descriptor_limit().to_string())
            .replace("{listen}", &listen)
            .replace("{upstream}", &upstream.to_string())
            .replace("{scheme}", scheme)
            .replace("{upstream_tls}", &upstream_tls)
            .replace("{tls}", &tls);
        fs::write(&config, text)?;
        let start = Instant::now();
        let child = pinned("nginx").arg("-c").arg(&config).arg("-p").arg(folder).stderr(Stdio::null()).spawn()?;
        let route = self.route(address, "unused", security)?;
        let mut proxy = Proxy { kind: Kind::Nginx, route, ready_after: Duration::ZERO, child };
        while start.elapsed() < Duration::from_secs(5) {
            if TcpStream::connect(address).is_ok() {
                proxy.ready_after = start.elapsed();
                return Ok(proxy);
            }
            if let Some(status) = proxy.child.try_wait()? {
                let said = fs::read_to_string(folder.join("nginx-error.log")).unwrap_or_default();
                return Err(format!("nginx ended with {status}: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("nginx did not start listening".into())
    }

    fn bare_hyper(&self, security: Security) -> Result<Proxy> {
        let mut command = pinned(&std::env::current_exe()?.display().to_string());
        command.arg(bare::ARGUMENT);
        match security {
            Security::Clear => command.arg(self.upstream.clear.to_string()),
            Security::Tls => {
                command.arg(self.upstream.tls.to_string()).args([&self.certificate.chain, &self.certificate.key])
            }
        };
        let (child, line, ready_after) = first_line(command)?;
        let route = self.route(line.trim().parse()?, "unused", security)?;
        Ok(Proxy { kind: Kind::BareHyper, route, ready_after, child })
    }
}

/// Whether both sides of a proxy are in clear, or both have TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Clear,
    Tls,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) route: Route,
    /// From exec to when it said that it is ready, or took a connection.
    pub(crate) ready_after: Duration,
    child: Child,
}

impl Proxy {
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

    /// Resident memory of the process and its children, in kilobytes.
    pub(crate) fn resident_kb(&self) -> io::Result<u64> {
        self.status_kb("VmRSS:")
    }

    /// The most that it ever was.
    pub(crate) fn peak_kb(&self) -> io::Result<u64> {
        self.status_kb("VmHWM:")
    }

    fn status_kb(&self, field: &str) -> io::Result<u64> {
        let mut kilobytes = 0;
        for process in self.tree()? {
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
            kilobytes += line.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(kilobytes)
    }

    /// Open descriptors of the process and its children.
    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        self.tree()?.into_iter().try_fold(0, |sum, id| Ok(sum + fs::read_dir(format!("/proc/{id}/fd"))?.count()))
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
        let signal = if self.kind == Kind::Nginx { "-TERM" } else { "-KILL" };
        let _ = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Starts a program that says in its first line that it is ready, and how long that took.
fn first_line(mut command: Command) -> Result<(Child, String, Duration)> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    if line.is_empty() {
        return Err(format!("it ended before it was ready: {}", child.wait()?).into());
    }
    Ok((child, line, start.elapsed()))
}

/// Puts this process on the last core, and lets it and what it starts open as many files as this machine allows.
pub(crate) fn prepare_self() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        return Err("two cores are needed: one for the proxy, one for the rest".into());
    }
    let own = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-p", "-c", &(cores - 1).to_string(), &own]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("taskset failed".into()) }
}

/// How many files a process of this run may open.
pub(crate) fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::from(u32::MAX))
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

/// The gateway under measurement: the one just built, or another that `TOLLGATE` names.
pub(crate) fn tollgate() -> String {
    std::env::var("TOLLGATE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tollgate").to_owned())
}
