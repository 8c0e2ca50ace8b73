use serde_json::json;

use super::fakes::component;
use crate::offset::MAX_JSON_BYTES;
use crate::{CheckpointLocation, Offset, OffsetEntry, Partition};

#[test]
fn offsets_are_compared_as_values_not_as_text() {
    let offset = |text| Offset::parse(text).unwrap();
    assert_eq!(
        offset(r#"{"a":1,"b":[2]}"#),
        offset(r#" { "b": [ 2 ], "a": 1 } "#)
    );
    assert_ne!(offset(r#"{"a":1}"#), offset(r#"{"a":"1"}"#));
    assert_ne!(offset("[1,2]"), offset("[2,1]"));
    assert_ne!(offset("null"), offset("0"));
    assert_eq!(offset("18446744073709551615").value(), json!(u64::MAX));
}

#[test]
fn what_is_no_offset_is_refused_with_the_reason() {
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert!(Offset::parse(&deep(100)).is_ok());
    assert!(Offset::parse(&long(MAX_JSON_BYTES)).is_ok());
    for (text, reason) in [
        (String::new(), "offset is not JSON: EOF"),
        ("{\"current\":20".into(), "offset is not JSON: EOF"),
        ("1 2".into(), "offset is not JSON: trailing"),
        (deep(101), "offset of 101 nested levels; 100 are allowed"),
        (deep(100_000), "offset is not JSON: recursion limit"),
        (
            long(MAX_JSON_BYTES + 1),
            "offset of 1048577 bytes; 1048576 are allowed",
        ),
    ] {
        let message = Offset::parse(&text).unwrap_err();
        assert!(message.starts_with(reason), "{message}");
    }
    assert!(
        Partition::parse("{")
            .unwrap_err()
            .starts_with("partition is not JSON")
    );
}

#[tokio::test]
async fn what_is_taken_as_an_offset_can_be_read_back_from_the_log() {
    let location = CheckpointLocation::memory();
    let texts = [
        "null".into(),
        format!("{}{}", "[".repeat(100), "]".repeat(100)),
        format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100)),
        format!("\"{}\"", r"\u0001".repeat(MAX_JSON_BYTES / 6 - 1)),
        format!("[{}1e15]", "1e15,".repeat(MAX_JSON_BYTES / 5 - 2)),
    ];
    for (batch, text) in (1..).zip(texts) {
        let offset = Offset::parse(&text).unwrap();
        let entry = OffsetEntry {
            batch,
            start: offset.clone(),
            end: offset,
            component: component(),
            rows: 1,
            source: None,
        };
        assert!(location.claim_entry(&entry).await.unwrap());
        assert!(
            location.load_entry(batch).await.unwrap() == Some(entry),
            "{}",
            &text[..20.min(text.len())]
        );
    }
}

#[test]
fn equal_offsets_have_one_fingerprint_and_it_is_the_same_in_every_version() {
    let print = |text: &str| Offset::parse(text).unwrap().fingerprint();
    assert_eq!(
        print(r#"{"a":1,"b":[null,"x"]}"#),
        print(r#"{ "b": [null, "x"], "a": 1 }"#)
    );
    // Tables in the field hold it.
    assert_eq!(print(r#"{"current":20}"#), 758_573_680_552_200_345);
    assert_eq!(print("-0.0"), print("0.0"));
    assert_eq!(print("1e16"), print("10000000000000000.0"));
    let different = [
        "null",
        "0",
        "\"\"",
        "\"0\"",
        "[]",
        "{}",
        "[0]",
        "[[0]]",
        "[0,0]",
        "[[],0]",
        "[[0],0]",
        "1",
        "1.5",
        "true",
        "false",
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"b":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"["a",1]"#,
    ];
    let prints: std::collections::BTreeSet<_> = different.iter().map(|text| print(text)).collect();
    assert_eq!(prints.len(), different.len());
    assert!(prints.iter().all(|print| i64::try_from(*print).is_ok()));
}
