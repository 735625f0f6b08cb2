//! Where the chunks of a body begin and end (RFC 9112, section 7.1). The bytes stay where they are.

use super::Malformed;

/// The most bytes of a trailer section.
const LARGEST_TRAILERS: usize = 16 * 1_024;

/// Follows the framing of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Within the digits of a size, of which so many have been seen.
    Size(u64, u8),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a line of the trailer section, of which so many bytes have been seen.
    Trailer(usize),
    TrailerLine(usize),
    LastLf,
    End,
}

/// What comes next in the bytes that were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many bytes of framing come first.
    pub framing: usize,
    /// And then this.
    pub next: Next,
}

/// See [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes of the body, at least one.
    Data(usize),
    /// Nothing yet: all that was shown is framing.
    More,
    /// The last chunk's line is through; the trailer section follows.
    Trailers,
    /// The end of the body.
    End,
    /// What stands there is no chunk, nor a part of one. What framing came before it has been taken.
    Wrong(Malformed),
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size(0, 0) }
    }
}

impl Chunks {
    /// Looks at `input`, which follows what was taken before, and takes the framing and the data that it tells of.
    pub fn step(&mut self, input: &[u8]) -> Step {
        for (at, &byte) in input.iter().enumerate() {
            self.state = match (self.state, byte) {
                (State::Data(left), _) => {
                    let here = u64::try_from(input.len() - at).unwrap_or(u64::MAX).min(left);
                    self.state = if here == left { State::DataCr } else { State::Data(left - here) };
                    return Step { framing: at, next: Next::Data(usize::try_from(here).unwrap_or(usize::MAX)) };
                }
                (State::Size(_, 16), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    return wrong(at, "a chunk's size is too long");
                }
                (State::Size(size, digits), b'0'..=b'9') => State::Size(size << 4 | u64::from(byte - b'0'), digits + 1),
                (State::Size(size, digits), b'a'..=b'f') => {
                    State::Size(size << 4 | u64::from(byte - b'a' + 10), digits + 1)
                }
                (State::Size(size, digits), b'A'..=b'F') => {
                    State::Size(size << 4 | u64::from(byte - b'A' + 10), digits + 1)
                }
                (State::Size(size, 1..), b'\r') => State::SizeLf(size),
                (State::SizeLf(0), b'\n') => {
                    self.state = State::Trailer(0);
                    return Step { framing: at + 1, next: Next::Trailers };
                }
                (State::SizeLf(size), b'\n') => State::Data(size),
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataLf, b'\n') => State::Size(0, 0),
                (State::Trailer(_), b'\r') => State::LastLf,
                (State::LastLf, b'\n') => {
                    self.state = State::End;
                    return Step { framing: at + 1, next: Next::End };
                }
                (State::Trailer(seen) | State::TrailerLine(seen), _) if seen == LARGEST_TRAILERS => {
                    return wrong(at, "a trailer section is too long");
                }
                (State::TrailerLine(seen), b'\n') => State::Trailer(seen + 1),
                (State::Trailer(seen), b'!'..=b'~') | (State::TrailerLine(seen), _) => State::TrailerLine(seen + 1),
                (State::End, _) => return Step { framing: 0, next: Next::End },
                (
                    State::Size(..)
                    | State::SizeLf(_)
                    | State::DataCr
                    | State::DataLf
                    | State::Trailer(_)
                    | State::LastLf,
                    _,
                ) => return wrong(at, "no chunk"),
            };
        }
        let next = if self.state == State::End { Next::End } else { Next::More };
        Step { framing: input.len(), next }
    }

    /// Whether the last chunk is through.
    pub const fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailer(_) | State::TrailerLine(_) | State::LastLf | State::End)
    }

    /// Whether another chunk may follow what has been taken.
    pub const fn is_between(&self) -> bool {
        matches!(self.state, State::Size(_, 0))
    }
}

const fn wrong(framing: usize, what: &'static str) -> Step {
    Step { framing, next: Next::Wrong(Malformed(what)) }
}
