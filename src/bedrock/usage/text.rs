//! The name, word or number at hand, while a document is scanned: a small buffer that never grows.

/// A name, word or number, kept as long as it could still be one that is known.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; MAX_TEXT],
    len: usize,
    overlong: bool,
}

/// The longest name on the map has 32 bytes.
const MAX_TEXT: usize = 48;

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; MAX_TEXT], len: 0, overlong: false }
    }
}

impl Text {
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.overlong = false;
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        match self.bytes.get_mut(self.len..end) {
            Some(room) if !self.overlong => {
                room.copy_from_slice(more);
                self.len = end;
            }
            _ => self.overlong = true,
        }
    }

    /// A character from an escape. Half of a surrogate pair stands in no text that is known, so such a text counts as overlong.
    pub(super) fn push_char(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(char) => self.push(char.encode_utf8(&mut [0; 4]).as_bytes()),
            None => self.overlong = true,
        }
    }

    /// The text; `None` if it is longer than any that is known.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        if self.overlong { None } else { self.bytes.get(..self.len) }
    }
}
