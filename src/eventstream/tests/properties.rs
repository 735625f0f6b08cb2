//! What holds for every stream, and for bytes that are none.

use proptest::prelude::*;

use super::*;

fn oracle_value() -> impl Strategy<Value = OracleValue> {
    prop_oneof![
        any::<bool>().prop_map(OracleValue::Bool),
        any::<i8>().prop_map(OracleValue::Byte),
        any::<i16>().prop_map(OracleValue::Int16),
        any::<i32>().prop_map(OracleValue::Int32),
        any::<i64>().prop_map(OracleValue::Int64),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| OracleValue::ByteArray(bytes.into())),
        ".{0,20}".prop_map(|text| OracleValue::String(text.into())),
        (-1_000_000_000_000_i64..4_000_000_000_000)
            .prop_map(|millis| OracleValue::Timestamp(DateTime::from_millis(millis))),
        any::<u128>().prop_map(OracleValue::Uuid),
    ]
}

fn oracle_message() -> impl Strategy<Value = OracleMessage> {
    let header = ("[:a-z-]{1,20}", oracle_value()).prop_map(|(name, value)| OracleHeader::new(name, value));
    (prop::collection::vec(header, 0..5), prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(headers, payload)| OracleMessage::new_from_parts(headers, Bytes::from(payload)))
}

/// Cuts `bytes` into chunks of the given lengths, again and again; empty chunks occur.
fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut chunks) = (bytes, Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

proptest! {
    #[test]
    fn what_the_aws_crate_wrote_is_read_alike_whatever_the_chunks(
        messages in prop::collection::vec(oracle_message(), 0..6),
        mut lengths in prop::collection::vec(0_usize..90, 1..6),
    ) {
        lengths.push(13);
        let stream: Vec<u8> = messages.iter().flat_map(encode).collect();
        let mut splitter = Splitter::new();
        let (seen, outcome) = feed_all(&mut splitter, cut(&stream, &lengths));
        prop_assert_eq!(outcome, Ok(()));
        prop_assert!(splitter.is_at_boundary());
        prop_assert_eq!(seen, messages.iter().map(of_oracle).collect::<Vec<_>>());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 1_usize..50) {
        let mut splitter = Splitter::new();
        for chunk in bytes.chunks(length) {
            let _ = splitter.feed(chunk, |message| assert!(message.headers().count() <= bytes.len()));
        }
    }

    #[test]
    fn random_header_blocks_end_without_a_panic(block in prop::collection::vec(any::<u8>(), 0..100)) {
        let bytes = with_header_block(&block);
        let mut shown = 0;
        Splitter::new().feed(&bytes, |message| {
            let headers: Vec<_> = message.headers().collect();
            assert!(headers.iter().rev().skip(1).all(Result::is_ok), "only the last can be an error");
            shown += 1;
        }).unwrap();
        prop_assert_eq!(shown, 1);
    }

    #[test]
    fn random_bodies_behind_a_true_prelude_are_split_like_the_oracle_does(
        body in prop::collection::vec(any::<u8>(), 0..100),
        headers_len in 0_u32..120,
        lie in -3_i64..4,
    ) {
        let total = u32::try_from((i64::try_from(body.len()).unwrap() + 16 + lie).max(0)).unwrap();
        let bytes = forged(total, headers_len, &body);
        let mut shown = Vec::new();
        let outcome = Splitter::new().feed(&bytes, |message| {
            shown.push((message.headers().all(|header| header.is_ok()), message.payload().to_vec()));
        });
        if let Ok(oracle) = read_message_from(Bytes::from(bytes)) {
            // A length that is too small leaves bytes behind the message, which are none.
            prop_assert!(outcome.is_ok() || lie < 0);
            prop_assert_eq!(&shown[0].1, &oracle.payload().to_vec());
        } else {
            prop_assert!(outcome.is_err() || shown.iter().all(|(readable, _)| !readable));
        }
    }
}
