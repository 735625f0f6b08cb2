//! HTTP/2 frames written by hand, for what no library client does: a GOAWAY as soon as the answer's head is there.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::in_time;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of a header block, literal and not indexed, its name and value in plain text.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        // HPACK's integers: seven bits, then seven more a byte.
        match text.len() {
            short @ 0..127 => block.push(u8::try_from(short).unwrap()),
            long => {
                block.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128 + 128).unwrap());
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
        }
        block.extend_from_slice(text.as_bytes());
    }
}

/// POSTs with prior knowledge of HTTP/2, sends GOAWAY as soon as the response headers are there, and reads the stream on.
/// Gives the response's body, or the frame that ended it early.
pub(crate) async fn post_then_goaway(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Vec<u8>, String> {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // A window of 2^31 - 1 for the stream and as much more for the connection: nothing to update later.
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let window = frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let mut block = Vec::new();
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", path)] {
        field(&mut block, name, value);
    }
    for (name, value) in headers {
        field(&mut block, name, value);
    }
    let request = [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, body)].concat();
    tcp.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &window, &request].concat())
        .await
        .unwrap();
    let mut answer = Vec::new();
    loop {
        let mut head = [0; 9];
        in_time(tcp.read_exact(&mut head)).await.map_err(|error| error.to_string())?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        in_time(tcp.read_exact(&mut payload)).await.map_err(|error| error.to_string())?;
        match (kind, u32::from_be_bytes(stream)) {
            (SETTINGS, _) if flags & ACK == 0 => tcp.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap(),
            (PING, _) if flags & ACK == 0 => tcp.write_all(&frame(PING, ACK, 0, &payload)).await.unwrap(),
            // Last stream 0 (the server opened none), no error.
            (HEADERS, 1) => tcp.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await.unwrap(),
            (DATA, 1) => {
                answer.extend_from_slice(&payload);
                if flags & END_STREAM != 0 {
                    return Ok(answer);
                }
            }
            (RST_STREAM, 1) => return Err(format!("RST_STREAM {payload:?} after {} bytes", answer.len())),
            _ => {}
        }
    }
}
