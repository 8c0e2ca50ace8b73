//! The messages of a stream, before anybody believes them.

use arrow_ipc::{Message, MessageHeader, RecordBatch as BatchHeader, root_as_message_with_opts};
use flatbuffers::VerifierOptions;

use super::{MAX_COLUMNS, MAX_DEPTH};

/// The most rows of one stream. Columns without bytes (nulls) would allow any number.
pub(super) const MAX_ROWS: i64 = super::MAX_ROWS as i64;
/// The most record batches of one stream.
pub(super) const MAX_BATCHES: usize = 4_096;
/// The most values in all columns of a record batch. Some need no byte of its body.
const MAX_VALUES: i64 = 1 << 26;
/// Where buffers begin (Arrow columnar format, "Buffer Alignment and Padding"), and the most bytes between two of them.
const ALIGNMENT: usize = 8;
const MAX_PADDING: usize = 64;
/// The longest header of a message.
const MAX_HEADER: usize = 4 << 20;
/// A continuation marker and a length, as the IPC format has before each message.
const PREFIX: usize = 8;

/// Walks over the messages and refuses what a source never needs, before anything is allocated for it:
/// dictionaries, compressed bodies, too many rows, bytes behind the end. Gives where the schema's message ends.
pub(super) fn scan_messages(ipc: &[u8]) -> Result<usize, String> {
    let mut rest = ipc;
    let mut first = true;
    let mut head = 0;
    let (mut batches, mut rows) = (0, 0_i64);
    loop {
        if rest.is_empty() && !first {
            return Ok(head);
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
                0 if first => Err("it has no schema".into()),
                0 => Ok(head),
                extra => Err(format!("{extra} bytes follow the end of the stream")),
            };
        }
        let (metadata, after) = after.split_at_checked(length).ok_or("a message is cut off")?;
        let message = verified(metadata)?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a body has a negative length")?;
        rest = after.get(body..).ok_or("a body is cut off")?;
        match message.header_type() {
            MessageHeader::Schema if first => head = ipc.len() - rest.len(),
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
    let max = i64::try_from(body.saturating_mul(8))
        .unwrap_or(i64::MAX)
        .max(rows);
    let mut values = 0_i64;
    for node in batch.nodes().iter().flatten() {
        if !(0..=max).contains(&node.length()) || !(0..=node.length()).contains(&node.null_count()) {
            return Err(format!(
                "a column of {} values, {} of them null, in a body of {body} bytes",
                node.length(),
                node.null_count()
            ));
        }
        values = values.saturating_add(node.length());
    }
    if values > MAX_VALUES {
        return Err(format!(
            "{values} values in all columns; {MAX_VALUES} are allowed"
        ));
    }
    check_buffers(batch, body)
}

/// Refuses buffers that share bytes, so that a few of them could stand for many columns, and bytes that no buffer has, which
/// would be kept as long as the rows are.
fn check_buffers(batch: &BatchHeader<'_>, body: usize) -> Result<(), String> {
    let mut end = 0_usize;
    for buffer in batch.buffers().iter().flatten() {
        let part = || {
            let start = usize::try_from(buffer.offset()).ok()?;
            let length = usize::try_from(buffer.length()).ok()?;
            Some((start, length, start.checked_add(length)?))
        };
        let Some((start, length, behind)) = part().filter(|(.., behind)| *behind <= body) else {
            return Err(format!(
                "a buffer of {} bytes at {} in a body of {body} bytes",
                buffer.length(),
                buffer.offset()
            ));
        };
        if length == 0 {
            continue;
        }
        if start < end || !start.is_multiple_of(ALIGNMENT) || start - end > MAX_PADDING {
            return Err(format!(
                "a buffer at {start} behind one that ends at {end}; buffers follow each other at multiples of {ALIGNMENT}"
            ));
        }
        end = behind;
    }
    match body - end > MAX_PADDING {
        true => Err(format!("a body of {body} bytes, of which its buffers need {end}")),
        false => Ok(()),
    }
}
