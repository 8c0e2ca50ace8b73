//! Rows as JSON text, read into Arrow record batches of a given schema, and schemas as text.
//!
//! Values go from the text straight into columns: no row is ever a value of its own. What a column can't hold exactly is an
//! error with row, field and byte.
//!
//! ```
//! use sandbar_rows::{Decoder, Layout, RowLimits, Selection, parse_schema};
//!
//! let schema = parse_schema("id bigint, user struct<login: string>, price decimal(10, 2)")?;
//! let decoder = Decoder::new(schema, Selection::at("/items", Layout::Array)?)?;
//! let text = br#"{"items": [{"id": 1, "user": {"login": "ada"}, "price": 12.50}], "next": null}"#;
//! let rows = decoder.decode(text, RowLimits::new(1_000, 1 << 20))?;
//! assert_eq!(rows.num_rows(), 1);
//! # Ok::<(), sandbar_rows::RowsError>(())
//! ```
//!
//! | column | JSON |
//! |---|---|
//! | boolean | `true`, `false` |
//! | integers | a number without a fraction: `1`, `1.0` and `1e3` are |
//! | floating point | a number |
//! | decimal | a number, or text with one, whose digits all fit |
//! | text | text |
//! | binary | text in base64 |
//! | date | text such as `2026-01-31` |
//! | timestamp in UTC | text with a zone such as `2026-01-31T12:00:00Z` (RFC 3339); what is finer than the column is cut off |
//! | timestamp without a zone | text without one such as `2026-01-31T12:00:00` |
//! | list | an array |
//! | struct, map | an object |
//!
//! A member that is missing is a null. Members that no column is named after are left out. An object that has a name twice
//! is refused, and so is half of a surrogate pair.
//!
//! Invariant: this crate knows nothing of components, pipelines or HTTP.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod column;
mod decoder;
mod document;
mod error;
mod fault;
mod names;
mod number;
mod pointer;
mod scanner;
mod schema_text;
mod selection;

pub use decoder::{Decoder, RowLimits};
pub use document::Document;
pub use error::RowsError;
pub use schema_text::parse_schema;
pub use selection::{Layout, Selection};
