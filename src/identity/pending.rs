//! An answer that many wait for. It comes even when those who asked for it have gone away: the question runs by itself.

use tokio::sync::watch;

/// A question that is under way, or has been answered.
#[derive(Clone, Debug)]
pub(super) struct Pending<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Pending<T> {
    /// Begins to ask.
    pub(super) fn start(question: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let answer = question.await;
            sender.send_replace(Some(answer));
        });
        Self(receiver)
    }

    /// Whether an answer is still to come.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.borrow().is_none() && self.0.has_changed().is_ok()
    }

    /// The answer; nothing where none will ever come, because the runtime ended or the question panicked.
    pub(super) async fn answer(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_comes_to_all_who_wait_and_without_any_who_do() {
        let (release, released) = tokio::sync::oneshot::channel::<u8>();
        let pending = Pending::start(async move { released.await.unwrap_or_default() });
        assert!(pending.is_under_way());
        drop(tokio::spawn(pending.clone().answer()));
        release.send(7).unwrap();
        let (one, other) = tokio::join!(pending.clone().answer(), pending.clone().answer());
        assert_eq!((one, other, pending.is_under_way()), (Some(7), Some(7), false));
    }

    #[test]
    fn a_question_that_ends_without_an_answer_is_not_waited_for() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let first = runtime();
        let pending = first.block_on(async { Pending::start(std::future::pending::<u8>()) });
        assert!(pending.is_under_way());
        drop(first);
        assert!(!pending.is_under_way());
        assert_eq!(runtime().block_on(pending.answer()), None);
    }
}
