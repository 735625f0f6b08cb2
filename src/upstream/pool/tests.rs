//! The pool against upstreams on real sockets that answer byte for byte as they are told.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers each request on each connection, when `gate` lets it, with `answer`.
async fn upstream(answer: &'static [u8], gate: Arc<Semaphore>) -> Arc<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp, answer, Arc::clone(&gate)));
        }
    });
    Arc::new(Endpoint::parse(&format!("http://{address}")).unwrap())
}

async fn serve(mut tcp: TcpStream, answer: &'static [u8], gate: Arc<Semaphore>) {
    let mut seen = Vec::new();
    while tcp.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            gate.acquire().await.unwrap().forget();
            tcp.write_all(answer).await.unwrap();
        }
    }
}

fn pool(max_connections: usize, connect_timeout: Duration) -> Arc<Pool> {
    let limit = Duration::from_mins(1);
    let limits = Limits {
        max_connections,
        connect_timeout,
        first_byte_timeout: limit,
        idle_timeout: limit,
        pool_idle_timeout: limit,
    };
    Pool::new(Connector::new(None).unwrap(), limits)
}

async fn call(pool: &Arc<Pool>, endpoint: &Arc<Endpoint>) -> Result<Bytes, UpstreamError> {
    let request = Request::get("/").header("host", endpoint.authority()).body(Segments::default()).unwrap();
    let response = pool.send(endpoint, request).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn a_call_that_waits_takes_the_connection_that_another_gives_back() {
    let gate = Arc::new(Semaphore::new(0));
    let endpoint = upstream(ANSWER, Arc::clone(&gate)).await;
    let pool = pool(1, Duration::from_mins(1));
    let both = async { tokio::join!(call(&pool, &endpoint), call(&pool, &endpoint)) };
    let opening = async {
        while pool.counts().opened == 0 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
    };
    let ((one, other), ()) = tokio::join!(both, opening);
    assert_eq!((one.unwrap(), other.unwrap()), (Bytes::from_static(b"ok"), Bytes::from_static(b"ok")));
    assert_eq!(pool.counts(), PoolCounts { open: 1, opened: 1, reused: 1 });
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_endpoint() {
    let gate = Arc::new(Semaphore::new(9));
    let (one, other) = (upstream(ANSWER, Arc::clone(&gate)).await, upstream(ANSWER, gate).await);
    let pool = pool(1, Duration::from_mins(1));
    for endpoint in [&one, &other, &one] {
        call(&pool, endpoint).await.unwrap();
    }
    assert_eq!(pool.counts(), PoolCounts { open: 1, opened: 3, reused: 0 });
}

#[tokio::test]
async fn a_call_for_which_no_connection_comes_free_is_told_so() {
    let gate = Arc::new(Semaphore::new(0));
    let endpoint = upstream(ANSWER, Arc::clone(&gate)).await;
    let pool = pool(1, Duration::from_millis(50));
    let first = tokio::spawn({
        let (pool, endpoint) = (Arc::clone(&pool), Arc::clone(&endpoint));
        async move { call(&pool, &endpoint).await }
    });
    while pool.counts().opened == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(call(&pool, &endpoint).await, Err(UpstreamError::Overloaded(1))));
    gate.add_permits(1);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_follows_an_answer_uncalled_for_is_never_taken_for_the_next_one() {
    const TWO: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let endpoint = upstream(TWO, Arc::new(Semaphore::new(9))).await;
    let pool = pool(2, Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(call(&pool, &endpoint).await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn what_follows_a_large_answer_is_not_forgotten_with_its_buffer() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}HTTP/1.1 200", "a".repeat(100_000));
    let endpoint = upstream(large.leak().as_bytes(), Arc::new(Semaphore::new(9))).await;
    let pool = pool(2, Duration::from_mins(1));
    for _ in 0..2 {
        assert_eq!(call(&pool, &endpoint).await.unwrap().len(), 100_000);
    }
    assert_eq!(pool.counts(), PoolCounts { open: 0, opened: 2, reused: 0 });
}

#[tokio::test]
async fn a_connection_whose_request_was_answered_half_written_is_not_used_again() {
    // An upstream that answers what it has read the head of, and reads no more: once it waits, once it has shut the door.
    for closes in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Arc::new(Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                let _ = tcp.read(&mut [0; 1_024]).await;
                tcp.write_all(ANSWER).await.unwrap();
                if !closes {
                    open.push(tcp);
                }
            }
        });
        let pool = pool(2, Duration::from_mins(1));
        for opened in 1..3 {
            let request = Request::post("/").body(Bytes::from(vec![b'a'; 32 << 20]).into()).unwrap();
            if let Ok(response) = pool.send(&endpoint, request).await {
                assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
            }
            assert_eq!(pool.counts(), PoolCounts { open: 0, opened, reused: 0 }, "closes: {closes}");
        }
    }
}

#[tokio::test]
async fn a_task_that_has_used_its_turn_up_still_sees_that_a_connection_was_closed() {
    const ONCE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Arc::new(Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap());
    let closed = Arc::new(Notify::new());
    let told = Arc::clone(&closed);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.read(&mut [0; 1_024]).await;
            tcp.write_all(ONCE).await.unwrap();
            drop(tcp);
            told.notify_one();
        }
    });
    let pool = pool(2, Duration::from_mins(1));
    call(&pool, &endpoint).await.unwrap();
    closed.notified().await;
    // The runtime has nothing else to do meanwhile, and so sees the end of the connection.
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    poll_fn(|cx| {
        while tokio::task::coop::has_budget_remaining() {
            if let Poll::Ready(turn) = tokio::task::coop::poll_proceed(cx) {
                turn.made_progress();
            }
        }
        Poll::Ready(())
    })
    .await;
    assert_eq!(call(&pool, &endpoint).await.unwrap(), "ok");
}
