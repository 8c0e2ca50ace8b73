//! Arrow that a component hands over, checked before it is decoded and after.

mod decode;
mod scan;

pub(crate) use decode::{decode, decode_rows, decode_schema, parse_schema};

/// The most rows of what is handed over at once.
pub(crate) const MAX_ROWS: usize = 1 << 22;
/// The most columns, counted with nested ones.
pub(crate) const MAX_COLUMNS: usize = 4_096;
/// The deepest nesting.
const MAX_DEPTH: usize = 16;
