//! From a page of JSON straight into Arrow columns: no row is ever a value of its own.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use arrow_array::Array;
use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_sdk::arrow::{DataType, Field, RecordBatch, Schema, SchemaRef};
use sandbar_sdk::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer};

use crate::json::{Count, Found, PageSeed};

/// Enough of a body to recognise it in a message.
const SHOWN: usize = 60;

/// The columns of a comment. What the API leaves out is null.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let id = Field::new("id", DataType::Int32, true);
        Arc::new(Schema::new(vec![id, text("name"), text("email"), text("body")]))
    });
    Arc::clone(&SCHEMA)
}

/// Whether a response says that there is nothing, as 204 does and a 200 without a body.
fn is_nothing(body: &[u8]) -> bool {
    body.trim_ascii().is_empty()
}

/// Reads a page of at most `wanted` rows, of which the first one is row `start`.
pub(crate) fn parse(body: &[u8], start: u64, wanted: u64, request: &str) -> Result<RecordBatch> {
    let place = Place::default();
    let mut columns = Columns::with_room_for(body.len(), wanted);
    let seed = PageSeed {
        columns: &mut columns,
        place: &place,
        wanted,
    };
    if !is_nothing(body) {
        read(body, request, &place, start, |json| seed.deserialize(json))?;
    }
    columns.finish()
}

/// The ids of a page, where all of its rows have one.
pub(crate) fn ids(page: &RecordBatch) -> Option<&[i32]> {
    let ids = page.column(0).as_primitive_opt::<Int32Type>()?;
    (ids.null_count() == 0).then_some(ids.values().as_ref())
}

/// Counts the rows of a page of at most `wanted`.
pub(crate) fn count(body: &[u8], start: u64, wanted: u64, request: &str) -> Result<Found> {
    if is_nothing(body) {
        return Ok(Found::default());
    }
    let place = Place::default();
    read(body, request, &place, start, |json| {
        json.deserialize_seq(Count {
            place: &place,
            wanted,
        })
    })
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
    fn with_room_for(bytes: usize, rows: u64) -> Self {
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

    fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.email.finish()),
            Arc::new(self.body.finish()),
        ];
        RecordBatch::try_new(schema(), columns)
            .map_err(|error| Error::internal(format_args!("columns do not fit: {error}")))
    }
}

fn read<'a, T>(
    body: &'a [u8],
    request: &str,
    place: &Place,
    start: u64,
    with: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'a>>) -> serde_json::Result<T>,
) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = with(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| {
        if !body.trim_ascii_start().starts_with(b"[") {
            let begin = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
            return Error::malformed(format_args!("{request} gave no JSON array but {begin:?}"));
        }
        let row = start.saturating_add(place.row.get());
        let field = place
            .field
            .get()
            .map(|field| format!(", field {field}"))
            .unwrap_or_default();
        Error::malformed(format_args!("{request} gave row {row}{field}: {error}"))
    })
}
