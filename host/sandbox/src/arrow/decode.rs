use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use sandbar_pipeline::is_unprintable;

use super::scan::scan_messages;
use super::{MAX_COLUMNS, MAX_DEPTH};

/// The longest name of a column.
const MAX_NAME: usize = 1 << 10;
/// The most bytes of values when each view is written out. Views may all show the same bytes.
const MAX_VIEWED: u64 = 256 << 20;
/// What is said of streams that the decoder panicked over.
const PANICKED: &str = "the decoder can't make sense of it";

/// Decodes the schema that a source declares: an IPC stream with a schema and no batch.
pub(crate) fn decode_schema(ipc: Vec<u8>) -> Result<SchemaRef, String> {
    let (schema, batches) = decode(ipc, None)?;
    if !batches.is_empty() {
        return Err("the schema comes with rows".into());
    }
    if schema.fields().is_empty() {
        return Err("the schema has no columns".into());
    }
    // Metadata is not part of what a batch must match, nor of what a table is given.
    Ok(Arc::new(Schema::new(schema.fields().clone())))
}

/// Reads a schema that a source declares as text.
pub(crate) fn parse_schema(text: &str) -> Result<SchemaRef, String> {
    let schema = sandbar_rows::parse_schema(text).map_err(|e| e.to_string())?;
    check_schema(&schema, None)?;
    Ok(schema)
}

/// Decodes the rows of one batch, which must have exactly the declared schema.
pub(crate) fn decode_rows(ipc: Vec<u8>, declared: &SchemaRef) -> Result<Vec<RecordBatch>, String> {
    let (_, batches) = decode(ipc, Some(declared))?;
    batches
        .into_iter()
        .map(|batch| batch.with_schema(declared.clone()).map_err(|e| e.to_string()))
        .collect()
}

/// Decodes a stream of the declared schema, or of whatever schema it has.
pub(crate) fn decode(
    ipc: Vec<u8>,
    declared: Option<&SchemaRef>,
) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    catch_decoder_panic(|| decode_checked(ipc, declared))
}

/// The decoder is written for honest input: whatever it still panics on must end here.
fn catch_decoder_panic<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(PANICKED.into()))
}

fn decode_checked(
    ipc: Vec<u8>,
    declared: Option<&SchemaRef>,
) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    // One byte more: with the message alone, the decoder would wait for its body, which is empty.
    let head = ipc.len().min(scan_messages(&ipc)? + 1);
    let buffer = Buffer::from_vec(ipc);
    let mut decoder = StreamDecoder::new();
    // The schema decides what its batches are decoded to, so it is looked at alone.
    let first = decoder.decode(&mut buffer.slice_with_length(0, head));
    first.map_err(|e| e.to_string())?;
    let schema = decoder.schema().ok_or("it has no schema")?;
    check_schema(&schema, declared)?;
    let mut rest = buffer.slice(head);
    let mut batches = vec![];
    while !rest.is_empty() {
        match decoder.decode(&mut rest).map_err(|e| e.to_string())? {
            Some(batch) => batches.push(batch),
            None => break,
        }
    }
    decoder.finish().map_err(|e| e.to_string())?;
    let viewed = batches.iter().flat_map(RecordBatch::columns);
    let viewed = viewed
        .map(|column| viewed_bytes(&column.to_data()))
        .fold(0, u64::saturating_add);
    if viewed > MAX_VIEWED {
        return Err(format!(
            "its views show {viewed} bytes; {MAX_VIEWED} are allowed, however few lie behind them"
        ));
    }
    Ok((schema, batches))
}

fn check_schema(schema: &SchemaRef, declared: Option<&SchemaRef>) -> Result<(), String> {
    if let Some(declared) = declared.filter(|declared| schema.fields() != declared.fields()) {
        return Err(format!(
            "the batch has the columns {}, but the declared schema is {}",
            columns(schema),
            columns(declared)
        ));
    }
    let mut count = 0;
    schema
        .fields()
        .iter()
        .try_for_each(|f| check_field(f, 1, &mut count))
}

/// The bytes that views show, each counted by itself.
fn viewed_bytes(data: &ArrayData) -> u64 {
    let own = match data.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            let views = data.buffer::<u128>(0).iter().take(data.len());
            // The low four bytes of a view are its length.
            views.map(|view| u64::from(*view as u32)).sum()
        }
        _ => 0,
    };
    let inner = data.child_data().iter().map(viewed_bytes);
    inner.fold(own, u64::saturating_add)
}

fn check_field(field: &Field, depth: usize, count: &mut usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
    }
    *count += 1;
    if *count > MAX_COLUMNS {
        return Err(format!("it has more than {MAX_COLUMNS} columns"));
    }
    if field.name().len() > MAX_NAME || field.name().chars().any(is_unprintable) {
        return Err(format!(
            "a column's name has {} bytes; {MAX_NAME} are allowed, and no control characters",
            field.name().len()
        ));
    }
    if let DataType::FixedSizeBinary(width) | DataType::FixedSizeList(_, width) = field.data_type()
        && *width < 1
    {
        return Err(format!(
            "column {:?} has values of the width {width}",
            field.name()
        ));
    }
    match field.data_type() {
        DataType::Dictionary(..)
        | DataType::RunEndEncoded(..)
        // Its parts may all be the same one, of any size.
        | DataType::ListView(_)
        | DataType::LargeListView(_) => Err(format!(
            "column {:?} is of the type {}, which is not taken; send plain values",
            field.name(),
            field.data_type()
        )),
        DataType::List(inner)
        | DataType::LargeList(inner)
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
mod tests;
