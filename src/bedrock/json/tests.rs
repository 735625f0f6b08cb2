//! `serde_json` is the oracle: `RawValue` for what is JSON, `Value` for what it says.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt::Write as _;

fn whole(document: &[u8]) -> Result<Span, JsonError> {
    let mut reader = Reader::new(document)?;
    let span = reader.skip()?;
    reader.finish()?;
    Ok(span)
}

fn names(document: &str) -> Result<Vec<String>, JsonError> {
    let mut names = Vec::new();
    let mut reader = Reader::new(document.as_bytes())?;
    reader.object(|reader, member| {
        names.push(member.name().decode().into_owned());
        reader.skip().map(drop)
    })?;
    reader.finish()?;
    Ok(names)
}

fn serde_accepts(document: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(document).is_ok()
}

/// Writes a name with the characters chosen spelt as escapes.
fn spelt(name: &str, escaped: &[bool]) -> String {
    let mut text = String::from("\"");
    for (at, character) in name.chars().enumerate() {
        if escaped.get(at % escaped.len().max(1)).copied().unwrap_or(false)
            || matches!(character, '"' | '\\' | '\0'..' ')
        {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04X}").unwrap();
            }
        } else {
            text.push(character);
        }
    }
    text + "\""
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300_f64..1e300).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

fn count_members(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(count_members).sum(),
        Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[test]
fn hostile_and_odd_documents_are_judged_as_serde_json_judges_them() {
    let documents: &[&[u8]] = &[
        b"{}",
        b"[]",
        b" {\"a\" : [ 1 , 2 ] } \n",
        b"\"\"",
        b"null",
        b"true",
        b"false",
        b"0",
        b"-0",
        b"-",
        b"+1",
        b"01",
        b"1.",
        b".5",
        b"1.5e",
        b"1e+",
        b"1E-7",
        b"1e999999",
        b"-1.0e+10",
        b"0x10",
        b"NaN",
        b"Infinity",
        b"nul",
        b"nulll",
        b"truefalse",
        b"",
        b" ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"{]",
        b"[}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"[1,]",
        b"[,]",
        b"[1 2]",
        b"{\"a\":1 \"b\":2}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"{} {}",
        b"{}x",
        b"[]]",
        b"/* c */{}",
        b"{}//",
        b"\"\\u12\"",
        b"\"\\u12G4\"",
        b"\"\\x41\"",
        b"\"\\\"",
        b"\"\\\\\"",
        b"\"\\",
        b"\"a",
        b"\"\\ud800\"",
        b"\"\\udc00\\ud800\"",
        b"\"\\ud83d\\ude00\"",
        b"\"\\u0000\"",
        b"\"\x00\"",
        b"\"\x1f\"",
        b"\"\x7f\"",
        b"\"a\tb\"",
        b"\"a\nb\"",
        b"{\"a\0\":1}",
        b"\0",
        b"{}\0",
        b"\x0b{}",
        b"\x0c{}",
        b"\xa0{}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"\0{\0}",
        b"\"\xff\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        "\"\u{2028}\u{10ffff}ü\"".as_bytes(),
        "{\u{a0}}".as_bytes(),
        b"123456789012345678901234567890123456789012345678901234567890",
        b"\"12345678\\\"1234567\\\\\"",
        b"\"1234567\"",
        b"\"12345678\"",
        b"\"123456789\"",
        b"\"1234567\x011\"",
        b"{\"a\":1,\"a\":2}",
    ];
    for document in documents {
        assert_eq!(whole(document).is_ok(), serde_accepts(document), "{:?}", String::from_utf8_lossy(document));
    }
}

#[test]
fn nesting_is_bounded_and_never_overflows_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels_each = if open.starts_with("[{") { 2 } else { 1 };
        let nested = |times: usize| open.repeat(times) + "1" + &close.repeat(times);
        assert_eq!(whole(nested(MAX_DEPTH / levels_each).as_bytes()).map(|span| span.start), Ok(0), "{open}");
        for times in [MAX_DEPTH / levels_each + 1, 100_000, 1_000_000] {
            assert_eq!(whole(nested(times).as_bytes()).unwrap_err().fault, Fault::TooDeep, "{open} {times}");
            assert!(whole(open.repeat(times).as_bytes()).is_err(), "{open} {times}, never closed");
        }
    }
}

