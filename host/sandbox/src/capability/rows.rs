//! Rows that the host reads for a component, and holds.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sandbar_egress::thread_time;
use sandbar_policy::{LimitKey, Violation};
use sandbar_rows::{Decoder, RowLimits, RowsError, Selection};

use super::memory::{MemoryAccount, MemoryShare};
use super::{Capability, linked_by_track};
use crate::arrow::MAX_ROWS;

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[("sandbar:connector/rows", "have the host read rows from JSON")],
    add_to_linker: linked_by_track,
};

/// Reads rows in the schema of the stream.
pub(crate) struct RowsCapability {
    schema: Option<SchemaRef>,
    limits: RowLimits,
    memory: MemoryAccount,
    /// Of the last selection, which is most often the next one too.
    decoder: Option<Decoder>,
    /// Time that reading took within calls of the component, since it was last asked for.
    decode: Duration,
}

/// Rows in the schema of the stream.
pub struct HeldRows {
    pub(crate) rows: RecordBatch,
    _memory: MemoryShare,
}

/// Why rows are not read.
pub(crate) enum Unread {
    Rows(RowsError),
    /// They take more than one call may hand over, which is recorded.
    TooLarge,
    Memory,
    /// They are asked for before there is a schema.
    NoSchema,
}

impl RowsCapability {
    pub(crate) fn new(max_bytes: u64, memory: MemoryAccount) -> Self {
        let bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        Self {
            schema: None,
            limits: RowLimits::new(MAX_ROWS, bytes),
            memory,
            decoder: None,
            decode: Duration::ZERO,
        }
    }

    /// Sets the schema of the stream, once it is known and checked.
    pub(crate) fn set_schema(&mut self, schema: SchemaRef) {
        self.schema = Some(schema);
        self.decoder = None;
    }

    /// Reads rows from a JSON text for a component, which has called the host for it.
    pub(crate) fn read_in_call(&mut self, text: &[u8], selection: Selection) -> Result<HeldRows, Unread> {
        let began = thread_time();
        let read = self.read(text, selection);
        self.decode += thread_time().saturating_sub(began);
        read
    }

    pub(crate) fn take_decode(&mut self) -> Duration {
        std::mem::take(&mut self.decode)
    }

    /// Reads rows from a JSON text.
    pub(crate) fn read(&mut self, text: &[u8], selection: Selection) -> Result<HeldRows, Unread> {
        let schema = self.schema.as_ref().ok_or(Unread::NoSchema)?;
        let known = self
            .decoder
            .take()
            .filter(|known| *known.selection() == selection);
        let decoder = match known {
            Some(known) => known,
            None => Decoder::new(schema.clone(), selection).map_err(Unread::Rows)?,
        };
        let read = decoder.decode(text, self.limits).map_err(|error| match error {
            RowsError::TooLarge { max } => {
                self.memory.record(Violation::Limit {
                    limit: format!("its rows take more than {max} bytes"),
                    key: LimitKey::Batch,
                });
                Unread::TooLarge
            }
            other => Unread::Rows(other),
        });
        self.decoder = Some(decoder);
        let rows = read?;
        let mut memory = self.memory.share();
        memory
            .grow(rows.get_array_memory_size())
            .map_err(|_| Unread::Memory)?;
        Ok(HeldRows {
            rows,
            _memory: memory,
        })
    }
}
