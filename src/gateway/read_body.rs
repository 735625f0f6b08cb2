//! The caller's body, whole, within bounds of size and time. No byte of it is read before the caller is known.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// How much of a body, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body that is read.
    pub max_bytes: usize,
    /// From the first wait to the last byte.
    pub timeout: Duration,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(usize),
    /// It did not arrive in time.
    #[error("the request body did not arrive in time")]
    Timeout,
    /// The caller stopped in the middle.
    #[error("the request body ended early")]
    Incomplete,
}

/// Reads a body to its end. One that arrives in one piece is handed on as that piece.
pub(super) async fn read_body<B>(body: B, limits: BodyLimits) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = body;
    let too_large = BodyError::TooLarge(limits.max_bytes);
    let declared = usize::try_from(body.size_hint().lower()).map_err(|_| too_large)?;
    if declared > limits.max_bytes {
        return Err(too_large);
    }
    let deadline = Instant::now() + limits.timeout;
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::Timeout)? {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > limits.max_bytes {
            return Err(too_large);
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(declared.max(first.len() + data.len()));
            whole.extend_from_slice(&first);
            first = Bytes::new();
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Reads what a refused caller is still sending, and forgets it.
///
/// A connection that is closed while data is on its way is reset by the kernel, and the reset can overtake the refusal: the
/// caller then sees a broken connection in place of the reason. So the body is read first, within bounds. One that was
/// announced with `Expect: 100-continue` has not been sent yet and is not asked for.
pub(super) async fn discard<B>(body: B, limits: BodyLimits)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = body;
    let deadline = Instant::now() + limits.timeout.min(LINGER);
    let mut left = limits.max_bytes.saturating_mul(2);
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// Product rule: the person at the keyboard sees a refusal within five seconds.
const LINGER: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { max_bytes: 10, timeout: Duration::from_secs(1) };

    /// Gives these pieces, and then ends or falls silent.
    struct Pieces(VecDeque<Vec<u8>>, Then);

    #[derive(Clone, Copy)]
    enum Then {
        End,
        Silence,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match (self.0.pop_front(), self.1) {
                (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                (None, Then::End) => Poll::Ready(None),
                (None, Then::Silence) => Poll::Pending,
            }
        }
    }

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_sent_is_what_is_read(sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..5)) {
            let whole: Vec<u8> = sent.concat();
            let read = paused().block_on(read_body(Pieces(sent.into(), Then::End), LIMITS));
            if whole.len() > 10 {
                prop_assert_eq!(read, Err(BodyError::TooLarge(10)));
            } else {
                prop_assert_eq!(read.unwrap(), whole);
            }
        }
    }

    #[test]
    fn a_body_that_falls_silent_is_given_up() {
        let silent = || Pieces(vec![vec![1], vec![2]].into(), Then::Silence);
        assert_eq!(paused().block_on(read_body(silent(), LIMITS)), Err(BodyError::Timeout));
        paused().block_on(discard(silent(), LIMITS));
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"one");
        let read = paused().block_on(read_body(http_body_util::Full::new(piece.clone()), LIMITS)).unwrap();
        assert_eq!(read.as_ptr(), piece.as_ptr());
    }
}
