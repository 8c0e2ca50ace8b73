//! What fuzzers drive: the functions that meet a component's and a remote's bytes first.
//!
//! Not part of the interface. Each says whether it took the bytes, and panics when it took what it must not take.

use bytes::Bytes;

use crate::http_client::Decoder;
use crate::{batch, options_schema};

/// What is taken of one decoded body.
const BODY: usize = 4 << 20;

/// An Arrow stream, as a schema and as rows.
pub fn arrow_stream(bytes: &[u8]) -> bool {
    if let Ok(schema) = batch::decode_schema(bytes.to_vec()) {
        assert!(!schema.fields().is_empty(), "a schema without columns was taken");
    }
    let Ok((schema, batches)) = batch::decode(bytes.to_vec(), None) else {
        return false;
    };
    for batch in &batches {
        assert_eq!(batch.schema_ref().fields(), schema.fields(), "another schema");
        for column in batch.columns() {
            assert_eq!(column.len(), batch.num_rows(), "a column of another length");
            let sound = column.to_data().validate_full();
            assert!(sound.is_ok(), "{sound:?}");
        }
    }
    true
}

/// The JSON Schema that a component gives for its options.
pub fn options_schema(text: &str) -> bool {
    options_schema::parse(text).is_ok()
}

/// A coded HTTP body. The first byte names the coding, the second the size of the pieces that it comes in.
pub fn coded_body(bytes: &[u8]) -> bool {
    let Some((&[coding, piece], body)) = bytes.split_first_chunk() else {
        return false;
    };
    let coding = ["gzip", "br", "zstd"][usize::from(coding % 3)];
    let Ok(Some(mut decoder)) = Decoder::of(coding) else {
        return false;
    };
    let mut decoded = 0;
    for piece in body.chunks(usize::from(piece) + 1) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(part)) => decoded += part.len(),
                Ok(None) => break,
                Err(_) => return false,
            }
            if decoded > BODY {
                return false;
            }
        }
    }
    decoder.is_whole()
}