#[test]
fn an_error_names_the_byte_at_which_reading_stopped() {
    for (document, at, text) in [
        (&b"{\"a\":1,}"[..], 7, "expected a member's name, at byte 7"),
        (b"[1 2]", 3, "expected `,` or `]`, at byte 3"),
        (b"{} x", 3, "expected the end of the document, at byte 3"),
        (b"\"ab\xff\"", 3, "not UTF-8, at byte 3"),
        (b"{\"a\":1,\"\\u0061\":2}", 7, "an object names the same member twice, at byte 7"),
    ] {
        let read = |document| {
            let mut reader = Reader::new(document)?;
            if reader.kind() == Kind::Object {
                reader.object(|reader, _| reader.skip().map(drop))?;
            } else {
                reader.skip()?;
            }
            reader.finish()
        };
        let error: JsonError = read(document).unwrap_err();
        assert_eq!((error.at, error.to_string().as_str()), (at, text));
    }
}

#[test]
fn members_are_the_same_when_they_are_equal_after_unescaping() {
    for (document, fault) in [
        (r#"{"guardrailConfig":1,"guardrailC\u006fnfig":2}"#, Fault::DuplicateMember),
        (r#"{"guardrailC\u006Fnfig":1,"guardrailC\u006fnfig":2}"#, Fault::DuplicateMember),
        (r#"{"a\/b":1,"a/b":2}"#, Fault::DuplicateMember),
        (r#"{"\ud83d\ude00":1,"😀":2}"#, Fault::DuplicateMember),
        (r#"{"":1,"":2}"#, Fault::DuplicateMember),
        (r#"{"a":{"x":1,"x":1},"b":1,"a":2}"#, Fault::DuplicateMember),
        (r#"{"\ud800":1}"#, Fault::UnpairedSurrogate),
        (r#"{"a\udc00":1}"#, Fault::UnpairedSurrogate),
        (r#"{"\ud800\u0041":1}"#, Fault::UnpairedSurrogate),
    ] {
        assert_eq!(names(document).unwrap_err().fault, fault, "{document}");
    }
    assert_eq!(names(r#"{"a":{"b":1},"A":{"b":1},"b":[{"a":1},{"a":1}]}"#).unwrap(), ["a", "A", "b"]);
}

#[test]
fn an_object_that_is_read_by_its_members_has_a_bounded_number_of_them() {
    let object = |members: usize| {
        let members: Vec<_> = (0..members).map(|at| format!("\"m{at}\":{at}")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(names(&object(MAX_MEMBERS)).unwrap().len(), MAX_MEMBERS);
    assert_eq!(names(&object(MAX_MEMBERS + 1)).unwrap_err().fault, Fault::TooManyMembers);
    assert!(whole(object(10_000).as_bytes()).is_ok(), "one that is only passed over has not");
}

#[test]
fn siblings_do_not_see_each_others_names() {
    let mut reader = Reader::new(br#"[{"b":{"a":1,"c":2},"a":3,"c":4},{"a":5}]"#).unwrap();
    let mut values = Vec::new();
    reader
        .array(|reader| {
            reader
                .object(|reader, member| {
                    if reader.kind() == Kind::Object {
                        return reader.object(|reader, _| reader.skip().map(drop)).map(drop);
                    }
                    values.push((member.name().raw(), reader.skip()?.start));
                    Ok(())
                })
                .map(drop)
        })
        .unwrap();
    reader.finish().unwrap();
    assert_eq!(values, [("a", 24), ("c", 30), ("a", 38)]);
}

#[test]
fn a_name_resembles_another_in_every_way_a_parser_might_fold_case() {
    let text = |raw| Reader::new(raw).unwrap().string().unwrap();
    for (raw, plain, alike) in [
        ("\"guardContent\"", "guardContent", true),
        ("\"GUARDCONTENT\"", "guardContent", true),
        (r#""\u0047uardContent""#, "guardContent", true),
        ("\"guardra\u{131}lConfig\"", "guardrailConfig", true),
        ("\"guardra\u{130}lConfig\"", "guardrailConfig", true),
        ("\"\u{212a}ey\"", "key", true),
        ("\"\u{17f}ystem\"", "system", true),
        ("\"guardContents\"", "guardContent", false),
        ("\"guardConten\"", "guardContent", false),
        ("\"guard_content\"", "guardContent", false),
        ("\"gu\u{e4}rdContent\"", "guardContent", false),
        (r#""guardContent\ud800""#, "guardContent", false),
        ("\"\"", "", true),
    ] {
        assert_eq!(text(raw.as_bytes()).resembles(plain), alike, "{raw} and {plain}");
    }
}

#[test]
fn a_member_shows_its_value_where_that_is_a_string() {
    let mut seen = Vec::new();
    let document = br#"{"a": "5\u006d", "b": 5, "c": {"d" :"x"}}"#;
    Reader::new(document)
        .unwrap()
        .walk(|member| seen.push(member.string().map(|text| text.decode().into_owned())))
        .unwrap();
    assert_eq!(seen, [Some("5m".to_owned()), None, None, Some("x".to_owned())]);
}

#[test]
fn edits_are_applied_in_the_order_of_their_place_and_never_overlap() {
    let document = Bytes::from_static(b"{\"a\":1,\"b\":{}}");
    let span = |start, end| Span { start, end };
    let mut splicer = Splicer::new();
    splicer.insert_members(Opening { at: 12, followed: Followed::ByEnd }, "\"c\":3");
    splicer.replace(span(5, 6), "22");
    splicer.insert_members(Opening { at: 1, followed: Followed::ByMember }, "\"z\":0");
    assert_eq!(splicer.apply(&document).unwrap().together(), "{\"z\":0,\"a\":22,\"b\":{\"c\":3}}");

    for spans in [[span(1, 4), span(3, 5)], [span(0, 1), span(9, 100)], [span(50, 60), span(1, 2)]] {
        let mut splicer = Splicer::new();
        for span in spans {
            splicer.replace(span, "x");
        }
        assert_eq!(splicer.apply(&document), Err(Overlap), "{spans:?}");
    }
    assert_eq!(
        Splicer::new().apply(&document).unwrap().together().as_ptr(),
        document.as_ptr(),
        "nothing to do copies nothing"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_exactly_where_serde_json_accepts_them(
        document in prop::collection::vec(
            prop::sample::select(b"{}[]:,\"\\u0dD8aeE+-.19tfn \n\x00\x1f\x7f\xc3\xa4\xff".to_vec()), 0..24)
    ) {
        prop_assert_eq!(whole(&document).is_ok(), serde_accepts(&document));
    }

    #[test]
    fn a_document_with_one_byte_changed_is_still_judged_as_serde_json_judges_it(
        value in any_json(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()
    ) {
        let mut document = serde_json::to_vec(&value).unwrap();
        let place = at.index(document.len());
        document[place] = byte;
        prop_assert_eq!(whole(&document).is_ok(), serde_accepts(&document));
        document.truncate(cut.index(document.len()));
        prop_assert_eq!(whole(&document).is_ok(), serde_accepts(&document));
    }

    #[test]
    fn every_document_that_serde_json_writes_is_read_whole_with_every_member(value in any_json(), pretty: bool) {
        let document = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let mut members = 0;
        let mut reader = Reader::new(&document).unwrap();
        let span = reader.walk(|_| members += 1).unwrap();
        prop_assert!(reader.finish().is_ok());
        prop_assert_eq!(span, Span { start: 0, end: document.len() });
        prop_assert_eq!(members, count_members(&value));
    }

    #[test]
    fn strings_unescape_as_serde_json_unescapes_them(text: String, escaped in prop::collection::vec(any::<bool>(), 1..8)) {
        let document = spelt(&text, &escaped);
        let read = Reader::new(document.as_bytes()).unwrap().string().unwrap();
        let oracle: String = serde_json::from_str(&document).unwrap();
        prop_assert_eq!(&*read.decode(), &oracle);
        prop_assert!(read.equals(&text) && read.resembles(&text) && read.is_well_formed());
    }

    #[test]
    fn escapes_that_serde_json_cannot_decode_are_not_well_formed(
        units in prop::collection::vec(prop::sample::select(vec!["\\ud83d", "\\ude00", "\\u0041", "a", "\\n"]), 0..6)
    ) {
        let document = format!("\"{}\"", units.concat());
        let read = Reader::new(document.as_bytes()).unwrap().string().unwrap();
        prop_assert_eq!(read.is_well_formed(), serde_json::from_str::<String>(&document).is_ok());
    }

    #[test]
    fn duplicates_are_found_exactly_where_a_slow_search_finds_them(
        members in prop::collection::vec(("[ab\u{e4}\"\u{1f600}]{0,2}", prop::collection::vec(any::<bool>(), 1..3)), 0..8)
    ) {
        let spelt: Vec<_> = members.iter().map(|(name, escaped)| spelt(name, escaped)).collect();
        let document = format!("{{{}}}", spelt.iter().map(|name| format!("{name}:[0]")).collect::<Vec<_>>().join(" ,\t"));
        let distinct: HashSet<String> = spelt.iter().map(|name| serde_json::from_str(name).unwrap()).collect();
        match names(&document) {
            Ok(names) => {
                prop_assert_eq!(distinct.len(), members.len());
                prop_assert!(names.iter().eq(members.iter().map(|(name, _)| name)));
            }
            Err(error) => {
                prop_assert_eq!(error.fault, Fault::DuplicateMember);
                prop_assert!(distinct.len() < members.len());
            }
        }
    }
}
