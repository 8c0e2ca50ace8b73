use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// The most columns, counted with nested ones.
const MAX_COLUMNS: usize = 4_096;
/// The deepest nesting.
const MAX_DEPTH: usize = 16;
/// The most rows of one batch. Columns without bytes (nulls) would allow any number.
const MAX_ROWS: i64 = 1 << 22;
/// A continuation marker and a length, as the IPC format has before each message.
const PREFIX: usize = 8;

/// Decodes the schema that a source declares: an IPC stream with a schema and no batch.
pub(crate) fn decode_schema(ipc: Vec<u8>) -> Result<SchemaRef, String> {
    let (schema, batches) = decode(ipc)?;
    if !batches.is_empty() {
        return Err("the schema comes with rows".into());
    }
    let mut count = 0;
    schema
        .fields()
        .iter()
        .try_for_each(|f| check_field(f, 1, &mut count))?;
    if schema.fields().is_empty() {
        return Err("the schema has no columns".into());
    }
    // Metadata is not part of what a batch must match, nor of what a table is given.
    Ok(Arc::new(Schema::new(schema.fields().clone())))
}

/// Decodes the rows of one batch, which must have exactly the declared schema.
pub(crate) fn decode_rows(ipc: Vec<u8>, declared: &SchemaRef) -> Result<Vec<RecordBatch>, String> {
    let (schema, batches) = decode(ipc)?;
    if schema.fields() != declared.fields() {
        return Err(format!(
            "the batch has the columns {}, but the declared schema is {}",
            columns(&schema),
            columns(declared)
        ));
    }
    batches
        .into_iter()
        .map(|batch| batch.with_schema(declared.clone()).map_err(|e| e.to_string()))
        .collect()
}

fn decode(ipc: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    // The decoder is written for honest input: whatever it still panics on must end here.
    catch_unwind(AssertUnwindSafe(|| decode_checked(ipc)))
        .unwrap_or_else(|_| Err("the decoder can't make sense of it".into()))
}

fn decode_checked(ipc: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    scan_messages(&ipc)?;
    let mut buffer = Buffer::from_vec(ipc);
    let mut decoder = StreamDecoder::new();
    let mut batches = vec![];
    while !buffer.is_empty() {
        match decoder.decode(&mut buffer).map_err(|e| e.to_string())? {
            Some(batch) => batches.push(batch),
            None => break,
        }
    }
    decoder.finish().map_err(|e| e.to_string())?;
    let schema = decoder.schema().ok_or("it has no schema")?;
    Ok((schema, batches))
}

/// Walks over the messages and refuses what a source never needs, before anything is allocated for it:
/// dictionaries, compressed bodies, too many rows, bytes behind the end.
fn scan_messages(ipc: &[u8]) -> Result<(), String> {
    let mut rest = ipc;
    let mut first = true;
    loop {
        if rest.is_empty() && !first {
            return Ok(());
        }
        let (prefix, after) = rest.split_at_checked(PREFIX).ok_or("it is cut off")?;
        let word = |at: usize| {
            let bytes = prefix.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map(u32::from_le_bytes).unwrap_or_default()
        };
        if word(0) != u32::MAX {
            return Err("it is not an Arrow IPC stream".into());
        }
        let length = word(4) as usize;
        if length == 0 {
            return match after.len() {
                0 => Ok(()),
                extra => Err(format!("{extra} bytes follow the end of the stream")),
            };
        }
        let (metadata, after) = after.split_at_checked(length).ok_or("a message is cut off")?;
        let message = root_as_message(metadata).map_err(|e| format!("a message is damaged: {e}"))?;
        match message.header_type() {
            MessageHeader::Schema if first => {}
            MessageHeader::RecordBatch if !first => {
                let batch = message.header_as_record_batch().ok_or("a batch has no header")?;
                if batch.compression().is_some() {
                    return Err("compressed bodies are not taken".into());
                }
                if !(0..=MAX_ROWS).contains(&batch.length()) {
                    return Err(format!(
                        "a batch of {} rows; {MAX_ROWS} are allowed",
                        batch.length()
                    ));
                }
            }
            MessageHeader::DictionaryBatch => return Err("dictionaries are not taken".into()),
            _ => return Err("a message is out of place".into()),
        }
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a body has a negative length")?;
        rest = after.get(body..).ok_or("a body is cut off")?;
        first = false;
    }
}

fn check_field(field: &Field, depth: usize, count: &mut usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
    }
    *count += 1;
    if *count > MAX_COLUMNS {
        return Err(format!("it has more than {MAX_COLUMNS} columns"));
    }
    match field.data_type() {
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) => Err(format!(
            "column {:?} is of the type {}, which is not taken; send plain values",
            field.name(),
            field.data_type()
        )),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => check_field(inner, depth + 1, count),
        DataType::Struct(inner) => inner.iter().try_for_each(|f| check_field(f, depth + 1, count)),
        DataType::Union(inner, _) => inner
            .iter()
            .try_for_each(|(_, f)| check_field(f, depth + 1, count)),
        _ => Ok(()),
    }
}

fn columns(schema: &Schema) -> String {
    let shown: Vec<_> = schema
        .fields()
        .iter()
        .take(50)
        .map(|f| {
            let null = if f.is_nullable() { "" } else { " not null" };
            format!("{} {}{null}", f.name(), f.data_type())
        })
        .collect();
    format!("({})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray, types::Int32Type};
    use arrow_ipc::writer::StreamWriter;

    fn ipc(batches: &[RecordBatch], schema: &Schema) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(vec![], schema).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn rows() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("name", names, true)]).unwrap()
    }

    #[test]
    fn honest_rows_come_through() {
        let rows = rows();
        let declared = decode_schema(ipc(&[], &rows.schema())).unwrap();
        let decoded = decode_rows(ipc(&[rows.clone(), rows.clone()], &rows.schema()), &declared).unwrap();
        assert_eq!(decoded, [rows.clone(), rows]);
    }

    #[test]
    fn another_schema_than_the_declared_one_is_refused_with_both() {
        let declared: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let error = decode_rows(ipc(&[rows()], &rows().schema()), &declared).unwrap_err();
        assert!(
            error.contains("id Int32") && error.contains("id Int64"),
            "{error}"
        );
    }

    #[test]
    fn bytes_behind_the_end_a_cut_and_garbage_are_refused() {
        let rows = rows();
        let declared = rows.schema();
        let whole = ipc(&[rows], &declared);
        let mut trailing = whole.clone();
        trailing.extend([0; 8]);
        assert!(
            decode_rows(trailing, &declared)
                .unwrap_err()
                .contains("follow the end")
        );
        for cut in 0..whole.len() - 8 {
            let result = decode_rows(whole[..cut].to_vec(), &declared);
            let message_border = result.as_ref().is_ok_and(Vec::is_empty);
            assert!(result.is_err() || message_border, "cut at {cut}");
        }
        assert!(decode_rows(b"<html>502</html>".to_vec(), &declared).is_err());
    }

    #[test]
    fn no_single_flipped_byte_makes_it_panic() {
        let rows = rows();
        let declared = rows.schema();
        let whole = ipc(&[rows], &declared);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            let _ = decode_rows(flipped, &declared);
        }
    }

    #[test]
    fn dictionaries_are_refused() {
        let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let batch = RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap();
        let error = decode_schema(ipc(&[], &batch.schema())).unwrap_err();
        assert!(error.contains("word"), "{error}");
        let error = decode_rows(
            ipc(std::slice::from_ref(&batch), &batch.schema()),
            &batch.schema(),
        );
        assert!(error.unwrap_err().contains("dictionaries"));
    }
}
