//! Pages of lists, and the tokens that lead to the next one: opaque to callers, bound to the place and the question.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What was asked, in which place; the token is no good for anything else.
    question: String,
    /// After which number.
    pub(super) after: u64,
    /// When it was made, in seconds since the epoch.
    pub(super) made: u64,
}

impl Token {
    pub(super) fn new(question: &str, after: u64, made: u64) -> Self {
        Self { question: question.to_owned(), after, made }
    }

    pub(super) fn read(text: &str, question: &str) -> Option<Self> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (after, rest) = plain.split_once(' ')?;
        let (made, asked) = rest.split_once(' ')?;
        (asked == question).then_some(Self {
            question: question.to_owned(),
            after: after.parse().ok()?,
            made: made.parse().ok()?,
        })
    }

    pub(super) fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.after, self.made, self.question))
    }
}

/// The entries after a number, as many as a page takes, and the number to go on after where there are more.
pub(super) fn page<T>(entries: Vec<(u64, T)>, after: u64, size: usize) -> (Vec<T>, Option<u64>) {
    let mut rest = entries.into_iter().filter(|(number, _)| *number > after);
    let page: Vec<(u64, T)> = rest.by_ref().take(size).collect();
    let last = page.last().map(|(number, _)| *number);
    let next = last.filter(|_| rest.next().is_some());
    (page.into_iter().map(|(_, entry)| entry).collect(), next)
}
