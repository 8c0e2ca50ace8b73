//! Rows that the host reads for a component, and holds.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sandbar_egress::thread_time;
use sandbar_policy::{LimitKey, Violation};
use sandbar_rows::{Decoder, Layout, RowLimits, RowsError, Selection};

use super::http::HeldResponse;
use super::memory::{MemoryAccount, MemoryShare};
use super::{Capability, linked_by_track};
use crate::arrow::{MAX_COLUMNS, MAX_ROWS};
use crate::guest_error::GuestError;

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[("sandbar:connector/rows", "have the host read rows from JSON")],
    add_to_linker: linked_by_track,
};

/// The most bytes of a selection: each is kept in many times its room.
const MAX_SELECTION: usize = 256 << 10;

/// A selection as a component makes it.
pub(crate) struct RawSelection {
    pub(crate) path: String,
    pub(crate) layout: Layout,
    /// Each with its name.
    pub(crate) columns: Vec<(String, RawColumn)>,
    pub(crate) skip: u64,
    pub(crate) max_rows: Option<u64>,
}

/// Where the values of a column come from, as a component says it.
pub(crate) enum RawColumn {
    Value(String),
    JsonText(String),
    Constant(String),
}

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

    /// Reads rows from a text of the component, which has called the host for it.
    pub(crate) fn read_text(&mut self, text: &str, selection: RawSelection) -> Result<HeldRows, GuestError> {
        let read = self.read_in_call(text.as_bytes(), selection.checked()?);
        read.map_err(|e| e.for_guest(|e| GuestError::Malformed(format!("the text has {e}"))))
    }

    /// Reads rows from a response for the component, which has called the host for it.
    pub(crate) fn read_response(
        &mut self,
        response: &HeldResponse,
        selection: RawSelection,
    ) -> Result<HeldRows, GuestError> {
        let selection = selection.checked()?;
        let read = self.read_in_call(&response.text()?, selection);
        read.map_err(|e| e.for_guest(|e| response.unreadable(e)))
    }

    fn read_in_call(&mut self, text: &[u8], selection: Selection) -> Result<HeldRows, Unread> {
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

impl RawSelection {
    fn checked(self) -> Result<Selection, GuestError> {
        let refuse = |e: RowsError| GuestError::Internal(e.to_string());
        let lengths = self
            .columns
            .iter()
            .map(|(name, column)| name.len() + column.text().len());
        let bytes = self.path.len() + lengths.sum::<usize>();
        if self.columns.len() > MAX_COLUMNS || bytes > MAX_SELECTION {
            return Err(GuestError::Internal(format!(
                "a selection has {} columns in {bytes} bytes; {MAX_COLUMNS} in {MAX_SELECTION} are allowed",
                self.columns.len()
            )));
        }
        let selection = Selection::at(&self.path, self.layout).map_err(refuse)?;
        let mut selection = selection.within(self.skip, self.max_rows);
        for (name, column) in self.columns {
            selection = match column {
                RawColumn::Value(pointer) => selection.with_value(name, &pointer),
                RawColumn::JsonText(pointer) => selection.with_json(name, &pointer),
                RawColumn::Constant(json) => Ok(selection.with_constant(name, json)),
            }
            .map_err(refuse)?;
        }
        Ok(selection)
    }
}

impl RawColumn {
    fn text(&self) -> &str {
        match self {
            Self::Value(text) | Self::JsonText(text) | Self::Constant(text) => text,
        }
    }
}

impl Unread {
    /// What the component is told, which has called the host for the rows.
    fn for_guest(self, of_rows: impl FnOnce(RowsError) -> GuestError) -> GuestError {
        match self {
            Self::Rows(error @ (RowsError::Json(_) | RowsError::NoRows { .. })) => of_rows(error),
            Self::Rows(error) => GuestError::Internal(error.to_string()),
            Self::TooLarge => GuestError::Internal("the rows take more than they may".into()),
            Self::Memory => GuestError::Internal("no memory is left for the rows".into()),
            Self::NoSchema => GuestError::Internal("rows are read before the schema is known".into()),
        }
    }
}
