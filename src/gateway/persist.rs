//! A future that is finished even when nobody waits for it any more.
//!
//! When a caller hangs up, hyper drops the future that was answering it. Past the moment at which a request has gone to
//! Bedrock that must not be the end of it: Bedrock goes on, and bills. So the rest of the way is a [`Persistent`] future:
//! dropped half-way, it moves to a task of its own. In the ordinary case it costs one allocation and no task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// See the module.
pub(super) struct Persistent<T: Send + 'static> {
    rest: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tasks: TaskTracker,
}

impl<T: Send + 'static> Persistent<T> {
    /// Once nobody waits for the future, it runs among `tasks`.
    pub(super) fn new(tasks: &TaskTracker, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { rest: Some(Box::pin(future)), tasks: tasks.clone() }
    }
}

impl<T: Send + 'static> Future for Persistent<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(rest) = self.rest.as_mut() else { return Poll::Pending };
        let output = std::task::ready!(rest.as_mut().poll(cx));
        self.rest = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for Persistent<T> {
    fn drop(&mut self) {
        if let (Some(rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) {
            // A response that nobody reads drains itself when it is dropped. It is dropped within the task, so that whoever
            // waits for the tasks waits for that drain too.
            self.tasks.spawn_on(async move { drop(rest.await) }, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_finished_after_the_caller_is_gone() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let tasks = TaskTracker::new();
        let mut begun = Persistent::new(&tasks, async move {
            let _ = gone.await;
            let _ = done.send("finished");
        });
        assert!(matches!(poll_once(&mut begun).await, Poll::Pending));
        drop(begun);
        go.send(()).unwrap();
        tasks.close();
        tasks.wait().await;
        assert_eq!(finished.await, Ok("finished"));
    }

    async fn poll_once<T: Send>(future: &mut Persistent<T>) -> Poll<T> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
    }
}
