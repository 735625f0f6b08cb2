#![no_main]
//! `tollgate-aws-v1` tokens and short-term Bedrock keys: as they are, and with the URL that they hold.

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::ask;

fuzz_target!(|data: &[u8]| {
    ask("/", &[("authorization", &[b"Bearer tollgate-aws-v1.", data].concat())], "");
    ask("/", &[("authorization", format!("Bearer tollgate-aws-v1.{}", encode(data, b"-_")).as_bytes())], "");
    let host = [b"https://sts.us-east-1.amazonaws.com/?", data].concat();
    ask("/", &[("authorization", format!("Bearer tollgate-aws-v1.{}", encode(&host, b"-_")).as_bytes())], "");
    let host = [b"bedrock.amazonaws.com/?", data].concat();
    let padding = "=".repeat((3 - host.len() % 3) % 3);
    ask("/", &[("authorization", format!("Bearer bedrock-api-key-{}{padding}", encode(&host, b"+/")).as_bytes())], "");
});

/// Base64 without padding; the last two digits are given.
fn encode(bytes: &[u8], last: &[u8; 2]) -> String {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digit = |value: usize| char::from(*DIGITS.get(value).unwrap_or_else(|| &last[value - 62]));
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..=chunk.len() {
            text.push(digit((bits >> (18 - 6 * place)) as usize & 63));
        }
    }
    text
}
