//! One connection to Bedrock: where requests go in, and what moves its bytes.
//!
//! A connection has no task of its own. Whoever waits for a response drives it, in the same task that writes to the caller: the
//! messages of one read of the socket pass on without a wake-up between any two of them, and a caller who reads slowly slows
//! the socket down. While it lies idle nobody drives it; that Bedrock has closed it meanwhile is seen when it is next wanted.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::connector::Connection;

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

impl Line {
    /// Begins HTTP/1.1 on a fresh connection.
    pub(super) async fn new(connection: Connection) -> Result<Self, hyper::Error> {
        let (sender, driver) = http1::handshake(TokioIo::new(connection)).await?;
        Ok(Self { sender, driver: Driver(Some(Box::new(driver))) })
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        self.driver.until(self.sender.try_send_request(request)).await
    }

    /// Moves the connection's bytes, as far as they go now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.driver.poll(cx);
    }

    /// Whether it has ended, as far as has been seen.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it can take a request. An end that arrived while nobody was looking is seen now.
    pub(super) async fn is_good(&mut self) -> bool {
        poll_fn(|cx| {
            self.driver.poll(cx);
            Poll::Ready(())
        })
        .await;
        !self.sender.is_closed() && self.driver.until(self.sender.ready()).await.is_ok()
    }
}

/// Moves a connection's bytes while it is polled; empty once the connection has ended.
#[derive(Debug)]
struct Driver(Option<Box<http1::Connection<TokioIo<Connection>, Full<Bytes>>>>);

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        // How a connection ended reaches whoever waits for a response on it; there is nobody else to tell.
        if let Some(connection) = &mut self.0
            && Pin::new(connection.as_mut()).poll(cx).is_ready()
        {
            self.0 = None;
        }
    }

    /// Waits for an answer of the connection's.
    async fn until<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(output) = answer.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.poll(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}
