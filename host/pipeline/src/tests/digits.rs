//! Numbers of offsets: they come back as they were written, and are compared exactly.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::fakes::component;
use crate::{MicroBatch, Offset, OffsetEntry, Partition};

fn offset(text: &str) -> Offset {
    Offset::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// What 64-bit floats and integers don't hold, and other spellings of what they do.
const WRITTEN: [&str; 16] = [
    "1700000000.123456789",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890.123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "9007199254740993",
    "9007199254740993.0",
    "1e-400",
    "-1e-2000000000",
    "1.50",
    "1E+2",
    "100.0",
    "-0",
    "-0.0",
    "0e5",
    "5e-324",
];

#[test]
fn numbers_come_back_as_they_were_written() {
    for number in WRITTEN {
        for text in [
            number.to_owned(),
            format!("[{number},\"{number}\",{{\"{number}\\\"\":{number}}}]"),
            format!("{{\"a\":{{\"b\":[[{number}],null,{number}]}}}}"),
        ] {
            assert_eq!(offset(&text).to_string(), text);
            assert_eq!(Partition::parse(&text).unwrap().to_string(), text);
            let stored = serde_json::to_string(&[offset(&text)]).unwrap();
            assert_eq!(stored, format!("[{text}]"), "inside of a document");
            let again: [Offset; 1] = serde_json::from_str(&stored).unwrap();
            assert_eq!(again[0].to_string(), text);
            assert_eq!(again[0].fingerprint(), offset(&text).fingerprint());
            let batch = MicroBatch {
                pipeline: "p".into(),
                batch: 1,
                start: offset(&text),
                end: offset(&text),
                rows: 1,
                component: component(),
                source: None,
                swap: None,
            };
            let stored = serde_json::to_vec(&batch).unwrap();
            let again: MicroBatch = serde_json::from_slice(&stored).unwrap();
            assert_eq!(again.start.to_string(), text);
            assert_eq!(again.end.to_string(), text);
        }
    }
    // All else is written anew, as it always was.
    assert_eq!(
        offset(" { \"b\" : [1.50 , 2], \"a\" : \"\\u00e4\\/\", \"b\" : -7.0 } ").to_string(),
        "{\"a\":\"ä/\",\"b\":-7.0}"
    );
}

#[test]
fn numbers_are_compared_exactly() {
    let same: [&[&str]; 6] = [
        &["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000000000000000000000000"],
        &["0", "-0", "0.0", "-0.0", "0e5", "0e-999999999"],
        &[
            "18446744073709551616",
            "1.8446744073709551616e19",
            "18446744073709551616.0",
        ],
        &[
            "1700000000.123456789",
            "1.700000000123456789E9",
            "1700000000123456789e-9",
        ],
        &["-12.5", "-1.25e+1", "-125E-1"],
        &["1e-400", "0.01e-398"],
    ];
    let apart = [
        ("1700000000.123456789", "1700000000.123456788"),
        ("1700000000.123456789", "1700000000.1234567"),
        ("18446744073709551616", "18446744073709551617"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("1e-400", "0"),
        ("1e-400", "1e-401"),
        ("1", "-1"),
        ("1", "1.00000000000000000000000000000000001"),
        ("12", "1.2"),
    ];
    for (place, spellings) in same.iter().enumerate() {
        for a in *spellings {
            for (other, b) in same
                .iter()
                .enumerate()
                .flat_map(|(i, of)| of.iter().map(move |b| (i, b)))
            {
                let equal = [
                    offset(a) == offset(b),
                    offset(&format!("{{\"a\":[{a}]}}")) == offset(&format!("{{\"a\":[{b}]}}")),
                    offset(a).exact_fingerprint() == offset(b).exact_fingerprint(),
                ];
                assert_eq!(equal, [place == other; 3], "{a} {b}");
            }
        }
    }
    for (a, b) in apart {
        assert_ne!(offset(a), offset(b));
        assert_ne!(offset(a).fingerprint(), offset(b).fingerprint(), "{a} {b}");
    }
}

#[test]
fn a_fingerprint_of_what_64_bits_hold_is_the_one_of_old() {
    // Computed by another program, from the rule that version 0.1.0 had.
    for (text, print) in [
        ("1.5", 7_440_499_196_617_118_510),
        ("1.50", 7_440_499_196_617_118_510),
        ("15e-1", 7_440_499_196_617_118_510),
        ("1.0", 6_978_271_335_993_924_731),
        ("0.1", 2_430_508_282_848_172_168),
        ("1e16", 8_256_461_477_324_931_231),
        ("-0.0", 3_057_470_947_624_546_963),
        ("-0", 3_057_470_947_624_546_963),
        ("1700000000.1234567", 7_762_440_884_456_345_420),
        ("5e-324", 8_313_073_614_037_462_591),
        ("-2.5e300", 5_452_681_917_991_193_648),
        ("18446744073709551615", 8_165_306_515_267_438_856),
        ("-9223372036854775808", 6_714_950_689_791_258_000),
    ] {
        assert_eq!(offset(text).fingerprint(), print, "{text}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_and_cost_nothing() {
    let nines = "9".repeat(1_000_000);
    for text in [
        "1e999999999".to_owned(),
        "-1e400".to_owned(),
        "1e99999999999999999999".to_owned(),
        "1e-99999999999999999999".to_owned(),
        "0e99999999999999999999".to_owned(),
        format!("1e{nines}"),
        format!("[1e-{nines}]"),
        nines.clone(),
    ] {
        let message = Offset::parse(&text).unwrap_err();
        assert!(message.starts_with("offset is not JSON: "), "{message}");
        assert!(message.contains("out of range"), "{message}");
        assert!(message.len() < 200, "{message}");
    }
    // As long as they may be, and an exponent as far away as it may be.
    let long = format!("0.{nines}");
    let other = format!("0.{}8", &nines[1..]);
    assert_eq!(offset(&long).to_string(), long);
    assert!(offset(&long) != offset(&other));
    assert!(offset(&long).fingerprint() != offset(&other).fingerprint());
    assert!(offset("1e-2147483648") != offset("1e-2147483647"));
    let zeros = "0".repeat(1_000_000);
    assert!(offset(&format!("{zeros}1e-5").replacen("0", "0.", 1)) == offset("1e-1000005"));
}

/// A number as digits and a power of ten, and the ways to write it.
fn spellings(negative: bool, digits: &str, exponent: i32) -> Vec<String> {
    let sign = if negative { "-" } else { "" };
    let shifted = |places: usize| {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let whole = if whole.is_empty() { "0" } else { whole };
        let exponent = exponent + places as i32;
        match fraction {
            "" => format!("{sign}{whole}e{exponent}"),
            _ => format!("{sign}{whole}.{fraction}E{exponent:+}"),
        }
    };
    (0..=digits.len()).map(shifted).collect()
}

fn number() -> impl Strategy<Value = String> {
    (
        "-?(0|[1-9][0-9]{0,30})",
        "(\\.[0-9]{1,30})?",
        "([eE][+-]?[0-9]{1,2})?",
    )
        .prop_map(|(whole, fraction, exponent)| whole + &fraction + &exponent)
}

/// Compact JSON text with fields in order, as offsets are written.
fn json() -> impl Strategy<Value = String> {
    let text = "[a-z0-9.\\-+eE\"\\\\ä\\[{,:]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![4 => number(), 2 => text.clone(), 1 => Just("null".to_owned()), 1 => Just("true".to_owned())];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            btree_map("[a-z0-9.\\-+eE\"\\\\]{0,6}", inner, 0..6).prop_map(|fields| {
                let field = |(key, value): (&String, &String)| {
                    format!("{}:{value}", serde_json::to_string(key).unwrap())
                };
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_offset_comes_back_as_it_was_written(text in json()) {
        let first = offset(&text);
        prop_assert_eq!(first.to_string(), text.clone());
        let entry = OffsetEntry { batch: 1, start: first.clone(), end: first.clone(), component: component(), rows: 1, source: None };
        let stored = serde_json::to_string(&entry).unwrap();
        let again: OffsetEntry = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(again.end.to_string(), text);
        prop_assert_eq!(again.end.fingerprint(), first.fingerprint());
        prop_assert_eq!(again, entry);
    }

    #[test]
    fn two_numbers_are_equal_when_all_digits_are(
        negative: bool,
        digits in "[1-9][0-9]{0,40}",
        exponent in -60..60_i32,
        changed in any::<prop::sample::Index>(),
        by in 1..10_u8,
    ) {
        let spelled = spellings(negative, &digits, exponent);
        let mut other = digits.clone().into_bytes();
        let at = changed.index(other.len());
        other[at] = b'0' + (other[at] - b'0' + by) % 10;
        let other = String::from_utf8(other).unwrap();
        let first = offset(&spelled[0]);
        for text in &spelled {
            prop_assert_eq!(&first, &offset(text));
            prop_assert_eq!(first.exact_fingerprint(), offset(text).exact_fingerprint());
        }
        // JSON has no number that begins with more than one zero.
        if !other.starts_with('0') {
            prop_assert_ne!(&first, &offset(&spellings(negative, &other, exponent)[0]));
        }
        prop_assert_ne!(&first, &offset(&spellings(!negative, &digits, exponent)[0]));
        prop_assert_ne!(&first, &offset(&spellings(negative, &digits, exponent + 1)[0]));
    }
}
