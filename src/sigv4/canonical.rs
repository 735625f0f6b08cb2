//! The canonical request of SigV4.
//!
//! For every service but S3 the canonical URI is the path **as it is on the wire**, percent-encoded once more: `%3A` in the
//! request line is `%253A` here, and a raw `:` is `%3A`. Nothing is decoded or normalised; paths that would have to be are
//! refused before they come here.

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct CanonicalRequest<'a> {
    /// `POST`, …
    pub method: &'a str,
    /// The raw path of the request line.
    pub path: &'a str,
    /// The canonical query: sorted, encoded, without a signature. Empty for every operation of `bedrock-runtime`.
    pub query: &'a str,
    /// Lower-case names and trimmed values, sorted by name.
    pub headers: &'a [(&'a str, &'a str)],
    /// The payload's SHA-256 in hexadecimal.
    pub payload_sha256: &'a str,
}

impl CanonicalRequest<'_> {
    /// The names of the signed headers, `;`-separated.
    pub fn signed_headers(&self) -> String {
        let mut names = String::with_capacity(self.headers.len() * 24);
        for (name, _) in self.headers {
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
        }
        names
    }

    /// The canonical request's text, for `signed_headers` as [`Self::signed_headers`] gave them.
    pub fn text(&self, signed_headers: &str) -> String {
        let values: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut text = String::with_capacity(self.path.len() * 2 + values + signed_headers.len() + 96);
        text.push_str(self.method);
        text.push('\n');
        push_encoded_path(&mut text, self.path);
        text.push('\n');
        text.push_str(self.query);
        text.push('\n');
        for (name, value) in self.headers {
            text.push_str(name);
            text.push(':');
            push_trimmed(&mut text, value);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(signed_headers);
        text.push('\n');
        text.push_str(self.payload_sha256);
        text
    }

    /// The SHA-256 of [`Self::text`] in hexadecimal: the last line of the string to sign.
    pub fn sha256(&self, signed_headers: &str) -> String {
        super::sha256_hex(self.text(signed_headers))
    }
}

/// Appends a raw path percent-encoded once more, byte for byte, leaving `A-Z a-z 0-9 - . _ ~ /`.
pub fn push_encoded_path(text: &mut String, path: &str) {
    push_encoded(text, path, b"-._~/");
}

/// A text as a segment of a path, or a name or value of a query or a form: all but `A-Z a-z 0-9 - . _ ~` percent-encoded.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    push_encoded(&mut encoded, text, b"-._~");
    encoded
}

fn push_encoded(text: &mut String, raw: &str, kept: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |byte| char::from(*byte));
    let mut rest = raw;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !kept.contains(&byte)) {
        let (plain, other) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(plain);
        let mut characters = other.chars();
        let mut bytes = [0; 4];
        for byte in characters.next().map(|first| first.encode_utf8(&mut bytes)).unwrap_or_default().bytes() {
            text.push('%');
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0x0f));
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
}

/// Appends a header's value without its outer spaces and with runs of inner spaces as one.
fn push_trimmed(text: &mut String, value: &str) {
    let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        text.push_str(first);
    }
    for word in words {
        text.push(' ');
        text.push_str(word);
    }
}
