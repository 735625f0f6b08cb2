//! The facts of a body, family by family, and of bodies that nobody can read.

use super::*;
use crate::bedrock::json::Fault;
use proptest::prelude::*;

fn converse(body: &str) -> RequestFacts {
    RequestFacts::read(Operation::Converse, body.as_bytes())
}

fn invoke(body: &str) -> RequestFacts {
    RequestFacts::read(Operation::InvokeModelWithResponseStream, body.as_bytes())
}

fn model(text: &str) -> ModelId {
    text.parse().unwrap()
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

#[test]
fn each_family_says_by_its_own_name_how_long_an_answer_may_be() {
    for (body, name, tokens) in [
        (r#"{"max_tokens":32000,"messages":[]}"#, CLAUDE, Some(32_000)),
        (r#"{"max_tokens_to_sample":300,"prompt":"x"}"#, "anthropic.claude-v2", Some(300)),
        (r#"{"inferenceConfig":{"maxTokens":10}}"#, "amazon.nova-lite-v1:0", Some(10)),
        (r#"{"inferenceConfig":{"max_new_tokens":11}}"#, "us.amazon.nova-pro-v1:0", Some(11)),
        (r#"{"inferenceConfig":{"maxTokens":10,"max_new_tokens":11}}"#, "amazon.nova-lite-v1:0", Some(11)),
        (r#"{"textGenerationConfig":{"maxTokenCount":12}}"#, "amazon.titan-text-express-v1", Some(12)),
        (r#"{"max_gen_len":13}"#, "meta.llama3-8b-instruct-v1:0", Some(13)),
        (r#"{"max_tokens":14}"#, "mistral.mistral-7b-instruct-v0:2", Some(14)),
        (r#"{"max_tokens":15}"#, "cohere.command-r-v1:0", Some(15)),
        (r#"{"max_tokens":15,"num_generations":3}"#, "cohere.command-text-v14", Some(45)),
        (r#"{"maxTokens":16,"numResults":2}"#, "ai21.j2-mid-v1", Some(32)),
        (r#"{"max_tokens":16,"n":4}"#, "ai21.jamba-1-5-mini-v1:0", Some(64)),
        (r#"{"max_tokens":17}"#, "deepseek.r1-v1:0", Some(17)),
        (r#"{"max_tokens":17,"max_completion_tokens":18}"#, "openai.gpt-oss-20b-1:0", Some(18)),
        (r#"{"max_tokens":17,"max_completion_tokens":18}"#, "mistral.mistral-large-2407-v1:0", Some(18)),
        // A name that the model ignores limits nothing.
        (r#"{"max_completion_tokens":1}"#, "deepseek.r1-v1:0", None),
        (r#"{"max_tokens":1}"#, "meta.llama3-8b-instruct-v1:0", None),
        (r#"{"max_gen_len":1}"#, CLAUDE, None),
        (r#"{"maxTokens":1}"#, "ai21.jamba-1-5-mini-v1:0", None),
        (r#"{"max_tokens":1}"#, "amazon.nova-lite-v1:0", None),
        (r#"{"maxTokens":1,"inferenceConfig":[]}"#, "amazon.nova-lite-v1:0", None),
        (r#"{"max_tokens":1}"#, "somebody.new-model-v1:0", None),
        (r#"{"Max_tokens":1}"#, CLAUDE, None),
        (r#"{"metadata":{"max_tokens":1}}"#, CLAUDE, None),
        (r#"{"max_tokens":15,"num_generations":"3"}"#, "cohere.command-text-v14", None),
    ] {
        assert_eq!(invoke(body).max_output_tokens(&model(name)), tokens, "{body} to {name}");
    }
}

#[test]
fn a_converse_body_says_it_alike_for_every_model() {
    for (body, tokens) in [
        (r#"{"inferenceConfig":{"maxTokens":500}}"#, Some(500)),
        (r#"{"inferenceConfig":{"temperature":1,"maxTokens" : 5}}"#, Some(5)),
        (r#"{"inferenceConfig":{"max\u0054okens":6}}"#, Some(6)),
        (r#"{"inferenceConfig":{}}"#, None),
        (r#"{"inferenceConfig":null}"#, None),
        (r#"{"maxTokens":5}"#, None),
        (r#"{"messages":[{"inferenceConfig":{"maxTokens":5}}]}"#, None),
        (r#"{"inferenceConfig":{"maxTokens":5},"additionalModelRequestFields":{"top_k":10}}"#, Some(5)),
        // Whether these overrule it is Bedrock's secret.
        (r#"{"inferenceConfig":{"maxTokens":5},"additionalModelRequestFields":{"max_tokens":9000}}"#, None),
        (
            r#"{"inferenceConfig":{"maxTokens":5},"additionalModelRequestFields":{"inferenceConfig":{"max_new_tokens":9}}}"#,
            None,
        ),
        // Twice is unreadable, hence the worst case.
        (r#"{"inferenceConfig":{"maxTokens":5,"max\u0054okens":9000}}"#, None),
        (r#"{"inferenceConfig":{"maxTokens":5},"inferenceConfi\u0067":{"maxTokens":9000}}"#, None),
    ] {
        assert_eq!(converse(body).max_output_tokens(&model(CLAUDE)), tokens, "{body}");
    }
}

#[test]
fn numbers_are_read_leniently_and_absurd_ones_are_none() {
    for (number, tokens) in [
        ("1", Some(1)),
        ("100.0", Some(100)),
        ("1e2", Some(100)),
        ("99.5", Some(100)),
        ("10000000", Some(10_000_000)),
        ("10000001", None),
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("-0", None),
        ("1e400", None),
        ("184467440737095516160", None),
        ("\"100\"", None),
        ("null", None),
        ("true", None),
        ("[100]", None),
        ("{}", None),
    ] {
        let body = format!("{{\"max_tokens\":{number}}}");
        assert_eq!(invoke(&body).max_output_tokens(&model(CLAUDE)), tokens, "{body}");
    }
}

#[test]
fn an_hour_in_the_cache_is_seen_wherever_it_is_asked_for() {
    use CacheWrites::{FiveMinutes, None as Nothing, OneHour};
    for (facts, cache) in [
        (converse(r#"{"messages":[{"role":"user","content":[{"text":"ttl"}]}]}"#), Nothing),
        (converse(r#"{"system":[{"text":"x"},{"cachePoint":{"type":"default"}}]}"#), FiveMinutes),
        (converse(r#"{"system":[{"cachePoint":{"type":"default","ttl":"1h"}}]}"#), OneHour),
        (converse(r#"{"system":[{"cachePoint":{"type":"default","ttl":"5m"}}]}"#), FiveMinutes),
        (converse(r#"{"toolConfig":{"tools":[{"cachePoint":{"ttl":"1\u0068"}}]}}"#), OneHour),
        (converse(r#"{"messages":[{"content":[{"cachePoint":{"\u0074tl":"1h"}}]}]}"#), OneHour),
        (converse(r#"{"messages":[{"content":[{"cachePoint":{"ttl":"24h"}}]}]}"#), OneHour),
        (converse(r#"{"additionalModelRequestFields":{"cache_control":{"ttl":"1h"}}}"#), OneHour),
        (converse(r#"{"messages":[{"content":[{"toolUse":{"input":{"ttl":"1h"}}}]}]}"#), Nothing),
        (converse(r#"{"toolConfig":{"tools":[{"inputSchema":{"ttl":{"type":"string"}}}]}}"#), Nothing),
        (invoke(r#"{"system":[{"cache_control":{"type":"ephemeral"}}]}"#), FiveMinutes),
        (invoke(r#"{"system":[{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#), OneHour),
        (invoke(r#"{"tools":[{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#), OneHour),
        (
            invoke(r#"{"messages":[{"content":[{"type":"tool_result","content":[{"cache_control":{"ttl":"1h"}}]}]}]}"#),
            OneHour,
        ),
        (invoke(r#"{"cache_control":{"ttl":"1h"}}"#), OneHour),
        (invoke("{"), OneHour),
    ] {
        assert_eq!(facts.cache_writes(), cache, "{facts:?}");
    }
}

#[test]
fn what_is_no_text_is_counted_and_an_image_weighs_no_text() {
    let media = |images, documents, referenced| Media { images, documents, referenced };
    for (facts, counted, image_bytes) in [
        (converse(r#"{"messages":[{"content":[{"text":"image"}]}]}"#), media(0, 0, 0), 0),
        (
            converse(r#"{"messages":[{"content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}]}"#),
            media(1, 0, 0),
            6,
        ),
        (converse(r#"{"messages":[{"content":[{"document":{"source":{"bytes":"AAAA"}}}]}]}"#), media(0, 1, 0), 0),
        (
            converse(r#"{"messages":[{"content":[{"video":{"source":{"s3Location":{"uri":"s3://b/k"}}}}]}]}"#),
            media(0, 1, 1),
            0,
        ),
        (
            converse(
                r#"{"messages":[{"content":[{"toolResult":{"content":[{"image":{"source":{"bytes":"AA=="}}}]}}]}]}"#,
            ),
            media(1, 0, 0),
            6,
        ),
        (
            invoke(r#"{"messages":[{"content":[{"source":{"data":"AAAA","type":"base64"},"type":"image"}]}]}"#),
            media(1, 0, 0),
            6,
        ),
        (invoke(r#"{"messages":[{"content":[{"type":"document","source":{"data":"AAAA"}}]}]}"#), media(0, 1, 0), 0),
        (
            invoke(r#"{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://x"}}]}]}"#),
            media(1, 0, 1),
            0,
        ),
        (
            invoke(r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:…"}}]}]}"#),
            media(1, 0, 0),
            0,
        ),
        (
            invoke(
                r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"data":"A"}}]}]}]}"#,
            ),
            media(1, 0, 0),
            3,
        ),
        (invoke(r#"{"images":["AAAA","BBBB"],"prompt":"x"}"#), media(2, 0, 0), 0),
        // Text cannot be hidden as an image that is none.
        (invoke(r#"{"messages":[{"content":[{"type":"text","source":{"data":"AAAA"}}]}]}"#), media(0, 0, 0), 0),
        (
            invoke(r#"{"messages":[{"content":[{"type":"tool_use","input":{"source":{"data":"A"}}}]}]}"#),
            media(0, 0, 0),
            0,
        ),
    ] {
        assert_eq!((facts.media(), facts.body_bytes() - facts.text_bytes()), (counted, image_bytes), "{facts:?}");
    }
}

#[test]
fn latency_is_standard_where_nothing_else_is_asked_for() {
    for (body, latency) in [
        ("{}", Latency::Standard),
        (r#"{"performanceConfig":{"latency":"standard"}}"#, Latency::Standard),
        (r#"{"performanceConfig":{}}"#, Latency::Standard),
        (r#"{"performanceConfig":{"latency":"optimized"}}"#, Latency::Optimized),
        (r#"{"performance\u0043onfig":{"latency":"optimi\u007aed"}}"#, Latency::Optimized),
        (r#"{"performanceConfig":{"latency":["optimized"]}}"#, Latency::Optimized),
    ] {
        assert_eq!(converse(body).latency(), latency, "{body}");
    }
}

#[test]
fn the_tier_is_the_one_asked_for_or_the_dearest() {
    for (body, tier) in [
        ("{}", None),
        (r#"{"serviceTier":{"type":"flex"}}"#, Some(ServiceTier::Flex)),
        (r#"{"serviceTier":{"type":"default"}}"#, Some(ServiceTier::Default)),
        (r#"{"serviceTier":{"type":"lightspeed"}}"#, Some(ServiceTier::Priority)),
        (r#"{"serviceTier":{"type":7}}"#, Some(ServiceTier::Priority)),
        (r#"{"serviceTier":null}"#, None),
    ] {
        assert_eq!(converse(body).tier(), tier, "{body}");
    }
    assert_eq!(invoke(r#"{"serviceTier":{"type":"flex"}}"#).tier(), None);
    for (body, tier) in [
        (r#"{"service_tier":"priority"}"#, Some(ServiceTier::Priority)),
        (r#"{"service_tier":["flex"]}"#, Some(ServiceTier::Priority)),
        (r#"{"service_tier":"flex"}"#, None),
        (r#"{"service_tier":null}"#, None),
    ] {
        assert_eq!(invoke(body).tier(), tier, "{body}");
    }
}

#[test]
fn a_body_that_cannot_be_read_gives_the_worst_case() {
    for body in [
        &b""[..],
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{\"max_tokens\":1}",
        b"[{\"max_tokens\":1}]",
        b"{\"max_tokens\":1} trailing",
        b"{\"max_tokens\":1,\"max_tokens\":9}",
        b"{\"max_tokens\":1,\"messages\":[{\"content\":[],\"content\":[]}]}",
        b"\"text\"",
    ] {
        let facts = RequestFacts::read(Operation::InvokeModel, body);
        assert!(facts.guard_fields().is_err(), "{body:?}");
        assert_eq!((facts.body_bytes(), facts.text_bytes()), (body.len(), body.len()));
        assert_eq!((facts.max_output_tokens(&model(CLAUDE)), facts.cache_writes()), (None, CacheWrites::OneHour));
        assert_eq!((facts.tier(), facts.media().referenced), (Some(ServiceTier::Priority), u32::MAX));
    }
    assert_eq!(invoke("[]").guard_fields().unwrap_err().fault, Fault::NotAnObject);
}

#[test]
fn operations_that_generate_nothing_are_not_read() {
    for operation in [Operation::CountTokens, Operation::ApplyGuardrail] {
        let facts = RequestFacts::read(operation, b"{\"input\":");
        assert_eq!((facts.guard_fields().is_ok(), facts.body_bytes()), (true, 9));
        assert_eq!(facts.max_output_tokens(&model(CLAUDE)), Some(0));
    }
}

#[test]
fn guard_content_is_found_wherever_bedrock_could_read_it_and_not_in_the_callers_own_data() {
    for (body, found) in [
        (r#"{"messages":[{"content":[{"guardContent":{"text":{"text":"x"}}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"text":"a"},{"gu\u0061rdContent":null}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"GuardContent":{}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"guardContent":{}}]}"#, GuardContent::Present),
        (r#"{"messages":{"content":{"guardContent":{}}}}"#, GuardContent::Present),
        (r#"{"messages":[[{"guardContent":{}}]]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"text":{"guardContent":{}}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"toolResult":{"content":[{"guardContent":{}}]}}]}]}"#, GuardContent::Present),
        (
            r#"{"messages":[{"content":[{"toolResult":{"content":{"json":{"guardContent":{}}}}}]}]}"#,
            GuardContent::Present,
        ),
        (r#"{"messages":[{"content":[{"json":{"guardContent":{}}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"input":{"guardContent":{}}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"image":{"source":{"guardContent":{}}}}]}]}"#, GuardContent::Present),
        (r#"{"system":[{"guardContent":{"text":{"text":"x"}}}]}"#, GuardContent::Present),
        (r#"{"system":{"guardContent":{}}}"#, GuardContent::Present),
        (r#"{"Messages":[{"content":[{"guardContent":{}}]}]}"#, GuardContent::Present),
        (r#"{"messages":[{"content":[{"text":"guardContent"}]}]}"#, GuardContent::Absent),
        (r#"{"messages":[{"content":[{"toolUse":{"input":{"guardContent":{}}}}]}]}"#, GuardContent::Absent),
        (
            r#"{"messages":[{"content":[{"toolResult":{"content":[{"json":{"guardContent":{}}}]}}]}]}"#,
            GuardContent::Absent,
        ),
        (
            r#"{"toolConfig":{"tools":[{"toolSpec":{"inputSchema":{"json":{"guardContent":{}}}}}]}}"#,
            GuardContent::Absent,
        ),
        (r#"{"requestMetadata":{"guardContent":"x"}}"#, GuardContent::Absent),
    ] {
        assert_eq!(converse(body).guard_fields().unwrap().guard_content, found, "{body}");
    }
}

#[test]
fn duplicates_are_found_at_every_level_that_matters_and_left_alone_elsewhere() {
    for (facts, twice) in [
        (converse(r#"{"guardrailConfig":{},"guardrailC\u006fnfig":{}}"#), true),
        (converse(r#"{"guardrailConfig":{"guardrailVersion":"1","guardrailVersion":"2"}}"#), true),
        (converse(r#"{"inferenceConfig":{"maxTokens":1,"maxTokens":2}}"#), true),
        (converse(r#"{"messages":[{"role":"user","role":"user"}]}"#), true),
        (converse(r#"{"messages":[{"content":[{"text":"a","te\u0078t":"b"}]}]}"#), true),
        (converse(r#"{"messages":[{"content":[{"toolResult":{"content":[{"text":"a","text":"b"}]}}]}]}"#), true),
        (converse(r#"{"messages":[{"content":[{"toolUse":{"input":{},"input":{}}}]}]}"#), true),
        (converse(r#"{"system":[{"text":"a","text":"b"}]}"#), true),
        (converse(r#"{"serviceTier":{"type":"flex","type":"priority"}}"#), true),
        (converse(r#"{"toolConfig":{"tools":[],"tools":[]}}"#), false),
        (converse(r#"{"messages":[{"content":[{"toolUse":{"input":{"a":1,"a":2}}}]}]}"#), false),
        (invoke(r#"{"amazon-bedrock-guardrailConfig":{},"amazon-bedrock-guardrailConfig":{}}"#), true),
        (invoke(r#"{"amazon-bedrock-guardrailConfig":{"tagSuffix":"a","tagSuffix":"b"}}"#), true),
        (invoke(r#"{"max_tokens":1,"max_tokens":2}"#), true),
        (invoke(r#"{"messages":[{"content":[{"type":"text","type":"image"}]}]}"#), true),
        (invoke(r#"{"tools":[{"name":"a","name":"b"}]}"#), false),
    ] {
        let fault = facts.guard_fields().err().map(|error| error.fault);
        assert_eq!(fault, twice.then_some(Fault::DuplicateMember), "{facts:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(body in prop::collection::vec(any::<u8>(), 0..64)) {
        for operation in Operation::ALL {
            prop_assert_eq!(RequestFacts::read(operation, &body).body_bytes(), body.len());
        }
    }
}

#[test]
fn pieces_are_bounded_by_the_request() {
    let long = "x".repeat(600);
    for (body, images, queries, why) in [
        (r"{}".to_owned(), 1, 1, "an image model makes one, a reranker charges one"),
        (r#"{"imageGenerationConfig":{"numberOfImages":4,"width":512}}"#.to_owned(), 4, 1, "Titan and Nova Canvas"),
        (r#"{"imageGenerationConfig":{"numberOfImages":"4"}}"#.to_owned(), 10, 1, "no number: the most"),
        (r#"{"imageGenerationConfig":{"numberOfImages":null}}"#.to_owned(), 1, 1, "null says nothing"),
        (r#"{"samples":3,"imageGenerationConfig":{"numberOfImages":2}}"#.to_owned(), 3, 1, "the larger"),
        (format!(r#"{{"documents":[{}]}}"#, ["\"a\""; 100].join(",")), 1, 1, "a hundred documents are one query"),
        (format!(r#"{{"documents":[{}]}}"#, ["\"a\""; 101].join(",")), 1, 2, "one more are two"),
        (format!(r#"{{"documents":[{}]}}"#, vec![format!("\"{long}\""); 40].join(",")), 1, 2, "long ones are several"),
        (format!(r#"{{"documents":[{}]}}"#, [r#"{"text":"a"}"#; 201].join(",")), 1, 3, "objects are documents too"),
    ] {
        let facts = RequestFacts::read(Operation::InvokeModel, body.as_bytes());
        assert_eq!((facts.images_made(), facts.queries()), (images, queries), "{why}: {body}");
    }
    let unreadable = RequestFacts::read(Operation::InvokeModel, &[b'['; 3_000]);
    assert_eq!((unreadable.images_made(), unreadable.queries()), (10, 11));
}
