//! `--exec`: a loopback listener for one program, which passes each call on to the gateway with a fresh token.
//!
//! Whatever credential the program sends is taken off. Bodies pass through as they come, in both directions.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
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
    let way = Way {
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
    let serving = tokio::spawn(serve(listener, way));
    let (program, rest) = arguments.command.split_first().context("no program to start")?;
    let mut child = tokio::process::Command::new(program)
        .args(rest)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &here)
        .env("ANTHROPIC_BEDROCK_BASE_URL", &here)
        .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &here)
        .env("AWS_BEARER_TOKEN_BEDROCK", PLACEHOLDER)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let ended = child.wait().await.context("the program cannot be waited for")?;
    serving.abort();
    Ok(ExitCode::Program(exit_code(ended)))
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
        match self.forward(request).await {
            Ok(response) => response.map(Either::Left),
            Err(reason) => {
                let text = serde_json::json!({ "message": format!("tollgate token --exec: {reason}") }).to_string();
                let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Incoming>, String> {
        let token = self.fresh().await?;
        let told = |error: &dyn std::error::Error| error.to_string();
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.base).parse().map_err(|error: http::uri::InvalidUri| told(&error))?;
        head.version = http::Version::HTTP_11;
        for name in [AUTHORIZATION, X_API_KEY, CONNECTION, UPGRADE, TRANSFER_ENCODING] {
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

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the program sends, and nobody looks at.
const PLACEHOLDER: &str = "set-by-tollgate-token";

/// Tokens are made anew this long before they end.
const AHEAD: Duration = Duration::from_secs(30);
