use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, MessageHeader, RecordBatch as BatchHeader, root_as_message_with_opts};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flatbuffers::VerifierOptions;

/// The most columns, counted with nested ones.
const MAX_COLUMNS: usize = 4_096;
/// The deepest nesting.
const MAX_DEPTH: usize = 16;
/// The longest name of a column.
const MAX_NAME: usize = 1 << 10;
/// The most rows of one stream. Columns without bytes (nulls) would allow any number.
const MAX_ROWS: i64 = 1 << 22;
/// The most record batches of one stream.
const MAX_BATCHES: usize = 4_096;
/// The longest header of a message.
const MAX_HEADER: usize = 4 << 20;
/// The most bytes of values when each view is written out. Views may all show the same bytes.
const MAX_VIEWED: u64 = 256 << 20;
/// What is said of streams that the decoder panicked over.
const PANICKED: &str = "the decoder can't make sense of it";
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
    catch_unwind(AssertUnwindSafe(|| decode_checked(ipc))).unwrap_or_else(|_| Err(PANICKED.into()))
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

/// Walks over the messages and refuses what a source never needs, before anything is allocated for it:
/// dictionaries, compressed bodies, too many rows, bytes behind the end.
fn scan_messages(ipc: &[u8]) -> Result<(), String> {
    let mut rest = ipc;
    let mut first = true;
    let (mut batches, mut rows) = (0, 0_i64);
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
        let message = verified(metadata)?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a body has a negative length")?;
        rest = after.get(body..).ok_or("a body is cut off")?;
        match message.header_type() {
            MessageHeader::Schema if first => {}
            MessageHeader::RecordBatch if !first => {
                let batch = message.header_as_record_batch().ok_or("a batch has no header")?;
                check_batch(&batch, body)?;
                batches += 1;
                rows = rows.saturating_add(batch.length());
                if rows > MAX_ROWS || batches > MAX_BATCHES {
                    return Err(format!(
                        "it has {rows} rows in {batches} record batches; {MAX_ROWS} in {MAX_BATCHES} are allowed"
                    ));
                }
            }
            MessageHeader::DictionaryBatch => return Err("dictionaries are not taken".into()),
            _ => return Err("a message is out of place".into()),
        }
        first = false;
    }
}

/// A message's header, its inner references checked. They may lead to one place many times: what the header would be
/// with each of them followed is bounded too.
fn verified(metadata: &[u8]) -> Result<Message<'_>, String> {
    if metadata.len() > MAX_HEADER {
        return Err(format!(
            "a header of {} bytes; {MAX_HEADER} are allowed",
            metadata.len()
        ));
    }
    let options = VerifierOptions {
        // Each level of nesting is a table.
        max_depth: MAX_DEPTH + 16,
        max_tables: 8 * MAX_COLUMNS,
        max_apparent_size: 8 * metadata.len() + (64 << 10),
        ..VerifierOptions::default()
    };
    root_as_message_with_opts(&options, metadata).map_err(|e| format!("a message is damaged: {e}"))
}

/// Refuses numbers that do not fit the body, before anyone counts on them.
fn check_batch(batch: &BatchHeader<'_>, body: usize) -> Result<(), String> {
    if batch.compression().is_some() {
        return Err("compressed bodies are not taken".into());
    }
    let rows = batch.length();
    if !(0..=MAX_ROWS).contains(&rows) {
        return Err(format!("a batch of {rows} rows; {MAX_ROWS} are allowed"));
    }
    // A value takes a bit at least, unless it is one of a row's own.
    let most = i64::try_from(body.saturating_mul(8))
        .unwrap_or(i64::MAX)
        .max(rows);
    for node in batch.nodes().iter().flatten() {
        if !(0..=most).contains(&node.length()) || !(0..=node.length()).contains(&node.null_count()) {
            return Err(format!(
                "a column of {} values, {} of them null, in a body of {body} bytes",
                node.length(),
                node.null_count()
            ));
        }
    }
    for buffer in batch.buffers().iter().flatten() {
        let part = || {
            let start = usize::try_from(buffer.offset()).ok()?;
            start.checked_add(usize::try_from(buffer.length()).ok()?)
        };
        if part().is_none_or(|end| end > body) {
            return Err(format!(
                "a buffer of {} bytes at {} in a body of {body} bytes",
                buffer.length(),
                buffer.offset()
            ));
        }
    }
    Ok(())
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
    if field.name().len() > MAX_NAME || field.name().chars().any(char::is_control) {
        return Err(format!(
            "a column's name has {} bytes; {MAX_NAME} are allowed, and no control characters",
            field.name().len()
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
