//! The columns of a page of comments, and the place in it that is being read.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use arrow_array::ArrayRef;
use arrow_array::builder::{Int32Builder, StringBuilder};
use sandbar_sdk::arrow::{DataType, Field, RecordBatch, Schema, SchemaRef};
use sandbar_sdk::{Error, Result};

/// The columns of a comment. What the API leaves out is null.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let id = Field::new("id", DataType::Int32, true);
        Arc::new(Schema::new(vec![id, text("name"), text("email"), text("body")]))
    });
    Arc::clone(&SCHEMA)
}

/// Where the reader is: the row on the page, and the field.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) row: Cell<u64>,
    pub(crate) field: Cell<Option<&'static str>>,
}

/// The columns of a page, as they grow.
pub(crate) struct Columns {
    pub(crate) id: Int32Builder,
    pub(crate) name: StringBuilder,
    pub(crate) email: StringBuilder,
    pub(crate) body: StringBuilder,
}

impl Columns {
    /// Room for the usual shares of a page, so that a column grows once at most.
    pub(crate) fn with_room_for(bytes: usize, rows: u64) -> Self {
        // A row is an object with braces and a comma at least.
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(bytes / 3 + 1);
        let text = |share| StringBuilder::with_capacity(rows, share);
        Self {
            id: Int32Builder::with_capacity(rows),
            name: text(bytes / 4),
            email: text(bytes / 8),
            body: text(bytes / 4 * 3),
        }
    }

    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.email.finish()),
            Arc::new(self.body.finish()),
        ];
        RecordBatch::try_new(schema(), columns)
            .map_err(|error| Error::internal(format_args!("columns do not fit: {error}")))
    }
}
