//! `--exec`: a loopback listener for one program, which passes each call on to the gateway with a fresh token.
//!
//! The program is given an access key that is made for this run. With it SDKs sign, over plain HTTP too, where they would refuse to send
//! a bearer token; nobody verifies the signature, but whoever does not name the key is refused, because other processes and web
//! pages reach a loopback address as well. Whatever credential the program sends is taken off. Bodies pass through as they come,
//! in both directions.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::Mutex;

use super::{Arguments, Mint};
use crate::cli::{ExitCode, Streams};
use crate::upstream::{Connector, Endpoint};

/// What each call needs.
struct Way {
    mint: Mint,
    /// The newest token, and until when it is good.
    token: Mutex<Option<(String, SystemTime)>>,
    connector: Connector,
    gateway: Endpoint,
    /// What stands before every path.
    base: String,
    /// What the program has to name.
    access_key_id: String,
}

type Body = Either<Incoming, Full<Bytes>>;

pub(super) async fn run(arguments: &Arguments, mint: Mint, streams: &mut Streams<'_>) -> anyhow::Result<ExitCode> {
    let url = arguments.gateway.clone().unwrap_or_default();
    let bundle = arguments.ca_bundle.as_ref().map(std::fs::read).transpose().context("--ca-bundle cannot be read")?;
    let uri: Uri = url.parse().with_context(|| format!("--gateway {url} is no URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        writeln!(streams.err, "error: --gateway {url} is no URL, such as https://tollgate.example.com")?;
        return Ok(ExitCode::Faulty);
    };
    let gateway = Endpoint::parse(&format!("{scheme}://{authority}")).context("--gateway")?;
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).context("the system gives no randomness")?;
    let way = Way {
        access_key_id: format!("TOLLGATE{}", hex::encode_upper(random)),
        mint,
        token: Mutex::new(None),
        connector: Connector::new(bundle.as_deref()).context("--ca-bundle")?,
        gateway,
        base: uri.path().trim_end_matches('/').to_owned(),
    };
    // The first token is made before anything is started: without credentials nothing would work.
    if let Err(reason) = way.fresh().await {
        writeln!(streams.err, "error: {reason}")?;
        return Ok(ExitCode::Faulty);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free on loopback")?;
    let here = format!("http://{}", listener.local_addr()?);
    let way = Arc::new(way);
    let serving = tokio::spawn(serve(listener, Arc::clone(&way)));
    let (program, rest) = arguments.command.split_first().context("no program to start")?;
    let mut command = tokio::process::Command::new(program);
    for name in IN_THE_WAY {
        command.env_remove(name);
    }
    let mut signals = Signals::new().context("signals cannot be listened to")?;
    let mut child = command
        .args(rest)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &here)
        .env("ANTHROPIC_BEDROCK_BASE_URL", &here)
        .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &here)
        .env("AWS_ACCESS_KEY_ID", &way.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", &arguments.region)
        .env("AWS_DEFAULT_REGION", &arguments.region)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let ended = loop {
        let pid = child.id();
        tokio::select! {
            ended = child.wait() => break ended.context("the program cannot be waited for")?,
            signal = signals.next() => pass_on(signal, pid),
        }
    };
    serving.abort();
    Ok(ExitCode::Program(exit_code(ended)))
}

/// What this process is told to do, and the program is to decide.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(unix::signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, hang_up: hang_up? })
    }

    /// The next one that has to be passed on; nothing where the program has had it from the terminal itself.
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => Some(Signal::TERM),
            _ = self.hang_up.recv() => Some(Signal::HUP),
        }
    }
}

fn pass_on(signal: Option<Signal>, pid: Option<u32>) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let (Some(signal), Some(pid)) = (signal, pid)
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!(%error, "the program has ended already");
    }
}

/// The program's own, or that by which shells tell of a signal.
fn exit_code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

async fn serve(listener: TcpListener, way: Arc<Way>) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let way = Arc::clone(&way);
                async move { Ok::<_, std::convert::Infallible>(way.pass(request).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            // A program that hangs up has its reasons.
            drop(builder.serve_connection(TokioIo::new(tcp), service).await);
        });
    }
}

