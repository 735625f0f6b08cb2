#![no_main]
//! JSON Web Tokens: as they are, and with what is to be their header and claims before it is encoded.

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::ask;

fuzz_target!(|data: &[u8]| {
    ask("/", &[("authorization", &[b"Bearer ", data].concat())], "");
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || encode(parts.next().unwrap_or_default());
    let token = format!("Bearer {}.{}.{}", part(), part(), part());
    ask("/", &[("authorization", token.as_bytes())], "");
});

/// Base64, URL-safe and without padding.
fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
