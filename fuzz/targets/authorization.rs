#![no_main]
//! The `Authorization` header, the query of a presigned request, and the headers that a signature is over.

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::ask;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let (uri, authorization) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (host, date) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(uri) = std::str::from_utf8(uri) else { return };
    let uri = if uri.is_empty() { "/" } else { uri };
    ask(uri, &[("authorization", authorization), ("host", host), ("x-amz-date", date)], &"0".repeat(64));
    ask(uri, &[("x-api-key", authorization), ("x-amz-content-sha256", host)], "");
});
