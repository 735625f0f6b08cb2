//! What a credential looks like in the wild, and what merely resembles one.

use proptest::prelude::*;

use super::{PREFIXES, begins_prefix, excerpt, redact};

#[test]
fn credentials_are_taken_out_and_the_words_around_them_stay() {
    for (text, clean) in [
        ("key tg_4f9a8b7c6d5e4f3a2b1c was revoked", "key tg_[redacted] was revoked"),
        ("ABSKQmVkcm9ja0FQSUtleS1hYmNkLWF0LTEyMzQ1Njc4OTAxMjpzZWNyZXQ=", "ABSK[redacted]="),
        (
            "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2Fs&Version=1",
            "bedrock-api-key-[redacted]&Version=1",
        ),
        ("Authorization: Bearer opaque.token", "Authorization: Bearer [redacted]"),
        ("authorization: opaque", "authorization: [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        (
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/bedrock/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/bedrock/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=[redacted]",
        ),
        (
            "https://h/?X-Amz-Security-Token=IQoJb3%2FabcD%3D&X-Amz-Signature=00ff&X-Amz-Expires=60",
            "https://h/?X-Amz-Security-Token=[redacted]&X-Amz-Signature=[redacted]&X-Amz-Expires=60",
        ),
        ("AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1", "AKIAIOSFODNN7EXAMPLE:[redacted]"),
        (
            r#"{"secretAccessKey": "short", "sessionToken":"x"}"#,
            r#"{"secretAccessKey": "[redacted]", "sessionToken":"[redacted]"}"#,
        ),
        ("x-api-key: mine", "x-api-key: [redacted]"),
        ("user/tg_4f9a8b7c6d5e4f3a2b1c/x", "user/tg_[redacted]"),
        ("sk-ant-api03-abc", "sk-ant-[redacted]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt eyJ[redacted] end"),
    ] {
        assert_eq!(redact(text), clean);
        assert_eq!(redact(clean), clean, "twice is once");
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "",
        "claude-cli/2.1.330 (external, sdk-cli)",
        "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7 cfg/retry-mode#standard",
        "arn:aws:bedrock:eu-central-1:012345678901:application-inference-profile/a1b2c3d4e5f6",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "the token is invalid, and so is the signature",
        "maxTokens: 100, tg_sonnet, bearer of news",
        "naïve – 模型",
    ] {
        let clean = redact(text);
        // "bearer of news" is the price of looking for shapes.
        assert_eq!(clean, text.replace("bearer of", "bearer [redacted]"));
    }
}

#[test]
fn an_excerpt_is_one_short_line() {
    assert_eq!(excerpt("a\r\nb\u{1b}[31m", 100), "a  b [31m");
    assert_eq!(excerpt("模型模型", 7), "模型…");
    assert_eq!(excerpt("abc", 3), "abc");
    assert_eq!(excerpt(&"x ".repeat(1_000_000), 4), "x x …");
    assert_eq!(excerpt("1234567890 tg_4f9a8b7c6d5e4f3a2b1c", 20), "1234567890 tg_[redac…");
}

proptest! {
    #[test]
    fn no_key_survives_wherever_it_stands(
        before in "[ -~]{0,40}[ :=\"/]",
        secret in "[A-Za-z0-9]{24,60}",
        after in "[ ,\"&].{0,40}",
        limit in 0_usize..200,
    ) {
        for prefix in ["tg_", "tgs_", "tollgate-aws-v1.", "ABSK", "bedrock-api-key-"] {
            let text = format!("{before}{prefix}{secret}{after}");
            prop_assert!(!redact(&text).contains(&secret));
            let excerpt = excerpt(&text, limit);
            prop_assert!(!excerpt.contains(&secret[..12]) || text.replace(&secret, "").contains(&secret[..12]));
            prop_assert!(excerpt.len() <= limit + '…'.len_utf8());
        }
    }

    #[test]
    fn any_text_can_be_redacted_and_twice_is_once(text in any::<String>()) {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once).into_owned(), once.clone());
    }
}

#[test]
fn every_prefix_is_looked_for_where_it_begins() {
    assert!(PREFIXES.iter().all(|(prefix, _)| begins_prefix(prefix.as_bytes()[0])));
}
