//! The canned upstream: answers by what the request's body asks for, with bytes made beforehand. It verifies nothing, so that
//! it costs next to nothing; the strict fake is `tollgate mock`.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::wire::{self, Framing, Io};
use crate::work::{self, Answer, Canned, Catalogue};

/// Where it listens, and what its answers are.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) clear: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) control: Arc<Control>,
    pub(crate) catalogue: Arc<Catalogue>,
}

impl Upstream {
    pub(crate) fn canned(&self, work: &work::Work) -> io::Result<Arc<Canned>> {
        self.catalogue.get(work.name).cloned().ok_or_else(|| io::Error::other("no such work"))
    }
}

/// What the bench tells its upstream while it runs, and hears of it.
pub(crate) struct Control {
    release: watch::Sender<u64>,
    /// Payload bytes written to held streams.
    held_bytes: AtomicU64,
    /// Bytes that each flood has handed to its socket.
    floods: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Control {
    /// Has all held streams come to their end.
    pub(crate) fn release(&self) {
        self.release.send_modify(|epoch| *epoch += 1);
    }

    /// Payload bytes written to held streams since this was asked last.
    pub(crate) fn take_held_bytes(&self) -> u64 {
        self.held_bytes.swap(0, Ordering::Relaxed)
    }

    /// What each flood since this was asked last has handed to its socket.
    pub(crate) fn take_floods(&self) -> Vec<u64> {
        let floods = std::mem::take(&mut *self.floods.lock().unwrap_or_else(PoisonError::into_inner));
        floods.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }

    fn flood(&self) -> Arc<AtomicU64> {
        let bytes = Arc::new(AtomicU64::new(0));
        self.floods.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&bytes));
        bytes
    }
}

/// Starts it on two free ports, one in clear and one with TLS.
pub(crate) async fn start(tls: TlsAcceptor) -> io::Result<Upstream> {
    let (in_clear, with_tls) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let control =
        Control { release: watch::Sender::new(0), held_bytes: AtomicU64::new(0), floods: Mutex::new(Vec::new()) };
    let upstream = Upstream {
        clear: in_clear.local_addr()?,
        tls: with_tls.local_addr()?,
        control: Arc::new(control),
        catalogue: work::catalogue(),
    };
    let shared = upstream.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = in_clear.accept().await {
            let upstream = shared.clone();
            tokio::spawn(async move { serve(tcp, &upstream).await });
        }
    });
    let shared = upstream.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = with_tls.accept().await {
            let (upstream, tls) = (shared.clone(), tls.clone());
            tokio::spawn(async move { serve(tls.accept(tcp).await?, &upstream).await });
        }
    });
    Ok(upstream)
}

/// Answers what comes over one connection. Whoever called sees how it ended; nobody else needs to.
async fn serve(mut io: impl Io, upstream: &Upstream) -> io::Result<()> {
    io.tcp().set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(128 * 1_024);
    while let Some(head) = wire::head(&mut io, &mut buffer).await? {
        let mut framing = head.framing;
        let Framing::Length(length) = framing else { return Err(io::Error::other("a chunked request")) };
        let mut opening = Vec::with_capacity(128);
        loop {
            let keep = |payload: &[u8]| {
                let room = 128_usize.saturating_sub(opening.len()).min(payload.len());
                opening.extend_from_slice(payload.get(..room).unwrap_or_default());
            };
            if framing.take(&mut buffer, keep)? {
                break;
            }
            if !wire::fill(&mut io, &mut buffer).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let canned = work::name_in(&opening).and_then(|name| upstream.catalogue.get(name));
        let canned = canned.ok_or_else(|| io::Error::other("no such work"))?;
        if length != canned.work.request_bytes as u64 {
            return Err(io::Error::other("a request's body came with another length"));
        }
        answer(&mut io, canned, &upstream.control).await?;
    }
    Ok(())
}

async fn answer(io: &mut impl Io, canned: &Canned, control: &Control) -> io::Result<()> {
    match canned.work.answer {
        Answer::Stream { every, .. } if !every.is_zero() => {
            io.write_all(&canned.head).await?;
            let mut ticks = tokio::time::interval(every);
            for piece in &canned.pieces {
                ticks.tick().await;
                io.write_all(piece).await?;
                io.flush().await?;
            }
            Ok(())
        }
        Answer::Json { .. } | Answer::Stream { .. } | Answer::Fault => {
            let whole = [canned.head.as_slice(), &canned.pieces.concat()].concat();
            io.write_all(&whole).await?;
            io.flush().await
        }
        Answer::Held => hold(io, canned, control).await,
        Answer::Flood { bytes } => flood(io, canned, control, bytes).await,
        Answer::Cut => {
            io.write_all(&canned.head).await?;
            for piece in canned.pieces.iter().take(2) {
                io.write_all(piece).await?;
            }
            io.flush().await?;
            Err(io::Error::other("cut, as was asked"))
        }
    }
}

async fn hold(io: &mut impl Io, canned: &Canned, control: &Control) -> io::Result<()> {
    let [start, delta, stop, end] = canned.pieces.as_slice() else { return Err(io::Error::other("not held")) };
    let mut released = control.release.subscribe();
    let sizes: Vec<u64> =
        canned.ends.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end))).collect();
    let size = |part: usize| sizes.get(part).copied().unwrap_or_default();
    io.write_all(&[canned.head.as_slice(), start].concat()).await?;
    io.flush().await?;
    let mut written = size(0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                io.write_all(delta).await?;
                io.flush().await?;
                written += size(1);
            }
            _ = released.changed() => break,
        }
    }
    io.write_all(&[stop.as_slice(), end].concat()).await?;
    io.flush().await?;
    control.held_bytes.fetch_add(written + size(2), Ordering::Relaxed);
    Ok(())
}

/// Writes on while somebody reads. The socket's own buffer is kept small, so that what has been taken is with the proxy.
async fn flood(io: &mut impl Io, canned: &Canned, control: &Control, bytes: u64) -> io::Result<()> {
    let [start, delta, end] = canned.pieces.as_slice() else { return Err(io::Error::other("no flood")) };
    SockRef::from(io.tcp()).set_send_buffer_size(16 * 1_024)?;
    let taken = control.flood();
    io.write_all(&[canned.head.as_slice(), start].concat()).await?;
    let block = delta.repeat(16);
    while taken.load(Ordering::Relaxed) < bytes {
        let mut rest = block.as_slice();
        while !rest.is_empty() {
            let count = io.write(rest).await?;
            rest = rest.get(count..).unwrap_or_default();
            taken.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
    io.write_all(end).await
}
