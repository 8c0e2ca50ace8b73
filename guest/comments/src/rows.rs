//! From a page of JSON straight into Arrow columns: no row is ever a value of its own.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_sdk::arrow::RecordBatch;
use sandbar_sdk::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer};

use crate::columns::{Columns, Place};
use crate::json::{Count, Found, PageSeed};

/// Enough of a body to recognise it in a message.
const SHOWN: usize = 60;

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
