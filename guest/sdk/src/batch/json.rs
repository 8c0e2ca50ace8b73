//! Batches made of JSON rows by a schema.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, SchemaRef};
use serde::Serialize;

use crate::{Error, Result};

/// Makes one batch of JSON text: an array of objects, or objects one after the other.
///
/// Fields that the schema does not have are left out, fields that a row does not have are null.
///
/// # Errors
///
/// [`Error::Malformed`] when the text is cut or no JSON, or a value does not fit the schema.
pub fn from_json(schema: &SchemaRef, text: &[u8]) -> Result<RecordBatch> {
    let text = text.trim_ascii();
    // Every row has a brace, so this is room for all of them.
    let most = text.iter().filter(|byte| **byte == b'{').count() + 1;
    let mut decoder = decoder(schema, most)?;
    let read = decoder.decode(text).map_err(|error| not_rows(&error))?;
    // The decoder takes an array that is cut between two rows for a whole one.
    let cut = text.starts_with(b"[") && !text.ends_with(b"]");
    if cut || decoder.has_partial_record() || read < text.len() {
        return Err(Error::malformed(format_args!(
            "JSON rows are cut after {} bytes, in row {}",
            read,
            decoder.len()
        )));
    }
    flush(schema, decoder)
}

/// Makes one batch of values that serialize to objects.
///
/// # Errors
///
/// [`Error::Malformed`] when a value does not fit the schema.
pub fn from_rows<T: Serialize>(schema: &SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    let mut decoder = decoder(schema, rows.len())?;
    decoder.serialize(rows).map_err(|error| not_rows(&error))?;
    flush(schema, decoder)
}

fn decoder(schema: &SchemaRef, rows: usize) -> Result<Decoder> {
    ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows)
        .with_flatten(true)
        .build_decoder()
        .map_err(|error| Error::internal(format_args!("no JSON can be read into the schema: {error}")))
}

fn flush(schema: &SchemaRef, mut decoder: Decoder) -> Result<RecordBatch> {
    let batch = decoder.flush().map_err(|error| not_rows(&error))?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

fn not_rows(error: &ArrowError) -> Error {
    Error::malformed(format_args!("JSON rows do not fit the schema: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow_array::Array;
    use arrow_schema::{DataType, Field, Schema};
    use serde_json::json;

    use super::*;

    fn schema() -> SchemaRef {
        let id = Field::new("id", DataType::Int32, false);
        Arc::new(Schema::new(vec![id, Field::new("name", DataType::Utf8, true)]))
    }

    #[test]
    fn an_array_and_single_objects_are_rows() {
        let array = from_json(&schema(), br#"[{"id":1,"name":"a"},{"id":2,"more":{}}]"#).unwrap();
        let lines = from_json(&schema(), b"{\"id\":1,\"name\":\"a\"}\n{\"id\":2}\n").unwrap();
        let values = from_rows(&schema(), &[json!({"id": 1, "name": "a"}), json!({"id": 2})]).unwrap();
        assert_eq!((array.num_rows(), array.column(1).null_count()), (2, 1));
        assert_eq!(array, lines);
        assert_eq!(array, values);
        for empty in ["", "[]", " \n"] {
            assert_eq!(
                from_json(&schema(), empty.as_bytes()).unwrap().num_rows(),
                0,
                "{empty:?}"
            );
        }
        assert_eq!(from_rows::<u8>(&schema(), &[]).unwrap().num_rows(), 0);
    }

    #[test]
    fn what_is_not_rows_is_malformed() {
        let whole = r#"[{"id":1},{"id":2}]"#;
        let cut = (1..whole.len()).map(|end| &whole[..end]);
        let wrong = [
            "<html>",
            r#"[{"id":"x"}]"#,
            r#"[{"name":"x"}]"#,
            "[1]",
            r#"[{"id":3000000000}]"#,
            "[] x",
        ];
        for text in cut.chain(wrong) {
            let error = from_json(&schema(), text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{text}: {error}");
        }
    }
}
