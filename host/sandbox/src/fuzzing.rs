//! The functions that meet a component's bytes first, for fuzzers.
//!
//! Not part of the interface. Each says whether it took the bytes, and panics when it took what it must not take.

use crate::arrow;
use crate::component::options_schema as schema;

/// An Arrow stream, as a schema and as rows.
pub fn arrow_stream(bytes: &[u8]) -> bool {
    if let Ok(schema) = arrow::decode_schema(bytes.to_vec()) {
        assert!(!schema.fields().is_empty(), "a schema without columns was taken");
    }
    let Ok((schema, batches)) = arrow::decode(bytes.to_vec(), None) else {
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
    schema::parse(text).is_ok()
}
