//! Record batches as the bytes that cross the wall.

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::Schema;

use crate::{Error, Result};

/// Room for the messages around the buffers of a batch.
const FRAMING: usize = 4096;

/// An Arrow IPC stream with one batch, uncompressed.
///
/// # Errors
///
/// [`Error::Internal`] for types that cannot be written.
pub fn to_ipc(batch: &RecordBatch) -> Result<Vec<u8>> {
    let bytes = Vec::with_capacity(batch.get_array_memory_size() + FRAMING);
    write(bytes, &batch.schema(), Some(batch))
}

/// An Arrow IPC stream with a schema and no batch.
///
/// # Errors
///
/// [`Error::Internal`] for types that cannot be written.
pub fn schema_to_ipc(schema: &Schema) -> Result<Vec<u8>> {
    write(Vec::new(), schema, None)
}

fn write(bytes: Vec<u8>, schema: &Schema, batch: Option<&RecordBatch>) -> Result<Vec<u8>> {
    let written = StreamWriter::try_new(bytes, schema).and_then(|mut writer| {
        if let Some(batch) = batch {
            writer.write(batch)?;
        }
        writer.into_inner()
    });
    written.map_err(|error| Error::internal(format_args!("rows can't be written as Arrow IPC: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, StringArray};
    use arrow_ipc::reader::StreamReader;
    use arrow_schema::{DataType, Field, SchemaRef};

    use super::*;

    fn schema() -> SchemaRef {
        let id = Field::new("id", DataType::Int32, false);
        Arc::new(Schema::new(vec![id, Field::new("name", DataType::Utf8, true)]))
    }

    #[test]
    fn a_batch_and_a_schema_cross_as_ipc_streams() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![1])),
            Arc::new(StringArray::from(vec![Some("a")])),
        ];
        let batch = RecordBatch::try_new(schema(), columns).unwrap();
        let bytes = to_ipc(&batch).unwrap();
        let mut reader = StreamReader::try_new(&*bytes, None).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), batch);
        assert!(reader.next().is_none());
        let bytes = schema_to_ipc(&schema()).unwrap();
        let mut reader = StreamReader::try_new(&*bytes, None).unwrap();
        assert_eq!(reader.schema(), schema());
        assert!(reader.next().is_none());
    }
}