impl Way {
    async fn pass(&self, request: Request<Incoming>) -> Response<Body> {
        if !names(request.headers(), &self.access_key_id) {
            let reason = "this address is for the program alone that was started with it, which has its own access key in \
                          AWS_ACCESS_KEY_ID: sign with that, or send it as a bearer token";
            return refusal(StatusCode::FORBIDDEN, reason);
        }
        match self.forward(request).await {
            Ok(response) => response.map(Either::Left),
            Err(reason) => refusal(StatusCode::BAD_GATEWAY, &reason),
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Incoming>, String> {
        let token = self.fresh().await?;
        let told = |error: &dyn std::error::Error| error.to_string();
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.base).parse().map_err(|error: http::uri::InvalidUri| told(&error))?;
        head.version = http::Version::HTTP_11;
        for name in [AUTHORIZATION, CONNECTION, UPGRADE, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        for name in OF_CREDENTIALS {
            head.headers.remove(name);
        }
        let host = HeaderValue::from_str(self.gateway.authority()).map_err(|error| told(&error))?;
        head.headers.insert(HOST, host);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| told(&error))?;
        bearer.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, bearer);
        let io = self.connector.connect_to(&self.gateway).await.map_err(|error| told(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|error| told(&error))?;
        tokio::spawn(connection);
        sender.send_request(Request::from_parts(head, body)).await.map_err(|error| told(&error))
    }

    /// A token that is good for a while yet.
    async fn fresh(&self) -> Result<String, String> {
        let mut kept = self.token.lock().await;
        let soon = SystemTime::now() + AHEAD;
        if let Some((token, until)) = kept.as_ref()
            && *until > soon
        {
            return Ok(token.clone());
        }
        let (token, until) = self.mint.token().await?;
        *kept = Some((token.clone(), until));
        Ok(token)
    }
}

fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let text = serde_json::json!({ "message": format!("tollgate token --exec: {reason}") }).to_string();
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Claude Code and the SDKs of Anthropic would try for minutes, and say nothing.
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static("AccessDeniedException"));
    response
}

/// Whether a request names the access key: signed with it, or with it as a token.
fn names(headers: &HeaderMap, access_key_id: &str) -> bool {
    let of_key = headers.get(X_API_KEY).and_then(|key| key.to_str().ok());
    let authorization = headers.get(AUTHORIZATION).and_then(|text| text.to_str().ok());
    let named = authorization.and_then(|text| {
        let (scheme, rest) = text.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(rest.trim());
        }
        let credential = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
        (scheme == "AWS4-HMAC-SHA256").then(|| credential.split('/').next().unwrap_or_default())
    });
    of_key.into_iter().chain(named).any(|named| Sha256::digest(named) == Sha256::digest(access_key_id))
}

const X_API_KEY: &str = "x-api-key";

/// Headers that belong to the program's own credential.
const OF_CREDENTIALS: [&str; 4] = [X_API_KEY, "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// What the program signs with; the signature is looked at by nobody.
const SECRET: &str = "set-by-tollgate-token";

/// What would have the program take another credential than its access key, or another address. Claude Code takes the access key
/// too, unless it is told to send no credential at all.
const IN_THE_WAY: [&str; 7] = [
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_AUTH_SCHEME_PREFERENCE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
];

/// Tokens are made anew this long before they end.
const AHEAD: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_name_the_access_key_of_this_run_is_refused() {
        for (name, value, expected) in [
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=TOLLGATE0A/20261127/eu-west-1/bedrock/aws4_request, SignedHeaders=host, Signature=0",
                true,
            ),
            ("authorization", "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=TOLLGATE0A/x", true),
            ("authorization", "Bearer TOLLGATE0A", true),
            ("authorization", "bearer TOLLGATE0A", true),
            ("x-api-key", "TOLLGATE0A", true),
            ("authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/TOLLGATE0A", false),
            ("authorization", "AWS4-HMAC-SHA256 Credential=", false),
            ("authorization", "Basic TOLLGATE0A", false),
            ("authorization", "Bearer TOLLGATE0", false),
            ("authorization", "Bearer", false),
            ("x-api-key", "", false),
            ("cookie", "TOLLGATE0A", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(names(&headers, "TOLLGATE0A"), expected, "{name}: {value}");
        }
        assert!(!names(&HeaderMap::new(), "TOLLGATE0A"));
    }
}
