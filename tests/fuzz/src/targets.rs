//! What is fuzzed: bytes from outside, and what must hold for them. Each function says whether the bytes were taken.
//!
//! libFuzzer drives them by `src/bin`, one program each; the integration tests drive them with changed seeds.

use std::path::Path;

use sandbar_pipeline::Offset;
use sandbar_policy::HttpGrant;
use sandbar_rows::{Decoder, Document, RowLimits, Selection, parse_schema};
use sandbar_runtime::PipelineFile;

/// What may be read at once in the target `rows`.
const MAX_ROWS: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

/// A target.
pub type Target = fn(&[u8]) -> bool;

/// Every target, by the name of its program and of its folder of seeds.
pub const ALL: [(&str, Target); 8] = [
    ("arrow", sandbar_sandbox::fuzzing::arrow_stream),
    ("body", sandbar_egress::fuzzing::coded_body),
    ("files_api", sandbar_volumes::fuzzing::files_api_reply),
    ("grant", grant),
    ("offset", offset),
    ("options_schema", options_schema),
    ("pipeline_file", pipeline_file),
    ("rows", rows),
];

/// What is stored of an offset is read back as the same, and no digit of a number is lost.
fn offset(bytes: &[u8]) -> bool {
    let Some((given, offset)) = text(bytes).and_then(|text| Some((text, Offset::parse(text).ok()?))) else {
        return false;
    };
    let stored = offset.to_string();
    let again = Offset::parse(&stored).ok();
    assert_eq!(again.as_ref(), Some(&offset), "{stored}");
    assert_eq!(
        again.as_ref().map(Offset::fingerprint),
        Some(offset.fingerprint())
    );
    assert_eq!(again.map(|again| again.to_string()).as_ref(), Some(&stored));
    let given = given.trim();
    if given.ends_with(|c: char| c.is_ascii_digit()) && !given.starts_with(['[', '{', '"']) {
        assert_eq!(stored, given, "a number is spelled anew");
        if given.contains('.') && !given.contains(['e', 'E']) {
            let behind = Offset::parse(&format!("{given}1")).ok();
            assert_ne!(behind.as_ref(), Some(&offset), "one digit more is another number");
        }
    }
    true
}

/// A grant that is shown, in a refusal or by `check`, grants the same when it is written into a file.
fn grant(bytes: &[u8]) -> bool {
    let Some(grant) = text(bytes).and_then(|text| HttpGrant::parse(text).ok()) else {
        return false;
    };
    let shown = grant.to_string();
    assert_eq!(HttpGrant::parse(&shown).ok(), Some(grant), "{shown}");
    true
}

/// The message for a bad file is made of the file too.
fn pipeline_file(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    match PipelineFile::parse(text, Path::new("/lakes/pipeline.toml")) {
        Ok(_) => true,
        Err(error) => {
            assert!(!format!("{:?}", error.into_report()).is_empty(), "no message");
            false
        }
    }
}

/// Rows of a schema: its text ends with the first line, and the rows follow. What is taken is sound, and as large as it may be.
fn rows(bytes: &[u8]) -> bool {
    let split = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (schema, rows) = bytes.split_at(split);
    let Some(schema) = text(schema).and_then(|text| parse_schema(text).ok()) else {
        return false;
    };
    let Ok(decoder) = Decoder::new(schema, Selection::default()) else {
        return false;
    };
    let _ = Document::new(rows).and_then(|document| document.value("/0/id"));
    let count = Document::new(rows).and_then(|document| document.count(""));
    let Ok(batch) = decoder.decode(rows, RowLimits::new(MAX_ROWS, MAX_BYTES)) else {
        return false;
    };
    assert!(batch.num_rows() <= MAX_ROWS, "more rows than it may read");
    if let Ok(Some(count)) = count {
        assert_eq!(
            count,
            batch.num_rows() as u64,
            "rows that were counted and not read"
        );
    }
    for column in batch.columns() {
        let sound = column.to_data().validate_full();
        assert!(sound.is_ok(), "{sound:?}");
    }
    true
}

fn options_schema(bytes: &[u8]) -> bool {
    text(bytes).is_some_and(sandbar_sandbox::fuzzing::options_schema)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
