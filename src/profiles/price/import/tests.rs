//! Lists cut out of LiteLLM's, and lists in the form of AWS's.

use proptest::prelude::*;

use super::*;
use crate::profiles::price::{PriceRow, PriceTable};

const LITELLM: &str = include_str!("../../../../tests/fixtures/prices/litellm.json");
const AWS: &str = include_str!("../../../../tests/fixtures/prices/aws-bedrock.json");
const MARKETPLACE: &str = include_str!("../../../../tests/fixtures/prices/aws-foundation-models.json");

fn read(text: &str) -> Imported {
    Imported::read(text, &PriceList::shipped().unwrap(), "2026-11-27").unwrap()
}

fn left(imported: &Imported) -> Vec<String> {
    imported.left.iter().map(|left| format!("{}: {}", left.what, left.why)).collect()
}

#[test]
fn what_is_shipped_is_what_was_written() {
    let shipped = PriceList::shipped().unwrap();
    assert_eq!(shipped.text().unwrap(), include_str!("../bedrock-prices.json"));
    let again = read(&shipped.text().unwrap());
    assert_eq!((&again.list, again.whole), (&shipped, true));
    assert_eq!(shipped.differences(&again.list), []);
}

#[test]
fn rows_of_litellm_are_those_that_are_shipped() {
    let (imported, shipped) = (read(LITELLM), PriceList::shipped().unwrap());
    let ids: Vec<_> = imported.list.rows().map(|(region, id, _)| (region, id)).collect();
    assert_eq!(
        ids,
        [
            (None, "amazon.nova-2-lite-v1:0"),
            (None, "amazon.nova-lite-v1:0"),
            (None, "amazon.titan-embed-image-v1"),
            (None, "amazon.titan-embed-text-v2:0"),
            (None, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (None, "cohere.rerank-v3-5:0"),
            (None, "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (None, "openai.gpt-oss-20b-1:0"),
            (None, "stability.sd3-large-v1:0"),
            (None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (Some("us-east-1"), "anthropic.claude-v1"),
        ]
    );
    for (region, id, row) in imported.list.rows() {
        assert_eq!(Some(row), shipped.row(region, id), "{id}");
    }
    assert_eq!((&imported.list.guardrail, imported.list.taken.as_str()), (&shipped.guardrail, "2026-11-27"));
    assert_eq!(
        left(&imported),
        [
            "twelvelabs.pegasus-1-2-v1:0: input_cost_per_video_per_second is no price by the token, the image or the query"
        ]
    );
}

#[test]
fn an_image_costs_what_the_dearest_of_its_sizes_costs() {
    let list = |id: &str, price: &str| {
        format!(r#""{id}":{{"litellm_provider":"bedrock","mode":"image_generation","output_cost_per_image":{price}}}"#)
    };
    for (rows, id, dearest, why) in [
        (vec![("stability.sd3-large-v1:0", "0.08")], "stability.sd3-large-v1:0", "0.08", "its only price"),
        (vec![("amazon.nova-canvas-v1:0", "0.06")], "amazon.nova-canvas-v1:0", "0.08", "AWS has a dearer size"),
        (vec![("us.amazon.nova-canvas-v1:0", "0.09")], "us.amazon.nova-canvas-v1:0", "0.09", "dearer than all known"),
        (
            vec![("stability.a-v1", "4e-2"), ("1024-x-1024/max-steps/stability.a-v1", "0.07")],
            "stability.a-v1",
            "0.07",
            "a row for a size",
        ),
        (
            vec![("stability.a-v1", "0.04"), ("1024-x-1024/max-steps/stability.a-v11", "0.07")],
            "stability.a-v1",
            "0.04",
            "a row of another model",
        ),
    ] {
        let rows: Vec<_> = rows.into_iter().map(|(id, price)| list(id, price)).collect();
        let imported = read(&format!("{{{}}}", rows.join(",")));
        let row = imported.list.row(None, id).unwrap();
        assert_eq!(row.per_image.as_deref(), Some(dearest), "{why}");
        assert_eq!((row.input.as_str(), row.output.as_str(), row.max_output), ("0", "0", Some(0)), "{why}");
    }
}

#[test]
fn a_whole_list_takes_the_place_of_the_other_and_a_partial_one_is_added() {
    let shipped = PriceList::shipped().unwrap();
    let whole = shipped.updated(&read(LITELLM));
    assert_eq!(whole.rows().count(), 11);
    // A row that is there and is not understood stays as it was.
    let strange = LITELLM.replacen(
        "\"input_cost_per_token\"",
        "\"input_cost_per_token_above_1m_tokens\": 1, \"input_cost_per_token\"",
        1,
    );
    let imported = read(&strange);
    assert_eq!(
        left(&imported)[0],
        "amazon.nova-lite-v1:0: input_cost_per_token_above_1m_tokens is no price that is known"
    );
    let updated = shipped.updated(&imported);
    assert_eq!(updated.models["amazon.nova-lite-v1:0"], shipped.models["amazon.nova-lite-v1:0"]);
    let partial = shipped.updated(&read(AWS));
    assert_eq!(partial.models, shipped.models);
    let changed = shipped.differences(&partial);
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].region.as_deref(), changed[0].model.as_str()), (Some("us-east-1"), "amazon.nova-lite-v1:0"));
    assert_eq!(partial.guardrail, shipped.guardrail);
    PriceTable::from_json(&partial.text().unwrap()).unwrap();
}

#[test]
fn prices_of_a_region_are_read_from_aws_and_nothing_is_guessed() {
    let imported = read(AWS);
    let rows: Vec<_> = imported.list.rows().collect();
    assert_eq!(rows.len(), 1);
    let (region, id, row) = rows[0];
    assert_eq!((region, id), (Some("us-east-1"), "amazon.nova-lite-v1:0"));
    assert_eq!(
        (row.input.as_str(), row.output.as_str(), row.cache_read.as_deref()),
        ("0.066", "0.264", Some("0.0165"))
    );
    let flex = row.flex.as_ref().unwrap();
    assert_eq!((flex.input.as_str(), flex.output.as_str()), ("0.033", "0.132"));
    let optimized = row.latency_optimized.as_ref().unwrap();
    assert_eq!((optimized.input.as_str(), optimized.output.as_str()), ("0.075", "0.3"));
    assert_eq!((row.max_input, row.max_output), (Some(300_000), Some(10_000)), "of the row that is known");
    assert_eq!(imported.list.taken, "2026-11-20");
    assert_eq!(
        left(&imported),
        [
            "Claude 3.5 Sonnet: several ids that are known are called so",
            "Some Future Model: no id that is known is called so",
            "Titan Text G1 - Express: no id that is known is called so",
            "amazon.nova-pro-v1:0: it has a price of input or output alone",
        ]
    );
}

#[test]
fn prices_of_the_marketplace_are_read_for_regions_and_for_global_profiles() {
    let imported = read(MARKETPLACE);
    let sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let regional = imported.list.row(Some("us-west-2"), sonnet).unwrap();
    let kinds = [&regional.cache_read, &regional.cache_write_5m, &regional.cache_write_1h];
    assert_eq!((regional.input.as_str(), regional.output.as_str()), ("3.3", "16.5"));
    assert_eq!(kinds.map(|price| price.as_deref()), [Some("0.33"), Some("4.125"), Some("6.6")]);
    let global = imported.list.row(None, &format!("global.{sonnet}")).unwrap();
    assert_eq!((global.input.as_str(), global.output.as_str()), ("3", "15"));
    // What the list is silent about is as it was, or dearer by as much as input is.
    let above =
        |row: &PriceRow| row.above.as_ref().map(|above| (above.tokens, above.input.clone(), above.output.clone()));
    assert_eq!(above(global), Some((200_000, "6".to_owned(), "22.5".to_owned())));
    assert_eq!(above(regional), Some((200_000, "6.6".to_owned(), "24.75".to_owned())));
    assert_eq!(global.cache_write_1h.as_deref(), Some("6"));
    let opus = imported.list.row(Some("us-west-2"), "anthropic.claude-opus-5-5").unwrap();
    assert_eq!((opus.input.as_str(), opus.output.as_str()), ("4.4", "22"));
    assert_eq!(imported.list.row(None, "global.anthropic.claude-opus-5-5").unwrap().output, "20");
    assert_eq!(left(&imported), Vec::<String>::new());
}

#[test]
fn other_json_is_no_list() {
    let shipped = PriceList::shipped().unwrap();
    for wrong in ["{}", "[]", "", "{\"models\":{}}", "{\"products\":1,\"terms\":{}}", "{\"a\":{\"b\":1}}"] {
        assert!(Imported::read(wrong, &shipped, "2026-11-27").is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_list_is_too_strange(cut in 0..LITELLM.len(), with in "[\\x20-\\x7e]{0,3}") {
        let shipped = PriceList::shipped().unwrap();
        for list in [LITELLM, AWS, MARKETPLACE] {
            let cut = cut % list.len();
            let text = format!("{}{with}{}", &list[..cut], &list[(cut + with.len()).min(list.len())..]);
            if let Ok(imported) = Imported::read(&text, &shipped, "2026-11-27") {
                // Whatever was read can be written, and is refused or read again as it was.
                let written = shipped.updated(&imported).text().unwrap();
                if let Ok(again) = PriceList::read(&written) {
                    prop_assert_eq!(again, shipped.updated(&imported));
                }
            }
        }
    }
}
